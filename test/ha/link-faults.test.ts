import { expect, test } from "bun:test";
import { TRANSFER_HEADER_BYTES } from "../../lib/ha/layout.ts";
import { until } from "../support/until.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { caughtUp, HaNode, put, sameBytes } from "./ha-fixture.ts";

/** Small blocks: every byte of a header and of a body is met soon. */
const BLOCK = 20;

/** Some messages of different sizes, over two files. */
function fill(master: HaNode): void {
  master.put(3, 40);
  master.put(2, 2_000);
  master.put(1, 61_000);
  master.put(2, 500);
}

test("a connection that is cut after every number of bytes goes on where the slave's log ends", async () => {
  await using master = await HaNode.start({ haTransferBatchSize: BLOCK });
  using proxy = new FaultProxy(master.ha.port);
  await using slave = await HaNode.slaveOf(proxy.port);
  await until(() => slave.ha.isConnected(""));
  // Each cut is one byte later in headers and blocks than the one before.
  for (let bytes = 1; bytes < 2 * (BLOCK + TRANSFER_HEADER_BYTES) + 1; bytes++) {
    proxy.trouble = { cutAfter: bytes };
    proxy.cut();
    master.put(1, 200);
    const { cuts } = proxy;
    await until(() => proxy.cuts > cuts || slave.end === master.end);
    proxy.trouble = {};
    slave.ha.updateHaMasterAddress(`localhost:${proxy.port}`);
    slave.ha.updateHaMasterAddress(`127.0.0.1:${proxy.port}`);
    await caughtUp(slave, master);
  }
  expect(sameBytes(slave, master)).toBe(true);
}, 60_000);

for (const splitBytes of [1, 7, 12, 13, 997])
  test(`pieces of ${splitBytes} bytes are put together`, async () => {
    await using master = await HaNode.start();
    using proxy = new FaultProxy(master.ha.port);
    proxy.trouble = { splitBytes };
    await using slave = await HaNode.slaveOf(proxy.port);
    await until(() => slave.ha.isConnected(""));
    if (splitBytes > 1) fill(master);
    else master.put(10, 40);
    await caughtUp(slave, master);
    expect(sameBytes(slave, master)).toBe(true);
  }, 30_000);

test("a link that is slow or dead keeps sends waiting; when it lives, what they stored is there", async () => {
  await using master = await HaNode.start({ brokerRole: "SYNC_MASTER", inSyncReplicas: 2, slaveTimeout: 60 });
  using proxy = new FaultProxy(master.ha.port);
  await using slave = await HaNode.slaveOf(proxy.port);
  await until(() => slave.ha.isConnected(""));
  proxy.trouble = { delayMs: 200 };
  expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
  proxy.trouble = {};
  await caughtUp(slave, master);
  expect(await put(master)).toBe("PUT_OK");
  expect(sameBytes(slave, master)).toBe(true);
});

test("a slave that reads nothing does not make the master gather its log in memory", async () => {
  await using master = await HaNode.start({ mappedFileSizeCommitLog: 16 * 1024 * 1024 });
  let connected = false;
  using proxy = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const deaf = await Bun.connect({
    hostname: "127.0.0.1",
    port: master.ha.port,
    socket: {
      open(socket) {
        socket.pause();
        socket.write(Buffer.alloc(8));
        connected = true;
      },
      data() {},
    },
  });
  await until(() => connected && master.ha.status().slaves[0]?.transferFromWhere === 0);
  for (let i = 0; i < 30; i++) {
    master.put(20, 60_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const [status] = master.ha.status().slaves;
  expect(status?.transferFromWhere).toBeLessThan(master.end);
  deaf.resume();
  await until(() => master.ha.status().slaves[0]?.transferFromWhere === master.end);
  deaf.terminate();
  proxy.stop(true);
}, 20_000);

test("a slave whose store was wiped begins anew", async () => {
  await using master = await HaNode.start();
  await using slave = await HaNode.slaveOf(master.ha.port);
  fill(master);
  await caughtUp(slave, master);
  await slave.stop();
  await using fresh = await HaNode.slaveOf(master.ha.port);
  fill(master);
  await caughtUp(fresh, master);
  expect(sameBytes(fresh, master)).toBe(true);
});

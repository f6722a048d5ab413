import { describe, expect, test } from "bun:test";
import { until } from "../support/until.ts";
import { caughtUp, HaNode, type NodeConfig, put, sameBytes } from "./ha-fixture.ts";

/** A slave's report: where its log ends. */
function report(offset: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(offset));
  return bytes;
}

const SYNC: NodeConfig = { brokerRole: "SYNC_MASTER", inSyncReplicas: 2 };

for (const flushDiskType of ["ASYNC_FLUSH", "SYNC_FLUSH"] as const)
  describe(`a slave with ${flushDiskType}`, () => {
    test("copies what is there and what comes, over many files, and dispatches it", async () => {
      await using master = await HaNode.start({ flushDiskType });
      master.put(150);
      await using slave = await HaNode.slaveOf(master.ha.port, { flushDiskType });
      master.put(1000);
      await caughtUp(slave, master);
      master.put(3);
      await caughtUp(slave, master);
      expect(sameBytes(slave, master)).toBe(true);
      for (let queueId = 0; queueId < 4; queueId++)
        expect(slave.store.getMaxOffsetInQueue("T", queueId)).toBe(master.store.getMaxOffsetInQueue("T", queueId));
      const found = await slave.store.queryMessage("T", "k999", 10, 0, Date.now() + 1000);
      expect(found.records).toHaveLength(1);
    });

    test("goes on where it ended after a restart of either side", async () => {
      await using master = await HaNode.start({ flushDiskType });
      await using slave = await HaNode.slaveOf(master.ha.port, { flushDiskType });
      master.put(300);
      await caughtUp(slave, master);
      await slave.stop();
      master.put(300);
      await slave.start();
      slave.follow(master.ha.port);
      await caughtUp(slave, master);
      await master.stop();
      await master.start();
      slave.follow(master.ha.port);
      master.put(300);
      await caughtUp(slave, master);
      expect(sameBytes(slave, master)).toBe(true);
    });
  });

describe("a slave", () => {
  test("without a log begins at the master's last file", async () => {
    await using master = await HaNode.start();
    master.put(600);
    await using slave = await HaNode.slaveOf(master.ha.port);
    await caughtUp(slave, master);
    const { fileSize } = master.store.replication;
    expect(slave.store.minPhyOffset).toBe(master.end - (master.end % fileSize));
    expect(slave.store.minPhyOffset).toBeGreaterThan(0);
    expect(sameBytes(slave, master)).toBe(true);
    expect(slave.store.getMaxOffsetInQueue("T", 0)).toBe(master.store.getMaxOffsetInQueue("T", 0));
    // It is found again as it is.
    await slave.stop();
    await slave.start();
    slave.follow(master.ha.port);
    master.put(10);
    await caughtUp(slave, master);
  });

  test("takes no messages of clients", async () => {
    await using slave = await HaNode.start({ brokerRole: "SLAVE" });
    expect(() => slave.put(1)).toThrow("SERVICE_NOT_AVAILABLE");
  });

  test("follows its master to another address", async () => {
    await using master = await HaNode.start();
    await using slave = await HaNode.slaveOf(master.ha.port);
    master.put(20);
    await caughtUp(slave, master);
    await master.stop();
    await until(() => slave.logger.lines.some((line) => line.includes("replication from the master stands")));
    await master.start();
    slave.follow(master.ha.port);
    master.put(20);
    await caughtUp(slave, master);
    expect(slave.logger.lines.filter((line) => line.includes("stands:"))).toHaveLength(1);
    expect(slave.logger.lines.filter((line) => line.includes("copying the log"))).toHaveLength(2);
  });

  test("may have slaves of its own", async () => {
    await using master = await HaNode.start();
    await using first = await HaNode.slaveOf(master.ha.port);
    await using second = await HaNode.slaveOf(first.ha.port);
    master.put(500);
    await caughtUp(second, master);
    expect(sameBytes(second, master)).toBe(true);
  });

  test("that ends in order keeps no part of a record, and gets it again", async () => {
    await using master = await HaNode.start({
      haTransferBatchSize: 100,
      haFlowControlEnable: true,
      maxHaTransferByteInSecond: 1000,
    });
    await using slave = await HaNode.slaveOf(master.ha.port);
    master.put(20);
    await until(() => slave.store.dispatchBehindBytes > 0);
    await slave.stop();
    expect(slave.logger.lines.some((line) => line.includes("not closed in order"))).toBe(false);
    master.config.haFlowControlEnable = false;
    await slave.start();
    slave.follow(master.ha.port);
    await caughtUp(slave, master);
    expect(sameBytes(slave, master)).toBe(true);
  });

  test("with another file size is told so", async () => {
    await using master = await HaNode.start({ mappedFileSizeCommitLog: 32 * 1024 });
    master.put(150);
    await using slave = await HaNode.slaveOf(master.ha.port);
    await until(() => slave.logger.lines.some((line) => line.includes("mappedFileSizeCommitLog=65536")));
  });
});

describe("logs that are not one", () => {
  test("a slave ahead of its master is told, keeps what it has, and confirms nothing", async () => {
    await using master = await HaNode.start({ ...SYNC, slaveTimeout: 50 });
    await using slave = await HaNode.start({ brokerRole: "ASYNC_MASTER" });
    slave.put(20);
    await slave.stop();
    slave.config.brokerRole = "SLAVE";
    await slave.start();
    const before = slave.bytes(0);
    slave.follow(master.ha.port);
    await until(() => master.logger.lines.some((line) => line.includes("holds what its master lost")));
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    expect(master.ha.status().slaves[0]).toMatchObject({ inSync: false });
    // Once the master's log is longer, the slave's bytes are still not the master's.
    for (let i = 0; i < 40; i++) await put(master);
    expect(master.end).toBeGreaterThan(slave.end);
    slave.ha.updateHaMasterAddress(`localhost:${master.ha.port}`);
    await until(() => master.logger.lines.filter((line) => line.includes("gets nothing")).length === 2);
    expect(slave.bytes(0).equals(before)).toBe(true);
  });

  test("a slave that ends before the master's log begins is told", async () => {
    await using master = await HaNode.start();
    await using slave = await HaNode.slaveOf(master.ha.port);
    master.put(10);
    await caughtUp(slave, master);
    await slave.stop();
    master.put(600);
    master.store.log.files.removeFirst();
    await slave.start();
    slave.follow(master.ha.port);
    await until(() => master.logger.lines.some((line) => line.includes("is deleted here")));
    expect(master.ha.status().slaves[0]?.refusal).toContain("the log begins at 65536");
  });
});

test("a slave that deletion overtakes is told", async () => {
  const slow = { haFlowControlEnable: true, maxHaTransferByteInSecond: 100, haSendHeartbeatInterval: 80 };
  await using master = await HaNode.start(slow);
  await using slave = await HaNode.slaveOf(master.ha.port);
  await until(() => slave.ha.isConnected(""));
  master.put(300);
  await until(() => slave.end > 0);
  master.store.log.files.removeFirst();
  await until(() => master.logger.lines.some((line) => line.includes("a slave gets nothing more")));
});

describe("SYNC_MASTER", () => {
  test("answers when its slave has the message", async () => {
    await using master = await HaNode.start(SYNC);
    await using slave = await HaNode.slaveOf(master.ha.port);
    for (let i = 0; i < 50; i++) {
      expect(await put(master)).toBe("PUT_OK");
      expect(slave.end).toBe(master.end);
    }
  });

  test("answers FLUSH_SLAVE_TIMEOUT without a slave, says it once, and once when one is there", async () => {
    await using master = await HaNode.start({ ...SYNC, slaveTimeout: 30 });
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    await using slave = await HaNode.slaveOf(master.ha.port);
    await caughtUp(slave, master);
    expect(await put(master)).toBe("PUT_OK");
    expect(master.logger.lines.filter((line) => line.includes("no slave is connected"))).toHaveLength(1);
    expect(master.logger.lines.filter((line) => line.includes("confirmed again"))).toHaveLength(1);
  });

  test("says that fewer slaves are connected than it waits for, once, and when they are there", async () => {
    await using master = await HaNode.start({ ...SYNC, inSyncReplicas: 3, slaveTimeout: 30 });
    await using first = await HaNode.slaveOf(master.ha.port);
    await caughtUp(first, master);
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    const lines = (text: string) => master.logger.lines.filter((line) => line.includes(text));
    expect(lines("fewer than 2 slaves are connected")).toHaveLength(1);
    expect(lines("answered FLUSH_SLAVE_TIMEOUT")).toHaveLength(1);
    master.config.slaveTimeout = 3000;
    await using second = await HaNode.slaveOf(master.ha.port);
    await caughtUp(second, master);
    expect(await put(master)).toBe("PUT_OK");
    expect(lines("2 slaves are connected: sends are confirmed again")).toHaveLength(1);
  });

  test("says once that sends are refused, and once that they are taken again", async () => {
    await using master = await HaNode.start({ ...SYNC, minInSyncReplicas: 2 });
    for (let i = 0; i < 3; i++) expect(() => master.put(1)).toThrow("IN_SYNC_REPLICAS_NOT_ENOUGH");
    const lines = (text: string) => master.logger.lines.filter((line) => line.includes(text));
    expect(lines("sends are refused: 1 replicas are in sync, the master included, wanted 2")).toHaveLength(1);
    await using slave = await HaNode.slaveOf(master.ha.port);
    await until(() => master.ha.inSyncReplicasNums(master.end) === 2 && slave.running);
    for (let i = 0; i < 3; i++) expect(await put(master)).toBe("PUT_OK");
    expect(lines("sends are taken again")).toHaveLength(1);
  });

  test("tells at its start what is waited for, and when sends are refused", async () => {
    const policy = async (config: NodeConfig): Promise<string> => {
      await using node = await HaNode.start({ ...SYNC, ...config });
      return node.ha.policy;
    };
    const waits = "sends wait for one slave (SYNC_MASTER, inSyncReplicas=2)";
    const refused = ", and are refused while fewer than 2 replicas are in sync, the master included";
    expect(await policy({})).toBe(waits);
    expect(await policy({ minInSyncReplicas: 2 })).toBe(`${waits}${refused} (minInSyncReplicas=2)`);
    expect(await policy({ enableSlaveActingMaster: true })).toBe(`${waits}${refused} (enableSlaveActingMaster)`);
    expect(await policy({ inSyncReplicas: 1 })).toBe("sends wait for no slave: SYNC_MASTER with inSyncReplicas=1");
  });

  test("does not wait for messages that ask for no waiting", async () => {
    await using master = await HaNode.start(SYNC);
    master.put(1);
    const status = await new Promise((resolve) => master.store.awaitDurable(master.end, false, resolve));
    expect(status).toBe("PUT_OK");
  });

  test("answers in the turn in which it serves others what a slave reported meanwhile", async () => {
    await using master = await HaNode.start(SYNC);
    const answers: string[] = [];
    const send = (name: string) => {
      master.put(1);
      master.store.awaitDurable(master.end, true, (status) => answers.push(`${name} ${status}`));
    };
    let came = 0;
    const data = (_: unknown, chunk: Buffer) => {
      came += chunk.length;
    };
    const slave = await Bun.connect({ hostname: "127.0.0.1", port: master.ha.port, socket: { data } });
    slave.write(report(0));
    await until(() => came > 0);
    came = 0;
    send("first");
    const { end } = master;
    await until(() => came >= end);
    slave.write(report(end));
    send("second");
    // All of what follows an append in its turn, but not the loop's next look at its sockets.
    for (let i = 0; i < 10; i++) await Promise.resolve();
    expect(answers).toEqual(["first PUT_OK"]);
    slave.write(report(master.end));
    await until(() => answers.length === 2);
    expect(answers[1]).toBe("second PUT_OK");
    slave.terminate();
  });

  test("waits for as many slaves as inSyncReplicas says", async () => {
    await using master = await HaNode.start({ ...SYNC, inSyncReplicas: 3, slaveTimeout: 50 });
    await using first = await HaNode.slaveOf(master.ha.port);
    await caughtUp(first, master);
    expect(await put(master)).toBe("FLUSH_SLAVE_TIMEOUT");
    await using second = await HaNode.slaveOf(master.ha.port);
    await caughtUp(second, master);
    master.config.slaveTimeout = 3000;
    expect(await put(master)).toBe("PUT_OK");
  });

  test("refuses below minInSyncReplicas; with enableAutoInSyncReplicas waits for those in sync", async () => {
    await using master = await HaNode.start({ ...SYNC, minInSyncReplicas: 2 });
    expect(() => master.put(1)).toThrow("IN_SYNC_REPLICAS_NOT_ENOUGH: 1 replicas are in sync");
    master.config.minInSyncReplicas = 1;
    master.config.enableAutoInSyncReplicas = true;
    expect(await put(master)).toBe("PUT_OK");
  });

  test("with allAckInSyncStateSet waits for every slave in sync", async () => {
    await using master = await HaNode.start({ ...SYNC, allAckInSyncStateSet: true });
    await using first = await HaNode.slaveOf(master.ha.port);
    await using second = await HaNode.slaveOf(master.ha.port);
    await until(() => master.ha.inSyncReplicasNums(master.end) === 3);
    for (let i = 0; i < 20; i++) {
      expect(await put(master)).toBe("PUT_OK");
      expect([first.end, second.end]).toEqual([master.end, master.end]);
    }
  });
});

describe("house-keeping", () => {
  test("idle connections live on heartbeats", async () => {
    const short = { haSendHeartbeatInterval: 40, haHousekeepingInterval: 200 };
    await using master = await HaNode.start(short);
    await using slave = await HaNode.slaveOf(master.ha.port, short);
    await until(() => slave.ha.isConnected(""));
    const { lastReadTimestamp } = slave.ha.status().client!;
    await until(() => slave.ha.status().client!.lastReadTimestamp > lastReadTimestamp + 400);
    expect(slave.logger.lines.some((line) => line.includes("stands"))).toBe(false);
    expect(master.ha.status().slaves).toHaveLength(1);
  });

  test("both sides close a connection that is silent", async () => {
    await using master = await HaNode.start({ haHousekeepingInterval: 60 });
    const mute = await Bun.connect({ hostname: "127.0.0.1", port: master.ha.port, socket: { data() {} } });
    await until(() => master.logger.lines.some((line) => line.includes("it was silent for")));
    mute.terminate();
    using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    await using slave = await HaNode.slaveOf(listener.port, { haHousekeepingInterval: 60 });
    await until(() => slave.logger.lines.some((line) => line.includes("the master was silent for")));
  });

  test("haFlowControlEnable bounds what goes to a slave in a second", async () => {
    await using master = await HaNode.start({ haFlowControlEnable: true, maxHaTransferByteInSecond: 10_000 });
    master.put(100);
    await using slave = await HaNode.slaveOf(master.ha.port);
    await until(() => slave.end > 0);
    expect(slave.end).toBeLessThanOrEqual(10_000);
    master.config.haFlowControlEnable = false;
    await caughtUp(slave, master);
  });

  test("bytes that are no reports, or no blocks, end the connection and are told", async () => {
    await using master = await HaNode.start();
    master.put(10);
    const stranger = await Bun.connect({ hostname: "127.0.0.1", port: master.ha.port, socket: { data() {} } });
    stranger.write("GET / HTTP/1.1\r\n\r\n");
    await until(() => master.logger.lines.some((line) => line.includes("it reports to hold the log up to")));
    const web = {
      open: (socket: { write: (text: string) => void }) => socket.write("HTTP/1.1 400 Bad\r\n"),
      data() {},
    };
    using listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: web });
    await using slave = await HaNode.slaveOf(listener.port);
    await until(() => slave.logger.lines.some((line) => line.includes("is this the HA port of a master?")));
    stranger.terminate();
  });
});

test("a slave whose bytes are no records of its log stops and says what to do", async () => {
  const fatal: Error[] = [];
  await using master = await HaNode.start();
  await using slave = await HaNode.start({ brokerRole: "SLAVE" }, (error) => fatal.push(error));
  master.put(3);
  const bytes = master.bytes(0);
  // A log that goes on with another one's bytes: what stands there names another offset.
  slave.store.replication.appendData(0, bytes, 0, bytes.length);
  slave.store.replication.appendData(bytes.length, bytes, 0, bytes.length);
  slave.store.replication.appended();
  await until(() => fatal.length === 1);
  expect(fatal[0]?.message).toContain("empty the slave's store");
});

test("a slave that cannot keep what it gets is said once by either side, at however many attempts", async () => {
  await using master = await HaNode.start();
  master.put(20);
  await using slave = await HaNode.start({ brokerRole: "SLAVE" });
  let attempts = 0;
  slave.store.replication.appendData = () => {
    attempts++;
    return "no space left on device (ENOSPC)";
  };
  const lines = ({ logger }: HaNode, text: string) => logger.lines.filter((line) => line.includes(text));
  for (const host of ["127.0.0.1", "localhost", "127.0.0.1", "localhost"]) {
    const before = attempts;
    slave.ha.updateHaMasterAddress(`${host}:${master.ha.port}`);
    await until(() => attempts > before && master.ha.status().slaves.length === 0);
  }
  expect(lines(slave, "no space left on device")).toHaveLength(1);
  expect(lines(slave, "copying the log")).toHaveLength(0);
  expect(lines(master, "a slave is gone")).toHaveLength(1);
  expect(lines(master, "a slave copies the log")).toHaveLength(1);
});

test("connections that never report do not keep a slave out", async () => {
  await using master = await HaNode.start({});
  master.put(10);
  let open = 0;
  const silent = await Promise.all(
    Array.from({ length: 64 }, () =>
      Bun.connect({ hostname: "127.0.0.1", port: master.ha.port, socket: { open: () => void open++, data() {} } }),
    ),
  );
  await until(() => open === 64);
  // Nobody of them is counted as a slave.
  expect(master.ha.status().slaves).toEqual([]);
  await using slave = await HaNode.slaveOf(master.ha.port, {});
  await caughtUp(slave, master);
  expect(sameBytes(slave, master)).toBe(true);
  for (const socket of silent) socket.terminate();
});

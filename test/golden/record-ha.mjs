// Records what a master and a slave of Apache RocketMQ 5.3.3 say to each other over the HA port.
//
//   node test/golden/record-ha.mjs
//
// Writes test/golden/ha.json: both directions of one connection, and the master's commit log as it stood then. The slave's name
// server is a proxy that tells it the recorder's port: RocketMQ 5.3.3 forgets the key haMasterAddress at its start.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { sendFields } from "../bench/versus/servers.mjs";
import { startBroker, startNamesrv } from "../conformance/support/cluster.mjs";
import { startProxy } from "../conformance/support/proxy.mjs";
import { RawConnection } from "../conformance/support/remoting.mjs";

const SEND_MESSAGE_V2 = 310;
/** Small enough for the third message to begin the second file. */
const FILE_BYTES = 16 * 1024;
const here = dirname(fileURLToPath(import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "mq-golden-ha-"));
const settings = {
  brokerName: "broker-a",
  brokerIP2: "127.0.0.1",
  mappedFileSizeCommitLog: String(FILE_BYTES),
  haSendHeartbeatInterval: "1000",
  haTransferBatchSize: "4000",
  timerWheelEnable: "false",
};

const namesrv = await startNamesrv("java", join(dir, "namesrv"));
const master = await startBroker("java", join(dir, "master"), namesrv.address, { ...settings, brokerId: "0" });
const haPort = Number(master.port) + 1;

const said = { master: [], slave: [] };
const recorder = createServer((slave) => {
  const upstream = connect(haPort, "127.0.0.1");
  for (const socket of [slave, upstream]) socket.on("error", () => {});
  slave.on("data", (chunk) => {
    said.slave.push(chunk);
    upstream.write(chunk);
  });
  upstream.on("data", (chunk) => {
    said.master.push(chunk);
    slave.write(chunk);
  });
});
await new Promise((resolve) => recorder.listen(0, "127.0.0.1", resolve));
const told = await startProxy(
  () => namesrv.port,
  (bytes) =>
    Buffer.from(
      bytes.toString("latin1").replaceAll(`127.0.0.1:${haPort}`, `127.0.0.1:${recorder.address().port}`),
      "latin1",
    ),
);

const producer = await RawConnection.to(master.port);
const send = (body) => producer.request(SEND_MESSAGE_V2, sendFields("TopicHa"), Buffer.from(body));
await send("before the slave");
const slave = await startBroker("java", join(dir, "slave"), `127.0.0.1:${told.port}`, {
  ...settings,
  brokerId: "1",
  brokerRole: "SLAVE",
});
while (said.master.length === 0) await sleep(50);
await send("x".repeat(9_000));
await send("y".repeat(9_000));
await send("last");
await sleep(2_500);

const folder = join(dir, "master", "store", "commitlog");
const files = ["00000000000000000000", String(FILE_BYTES).padStart(20, "0")];
const log = Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
const hex = (chunks) => Buffer.concat(chunks).toString("hex");
const golden = {
  provenance: "Apache RocketMQ 5.3.3, master and slave, recorded by record-ha.mjs",
  fileBytes: FILE_BYTES,
  haTransferBatchSize: 4000,
  master: hex(said.master),
  slave: hex(said.slave),
  commitLog: log.toString("hex").replace(/(00)+$/, ""),
};
writeFileSync(join(here, "ha.json"), `${JSON.stringify(golden, null, 2)}\n`);

producer.close();
await slave.stop();
await master.stop();
await namesrv.stop();
await told.stop();
recorder.close();
rmSync(dir, { recursive: true, force: true });
process.exit(0);

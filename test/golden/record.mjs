// Records golden vectors from Apache RocketMQ 5.3.3: frames of the wire and a store directory, both with small files.
//
//   node test/golden/record.mjs
//
// Writes test/golden/frames.json (a few frames of each request and response code, client version and encoding) and
// test/golden/store.tar.gz (the broker's store after a clean stop). The servers listen on 127.0.0.1, are known as
// 127.0.0.2, and a proxy that records stands on 127.0.0.2.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startBroker, startNamesrv } from "../conformance/support/cluster.mjs";
import { driveJava } from "../conformance/support/driver.mjs";
import { brokerPort } from "../conformance/support/ports.mjs";
import { run } from "../conformance/support/process.mjs";
import { Report } from "../conformance/support/report.mjs";

const FRAMES_PER_KIND = 3;
const BODY_BYTES_MAX = 24 * 1024;

const here = dirname(fileURLToPath(import.meta.url));
const frames = [];
const counts = new Map();
let phase = "start";

/** Code and flag of a frame in either header encoding. */
function describe(frame) {
  const headerLength = frame.readInt32BE(4) & 0xffffff;
  if (frame[4] === 1)
    return {
      encoding: "ROCKETMQ",
      code: frame.readInt16BE(8),
      opaque: frame.readInt32BE(13),
      flag: frame.readInt32BE(17),
    };
  const { code, opaque, flag } = JSON.parse(frame.toString("utf8", 8, 8 + headerLength));
  return { encoding: "JSON", code, opaque, flag };
}

/** Records the frames of one direction; `requests` remembers which request a response belongs to. */
function recorder(from, sent, answered) {
  let buffer = Buffer.alloc(0);
  return (chunk) => {
    buffer = Buffer.concat([buffer, chunk]);
    while (buffer.length >= 4 && buffer.length >= 4 + buffer.readInt32BE(0)) {
      const length = 4 + buffer.readInt32BE(0);
      const frame = buffer.subarray(0, length);
      buffer = buffer.subarray(length);
      const { encoding, code, opaque, flag } = describe(frame);
      const response = (flag & 1) === 1;
      const request = response ? answered.get(opaque) : code;
      if (!response) sent.set(opaque, code);
      const kind = `${phase} ${from} ${response} ${request} ${code} ${encoding}`;
      const count = (counts.get(kind) ?? 0) + 1;
      counts.set(kind, count);
      if (count > FRAMES_PER_KIND || length > BODY_BYTES_MAX) continue;
      frames.push({
        client: phase,
        from,
        kind: response ? "response" : "request",
        request,
        code,
        encoding,
        bytes: frame.toString("base64"),
      });
    }
  };
}

function proxy(port, name) {
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    const fromClient = new Map();
    const fromServer = new Map();
    client.on("data", recorder("client", fromClient, fromServer)).pipe(upstream);
    upstream.on("data", recorder(name, fromServer, fromClient)).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.2", () => resolve(server)));
}

const dir = mkdtempSync(join(tmpdir(), "mq-golden-"));
const namesrv = await startNamesrv("java", join(dir, "namesrv"));
await proxy(namesrv.port, "namesrv");
const port = await brokerPort();
await proxy(port, "broker");
const address = `127.0.0.2:${namesrv.port}`;
const broker = await startBroker("java", join(dir, "broker"), undefined, {
  namesrvAddr: address,
  listenPort: String(port),
  bindAddress: "127.0.0.1",
  brokerIP1: "127.0.0.2",
  mappedFileSizeCommitLog: String(64 * 1024),
  mappedFileSizeConsumeQueue: String(20 * 50),
  maxHashSlotNum: "500",
  maxIndexNum: "2000",
  messageDelayLevel: "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1d 1d",
  transactionTimeOut: "3600000",
  timerWheelEnable: "false",
});
await new Promise((resolve) => setTimeout(resolve, 3000));
const report = new Report();
for (const version of ["v5", "v4"]) {
  for (const encoding of ["ROCKETMQ", "JSON"]) {
    phase = `${version === "v5" ? "5.3.3" : "4.9.8"} ${encoding}`;
    await driveJava(report, phase, {
      version,
      encoding,
      namesrv: address,
      run: `${version}${encoding[0]}`,
      themes: "golden",
      dir,
    });
  }
}
phase = "stop";
// Let the last retries and offsets reach the store before it is closed.
await new Promise((resolve) => setTimeout(resolve, 6000));
await broker.stop();
await namesrv.stop();
report.print();
if (report.totals.failed > 0) process.exit(1);

writeFileSync(
  join(here, "frames.json"),
  `${JSON.stringify({ reference: "Apache RocketMQ 5.3.3, clients 5.3.3 and 4.9.8", recorded: new Date().toISOString().slice(0, 10) }).slice(0, -1)},"frames":[\n${frames.map((frame) => JSON.stringify(frame)).join(",\n")}\n]}\n`,
);
await run("tar", [
  "-czf",
  join(here, "store.tar.gz"),
  "--exclude=timerwheel",
  "--sort=name",
  "--owner=0",
  "--group=0",
  "-C",
  join(dir, "broker"),
  "store",
]);
rmSync(dir, { recursive: true, force: true });
console.log(`${frames.length} frames recorded`);
process.exit(0);

// Records a store whose commit log, consume queues and index have all gone on to further files, so that it holds
// end-of-file blanks, from Apache RocketMQ 5.3.3.
//
//   node test/golden/record-rolled.mjs
//
// Writes test/golden/store-rolled.tar.gz. The sizes below are repeated in rolled-store.test.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startBroker, startNamesrv } from "../conformance/support/cluster.mjs";
import { driveJava } from "../conformance/support/driver.mjs";
import { run } from "../conformance/support/process.mjs";
import { Report } from "../conformance/support/report.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "mq-golden-"));
const namesrv = await startNamesrv("java", join(dir, "namesrv"));
const broker = await startBroker("java", join(dir, "broker"), namesrv.address, {
  mappedFileSizeCommitLog: String(4 * 1024),
  mappedFileSizeConsumeQueue: String(20 * 10),
  maxHashSlotNum: "20",
  maxIndexNum: "60",
  messageDelayLevel: "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1d 1d",
  transactionTimeOut: "3600000",
  timerWheelEnable: "false",
});
const report = new Report();
await driveJava(report, "golden", {
  version: "v5",
  encoding: "ROCKETMQ",
  namesrv: namesrv.address,
  run: "rolled",
  themes: "golden",
  dir,
});
await broker.stop();
await namesrv.stop();
report.print();
if (report.totals.failed > 0) process.exit(1);
await run("tar", [
  "-czf",
  join(here, "store-rolled.tar.gz"),
  "--exclude=timerwheel",
  "--sort=name",
  "--owner=0",
  "--group=0",
  "-C",
  join(dir, "broker"),
  "store",
]);
rmSync(dir, { recursive: true, force: true });
process.exit(0);

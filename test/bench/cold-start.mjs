// Cold start to the first accepted send, on an empty store and on a large one that was cleanly stopped, and the idle
// broker's anonymous memory. Prints figures, asserts nothing.
//
//   node test/bench/cold-start.mjs [--gigabytes 10] [--runs 5] [--dir FOLDER]

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { mq, startNamesrv } from "../conformance/support/cluster.mjs";
import { brokerPort } from "../conformance/support/ports.mjs";
import { Child } from "../conformance/support/process.mjs";
import { RawConnection } from "../conformance/support/remoting.mjs";

const { values: flags } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "10" },
    runs: { type: "string", default: "5" },
    dir: { type: "string", default: tmpdir() },
  },
});

const SEND_MESSAGE_V2 = 310;
const TOPIC = "cold-start";
const LARGE_BODY = Buffer.alloc(256 * 1024, "x");
const IN_FLIGHT = 16;

const base = mkdtempSync(join(flags.dir, "mq-cold-start-"));
const namesrv = await startNamesrv("mq", join(base, "namesrv"));

function fields(queueId) {
  return {
    a: "bench",
    b: TOPIC,
    c: "TBW102",
    d: "4",
    e: String(queueId),
    f: "0",
    g: String(Date.now()),
    h: "0",
    i: "",
    j: "0",
    k: "false",
    l: "0",
    m: "false",
  };
}

async function connectSoon(port) {
  for (;;) {
    try {
      return await RawConnection.to(port);
    } catch {
      await sleep(1);
    }
  }
}

/** Starts a broker on `dir` and sends until one send is accepted. */
async function start(dir) {
  mkdirSync(dir, { recursive: true });
  const port = await brokerPort();
  const sets = {
    listenPort: port,
    storePathRootDir: join(dir, "store"),
    namesrvAddr: namesrv.address,
    brokerIP1: "127.0.0.1",
    bindAddress: "127.0.0.1",
  };
  const args = Object.entries(sets).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const began = performance.now();
  const broker = new Child("mq broker", mq, ["broker", ...args], { cwd: dir, log: join(dir, "broker.log") });
  let connection = await connectSoon(port);
  for (;;) {
    try {
      const { code } = await connection.request(SEND_MESSAGE_V2, fields(0), Buffer.from("first"));
      if (code === 0) break;
    } catch {
      connection = await connectSoon(port);
    }
    await sleep(1);
  }
  return { broker, connection, firstSendMs: performance.now() - began };
}

function anonymousMegabytes(pid) {
  return Number(/^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) / 1024;
}

async function fill(connection, bytes) {
  let left = Math.ceil(bytes / LARGE_BODY.length);
  const lane = async () => {
    while (left-- > 0) {
      const { code, remark } = await connection.request(SEND_MESSAGE_V2, fields(left % 4), LARGE_BODY);
      if (code !== 0) {
        left++;
        await sleep(5);
        if (code !== 2) console.log(`      send: code ${code}, ${remark}`);
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const tell = (what, value, wanted) => console.log(`${what.padEnd(48)} ${value}  (wanted: ${wanted})`);

const empty = [];
for (let run = 0; run < Number(flags.runs); run++) {
  const { broker, connection, firstSendMs } = await start(join(base, `empty-${run}`));
  empty.push(firstSendMs);
  if (run === 0) {
    await sleep(3000);
    tell("idle broker, anonymous memory", `${anonymousMegabytes(broker.pid).toFixed(1)} MB`, "at most 80 MB");
  }
  connection.close();
  await broker.stop();
  rmSync(join(base, `empty-${run}`), { recursive: true, force: true });
}
tell(
  "empty store, start to first send",
  `${median(empty).toFixed(0)} ms, of ${empty.map((ms) => ms.toFixed(0)).join(" ")}`,
  "at most 150 ms",
);

const gigabytes = Number(flags.gigabytes);
if (gigabytes > 0) {
  const dir = join(base, "large");
  const first = await start(dir);
  await fill(first.connection, gigabytes * 2 ** 30);
  first.connection.close();
  let began = performance.now();
  await first.broker.stop("SIGTERM", 120_000);
  tell(`${gigabytes} GB store, clean stop`, `${(performance.now() - began).toFixed(0)} ms`, "no figure");
  const large = [];
  for (let run = 0; run < Number(flags.runs); run++) {
    const { broker, connection, firstSendMs } = await start(dir);
    large.push(firstSendMs);
    connection.close();
    await broker.stop("SIGTERM", 120_000);
  }
  tell(
    `${gigabytes} GB store, start to first send`,
    `${median(large).toFixed(0)} ms, of ${large.map((ms) => ms.toFixed(0)).join(" ")}`,
    "at most 1000 ms",
  );
  const killed = await start(dir);
  killed.connection.close();
  await killed.broker.stop("SIGKILL");
  began = performance.now();
  const recovered = await start(dir);
  tell(`${gigabytes} GB store, start after SIGKILL`, `${(performance.now() - began).toFixed(0)} ms`, "seconds");
  recovered.connection.close();
  await recovered.broker.stop("SIGTERM", 120_000);
}
await namesrv.stop();
rmSync(base, { recursive: true, force: true });

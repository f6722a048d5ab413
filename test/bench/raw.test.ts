import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { frameTemplate, OPAQUE_BASE, writeFrame } from "../../lib/bench/raw/frames.ts";
import type { RawPlan } from "../../lib/bench/raw/plan.ts";
import { rawShares, runRawPlan } from "../../lib/bench/raw/raw-threads.ts";
import { ResponseHeader, ResponseReader } from "../../lib/bench/raw/response-reader.ts";
import { VersusCluster } from "../../lib/bench/versus/versus-cluster.ts";
import { WORKS, workQueues } from "../../lib/bench/versus/works.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";
import { TempDir } from "../store/store-fixture.ts";
import { type OwnCluster, startOwnCluster } from "../support/cluster.ts";

const NAME = Buffer.from("nextBeginOffset");
const JSON_NAME = Buffer.from('"nextBeginOffset":');

describe("frames", () => {
  for (const encoding of ["rocketmq", "json"] as const)
    test(`${encoding}: only opaque and counter change, and the frame is one that a server reads`, () => {
      const template = frameTemplate(310, { b: "topic", i: "UNIQ_KEY\u0001ffffffff" }, Buffer.from("body"), encoding);
      const out = Buffer.alloc(2 * template.bytes.length);
      const end = writeFrame(template, out, 3, OPAQUE_BASE + 77, 0xabc);
      expect(end).toBe(3 + template.bytes.length);
      const command = decodeCommand(out, 3, end);
      expect(command).toMatchObject({ code: 310, opaque: OPAQUE_BASE + 77, flag: 0, version: 477 });
      expect({ ...command.ext }).toEqual({ b: "topic", i: "UNIQ_KEY\u000100000ABC" });
      expect(command.body?.toString()).toBe("body");
    });
});

/** A response as Java writes it: ROCKETMQ or JSON header, `bodyBytes` of body. */
function response(kind: "rocketmq" | "json", code: number, opaque: number, next: number, bodyBytes: number): Buffer {
  const frame = frameTemplate(code, { nextBeginOffset: String(next) }, Buffer.alloc(bodyBytes, 0x7b), kind);
  const bytes = Buffer.alloc(frame.bytes.length);
  writeFrame(frame, bytes, 0, opaque, 0);
  return bytes;
}

describe("responses", () => {
  const stream = Buffer.concat([
    response("rocketmq", 0, 1_000_000_001, 32, 5000),
    response("json", 19, 1_000_000_002, 64, 0),
    response("rocketmq", 0, 1_000_000_003, 96, 1),
    response("json", 0, 1_000_000_004, 128, 300),
  ]);

  for (const piece of [1, 3, 7, 64, 4096, stream.length])
    test(`are read in pieces of ${piece} bytes, bodies passed over`, () => {
      const header = new ResponseHeader();
      const seen: number[][] = [];
      const reader = new ResponseReader((buffer, start, end) => {
        header.read(buffer, start, end);
        seen.push([header.code, header.opaque - OPAQUE_BASE, header.number(NAME, JSON_NAME)]);
      });
      for (let at = 0; at < stream.length; at += piece) reader.push(Buffer.from(stream.subarray(at, at + piece)));
      expect(seen).toEqual([
        [0, 1, 32],
        [19, 2, 64],
        [0, 3, 96],
        [0, 4, 128],
      ]);
    });

  test("what is no frame is said", () => {
    const reader = new ResponseReader(() => {});
    expect(() => reader.push(Buffer.alloc(16))).toThrow(/^read a response: frame of 4 bytes/);
  });
});

const rawPlan: RawPlan = {
  host: "127.0.0.1",
  port: 1,
  kind: "send",
  queues: [{ topic: "T", queueId: 0 }],
  connections: 2,
  inFlight: 1,
  bodyBytes: 10,
  batch: 1,
  header: "rocketmq",
  group: "waiting-",
  warmupSeconds: 0,
  seconds: 1,
  run: "0",
};

describe("a broker under the load", () => {
  let cluster: OwnCluster;
  beforeAll(async () => {
    cluster = await startOwnCluster();
  });
  afterAll(async () => cluster.stop());

  test("every work's requests are understood and answered, and its topics are gone afterwards", async () => {
    const side = await VersusCluster.open("mq", cluster.namesrvAddr, "0123456789abcdef00000000");
    const times = { warmupSeconds: 0, seconds: 1 };
    for (const name of ["send", "send-json", "send-1", "batch-32", "rate-20k", "catch-up"]) {
      const found = WORKS.find((one) => one.name === name)!;
      // Little enough for a test: 100 a second, 200 messages to read.
      const work = { ...found, ...(found.fill ? { fill: 200 } : {}) };
      work.plan = {
        ...found.plan,
        inFlight: 1,
        connections: 2,
        bodyBytes: 64,
        ...(found.plan.rate ? { rate: 100 } : {}),
      };
      const record = await side.turn(work, times, () => false);
      expect(record.errors).toEqual([]);
      expect([name, record.counts.acked + record.counts.received > 0]).toEqual([name, true]);
      expect(Object.values(record.latencies)[0]!.count).toBeGreaterThan(0);
      expect(record.loop).toBe(found.plan.rate === undefined ? "closed" : "open");
    }
    expect(side.brokers[0]).toMatchObject({ target: "mq", pid: process.pid, config: { flushDiskType: "ASYNC_FLUSH" } });
    expect(await side.cleanUp()).toEqual([]);
  }, 30_000);

  test("several threads share a work's connections, and what they found is one run", async () => {
    const entry = join(import.meta.dir, "..", "..", "cmd", "mq.ts");
    const run = "0123456789abcdef0000000a";
    const side = await VersusCluster.open("mq", cluster.namesrvAddr, run, undefined, { workers: 3, entry });
    const times = { warmupSeconds: 0, seconds: 1 };
    for (const name of ["rate-20k", "catch-up", "send-1"]) {
      const found = WORKS.find((one) => one.name === name)!;
      const work = { ...found, ...(found.fill ? { fill: 200 } : {}), plan: { ...found.plan, bodyBytes: 64 } };
      if (found.plan.rate !== undefined) work.plan.rate = 200;
      const record = await side.turn(work, times, () => false);
      expect(record.errors).toEqual([]);
      // Four connections have work for three threads, one for one.
      expect([name, record.client.workers]).toEqual([name, name === "send-1" ? 1 : 3]);
      expect(record.samples).toHaveLength(1);
      const [latency] = Object.values(record.latencies);
      if (name === "rate-20k") expect(latency!.count).toBe(record.counts.acked);
      expect(record.counts.acked + record.counts.received).toBeGreaterThan(0);
    }
    expect(await side.cleanUp()).toEqual([]);
    const refused = runRawPlan({ ...rawPlan, port: 1 }, { workers: 2, entry }, () => {});
    expect(refused).rejects.toThrow(/^connect to 127.0.0.1:1: /);
    await refused.catch(() => {});
    using dir = new TempDir();
    const silent = join(dir.path, "silent.ts");
    await Bun.write(silent, "process.exit(0);\n");
    const lost = runRawPlan(rawPlan, { workers: 2, entry: silent }, () => {}).catch(String);
    expect(await lost).toMatch(/thread \d of 2 of the load ended without its outcome: its exit code is 0$/);
  }, 30_000);

  test("groups that wait at queues get what is sent there", async () => {
    const side = await VersusCluster.open("mq", cluster.namesrvAddr, "fedcba98765432100000000f");
    const { host, port } = side.brokers[0]!;
    const queues = [0, 1].map((queueId) => ({ topic: "waited-for", queueId }));
    const plan: RawPlan = { ...rawPlan, host, port, queues, connections: 1, rate: 50 };
    await runRawPlan({ ...plan, rate: 4 }, undefined, () => {});
    const [polled, sent] = await Promise.all([
      runRawPlan(
        { ...plan, kind: "poll", connections: 3, inFlight: 2, batch: 32, seconds: 2, rate: undefined },
        undefined,
        () => {},
      ),
      runRawPlan(plan, undefined, () => {}),
    ]);
    const total = (outcome: typeof polled, name: "acked" | "received") =>
      outcome.seconds.reduce((sum, { counts }) => sum + counts[name], 0);
    expect([polled.errors, sent.errors]).toEqual([{}, {}]);
    expect(total(polled, "received")).toBeGreaterThanOrEqual(3 * (total(sent, "acked") - 1));
  }, 30_000);
});

test("threads: every connection once, its number and its part of the rate kept", () => {
  const shares = rawShares({ ...rawPlan, connections: 5, rate: 1000 }, 3);
  expect(shares.map(({ firstConnection, connections }) => [firstConnection, connections])).toEqual([
    [0, 2],
    [2, 2],
    [4, 1],
  ]);
  expect(shares.map(({ rate }) => rate)).toEqual([400, 400, 200]);
});

test("works: their queues name every queue of every topic, neighbours in different topics", () => {
  const work = WORKS.find(({ name }) => name === "topics-1000")!;
  const queues = workQueues(work, "x");
  expect(queues).toHaveLength(8000);
  expect(queues.slice(0, 2)).toEqual([
    { topic: "x-topics-1000-0", queueId: 0 },
    { topic: "x-topics-1000-1", queueId: 0 },
  ]);
  expect(new Set(queues.map(({ topic, queueId }) => `${topic}/${queueId}`)).size).toBe(8000);
});

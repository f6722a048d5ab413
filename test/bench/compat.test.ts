import { describe, expect, test } from "bun:test";
import { originalTool, parseOriginal } from "../../lib/bench/compat/original-flags.ts";
import { OriginalLines, type OriginalSecond, originalHeadline } from "../../lib/bench/compat/original-lines.ts";
import { originalPlan } from "../../lib/bench/compat/original-plan.ts";
import { noChecks } from "../../lib/bench/load/plan.ts";
import { startOwnCluster } from "../support/cluster.ts";
import { runMq } from "../support/run-mq.ts";

const BEGAN = new Date(2026, 10, 23, 12, 0, 0).getTime();

function flagsOf(verb: string, line = "") {
  return parseOriginal(originalTool(verb), line === "" ? [] : line.split(" "));
}

const none = { sumMs: 0, maxMs: 0 };

function second(part: Partial<OriginalSecond>): OriginalSecond {
  return {
    acked: 0,
    failed: 0,
    received: 0,
    answers: { count: 0, ...none },
    b2c: none,
    s2c: none,
    checks: noChecks(),
    ...part,
  };
}

/** Feeds `seconds` of one kind and gives what was printed, with the second it came at. */
function printed(lines: OriginalLines, seconds: number, of: (n: number) => OriginalSecond): [number, string][] {
  const found: [number, string][] = [];
  for (let n = 1; n <= seconds; n++) {
    const line = lines.second(of(n), BEGAN + n * 1000);
    if (line !== undefined) found.push([n, line]);
  }
  return found;
}

describe("options of RocketMQ's programs", () => {
  test("defaults are theirs", () => {
    const flags = flagsOf("produce");
    expect([flags.text("topic"), flags.number("threadCount"), flags.number("messageSize")]).toEqual([
      "BenchmarkTest",
      64,
      128,
    ]);
    expect(flagsOf("consumer").number("threadCount")).toBe(20);
    expect([flagsOf("tx").number("threadCount"), flagsOf("tx").number("messageSize")]).toEqual([32, 2048]);
    expect(flagsOf("batch").number("batchSize")).toBe(16);
  });

  test("every way of writing one", () => {
    for (const line of ["-w 8", "-w8", "-w=8", "--threadCount 8", "--threadCount=8"])
      expect([line, flagsOf("producer", line).number("threadCount")]).toEqual([line, 8]);
    expect(flagsOf("producer", "-ri 5000 -k TRUE -y true").number("reportInterval")).toBe(5000);
    expect(flagsOf("producer", "-k TRUE").on("keyEnable")).toBe(true);
    expect(flagsOf("producer", "-k yes").on("keyEnable")).toBe(false);
  });

  test("what they do not know, or this generator cannot do, is said", () => {
    expect(() => flagsOf("producer", "-z 1")).toThrow(/^unknown option "-z" of RocketMQ's producer, want some of -n/);
    expect(() => flagsOf("producer", "-w")).toThrow("-w of RocketMQ's producer wants a value");
    expect(() => originalTool("sweep")).toThrow(/has no "sweep", want produce/);
    const plan = (line: string) => () => originalPlan(flagsOf("producer", line), "", "*", 1);
    expect(plan("-w many")).toThrow('threadCount is "many", want a whole number');
    expect(originalPlan(flagsOf("tx", "-i 20"), "", "*", 1).sendIntervalMs).toBe(20);
    expect(() => originalPlan(flagsOf("tx", "-su some"), "", "*", 1)).toThrow(
      'sendUnknownRate is "some", want a number',
    );
    expect(originalPlan(flagsOf("tx", "-sr 0.1 -su 0.2 -cr 0.3 -cu 0.4"), "", "*", 1)).toMatchObject({
      rollbackRate: 0.1,
      unknownRate: 0.2,
      checkRollbackRate: 0.3,
      checkUnknownRate: 0.4,
    });
    expect(plan("-c true -ct SNAPPY")).toThrow(
      'compressType and compressLevel are "SNAPPY" and 5, want LZ4, ZSTD or ZLIB',
    );
    expect(plan("-c true -cl 10")).toThrow('compressType and compressLevel are "ZLIB" and 10, want');
    expect(plan("-c true -ch much")).toThrow('compressOverHowMuch is "much", want a whole number');
  });

  test("compression: ZLIB at level 5 from 4096 bytes on unless told otherwise", () => {
    const compress = (line: string) => originalPlan(flagsOf("producer", line), "", "*", 1).compress;
    expect(compress("")).toBeUndefined();
    expect(compress("-ct LZ4 -cl 99")).toBeUndefined();
    expect(compress("-c true")).toEqual({ type: "ZLIB", level: 5, overBytes: 4096 });
    expect(compress("-c true -ct zstd -cl 3 -ch 100")).toEqual({ type: "ZSTD", level: 3, overBytes: 100 });
    expect(originalHeadline(flagsOf("producer", "-c true -ct LZ4"), "")).toEndWith(
      " compressEnable: true, reportInterval: 10000\ncompressType: LZ4 compressLevel: 5",
    );
  });

  test("tags and properties are made as there", () => {
    const { tagCount, properties, bodyBytes } = originalPlan(flagsOf("producer", "-l 5 -p 30 -s 10"), "", "*", 1);
    expect([tagCount, bodyBytes]).toEqual([5, 10]);
    expect(properties).toEqual([
      ["prop0", "hello50"],
      ["prop1", "50"],
      ["prop2", "hello52"],
      ["prop3", "52"],
    ]);
    expect(originalPlan(flagsOf("producer"), "", "*", 1)).toMatchObject({ tagCount: 0, properties: [] });
  });

  test("-a true signs, with the original's keys where none are given", () => {
    const keys = (line: string) => originalPlan(flagsOf("producer", line), "", "*", 1).credentials;
    expect(keys("-a true")).toEqual({ accessKey: "rocketmq2", secretKey: "12345678" });
    expect(keys("-a true -ak me -sk mine")).toEqual({ accessKey: "me", secretKey: "mine" });
    expect(keys("-a false -ak me -sk mine")).toBeUndefined();
  });

  test("threads are requests in flight of one connection", () => {
    const plan = originalPlan(flagsOf("producer", "-w 32 -s 1024 -q 500 -k true -d true -e 3"), "", "*", 1);
    expect(plan).toMatchObject({
      producers: 1,
      consumers: 0,
      inFlight: 32,
      bodyBytes: 1024,
      count: 500,
      delayLevel: 3,
    });
    expect(originalPlan(flagsOf("consumer"), "g", "a || b", 1)).toMatchObject({
      producers: 0,
      consumers: 1,
      group: "g",
    });
  });
});

describe("lines of RocketMQ's programs", () => {
  test("producer: every ten seconds, over ten snapshots, the highest time for ever", () => {
    const lines = new OriginalLines(flagsOf("producer"), 1, BEGAN);
    const found = printed(lines, 30, (n) =>
      second({
        acked: 1000,
        failed: n === 5 ? 2 : 0,
        answers: { count: 1000, sumMs: 2500, maxMs: n === 3 ? 77.9 : 4 },
      }),
    );
    expect(found).toEqual(
      [10, 20, 30].map((n) => [
        n,
        `Current Time: 2026-11-23 12:00:${n},000 | Send TPS: 1000 | Max RT(ms): 77 | Average RT(ms):   2.500 | Send Failed: 0 | Response Failed: 2`,
      ]),
    );
    expect(lines.complete()).toBe(
      "[Complete] Send Total: 30002 | Send TPS: 1000 | Max RT(ms): 77 | Average RT(ms):   2.500 | Send Failed: 0 | Response Failed: 2",
    );
  });

  test("nothing before ten snapshots, whatever the interval; one that ends sooner says its totals", () => {
    const lines = new OriginalLines(flagsOf("producer", "-ri 1000"), 1, BEGAN);
    const found = printed(lines, 12, () => second({ acked: 10, answers: { count: 10, sumMs: 5, maxMs: 1 } }));
    expect(found.map(([n]) => n)).toEqual([10, 11, 12]);
    expect(new OriginalLines(flagsOf("producer"), 1, BEGAN).complete()).toBe(
      "[Complete] Send Total: 0 Send Failed: 0 Response Failed: 0",
    );
  });

  test("batch producer", () => {
    const lines = new OriginalLines(flagsOf("batch", "-b 16"), 16, BEGAN);
    const found = printed(lines, 10, () =>
      second({ acked: 1600, failed: 16, answers: { count: 100, sumMs: 800, maxMs: 9.5 } }),
    );
    expect(found[0]?.[1]).toBe(
      "Current Time: 2026-11-23 12:00:10,000 | Send TPS: 100 | Send MPS: 1600 | Max RT(ms): 9 | Average RT(ms):   8.000 | Average Message RT(ms):   0.500 | Send Failed: 10 | Send Message Failed: 160",
    );
  });

  test("transaction producer: its highest time begins anew", () => {
    const lines = new OriginalLines(flagsOf("tx"), 1, BEGAN);
    const found = printed(lines, 20, (n) =>
      second({
        acked: 50,
        answers: { count: 50, sumMs: 100, maxMs: n === 1 ? 300 : 6 },
        checks: { checked: n, unexpected: n > 15 ? 2 : 0, duplicated: n > 19 ? 1 : 0 },
      }),
    );
    expect(found.map(([, line]) => line)).toEqual([
      "Current Time: 2026-11-23 12:00:10,000 | Send TPS:    50 | Max RT(ms):   300 | AVG RT(ms): 2.0 | Send Failed: 0 | Check: 9 | UnexpectedCheck: 0 | DuplicatedCheck: 0",
      "Current Time: 2026-11-23 12:00:20,000 | Send TPS:    50 | Max RT(ms):     6 | AVG RT(ms): 2.0 | Send Failed: 0 | Check: 9 | UnexpectedCheck: 2 | DuplicatedCheck: 1",
    ]);
  });

  test("consumer, with and without messages", () => {
    const lines = new OriginalLines(flagsOf("consume"), 1, BEGAN);
    const found = printed(lines, 20, (n) =>
      n <= 10 ? second({ received: 200, b2c: { sumMs: 1000, maxMs: 31 }, s2c: { sumMs: 500, maxMs: 30 } }) : second({}),
    );
    expect(found.map(([, line]) => line)).toEqual([
      "Current Time: 2026-11-23 12:00:10,000 | Consume TPS: 200 | AVG(B2C) RT(ms):   5.000 | AVG(S2C) RT(ms):   2.500 | MAX(B2C) RT(ms): 31 | MAX(S2C) RT(ms): 30 | Consume Fail: 0",
      "Current Time: 2026-11-23 12:00:20,000 | Consume TPS: 0 | AVG(B2C) RT(ms):     NaN | AVG(S2C) RT(ms):     NaN | MAX(B2C) RT(ms): 0 | MAX(S2C) RT(ms): 0 | Consume Fail: 0",
    ]);
  });

  test("what comes first", () => {
    expect(originalHeadline(flagsOf("producer"), "")).toBe(
      "topic: BenchmarkTest, threadCount: 64, messageSize: 128, keyEnable: false, propertySize: 0, tagCount: 0, traceEnable: false, aclEnable: false, messageQuantity: 0, delayEnable: false, delayLevel: 1, asyncEnable: false\n compressEnable: false, reportInterval: 10000",
    );
    expect(originalHeadline(flagsOf("consumer"), "benchmark_consumer")).toBe(
      "topic: BenchmarkTest, threadCount 20, group: benchmark_consumer, suffix: false, filterType: null, expression: null, msgTraceEnable: false, aclEnable: false, reportInterval: 10000",
    );
  });
});

test("mq bench produce --compat rocketmq sends its quantity and ends with the original's line", async () => {
  const cluster = await startOwnCluster();
  try {
    const line = ["bench", "produce", "--compat", "rocketmq", "-n", cluster.namesrvAddr];
    const { exitCode, stdout } = await runMq([...line, "-t", "compat", "-q", "2000", "-w", "8"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^topic: compat, threadCount: 8, /);
    expect(stdout).toEndWith("[Complete] Send Total: 2000 Send Failed: 0 Response Failed: 0\n");
    const status = await runMq(["topic", "status", "-n", cluster.namesrvAddr, "-t", "compat", "--json"]);
    expect(status.stdout).toContain('"maxOffset":500');
  } finally {
    await cluster.stop();
  }
  const wrong = await runMq(["bench", "produce", "--compat", "kafka"]);
  expect([wrong.exitCode, wrong.stderr]).toEqual([64, 'mq: --compat is "kafka", want rocketmq\n']);
}, 60_000);

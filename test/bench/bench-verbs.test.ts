import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitCode } from "../../cmd/bench-run.ts";
import { type RunRecord, readResult } from "../../lib/bench/result.ts";
import { type Cluster, startOwnCluster } from "../support/cluster.ts";
import { readUntil, runMq, spawnMq } from "../support/run-mq.ts";
import { syntheticRun } from "./synthetic.ts";

setDefaultTimeout(40_000);
const folder = mkdtempSync(join(tmpdir(), "mq-bench-verbs-"));
let cluster: Cluster;

beforeAll(async () => {
  cluster = await startOwnCluster();
});
afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true });
});

const bench = (...args: string[]) => runMq(["bench", ...args, "-n", cluster.namesrvAddr, "--quiet"]);

describe("against a broker", () => {
  test("e2e: everything acknowledged comes once, at a rate and on two threads", async () => {
    const file = join(folder, "e2e.json");
    const args = [
      "--count",
      "4000",
      "--rate",
      "4000",
      "--arrival",
      "poisson",
      "--workers",
      "2",
      "--keys",
      "--json",
      file,
    ];
    const { stdout, stderr, exitCode } = await bench("e2e", ...args);
    expect([exitCode, stderr]).toEqual([0, `saved ${file}\n`]);
    expect(stdout).toMatch(/ledger {2}acked 4000 {2}received 4000 {2}LOST 0 {2}DUP 0/);
    const [run] = (await readResult(file)).runs;
    expect(run?.loop).toBe("open");
    expect(Object.keys(run?.latencies ?? {})).toEqual(["lag", "service", "response", "e2e", "b2c", "s2c", "pull"]);
    expect(run?.client.workers).toBe(2);
    expect(run?.runtime?.["broker-a"] ?? Object.values(run?.runtime ?? {})[0]).toBeDefined();
  });

  test("--repeat: runs of their own, which a comparison draws from; the worst one is the exit code", async () => {
    const file = join(folder, "repeated.json");
    const { exitCode, stdout, stderr } = await bench("e2e", "--count", "500", "--repeat", "6", "--json", file);
    expect(exitCode).toBe(0);
    expect(stdout.match(/ledger {2}acked 500 {2}received 500 {2}LOST 0 {2}DUP 0/g)).toHaveLength(6);
    expect(stderr).toContain("run 6 of 6");
    const { runs } = await readResult(file);
    expect(runs.map(({ round }) => round)).toEqual([0, 1, 2, 3, 4, 5]);
    const compared = await runMq(["bench", "compare", file, file, "--json"]);
    expect(JSON.parse(compared.stdout).comparisons[0].basis).toBe("runs");
    const missed = await bench("produce", "--count", "200", "--repeat", "2", "--gate", "tps>=900000000");
    expect([missed.exitCode, missed.stderr.match(/missed tps/g)?.length]).toEqual([2, 2]);
    const refused = await bench("sweep", "--rates", "1k", "--repeat", "2");
    expect(refused.exitCode).toBe(64);
    expect((await bench("produce", "--repeat", "0")).exitCode).toBe(64);
  });

  test("produce, then consume what it left; JSON headers", async () => {
    const left = await bench(
      "produce",
      "-t",
      "mq-bench-left",
      "--keep",
      "--count",
      "3000",
      "--headers",
      "json",
      "-w",
      "16",
    );
    expect([left.exitCode, left.stderr]).toEqual([0, ""]);
    expect(left.stdout).toContain("1 x 16 in flight");
    const some = await bench("consume", "-t", "mq-bench-left", "--count", "1000");
    expect(some.exitCode).toBe(0);
    expect(Number(/s2c .* (\d+)\n/.exec(some.stdout)?.[1])).toBeGreaterThanOrEqual(1000);
    const read = await bench("consume", "-t", "mq-bench-left", "--duration", "1s", "--warmup", "0s");
    expect(read.exitCode).toBe(0);
    expect(read.stdout).toMatch(/s2c .* 3000\n/);
  });

  test("batch, delay and transaction", async () => {
    const batch = await bench("batch", "-b", "10", "--receive", "--count", "2000");
    expect(batch.stdout).toContain("acked 2000  received 2000  LOST 0");
    const delay = await bench("delay", "--count", "50", "--in-flight", "8");
    expect(delay.stdout).toMatch(/^late /m);
    expect(delay.stdout).toContain("LOST 0");
    const half = await bench("transaction", "--count", "400", "--rollback-rate", "0.25", "--in-flight", "8");
    expect(half.stdout).toContain("acked 300  received 300  LOST 0");
    expect([batch.exitCode, delay.exitCode, half.exitCode]).toEqual([0, 0, 0]);
  });

  test("-m: what was sent and received stands in the trace topic, by its message id", async () => {
    const traced = await bench(
      "transaction",
      "-m",
      "-k",
      "--count",
      "40",
      "--rollback-rate",
      "0.5",
      "--in-flight",
      "4",
    );
    expect([traced.exitCode, traced.stderr]).toEqual([0, ""]);
    const consume = ["consume", "-t", "RMQ_SYS_TRACE_TOPIC", "-g", "look", "--from", "first", "--json"];
    const { stdout } = await runMq([...consume, "--timeout", "3s", "-n", cluster.namesrvAddr]);
    const messages = stdout
      .trim()
      .split("\n")
      .map((line): { keys: string[]; body: string } => JSON.parse(line));
    const records = messages.flatMap(({ body }) => body.split("\u0002").slice(0, -1));
    const kinds = records.map((record) => record.split("\u0001"));
    const idsOf = (kind: string) => new Set(kinds.filter(([name]) => name === kind).map((values) => values[5]!));
    expect([idsOf("Pub").size, idsOf("EndTransaction").size, idsOf("SubBefore").size]).toEqual([40, 40, 20]);
    const keys = new Set(messages.flatMap((message) => message.keys));
    for (const id of idsOf("SubBefore")) expect(idsOf("Pub").has(id) && keys.has(id)).toBe(true);
  });

  test("a limit that is missed: exit 2; a topic that no benchmark made: exit 1, and it is not touched", async () => {
    const missed = await bench("produce", "--count", "100", "--gate", "tps>=900000000,errors=0");
    expect(missed.exitCode).toBe(2);
    expect(missed.stderr).toMatch(/^missed tps>=900000000: produce has \d+$/m);
    await runMq(["topic", "create", "-t", "orders", "-c", "DefaultCluster", "-n", cluster.namesrvAddr]);
    const foreign = await bench("produce", "-t", "orders", "--count", "1");
    expect([foreign.exitCode, foreign.stderr]).toEqual([
      1,
      'mq: send to topic "orders": it is there already and no benchmark made it; --force sends all the same\n',
    ]);
    expect((await bench("produce", "-t", "orders", "--count", "1", "--force")).exitCode).toBe(0);
  });

  test("bodies too small for a header, tags in turn, properties: accounted for all the same", async () => {
    for (const args of [
      ["e2e", "--size", "1"],
      ["batch", "--receive", "--size", "20"],
      ["e2e", "--tag-count", "3", "--properties", "a=1,b=x"],
      ["e2e", "--size", "47", "--headers", "json", "--keys"],
      ["e2e", "--size", "10..400"],
      ["batch", "--receive", "--size", "20:9,2k:1"],
    ]) {
      const { stdout, exitCode } = await bench(...args, "--count", "1024");
      expect([exitCode, stdout]).toEqual([0, expect.stringContaining("received 1024  LOST 0  DUP 0")]);
    }
  });

  test("compressed bodies are stored as such, and accounted for when they are decompressed", async () => {
    const file = join(folder, "compress.json");
    for (const args of [
      ["e2e", "--compress", "ZLIB", "--size", "4k"],
      ["e2e", "--compress", "lz4", "--compress-over", "1k", "--size", "100..5000"],
      ["e2e", "--compress", "ZSTD:3", "--compress-over", "1", "--size", "20", "--headers", "json"],
      ["transaction", "--compress", "ZLIB:9", "--size", "8k", "--rollback-rate", "0.5"],
    ]) {
      const payload = ["--payload", join(import.meta.dir, "bench-verbs.test.ts")];
      const { stdout, exitCode } = await bench(...args, ...payload, "--count", "512", "--json", file);
      const messages = args[0] === "transaction" ? 256 : 512;
      expect([exitCode, stdout]).toEqual([0, expect.stringContaining(`received ${messages}  LOST 0  DUP 0`)]);
      const { counts, options } = (await readResult(file)).runs[0]!;
      if (args[4] === "4k") expect(counts.bytesSent).toBeLessThan(512 * 3000);
      expect(options.compress).not.toBeNull();
    }
    // What a client of RocketMQ gets is the body again.
    const left = ["produce", "-t", "mq-bench-compressed", "--keep", "--count", "10", "--size", "5000"];
    expect((await bench(...left, "--compress", "LZ4")).exitCode).toBe(0);
    const read = ["consume", "-t", "mq-bench-compressed", "-g", "look", "--from", "first", "--count", "10", "--json"];
    const { stdout } = await runMq([...read, "--timeout", "5s", "-n", cluster.namesrvAddr]);
    const messages = stdout
      .trim()
      .split("\n")
      .map((line): { bodyBase64?: string; body?: string } => JSON.parse(line));
    const lengths = messages.map(({ bodyBase64, body = "" }) =>
      bodyBase64 === undefined ? body.length : Buffer.from(bodyBase64, "base64").length,
    );
    expect(lengths).toEqual(Array.from({ length: 10 }, () => 5000));
  });

  test("a filter: what it leaves out is not lost", async () => {
    const tags = await bench("e2e", "--tag-count", "4", "-e", "tag1||tag2", "--count", "1280");
    expect([tags.exitCode, tags.stdout]).toEqual([0, expect.stringContaining("acked 640  received 640  LOST 0")]);
    const sql = await bench("e2e", "-f", "SQL92", "-e", "a > 1", "--count", "80", "--drain-timeout", "1s");
    expect(sql.stderr).toMatch(/warning: SYSTEM_ERROR \(1\): .*SQL92/);
    expect(sql.stdout).toContain("LOST 0");
    expect(sql.exitCode).toBe(0);
  });

  test("several groups get everything each; what is failed comes again; a consumer that takes its time", async () => {
    const file = join(folder, "groups.json");
    const args = ["e2e", "--count", "400", "--fail-rate", "0.1", "--in-flight", "8", "--groups", "2", "--json", file];
    const groups = await bench(...args, "--workers", "2", "--drain-timeout", "20s");
    expect([groups.exitCode, groups.stdout]).toEqual([
      0,
      expect.stringMatching(/acked 400 {2}received 800 {2}LOST 0 {2}DUP 0 .*RETRIED 80/),
    ]);
    const [run] = (await readResult(file)).runs;
    // What failed waited a second for its retry.
    expect(run!.latencies.e2e!.max).toBeGreaterThan(1_000_000);
    const slow = await bench("e2e", "--count", "40", "--conns", "1", "--consume-delay", "10ms", "--json", file);
    expect([slow.exitCode, slow.stdout]).toEqual([0, expect.stringContaining("received 40  LOST 0")]);
    expect((await readResult(file)).runs[0]!.latencies.e2e!.max).toBeGreaterThan(390_000);
    const left = await runMq(["topic", "list", "-n", cluster.namesrvAddr]);
    expect(left.stdout).not.toContain("%RETRY%mq-bench");
  }, 40_000);

  test("backlog: what waits is read while production goes on, and everything is accounted for", async () => {
    const file = join(folder, "backlog.json");
    const args = ["backlog", "--fill", "20k", "--size", "100", "--rate", "2k", "--json", file];
    const { exitCode, stdout } = await bench(...args);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^backlog of 20,?000: up to date after \d/m)]);
    const [filled, read] = (await readResult(file)).runs;
    expect([filled!.work, filled!.counts.acked, read!.work]).toEqual(["fill", 20_000, "backlog"]);
    expect(read!.ledger).toMatchObject({ lost: 0, duplicates: 0, corrupt: 0 });
    expect(read!.ledger!.received).toBe(read!.ledger!.acked);
    expect(read!.ledger!.acked).toBeGreaterThan(20_000);
    expect(read!.figures!.catchUpSeconds).toBeGreaterThan(0);
    const never = await bench(
      ...args.slice(0, -2),
      "--consume-delay",
      "20ms",
      "--duration",
      "1s",
      "--drain-timeout",
      "2s",
    );
    expect(never.stdout).toContain("consumers are not up to date while");
    expect([never.exitCode, never.stdout]).toEqual([2, expect.stringMatching(/LOST 0 .*UNREACHED \d+/)]);
  });

  test("a topic that may not be written or read is told as such", async () => {
    const create = (name: string, perm: string) =>
      runMq(["topic", "create", "-t", name, "-c", "DefaultCluster", "--perm", perm, "-n", cluster.namesrvAddr]);
    await create("only-read", "r");
    await create("only-write", "w");
    const send = await bench("produce", "-t", "only-read", "--force", "--count", "1");
    expect([send.exitCode, send.stderr]).toEqual([1, expect.stringMatching(/does not permit it; want perm w\n$/)]);
    const read = await bench("consume", "-t", "only-write", "--count", "1");
    expect([read.exitCode, read.stderr]).toEqual([1, expect.stringMatching(/^mq: read topic .* want perm r\n$/)]);
  });

  test("--workload: an OpenMessaging Benchmark file, and what is given beside it wins", async () => {
    const workload = join(folder, "simple.yaml");
    const lines = ["name: simple", "topics: 1", "partitionsPerTopic: 3", "messageSize: 200", "producersPerTopic: 2"];
    const more = [
      "subscriptionsPerTopic: 2",
      "consumerPerSubscription: 1",
      "producerRate: 900",
      "testDurationMinutes: 5",
    ];
    await Bun.write(workload, [...lines, ...more, 'keyDistributor: "NO_KEY"', "warmupDurationMinutes: 0"].join("\n"));
    const file = join(folder, "workload.json");
    const { exitCode } = await bench("e2e", "--workload", workload, "--duration", "1s", "-s", "300", "--json", file);
    expect(exitCode).toBe(0);
    const { options, seconds, ledger } = (await readResult(file)).runs[0]!;
    expect(options).toMatchObject({ connections: 2, consumers: 1, groups: 2, queues: 3, rate: 900, size: 300 });
    expect(seconds).toBeLessThan(5);
    expect(ledger!.received).toBe(2 * ledger!.acked);
    for (const [line, text] of [
      ["topics: 5", "topics is 5, want 1"],
      ["producerRate: 0", "mq bench sweep --find-max"],
      ["messageSize: big", 'messageSize is "big", want a whole number'],
    ]) {
      await Bun.write(workload, `${line}\n`);
      const { exitCode, stderr } = await bench("e2e", "--workload", workload);
      expect([exitCode, stderr]).toEqual([64, expect.stringContaining(text!)]);
    }
  });

  test("wrong flags are named", async () => {
    for (const [args, text] of [
      [["produce", "--size", "0"], "1 byte at least"],
      [["produce", "--size", "4k..1k"], "want bytes such as"],
      [["produce", "--size", "1k:0"], "want bytes such as"],
      [["consume", "-t", "T", "--rate", "5"], "--rate is for sending"],
      [["produce", "--size", "1m..4m"], "fewer or smaller ones"],
      [["produce", "--size", "16m"], "a frame holds no more"],
      [["produce", "--size", "4m", "--conns", "8", "--in-flight", "64"], "bytes under way, want fewer or smaller ones"],
      [["produce", "--duration", "300ms"], "1s at least"],
      [["e2e", "--tags", "a", "-e", "b || c"], "want one that takes a: nothing would be received"],
      [["produce", "--properties", "a"], "want name=value"],
      [["produce", "-a"], "--accessKey is missing"],
      [["produce", "--secretKey", "x"], "--accessKey is missing"],
      [["produce", "--gate", "p99"], "want a limit such as"],
      [["produce", "--rate", "0"], "--rate"],
      [["produce", "--rate", "5", "--closed"], "--closed and --rate exclude each other"],
      [["e2e", "--arrival", "never"], "want uniform, poisson"],
      [["consume"], "--topic is missing"],
      [["transaction", "--rollback-rate", "2"], "a part from 0 to 1"],
      [["transaction", "--check-unknown-rate", "-1"], "a part from 0 to 1"],
      [["transaction", "--check-rollback-rate", "0.5"], "are for answers to checks, which --unknown-rate makes"],
      [["produce", "--payload", "/nowhere"], "want a file"],
      [["produce", "--compress", "LZ4:3"], "want LZ4, ZSTD or ZLIB, the last two with a level"],
      [["produce", "--compress", "ZLIB:10"], "want LZ4, ZSTD or ZLIB"],
      [["batch", "--compress", "ZLIB"], "RocketMQ compresses no batches"],
      [["consume", "-t", "T", "--compress", "ZLIB"], "--compress is for single messages that are sent"],
      [["produce", "--compress-over", "1k"], "--compress-over is given without --compress"],
      [["--store", "/tmp"], "--store is for the broker that mq bench starts itself"],
    ] as const) {
      const { exitCode, stderr } = await bench(...args);
      expect([exitCode, stderr]).toEqual([64, expect.stringContaining(text)]);
    }
  });
});

test("mq bench null tells the generator's ceiling", async () => {
  const { stdout, exitCode } = await runMq(["bench", "null", "--duration", "1s", "--warmup", "0s", "--workers", "2"]);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^ceiling \d+ messages\/s of 1024 B over 4 x 64 with 2 threads/m);
}, 30_000);

test("a machine without its must-haves is NOT-TUNED, and the report of mq tune is kept", async () => {
  const file = join(folder, "tuned.json");
  expect((await bench("produce", "--count", "5", "--json", file)).exitCode).toBe(0);
  const { tune, runs } = await readResult(file);
  const report = tune as { schema: string; checks: { id: string; status: string; must: boolean }[] };
  expect(report.schema).toBe("mq.tune/1");
  const failing = report.checks.some(({ status, must }) => status === "FAIL" && must);
  expect(runs[0]!.flags.some(({ id }) => id === "NOT-TUNED")).toBe(failing);
});

describe("exit codes", () => {
  const run = (changes: Partial<RunRecord>): RunRecord => ({ ...syntheticRun({ rate: 1000, us: 500 }), ...changes });
  const ledger = { acked: 9, received: 9, lost: 0, duplicates: 0, unknownOk: 0, corrupt: 0, reordered: 0, gaps: 0 };
  const lost = { ledger: { ...ledger, lost: 1, examples: [] } };
  const doubtful = { flags: [{ id: "CLIENT-BOUND", text: "" }] };

  test("lost, corrupt or undead messages are 3, whatever else there is", () => {
    expect(exitCode(run(lost), [], false)).toBe(3);
    expect(exitCode(run({ ...lost, ...doubtful, interrupted: true }), ["p99"], true)).toBe(3);
    expect(exitCode(run({ ledger: { ...ledger, corrupt: 1, examples: [] } }), [], false)).toBe(3);
    expect(exitCode(run({ figures: { rolledBackDelivered: 1 } }), [], false)).toBe(3);
    expect(exitCode(run({ ledger: { ...ledger, duplicates: 5, reordered: 2, examples: [] } }), [], false)).toBe(0);
  });

  test("an interrupt is 130, a limit 2, a doubtful run 4 where that is asked for, nothing done 1", () => {
    expect(exitCode(run({ interrupted: true }), ["p99"], false)).toBe(130);
    expect(exitCode(run(doubtful), ["p99"], true)).toBe(2);
    expect(exitCode(run(doubtful), [], true)).toBe(4);
    expect(exitCode(run(doubtful), [], false)).toBe(0);
    expect(exitCode(run({ flags: [{ id: "ABORTED", text: "" }] }), [], false)).toBe(4);
    const counts = { sent: 5, acked: 0, failed: 5, received: 0, bytesSent: 0, bytesReceived: 0 };
    expect(exitCode(run({ counts }), [], false)).toBe(1);
  });
});

test("a place that cannot be written to is told before the run", async () => {
  const { exitCode, stderr, stdout } = await bench("produce", "--count", "5", "--out", join(import.meta.path, "r1"));
  expect([exitCode, stdout, stderr]).toEqual([
    1,
    "",
    expect.stringMatching(/^mq: write --out: .*can be written to\n$/),
  ]);
});

test("a thread of the load that ends by itself: exit 1 with the reason, and the topic is gone", async () => {
  const entry = join(folder, "dies.ts");
  const lines = [
    'import { workerData } from "node:worker_threads";',
    "if (workerData?.share?.firstProducer > 0) setTimeout(() => process.exit(7), 500);",
    `await import(${JSON.stringify(join(import.meta.dir, "..", "..", "cmd", "mq.ts"))});`,
  ];
  await Bun.write(entry, lines.join("\n"));
  const args = ["bench", "produce", "-n", cluster.namesrvAddr, "--rate", "100", "--workers", "2", "--quiet"];
  const child = Bun.spawn([process.execPath, entry, ...args], { stdout: "pipe", stderr: "pipe" });
  const said = await new Response(child.stderr).text();
  expect([await child.exited, said]).toEqual([
    1,
    "mq: thread 2 of 2 of the load ended without its outcome: its exit code is 7\n",
  ]);
  expect((await runMq(["topic", "list", "-n", cluster.namesrvAddr])).stdout).not.toMatch(/mq-bench-[0-9a-f]{8}/);
}, 30_000);

test("Ctrl-C while the rest is waited for ends the waiting, and calls nothing lost", async () => {
  const args = ["bench", "delay", "--level", "18", "--count", "5", "-n", cluster.namesrvAddr];
  const child = spawnMq(args);
  await readUntil(child.stderr, "msg/s");
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await new Response(child.stdout).text()).toMatch(/acked 5 {2}received 0 {2}LOST 0 .*UNREACHED 5/);
}, 30_000);

test("Ctrl-C ends a run with its figures, its files and 130, and the topic is gone", async () => {
  const file = join(folder, "interrupted.json");
  const args = ["bench", "produce", "-n", cluster.namesrvAddr, "--duration", "60s", "--warmup", "0s", "--json", file];
  const child = spawnMq([...args, "--rate", "500"]);
  // The first second's line: the load runs.
  await readUntil(child.stderr, "msg/s");
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await new Response(child.stdout).text()).toContain("interrupted: the figures are those until then");
  expect((await readResult(file)).runs[0]?.interrupted).toBe(true);
  expect((await runMq(["topic", "list", "-n", cluster.namesrvAddr])).stdout).not.toMatch(/mq-bench-[0-9a-f]{8}/);
}, 30_000);

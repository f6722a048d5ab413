// What is compared, and what mq wants to reach: ratios of mq to Java, or figures of mq alone where there is no reference.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mq } from "../../conformance/support/cluster.mjs";
import { run } from "../../conformance/support/process.mjs";
import { diskNote, diskRates } from "./disk.mjs";
import { replicationCost } from "./replication.mjs";
import { KINDS, memoryOf, startCluster } from "./servers.mjs";
import { idleConnections, idleMemory, startUp, topicList } from "./singles.mjs";

const MIB = 1024 ** 2;
/** Both are so by design here: one machine, and turns that are short because there are several. */
const EXPECTED_FLAGS = new Set(["SAME-HOST", "SHORT-RUN"]);
const SYNC_FLUSH = { flushDiskType: "SYNC_FLUSH" };
const DOUBLE_WRITE = { inSyncReplicas: 2 };

/** Limits: `ratio` to Java, or `value` of mq; `at` says of which figure. Rates want more, everything else less. */
const atLeast = (at, wanted, aim) => ({ at, wanted, aim, of: "ratio", better: "higher" });
const atMost = (at, wanted, aim) => ({ at, wanted, aim, of: "ratio", better: "lower" });
const part = (wanted) => ({ at: "part", wanted, aim: undefined, of: "value", better: "higher" });
const below = (at, wanted, aim, unit) => ({ at, wanted, aim, unit, of: "value", better: "lower" });

export const ROWS = [
  load("send", "send, async flush, 4 connections x 64 in flight, 1 KiB", "send", {}, [
    atLeast("tps", 4, 8),
    atMost("p99", 0.25, 0.1),
  ]),
  load("send-128", "the same, 128 B", "send-128", {}, [atLeast("tps", 4, 10)]),
  load("send-json", "the same with JSON headers, 1 KiB", "send-json", {}, [atLeast("tps", 3, 6)]),
  load("send-1", "send, 1 in flight", "send-1", {}, [atLeast("tps", 2.5, 4)]),
  load("batch-32", "batches of 32, 4 x 16 in flight", "batch-32", {}, [atLeast("tps", 4, 10)]),
  besideDisk(
    load("sync-1", "sync flush, 1 in flight", "send-1", { settings: SYNC_FLUSH }, [atLeast("tps", 4, undefined)]),
  ),
  besideDisk(
    load("sync-send", "sync flush, 4 x 64 in flight", "send", { settings: SYNC_FLUSH }, [atLeast("tps", 4, undefined)]),
  ),
  load("double-send", "sync double write (inSyncReplicas=2), 4 x 64", "send", { settings: DOUBLE_WRITE, slave: true }, [
    atLeast("tps", 3, undefined),
  ]),
  load("double-1", "sync double write, 1 in flight", "send-1", { settings: DOUBLE_WRITE, slave: true }, [
    atLeast("tps", 3, 5),
  ]),
  {
    id: "double-cost",
    title: "sync double write beside async replication, 4 x 64",
    limits: [
      { ...part(0.9), about: "rate, of that of async replication" },
      { ...below("lag-p99", 100_000, undefined, "us"), about: "lag of the async slave, p99" },
    ],
    run: (options) =>
      replicationCost({
        base: options.base,
        measure: (...args) => measured({ ...options, onCommand: undefined }, ...args),
      }),
  },
  load("catch-up", "catch-up read, 4 connections, 32 a pull", "catch-up", {}, [atLeast("tps", 3, undefined)]),
  {
    id: "memory-idle",
    title: "anonymous memory, idle",
    limits: [below("anonymous", 80 * MIB, 40 * MIB)],
    run: idleMemory,
  },
  {
    id: "memory-after",
    title: "anonymous memory after send, batches and reading",
    limits: [below("anonymous", 200 * MIB, 120 * MIB)],
    run: memoryAfter,
  },
  {
    id: "start",
    title: "process start to first accepted send",
    limits: [below("ms", 150, 60)],
    run: startUp,
  },
  {
    id: "topic-list",
    title: "listing topics from the command line (mqadmin, mq)",
    limits: [below("ms", 100, 40)],
    run: topicList,
  },
  {
    id: "connections",
    title: "10,000 idle connections with heartbeats: memory",
    limits: [below("resident", 300 * MIB, 150 * MIB)],
    run: ({ base, quick }) => idleConnections({ base, count: quick ? 1000 : 10_000, periodMs: quick ? 1000 : 10_000 }),
    note: (turns) =>
      KINDS.map((kind) => `${kind} served ${turns[0][kind].served} of ${turns[0][kind].wanted}`).join(", "),
  },
  {
    id: "steady",
    title: "20,000 a second without a break",
    limits: [
      below("p99.9", 5000, undefined, "us"),
      below("max", 50_000, undefined, "us"),
      { ...below("growth", 1.1, undefined), about: "anonymous memory, last minute to second" },
    ],
    run: steady,
  },
  many("topics-1000", "1,000 topics x 8 queues, rate to that of one topic"),
  many("queues-500", "500 queues of one topic, rate to that of 8"),
  many("groups-50", "50 groups long-polling, rate to that without"),
];

/** A row that `mq bench versus` measures. */
function load(id, title, work, cluster, limits) {
  return { id, title, limits, run: (options) => versus(options, [work], cluster) };
}

/** A row whose figures are to be seen beside what the disk can do by itself. */
function besideDisk(row) {
  let rates;
  return {
    ...row,
    run: async (options) => {
      const turns = await row.run(options);
      rates = diskRates(options.base);
      return turns;
    },
    note: () => diskNote(rates),
  };
}

/** A row that compares each broker with itself: the rate of `work` to the rate of `send`. */
function many(id, title) {
  return {
    id,
    title,
    limits: [part(0.8)],
    run: async (options) => {
      const turns = await versus(options, ["send", id], {});
      return turns.map((turn) =>
        Object.fromEntries(KINDS.map((kind) => [kind, { ...turn[kind], part: turn[kind].tps / turn[kind].first.tps }])),
      );
    },
  };
}

function versusArgs(works, options, file) {
  const { rounds, seconds, warmup } = options;
  const times = ["--rounds", `${rounds}`, "--duration", `${seconds}s`, "--warmup", `${warmup}s`];
  return ["--works", works.join(","), ...times, "--json", file];
}

/**
 * Runs `mq bench versus` on a cluster of each kind; figures of the last work by round, those of the first one in `first`.
 * The JVM gets the load for itself beforehand, so that it is compiled when it counts.
 */
async function versus(options, works, cluster) {
  const { base, onCommand } = options;
  const file = join(base, "versus.json");
  const clusters = {};
  try {
    for (const kind of KINDS) clusters[kind] = await startCluster(kind, base, cluster);
    const { java } = clusters;
    await bench([`java=${java.namesrv}`, ...versusArgs([works[0]], { ...options, rounds: 3 }, file)]);
    const args = [...KINDS.map((kind) => `${kind}=${clusters[kind].namesrv}`), ...versusArgs(works, options, file)];
    onCommand?.(shown(args.slice(2)));
    await bench(args);
    const result = JSON.parse(readFileSync(file, "utf8"));
    const doubts = new Set(
      result.runs.flatMap(({ target, flags, errors }) => [
        ...flags.filter(({ id }) => !EXPECTED_FLAGS.has(id)).map(({ id }) => `${target} ${id}`),
        ...errors.map(({ name }) => `${target} ${name}`),
      ]),
    );
    const turns = turnsOf(result, works);
    turns.doubts = [...doubts];
    return turns;
  } finally {
    for (const kind of KINDS) await clusters[kind]?.stop();
    rmSync(file, { force: true });
  }
}

/** The command without the file that is this script's own. */
function shown(args) {
  return `mq bench versus java=... mq=... ${args.slice(0, -2).join(" ")}`;
}

async function bench(args) {
  return run(mq, ["bench", "versus", ...args], { timeoutMs: 3_600_000 });
}

/** Rounds as `{ java: { tps, p99 ... }, mq: ... }` from the figures that the command left. */
function turnsOf(result, works, kinds = KINDS) {
  const figures = (work) => result.versus.filter((figure) => figure.work === work);
  const rounds = figures(works.at(-1))[0]?.targets[0]?.rounds.length ?? 0;
  const turn = (work, round, kind) =>
    Object.fromEntries(
      figures(work).map(({ name, targets }) => [name, targets.find(({ target }) => target === kind).rounds[round]]),
    );
  return Array.from({ length: rounds }, (_, round) =>
    Object.fromEntries(
      kinds.map((kind) => [
        kind,
        { ...turn(works.at(-1), round, kind), ...(works.length > 1 ? { first: turn(works[0], round, kind) } : {}) },
      ]),
    ),
  );
}

/** Rounds of `send` against named clusters of one kind, after a run for themselves. */
async function measured(options, targets, file, names) {
  for (const target of targets) await bench([target, ...versusArgs(["send"], { ...options, rounds: 1 }, file)]);
  await bench([...targets, ...versusArgs(["send"], options, file)]);
  return turnsOf(JSON.parse(readFileSync(file, "utf8")), ["send"], names);
}

async function memoryAfter(options) {
  const { base, seconds } = options;
  const file = join(base, "versus.json");
  const turn = {};
  for (const kind of KINDS) {
    const cluster = await startCluster(kind, base);
    const times = { rounds: 2, seconds, warmup: 1 };
    await bench([
      `${kind}=${cluster.namesrv}`,
      ...versusArgs(["send", "send-json", "batch-32", "catch-up"], times, file),
    ]);
    await sleep(5000);
    turn[kind] = memoryOf(cluster.broker.pid);
    await cluster.stop();
  }
  rmSync(file, { force: true });
  return [turn];
}

/** One after the other, each for `minutes`: what matters is the worst moment, not the rate. */
async function steady(options) {
  const { base, minutes, quick, onCommand } = options;
  const file = join(base, "steady.json");
  const turn = {};
  for (const kind of KINDS) {
    const cluster = await startCluster(kind, base);
    const times = { rounds: 1, seconds: quick ? 10 : Math.round(minutes * 60), warmup: quick ? 2 : 15 };
    const args = [`${kind}=${cluster.namesrv}`, ...versusArgs(["rate-20k"], times, file)];
    onCommand?.(shown(args.slice(1)));
    await bench(args);
    const result = JSON.parse(readFileSync(file, "utf8"));
    const figures = turnsOf(result, ["rate-20k"], [kind])[0][kind];
    turn[kind] = { ...figures, growth: growth(result.runs[0].samples) };
    await cluster.stop();
  }
  rmSync(file, { force: true });
  return [turn];
}

/** Anonymous memory of the last minute by that of the second one; quarters where a run is shorter. */
function growth(samples) {
  const memory = samples.map(({ processes }) => processes?.["broker-a"]?.anonymousBytes ?? 0);
  const part = Math.max(1, Math.min(60, Math.floor(memory.length / 4)));
  const mean = (values) => values.reduce((sum, bytes) => sum + bytes, 0) / values.length;
  return mean(memory.slice(-part)) / mean(memory.slice(part, 2 * part));
}

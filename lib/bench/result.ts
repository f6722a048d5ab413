import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { errorText, MqError } from "../base/errors.ts";
import { decodeBase64, encodeBase64 } from "./hdr/encoding.ts";
import { Histogram } from "./histogram.ts";

/**
 * Everything a benchmark found, as `--json FILE` keeps it. One file may hold several runs: the works of a set, repetitions,
 * several clusters. Times are microseconds in latencies, else as the name says.
 */
export const RESULT_SCHEMA = "mq.bench/1";

/** Bounds of what is read back: a result is a file that anybody may have written. */
const FILE_BYTES_MAX = 512 * 1024 * 1024;
const RUNS_MAX = 10_000;
const SECONDS_MAX = 100_000;
const LIST_MAX = 100_000;

const amount = v.pipe(v.number(), v.finite());
const text = v.pipe(v.string(), v.maxLength(1 << 20));
const textMap = v.record(text, text);

const latencySchema = v.object({
  count: amount,
  mean: amount,
  stddev: amount,
  min: amount,
  max: amount,
  /** Values of zero or less, and above one hour: see `HistogramSnapshot`. */
  nonPositive: amount,
  overRange: amount,
  /** `[fraction, us]` along the whole distribution; for readers without an HDR decoder. */
  quantiles: v.pipe(v.array(v.tuple([amount, amount])), v.maxLength(LIST_MAX)),
  /** The whole histogram in HdrHistogram's compressed V2 form. */
  hdr: text,
});
export type LatencyRecord = v.InferOutput<typeof latencySchema>;

const processSampleSchema = v.object({
  cpu: amount,
  rssBytes: amount,
  anonymousBytes: amount,
  readBytesPerSecond: amount,
  writtenBytesPerSecond: amount,
});

const secondSchema = v.object({
  /** Seconds since the measurement began, at the interval's end. */
  second: amount,
  sent: amount,
  acked: amount,
  failed: amount,
  received: amount,
  bytesSent: amount,
  bytesReceived: amount,
  backlog: v.optional(amount),
  inFlight: v.optional(amount),
  /** The interval's own latencies by kind, encoded as `LatencyRecord.hdr`. */
  latencies: v.record(text, text),
  /** 1 is one core; of the load generator's process. */
  clientCpu: v.optional(amount),
  clientLoopDelayP99Ms: v.optional(amount),
  /** 1 is all cores. */
  machineCpu: v.optional(amount),
  /** CPU seconds of this interval that a virtual machine's host gave to others. */
  stolenSeconds: v.optional(amount),
  processes: v.optional(v.record(text, processSampleSchema)),
});
export type SecondRecord = v.InferOutput<typeof secondSchema>;

const ledgerSchema = v.object({
  acked: amount,
  received: amount,
  /** Acknowledged and never received. */
  lost: amount,
  duplicates: amount,
  /** Received though the sender got no acknowledgement. */
  unknownOk: amount,
  corrupt: amount,
  reordered: amount,
  gaps: amount,
  /** Acknowledged, and not received from brokers that were gone at the end: lost or not, nobody could ask. */
  unreached: v.optional(amount),
  /** Acknowledged, and not received through an SQL filter: nobody here knows which ones it takes. */
  filtered: v.optional(amount),
  /** The first cases of each, for a person. */
  examples: v.pipe(v.array(text), v.maxLength(LIST_MAX)),
});
export type LedgerRecord = v.InferOutput<typeof ledgerSchema>;

const readingSchema = v.object({ aheadUs: amount, errorUs: amount });
const clockSchema = v.object({
  /** Broker whose clock others are compared with. */
  reference: text,
  /** How far this host's is ahead; absent where it could not be compared, `reason` says why. */
  own: v.optional(readingSchema),
  reason: v.optional(text),
  /** Of received messages: their producers' clocks, absent where they do not tell, and what was added to their end-to-end latencies. */
  producers: v.pipe(
    v.array(v.object({ clock: v.optional(readingSchema), correctionUs: amount, messages: amount })),
    v.maxLength(LIST_MAX),
  ),
});
export type ClockRecord = v.InferOutput<typeof clockSchema>;

const flagSchema = v.object({ id: text, text });
export type FlagRecord = v.InferOutput<typeof flagSchema>;

const runSchema = v.object({
  /** What was done (`async`, `batch-32`, `e2e` ...), to which cluster (its name in `versus`, else ""), in which round. */
  work: text,
  target: text,
  round: amount,
  verb: text,
  /** With a rate set in advance, latencies count from the intended time; else coordinated omission is possible. */
  loop: v.picklist(["open", "closed"]),
  options: v.record(text, v.union([text, amount, v.boolean(), v.null()])),
  /** ms since the epoch. */
  startedAt: amount,
  warmupSeconds: amount,
  /** Length of the measured part. */
  seconds: amount,
  counts: v.object({
    sent: amount,
    acked: amount,
    failed: amount,
    received: amount,
    bytesSent: amount,
    bytesReceived: amount,
  }),
  /** By kind: lag, service, response, e2e, b2c, s2c, pull. */
  latencies: v.record(text, latencySchema),
  errors: v.pipe(v.array(v.object({ name: text, count: amount })), v.maxLength(LIST_MAX)),
  ledger: v.optional(ledgerSchema),
  clock: v.optional(clockSchema),
  samples: v.pipe(v.array(secondSchema), v.maxLength(SECONDS_MAX)),
  client: v.object({ cpu: amount, loopDelayP99Ms: amount, workers: amount }),
  /** Figures that are one number: `drainSeconds`, `startMs`, `memoryIdleBytes` ... */
  figures: v.optional(v.record(text, amount)),
  /** The broker's runtime information (code 28) after the run, by broker name. */
  runtime: v.optional(v.record(text, textMap)),
  flags: v.pipe(v.array(flagSchema), v.maxLength(LIST_MAX)),
  gate: v.optional(v.object({ text, missed: v.pipe(v.array(text), v.maxLength(LIST_MAX)) })),
  interrupted: v.optional(v.boolean()),
});
export type RunRecord = v.InferOutput<typeof runSchema>;

const brokerSchema = v.object({
  target: text,
  brokerName: text,
  cluster: text,
  brokerId: amount,
  address: text,
  /** Version as the broker names it. */
  version: v.optional(text),
  /** Of the process that listens on the port, where it is on this machine. */
  pid: v.optional(amount),
  fileSystem: v.optional(text),
  /** As the broker tells it (code 26), passwords and keys left out. */
  config: textMap,
});
export type BrokerRecord = v.InferOutput<typeof brokerSchema>;

const versusFigureSchema = v.object({
  work: text,
  /** tps, mean, p50 ..., max, cpu, anonymous, or a figure of the work's own. */
  name: text,
  targets: v.pipe(
    v.array(
      v.object({
        target: text,
        median: amount,
        rounds: v.pipe(v.array(amount), v.maxLength(RUNS_MAX)),
        /** To the first target, round by round: median, lowest and highest. */
        ratio: v.optional(amount),
        lowest: v.optional(amount),
        highest: v.optional(amount),
      }),
    ),
    v.maxLength(RUNS_MAX),
  ),
});
export type VersusFigure = v.InferOutput<typeof versusFigureSchema>;

const resultSchema = v.object({
  schema: v.literal(RESULT_SCHEMA, `schema "${RESULT_SCHEMA}"`),
  mq: text,
  command: text,
  /** ms since the epoch. */
  startedAt: amount,
  machine: v.object({
    hostname: text,
    kernel: text,
    distribution: v.optional(text),
    cpu: text,
    cores: amount,
    memoryBytes: amount,
  }),
  brokers: v.pipe(v.array(brokerSchema), v.maxLength(RUNS_MAX)),
  runs: v.pipe(v.array(runSchema), v.maxLength(RUNS_MAX)),
  /** Of `mq bench versus`: medians and ratios; all of it follows from `runs`. */
  versus: v.optional(v.pipe(v.array(versusFigureSchema), v.maxLength(LIST_MAX))),
  /** Report of `mq tune check` on this machine, as that command prints it. */
  tune: v.optional(v.unknown()),
});
export type BenchResult = v.InferOutput<typeof resultSchema>;

/** Fractions whose values are kept beside the whole histogram and shown in tables. */
export const SHOWN_FRACTIONS = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999] as const;
const KEPT_FRACTIONS = [0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, ...SHOWN_FRACTIONS, 0.99999, 1].sort((a, b) => a - b);

export function latencyRecord(histogram: Histogram): LatencyRecord {
  const values = histogram.percentiles(KEPT_FRACTIONS);
  return {
    count: histogram.count,
    mean: histogram.mean,
    stddev: histogram.stddev,
    min: histogram.min,
    max: histogram.max,
    nonPositive: histogram.nonPositive,
    overRange: histogram.overRange,
    quantiles: KEPT_FRACTIONS.map((fraction, i) => [fraction, values[i]!]),
    hdr: encodeBase64(histogram),
  };
}

/** The histogram of a record. Throws MqError where the text in it is none. */
export function histogramOf(record: LatencyRecord): Histogram {
  return decodeBase64(record.hdr, {
    sum: record.mean * record.count,
    min: record.min,
    max: record.max,
    nonPositive: record.nonPositive,
    overRange: record.overRange,
  });
}

/** All runs' histograms of one kind as one; undefined when no run has it. */
export function mergedHistogram(runs: readonly RunRecord[], kind: string): Histogram | undefined {
  const records = runs.map(({ latencies }) => latencies[kind]).filter((record) => record !== undefined);
  if (records.length === 0) return undefined;
  const merged = new Histogram();
  for (const record of records) merged.merge(histogramOf(record));
  return merged;
}

/** Whether a percentile says something: with fewer than 10 values beyond it, it is the mood of a few [10 / (1 - p)]. */
export function isSupported(fraction: number, count: number): boolean {
  // 1 - 0.99 is a little more than 0.01 in binary.
  return count * (1 - fraction) >= 10 - 1e-6;
}

export async function writeResult(file: string, result: BenchResult): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(result)}\n`, { keepPrevious: false });
}

/** Reads a result. Throws MqError that names the file, what was found there and what is wanted. */
export async function readResult(file: string): Promise<BenchResult> {
  let content: unknown;
  try {
    const { size } = statSync(file);
    if (size > FILE_BYTES_MAX) throw new MqError(`${size} bytes, want ${FILE_BYTES_MAX} at most`);
    content = JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new MqError(`read ${file}: ${errorText(cause)}`);
  }
  return parseResult(content, file);
}

/** Checks what was read from `file`, histograms included. */
export function parseResult(content: unknown, file: string): BenchResult {
  const parsed = v.safeParse(resultSchema, content);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const schema = typeof content === "object" && content !== null && "schema" in content ? content.schema : undefined;
    if (schema !== RESULT_SCHEMA)
      throw new MqError(`read ${file}: schema is ${JSON.stringify(schema) ?? "missing"}, want "${RESULT_SCHEMA}"`);
    throw new MqError(`read ${file}: ${v.getDotPath(issue) ?? "the file"}: ${issue.message}`);
  }
  for (const run of parsed.output.runs) for (const record of Object.values(run.latencies)) histogramOf(record);
  return parsed.output;
}

import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { errorText, UsageError } from "../base/errors.ts";

const FILE_BYTES_MAX = 1024 * 1024;

const amount = (want: string) => v.pipe(v.number(want), v.integer(want), v.minValue(0, want));
const count = amount("a whole number");

/** A workload of OpenMessaging Benchmark, as far as it says what a load is [io.openmessaging.benchmark.Workload]. */
const workloadSchema = v.object({
  name: v.optional(v.string()),
  topics: v.optional(count, 1),
  partitionsPerTopic: v.optional(count, 1),
  messageSize: v.optional(count, 1024),
  useRandomizedPayloads: v.optional(v.boolean(), false),
  payloadFile: v.optional(v.nullable(v.string())),
  keyDistributor: v.optional(
    v.picklist(["NO_KEY", "KEY_ROUND_ROBIN", "RANDOM_NANO"], "NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO"),
    "NO_KEY",
  ),
  subscriptionsPerTopic: v.optional(count, 1),
  producersPerTopic: v.optional(count, 1),
  consumerPerSubscription: v.optional(count, 1),
  producerRate: v.optional(count, 0),
  consumerBacklogSizeGB: v.optional(v.number("a number"), 0),
  testDurationMinutes: v.optional(count, 1),
  warmupDurationMinutes: v.optional(count, 1),
});

/** Flags of `mq bench e2e` that a workload file stands for, by long name. Throws UsageError with the key, what was found and what is wanted. */
export async function workloadFlags(file: string): Promise<Record<string, string | boolean>> {
  const parsed = v.safeParse(workloadSchema, await readYaml(file));
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const where = v.getDotPath(issue) ?? "the file";
    throw new UsageError(`--workload ${file}: ${where} is ${JSON.stringify(issue.input)}, want ${issue.message}`);
  }
  const workload = parsed.output;
  const refuse = (key: "topics" | "producerRate" | "consumerBacklogSizeGB", want: string) => {
    throw new UsageError(`--workload ${file}: ${key} is ${workload[key]}, want ${want}`);
  };
  if (workload.topics !== 1) refuse("topics", "1: a load goes to one topic");
  if (workload.producerRate === 0) refuse("producerRate", "a rate; mq bench sweep --find-max searches the highest");
  if (workload.consumerBacklogSizeGB > 0)
    refuse("consumerBacklogSizeGB", "0; mq bench backlog fills a topic and reads it");
  const { payloadFile } = workload;
  return {
    queues: String(Math.max(1, workload.partitionsPerTopic)),
    size: String(workload.messageSize),
    conns: String(Math.max(1, workload.producersPerTopic)),
    consumers: String(Math.max(1, workload.consumerPerSubscription)),
    groups: String(Math.max(1, workload.subscriptionsPerTopic)),
    rate: String(workload.producerRate),
    duration: `${Math.max(1, workload.testDurationMinutes)}m`,
    warmup: `${workload.warmupDurationMinutes}m`,
    ...(workload.keyDistributor === "NO_KEY" ? {} : { keys: true }),
    // Bodies that nobody fills are made of bytes that do not repeat, as randomised ones are.
    ...(payloadFile === undefined || payloadFile === null || workload.useRandomizedPayloads
      ? {}
      : { payload: payloadFile }),
  };
}

async function readYaml(file: string): Promise<unknown> {
  try {
    const { size } = statSync(file);
    if (size > FILE_BYTES_MAX) throw new Error(`${size} bytes, want ${FILE_BYTES_MAX} at most`);
    return Bun.YAML.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new UsageError(`read --workload ${file}: ${errorText(error)}`);
  }
}

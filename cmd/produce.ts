import { defineCommand } from "citty";
import * as v from "valibot";
import { ExitCode, UsageError } from "../lib/base/errors.ts";
import { createLogger } from "../lib/base/log.ts";
import type { MessageQueue } from "../lib/client/message-queue.ts";
import { type ProduceReport, ProduceRun } from "../lib/client/producer/produce-run.ts";
import { Producer } from "../lib/client/producer/producer.ts";
import {
  byteSize,
  duration,
  jsonArg,
  namesrvAddr,
  namesrvArg,
  parseFlags,
  positiveNumber,
  repeated,
  resourceName,
  topicName,
  wholeNumber,
} from "./client-flags.ts";
import { print, printJson, say, warn } from "./out.ts";
import { produceItems } from "./produce-source.ts";
import { ProgressLine } from "./progress-line.ts";

const PROGRESS_MS = 500;
const ASYNC_CONCURRENCY = 64;
const INT_MAX = 0x7fff_ffff;
/** Levels of RocketMQ's messageDelayLevel; a broker may be configured with more. */
const DELAY_LEVELS = 18;

const flagsSchema = v.object({
  topic: topicName,
  namesrv: namesrvAddr,
  group: v.optional(resourceName("producer group", 120), "mq-produce"),
  body: v.optional(v.string()),
  file: v.optional(v.string()),
  size: v.optional(byteSize),
  count: v.optional(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
  rate: v.optional(positiveNumber),
  batch: v.optional(wholeNumber(1, 10_000), "1"),
  async: v.optional(v.boolean(), false),
  concurrency: v.optional(wholeNumber(1, 65_535)),
  oneway: v.optional(v.boolean(), false),
  key: v.optional(v.string()),
  tag: v.optional(v.string()),
  queue: v.optional(v.string()),
  hash: v.optional(v.string()),
  "delay-level": v.optional(wholeNumber(0, INT_MAX)),
  timeout: v.optional(duration, "3s"),
  retries: v.optional(wholeNumber(0, 100), "2"),
  compress: v.optional(v.boolean(), true),
  latency: v.optional(v.boolean(), false),
  jsonl: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
});

type Flags = v.InferOutput<typeof flagsSchema>;

export const produceCommand = defineCommand({
  meta: {
    name: "produce",
    description: "Send messages: one given here, a file, generated ones, or one per line of stdin",
  },
  args: {
    topic: { type: "string", alias: ["t"], description: "Topic to send to", valueHint: "topic" },
    body: { type: "positional", required: false, description: "Body of the message; without it: lines of stdin" },
    namesrv: namesrvArg,
    group: { type: "string", alias: ["g"], description: "Producer group", default: "mq-produce", valueHint: "group" },
    file: { type: "string", alias: ["f"], description: "Send this file as one message", valueHint: "path" },
    size: {
      type: "string",
      alias: ["s"],
      description: "Send generated bodies of this size (100, 1k, 2MiB)",
      valueHint: "bytes",
    },
    count: {
      type: "string",
      alias: ["c"],
      description: "How many messages (default: 1, or all lines)",
      valueHint: "n",
    },
    rate: { type: "string", description: "Messages a second at most", valueHint: "n" },
    batch: { type: "string", description: "Messages per request", default: "1", valueHint: "n" },
    async: {
      type: "boolean",
      description: `Keep several requests in flight (${ASYNC_CONCURRENCY} unless --concurrency says otherwise)`,
    },
    concurrency: { type: "string", description: "Requests in flight", valueHint: "n" },
    oneway: { type: "boolean", description: "Do not wait for answers: nobody knows what arrived" },
    key: { type: "string", alias: ["k"], description: "Message key; again for more", valueHint: "key" },
    tag: { type: "string", description: "Tag", valueHint: "tag" },
    property: { type: "string", description: "User property, name=value; again for more", valueHint: "name=value" },
    queue: { type: "string", description: "Send to this queue: its number, or broker-name:number", valueHint: "queue" },
    hash: { type: "string", description: "Same text, same queue", valueHint: "text" },
    "delay-level": {
      type: "string",
      description: "Deliver later: 1 to 18 for 1s 5s 10s 30s 1m ... 2h",
      valueHint: "level",
    },
    timeout: { type: "string", description: "Time for one send with its retries", default: "3s", valueHint: "time" },
    retries: { type: "string", description: "More tries when one fails", default: "2", valueHint: "n" },
    compress: {
      type: "boolean",
      description: "Compress bodies of 4 KiB and more",
      default: true,
      negativeDescription: "Send bodies as they are",
    },
    latency: { type: "boolean", description: "Pass over brokers that were slow or silent (sendLatencyFaultEnable)" },
    jsonl: {
      type: "boolean",
      description: "Lines of stdin are JSON: body or bodyBase64, keys, tags, properties, delayLevel, hash",
    },
    json: jsonArg,
  },
  async run({ args, rawArgs }) {
    const flags = parseFlags(flagsSchema, args);
    if (flags.async && flags.oneway)
      throw new UsageError("--async and --oneway exclude each other: wait for many answers at once, or for none");
    const producer = new Producer({
      group: flags.group,
      namesrvAddr: flags.namesrv,
      sendMsgTimeout: flags.timeout,
      retryTimesWhenSendFailed: flags.retries,
      retryTimesWhenSendAsyncFailed: flags.retries,
      sendLatencyFaultEnable: flags.latency,
      compressMsgBodyOverHowmuch: flags.compress ? 4096 : Number.POSITIVE_INFINITY,
      logger: createLogger("produce"),
    });
    producer.start();
    try {
      const report = await produce(producer, flags, rawArgs);
      printReport(flags, report);
      if (report.sourceFailure !== undefined) throw report.sourceFailure;
      if (report.failed > 0) process.exitCode = ExitCode.failure;
    } finally {
      await producer.shutdown();
    }
  },
});

async function produce(producer: Producer, flags: Flags, rawArgs: string[]): Promise<ProduceReport> {
  // Nobody to send to is one error, not one per message.
  await producer.fetchPublishMessageQueues(flags.topic);
  if ((flags["delay-level"] ?? 0) > DELAY_LEVELS)
    warn(
      `--delay-level ${flags["delay-level"]}: a broker with RocketMQ's ${DELAY_LEVELS} levels delivers at its last one`,
    );
  const keys = repeated(rawArgs, "--key", "-k");
  const options = {
    ...(flags.hash === undefined ? {} : { hashKey: flags.hash }),
    ...(flags.queue === undefined ? {} : { queue: await chosenQueue(producer, flags.topic, flags.queue) }),
    asynchronous: flags.async,
  };
  const items = produceItems({
    body: flags.body,
    file: flags.file,
    size: flags.size,
    count: flags.count,
    jsonLines: flags.jsonl,
    template: {
      topic: flags.topic,
      tags: flags.tag,
      keys: keys.length === 0 ? undefined : keys,
      properties: properties(repeated(rawArgs, "--property")),
      delayLevel: flags["delay-level"],
    },
    options,
  });
  const concurrency = flags.concurrency ?? (flags.async ? ASYNC_CONCURRENCY : 1);
  const run = new ProduceRun(producer, {
    items,
    batch: flags.batch,
    concurrency,
    oneway: flags.oneway,
    rate: flags.rate,
  });
  return watched(run, flags);
}

/** Runs with a progress line; Ctrl-C ends it after what is in flight, a second one at once. */
async function watched(run: ProduceRun, flags: Flags): Promise<ProduceReport> {
  const progress = new ProgressLine();
  const known = flags.body !== undefined || flags.file !== undefined || flags.size !== undefined;
  const total = flags.count ?? (known ? 1 : undefined);
  const timer = progress.on
    ? setInterval(() => progress.show(progressText(run.report, total)), PROGRESS_MS)
    : undefined;
  const onSignal = () => {
    if (run.stopped) process.exit(ExitCode.failure);
    run.stop();
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    return await run.run();
  } finally {
    clearInterval(timer);
    progress.clear();
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    process.stdin.destroy();
  }
}

function progressText(report: ProduceReport, total: number | undefined): string {
  const done = report.sent + report.failed;
  const failed = report.failed === 0 ? "" : `, ${report.failed} failed`;
  const speed = `${Math.round(report.rate)} msg/s`;
  if (total === undefined) return `sent ${report.sent}${failed}, ${speed}`;
  const perMs = done / report.elapsedMs;
  const eta = perMs > 0 ? `, ${Math.ceil((total - done) / perMs / 1000)} s left` : "";
  return `sent ${report.sent} of ${total} (${Math.floor((100 * done) / total)} %)${failed}, ${speed}${eta}`;
}

function printReport(flags: Flags, report: ProduceReport): void {
  const { latency, lastResult } = report;
  for (const [text, count] of report.failures) say(count === 1 ? `failed: ${text}` : `failed ${count} times: ${text}`);
  const percentiles = { p50: 0.5, p90: 0.9, p99: 0.99, "p99.9": 0.999 };
  const latencyMs = Object.fromEntries(
    Object.entries(percentiles).map(([name, at]) => [name, round(latency.percentile(at))]),
  );
  if (flags.json) {
    printJson({
      topic: flags.topic,
      sent: report.sent,
      failed: report.failed,
      elapsedMs: Math.round(report.elapsedMs),
      messagesPerSecond: Math.round(report.rate),
      latencyMs: { ...latencyMs, max: round(latency.max) },
      statuses: Object.fromEntries(report.statuses),
      failures: [...report.failures].map(([message, count]) => ({ message, count })),
      last: lastResult && {
        msgId: lastResult.msgId,
        offsetMsgId: lastResult.offsetMsgId,
        brokerName: lastResult.queue.brokerName,
        queueId: lastResult.queue.queueId,
        queueOffset: lastResult.queueOffset,
        status: lastResult.status,
      },
    });
    return;
  }
  if (lastResult !== undefined && report.sent === 1) {
    const { queue, queueOffset, msgId, status } = lastResult;
    print(`${status}  msgId ${msgId}  broker ${queue.brokerName}  queue ${queue.queueId}  offset ${queueOffset}`);
  }
  const notOk = [...report.statuses]
    .filter(([status]) => status !== "SEND_OK")
    .map(([status, count]) => `, ${count} ${status}`);
  print(
    `sent ${report.sent}, failed ${report.failed}${notOk.join("")} in ${(report.elapsedMs / 1000).toFixed(2)} s, ${Math.round(report.rate)} msg/s`,
  );
  if (latency.count > 0) {
    const parts = Object.entries(latencyMs).map(([name, ms]) => `${name} ${ms}`);
    print(`latency in ms: ${parts.join("  ")}  max ${round(latency.max)}`);
  }
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function properties(pairs: string[]): Record<string, string> {
  const result: Record<string, string> = {};
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals <= 0 || equals === pair.length - 1) throw new UsageError(`--property is "${pair}", want name=value`);
    result[pair.slice(0, equals)] = pair.slice(equals + 1);
  }
  return result;
}

/** `3`, or `broker-a:3`; the number alone picks the first broker that has it. */
async function chosenQueue(producer: Producer, topic: string, text: string): Promise<MessageQueue> {
  const match = /^(?:(.+):)?(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`--queue is "${text}", want a number or broker-name:number`);
  const queues = await producer.fetchPublishMessageQueues(topic);
  const found = queues.find(
    ({ brokerName, queueId }) => queueId === Number(match[2]) && (match[1] === undefined || match[1] === brokerName),
  );
  if (found !== undefined) return found;
  const known = queues.map(({ brokerName, queueId }) => `${brokerName}:${queueId}`);
  throw new UsageError(
    `--queue is "${text}", want one of ${known.slice(0, 32).join(", ")}${known.length > 32 ? " ..." : ""}`,
  );
}

import { defineCommand } from "citty";
import * as v from "valibot";
import { ExitCode, UsageError } from "../lib/base/errors.ts";
import { createLogger } from "../lib/base/log.ts";
import { processInstanceName } from "../lib/client/client-options.ts";
import { ALLOCATE_STRATEGY_NAMES, allocateStrategy } from "../lib/client/consumer/allocate.ts";
import type { Consumer, ShutdownReport } from "../lib/client/consumer/consumer.ts";
import type { ConsumerOptions } from "../lib/client/consumer/consumer-context.ts";
import { PullConsumer } from "../lib/client/consumer/pull-consumer.ts";
import { PushConsumer } from "../lib/client/consumer/push-consumer.ts";
import type { MessageExt } from "../lib/client/message.ts";
import type { MessageQueue } from "../lib/client/message-queue.ts";
import {
  duration,
  jsonArg,
  namesrvAddr,
  namesrvArg,
  parseFlags,
  parseMoment,
  requiredName,
  resourceName,
  topicName,
  wholeNumber,
} from "./client-flags.ts";

import { CONSUME_FORMATS, formatMessage } from "./consume-format.ts";
import { say, write } from "./out.ts";

const POLL_MS = 1_000;
/** Who reads without a --group. */
const LOOKERS_GROUP = "mq-consume";

const flagsSchema = v.object({
  topic: topicName,
  group: v.optional(resourceName("consumer group", 120)),
  namesrv: namesrvAddr,
  from: v.optional(v.string()),
  tag: v.optional(requiredName("tags joined by ||, or *"), "*"),
  sql: v.optional(requiredName("a condition on properties")),
  broadcast: v.optional(v.boolean(), false),
  orderly: v.optional(v.boolean(), false),
  pull: v.optional(v.boolean(), false),
  count: v.optional(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
  timeout: v.optional(duration),
  idle: v.optional(duration),
  allocate: v.optional(requiredName(`one of ${ALLOCATE_STRATEGY_NAMES.join(", ")}`), "AVG"),
  rooms: v.optional(v.string()),
  queues: v.optional(v.string()),
  commit: v.optional(v.boolean(), true),
  format: v.optional(v.picklist(CONSUME_FORMATS, `one of ${CONSUME_FORMATS.join(", ")}`)),
  quiet: v.optional(v.boolean(), false),
  json: v.optional(v.boolean(), false),
});

type Flags = v.InferOutput<typeof flagsSchema>;

export const consumeCommand = defineCommand({
  meta: {
    name: "consume",
    description: "Print the messages of a topic as they arrive, as a member of a consumer group",
  },
  args: {
    topic: { type: "string", alias: ["t"], description: "Topic to read", valueHint: "topic" },
    group: {
      type: "string",
      alias: ["g"],
      description: "Consumer group; without one: a look at everything, nothing committed",
      valueHint: "group",
    },
    namesrv: namesrvArg,
    from: {
      type: "string",
      description:
        "Where a group begins that has no offset yet: first, last, or a time (ms, yyyyMMddHHmmss, ISO 8601, or ago: 10m); default last",
      valueHint: "where",
    },
    tag: { type: "string", alias: ["s"], description: "Tags wanted, 'a || b'", default: "*", valueHint: "tags" },
    sql: {
      type: "string",
      description: "SQL92 condition on properties, where the broker allows it",
      valueHint: "condition",
    },
    broadcast: {
      type: "boolean",
      description: "Get every message, whoever else reads; offsets are kept in ~/.rocketmq_offsets",
    },
    orderly: { type: "boolean", description: "Read each queue in order, under the broker's lock" },
    pull: { type: "boolean", description: "Pull instead of being handed messages" },
    count: { type: "string", alias: ["c"], description: "End after so many messages", valueHint: "n" },
    timeout: { type: "string", description: "End after this time", valueHint: "time" },
    idle: { type: "string", description: "End when no message came for this time", valueHint: "time" },
    allocate: {
      type: "string",
      description: `How members share the queues: ${ALLOCATE_STRATEGY_NAMES.join(", ")}`,
      default: "AVG",
      valueHint: "name",
    },
    rooms: { type: "string", description: "For MACHINE_ROOM: rooms of brokers named room@name", valueHint: "a,b" },
    queues: { type: "string", description: "For CONFIG: the queues, broker-name:number", valueHint: "list" },
    commit: {
      type: "boolean",
      description: "Commit offsets",
      default: true,
      negativeDescription: "Leave the group's offsets as they are",
    },
    format: {
      type: "enum",
      options: [...CONSUME_FORMATS],
      description: "text, json (one object a line), or the bodies only",
    },
    quiet: { type: "boolean", alias: ["q"], description: "No commentary on stderr" },
    json: { ...jsonArg, description: "Same as --format json" },
  },
  async run({ args }) {
    const flags = parseFlags(flagsSchema, args);
    const outcome = await consume(flags);
    if (flags.count !== undefined && outcome.printed < flags.count && outcome.endedBy !== "signal") {
      say(`ended after ${outcome.printed} of ${flags.count} messages: no more came in time`);
      process.exitCode = ExitCode.failure;
    }
    if (outcome.report.commitFailure !== undefined) process.exitCode = ExitCode.failure;
  },
});

type EndedBy = "count" | "timeout" | "idle" | "signal";

interface Outcome {
  printed: number;
  endedBy: EndedBy;
  report: ShutdownReport;
}

async function consume(flags: Flags): Promise<Outcome> {
  const printer = new Printer(flags);
  const { consumer, work } = flags.pull ? pulling(flags, printer) : pushing(flags, printer);
  const subscription = flags.sql ?? flags.tag;
  consumer.subscribe(flags.topic, subscription, flags.sql === undefined ? "TAG" : "SQL92");
  const onSignal = () => (printer.ended ? process.exit(ExitCode.failure) : printer.end("signal"));
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  const timeout = flags.timeout === undefined ? undefined : setTimeout(() => printer.end("timeout"), flags.timeout);
  try {
    await consumer.start();
    if (!flags.quiet) say(startText(flags));
    printer.watchIdle();
    await work(consumer);
  } finally {
    clearTimeout(timeout);
    printer.stopWatching();
  }
  const report = await consumer.shutdown();
  process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  if (!flags.quiet) say(endText(printer.printed, report, consumerCommits(flags)));
  return { printed: printer.printed, endedBy: printer.endedBy, report };
}

/** Prints until it is told to end, and knows why. */
class Printer {
  printed = 0;
  ended = false;
  endedBy: EndedBy = "count";
  readonly whenEnded: Promise<void>;
  /** Called at once when the end comes: nothing more may reach the printer. */
  onEnd: () => void = () => {};
  readonly #resolveEnded: () => void;
  readonly #flags: Flags;
  readonly #format: (typeof CONSUME_FORMATS)[number];
  readonly #forTerminal = process.stdout.isTTY === true;
  #idleTimer: Timer | undefined;

  constructor(flags: Flags) {
    this.#flags = flags;
    this.#format = flags.format ?? (flags.json ? "json" : "text");
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whenEnded = promise;
    this.#resolveEnded = resolve;
  }

  /** Prints one message; the promise, if any, is there while stdout takes no more. */
  print(message: MessageExt): Promise<void> | undefined {
    const full = write(formatMessage(message, this.#format, this.#forTerminal));
    this.printed++;
    this.#idleTimer?.refresh();
    if (this.printed === this.#flags.count) this.end("count");
    return full;
  }

  watchIdle(): void {
    if (this.#flags.idle !== undefined) this.#idleTimer = setTimeout(() => this.end("idle"), this.#flags.idle);
  }

  stopWatching(): void {
    clearTimeout(this.#idleTimer);
  }

  end(by: EndedBy): void {
    if (this.ended) return;
    this.ended = true;
    this.endedBy = by;
    this.onEnd();
    this.#resolveEnded();
  }
}

interface Working {
  consumer: Consumer;
  work: (consumer: Consumer) => Promise<void>;
}

function pushing(flags: Flags, printer: Printer): Working {
  const print = (messages: MessageExt[]) => {
    let full: Promise<void> | undefined;
    for (const message of messages) full = printer.print(message);
    return full;
  };
  const consumer = flags.orderly
    ? new PushConsumer(consumerOptions(flags), { orderly: (messages) => after(print(messages), "SUCCESS") })
    : new PushConsumer(consumerOptions(flags), {
        concurrently: (messages) => after(print(messages), "CONSUME_SUCCESS"),
      });
  printer.onEnd = () => consumer.stopConsuming();
  return { consumer, work: () => printer.whenEnded };
}

/** `status` at once, or when `full` has passed: a slow reader of stdout slows the consumer down. */
function after<T>(full: Promise<void> | undefined, status: T): T | Promise<T> {
  return full === undefined ? status : full.then(() => status);
}

function pulling(flags: Flags, printer: Printer): Working {
  const consumer = new PullConsumer(consumerOptions(flags));
  const work = async () => {
    while (!printer.ended) {
      const left = flags.count === undefined ? 32 : Math.min(32, flags.count - printer.printed);
      const messages = await Promise.race([consumer.poll(POLL_MS, left), printer.whenEnded.then(() => [])]);
      for (const message of messages) await printer.print(message);
      // Printed is consumed: the next poll would say the same.
      if (messages.length > 0) consumer.acknowledge();
    }
  };
  return { consumer, work };
}

function consumerCommits(flags: Flags): boolean {
  return flags.commit && flags.group !== undefined;
}

function consumerOptions(flags: Flags): ConsumerOptions {
  const quiet = createLogger("consume");
  return {
    namesrvAddr: flags.namesrv,
    ...membership(flags),
    ...consumeFrom(flags.from ?? "last"),
    strictConsumeFrom: true,
    allocateStrategy: allocateStrategy(flags.allocate, {
      ...(flags.rooms === undefined ? {} : { machineRooms: flags.rooms.split(",") }),
      ...(flags.queues === undefined ? {} : { queues: fixedQueues(flags.topic, flags.queues) }),
    }),
    commitOffsets: consumerCommits(flags),
    firstPullDelayMs: 0,
    logger: { ...quiet, info: quiet.debug },
  };
}

/** Without a group every call sees everything, under one group's name for all of them, so that brokers do not collect dead groups. */
function membership({ group, broadcast }: Flags): ConsumerOptions {
  if (group !== undefined) return { group, messageModel: broadcast ? "BROADCASTING" : "CLUSTERING" };
  return {
    group: LOOKERS_GROUP,
    instanceName: processInstanceName(),
    messageModel: "BROADCASTING",
    // Others of this group may read other topics: what counts is what the pull itself says.
    postSubscriptionWhenPull: true,
  };
}

function fixedQueues(topic: string, list: string): MessageQueue[] {
  return list.split(",").map((text) => {
    const match = /^(.+):(\d+)$/.exec(text.trim());
    if (match === null) throw new UsageError(`--queues holds "${text}", want broker-name:number`);
    return { topic, brokerName: match[1] ?? "", queueId: Number(match[2]) };
  });
}

function consumeFrom(from: string): Pick<ConsumerOptions, "consumeFromWhere" | "consumeTimestamp"> {
  if (from === "first") return { consumeFromWhere: "CONSUME_FROM_FIRST_OFFSET" };
  if (from === "last") return { consumeFromWhere: "CONSUME_FROM_LAST_OFFSET" };
  const consumeTimestamp = parseMoment(from);
  if (consumeTimestamp === undefined) {
    throw new UsageError(
      `--from is "${from}", want first, last, ms since 1970, yyyyMMddHHmmss, ISO 8601, or a time ago such as 10m`,
    );
  }
  return { consumeFromWhere: "CONSUME_FROM_TIMESTAMP", consumeTimestamp };
}

function startText(flags: Flags): string {
  const who =
    flags.group === undefined
      ? "for a look, as no group"
      : `as group ${flags.group}${flags.broadcast ? ", broadcasting" : ""}`;
  const commits = consumerCommits(flags) || flags.group === undefined ? "" : ", nothing is committed";
  return `reading ${flags.topic} ${who}${commits}; Ctrl-C ends`;
}

function endText(printed: number, report: ShutdownReport, commits: boolean): string {
  const left =
    commits && report.unconsumed > 0
      ? `; ${report.unconsumed} more were pulled, not printed, and stay for the next time`
      : "";
  const commit = !commits
    ? ""
    : report.commitFailure === undefined
      ? ", offsets committed"
      : `, offsets NOT committed: ${report.commitFailure}`;
  return `${printed} ${printed === 1 ? "message" : "messages"}${commit}${left}`;
}

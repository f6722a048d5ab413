import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ArgsDef } from "citty";
import * as v from "valibot";
import { errorText, UsageError } from "../lib/base/errors.ts";
import { sizesOfRange, sizesOfWeights } from "../lib/bench/load/body-sizes.ts";
import { COMPRESSION_TEXT, compressionOf } from "../lib/bench/load/compression-choice.ts";
import type { LoadPlan, MessageKind } from "../lib/bench/load/plan.ts";
import { passesTags, tagsOf } from "../lib/bench/load/tag-filter.ts";
import type { FateRates } from "../lib/bench/load/transaction-fate.ts";
import { exportArgs, exportEntries } from "./bench-report.ts";
import { byteSize, duration, namesrvAddr, namesrvArg, resourceName, topicName, wholeNumber } from "./client-flags.ts";
import { credentialArgs, credentialEntries, credentialsOf } from "./credential-flags.ts";

const CONNECTIONS_MAX = 10_000;
const IN_FLIGHT_MAX = 65_536;
const PAYLOAD_BYTES_MAX = 64 * 1024 * 1024;
const RUN_BYTES = 12;

export const loadArgs = {
  namesrv: namesrvArg,
  topic: {
    type: "string",
    alias: "t",
    description: "Topic (default: a new one, deleted at the end)",
    valueHint: "topic",
  },
  cluster: { type: "string", description: "Brokers of this cluster only", valueHint: "cluster" },
  conns: { type: "string", description: "Connections that send, or receive (default: 4)", valueHint: "n" },
  "in-flight": { type: "string", description: "Requests in flight on each (default: 64)", valueHint: "n" },
  threads: {
    type: "string",
    alias: "w",
    description: "As RocketMQ's benchmark: one connection with so many in flight",
    valueHint: "n",
  },
  consumers: { type: "string", description: "Connections that receive (default: as many as send)", valueHint: "n" },
  workers: { type: "string", description: "Threads of the generator (default: one for every 4 cores)", valueHint: "n" },
  size: {
    type: "string",
    alias: "s",
    description: "Bytes of a body: 1k, 512..4k, or 1k:70,64k:30 with weights",
    default: "1k",
    valueHint: "bytes",
  },
  payload: { type: "string", description: "Fill bodies from this file", valueHint: "file" },
  compress: {
    type: "string",
    description: "Compress each body: LZ4, ZSTD or ZLIB, with a level: ZSTD:3",
    valueHint: "type",
  },
  "compress-over": { type: "string", description: "Only bodies of so many bytes (default: 4k)", valueHint: "bytes" },
  rate: { type: "string", description: "Messages a second, each with its time fixed in advance", valueHint: "n" },
  closed: { type: "boolean", description: "Without a rate: the next request waits for an answer (the default)" },
  arrival: {
    type: "enum",
    options: ["uniform", "poisson"],
    default: "uniform",
    description: "Times between messages with --rate",
  },
  ramp: { type: "string", description: "Time in which a rate grows to its height", valueHint: "time" },
  duration: { type: "string", description: "Measured part", default: "30s", valueHint: "time" },
  count: { type: "string", alias: ["messages", "q"], description: "End after so many messages", valueHint: "n" },
  warmup: { type: "string", description: "What comes before it", default: "5s", valueHint: "time" },
  queues: { type: "string", description: "Queues on each broker of a new topic", default: "8", valueHint: "n" },
  tags: { type: "string", description: "Tag of every message", valueHint: "tag" },
  "tag-count": { type: "string", description: "Tags tag0, tag1 ... in turn instead", default: "0", valueHint: "n" },
  properties: { type: "string", description: "Properties of every message, for SQL filters", valueHint: "a=1,b=x" },
  keys: { type: "boolean", alias: "k", description: "Give every message a key (10,000 different ones)" },
  "key-cardinality": { type: "string", description: "Number of different keys", valueHint: "n" },
  filterType: {
    type: "enum",
    alias: "f",
    options: ["TAG", "SQL92"],
    default: "TAG",
    description: "Kind of the consumers' filter",
  },
  expression: { type: "string", alias: "e", description: "The consumers' filter", default: "*", valueHint: "filter" },
  groups: {
    type: "string",
    description: "Consumer groups, each of which gets every message",
    default: "1",
    valueHint: "n",
  },
  "consume-delay": {
    type: "string",
    description: "What a message takes each consumer (5ms), one after the other",
    default: "0ms",
    valueHint: "time",
  },
  "fail-rate": {
    type: "string",
    description: "Part of the messages that fail once and come again, 0 to 1",
    default: "0",
    valueHint: "part",
  },
  group: { type: "string", alias: "g", description: "Group of the clients", default: "mq-bench", valueHint: "group" },
  headers: {
    type: "enum",
    options: ["binary", "json"],
    default: "binary",
    description: "Encoding of request headers; Java's client sends JSON unless told otherwise",
  },
  "drain-timeout": {
    type: "string",
    description: "Wait this long for what is missing; where transactions are left to the broker's checks, behind those",
    default: "30s",
    valueHint: "time",
  },
  force: { type: "boolean", description: "Send to a topic that no benchmark made" },
  keep: { type: "boolean", description: "Leave the topic that was made" },
  gate: { type: "string", description: "Limits: p99<10ms,tps>=12000,errors=0 or rocketmq-ci", valueHint: "limits" },
  repeat: {
    type: "string",
    description: "Runs of the same; mq bench compare draws from runs where there are several",
    default: "1",
    valueHint: "n",
  },
  strict: { type: "boolean", description: "Exit with 4 where the run is CLIENT-BOUND or SATURATED" },
  "abort-on-saturation": { type: "boolean", description: "End when the rate is missed for 5 s (exit code 4)" },
  quiet: { type: "boolean", description: "No line while it runs" },
  msgTraceEnable: {
    type: "boolean",
    alias: "m",
    description: "Send RocketMQ's message trace (RMQ_SYS_TRACE_TOPIC) as its clients do",
  },
  ...credentialArgs,
  ...exportArgs,
} satisfies ArgsDef;

const optional = v.optional;

const RATE_TEXT = "messages a second: 500, 20k, 1.5m";

/** 500, 20k, 1.5m as messages a second. */
export const messageRate = v.pipe(
  v.string(RATE_TEXT),
  v.regex(/^\d+(?:\.\d+)?[km]?$/i, RATE_TEXT),
  v.transform((text) => Number.parseFloat(text) * (/k$/i.test(text) ? 1000 : /m$/i.test(text) ? 1_000_000 : 1)),
  v.check((value) => value > 0, RATE_TEXT),
);

/** 0 to 1. */
export const part = v.pipe(
  v.string("a part from 0 to 1"),
  v.regex(/^(?:0(?:\.\d+)?|1(?:\.0+)?)$/, "a part from 0 to 1"),
  v.transform(Number),
);

const GROUPS_MAX = 1000;
const GROUP_DEFAULT = "mq-bench";

const SIZE_TEXT = "bytes such as 128, 1k, 512..4k or 1k:70,64k:30";

/** `1k`, `512..4k`, `1k:70,64k:30` as the sizes of bodies in turn. */
const bodySizes = v.pipe(
  v.string(SIZE_TEXT),
  v.transform((text) => {
    const size = (part: string) => v.safeParse(byteSize, part).output as number | undefined;
    const range = /^([^.]+)\.\.([^.]+)$/.exec(text);
    if (range !== null) {
      const [from, to] = [size(range[1]!) ?? 0, size(range[2]!) ?? 0];
      return from < to ? sizesOfRange(from, to) : [];
    }
    if (!text.includes(":")) return [size(text) ?? -1];
    const weights = text.split(",").map((part): [number, number] => {
      const [bytes = "", weight = ""] = part.split(":");
      return [size(bytes) ?? 0, /^\d+(?:\.\d+)?$/.test(weight) ? Number(weight) : 0];
    });
    return weights.every(([, weight]) => weight > 0) && weights.length <= 32 ? sizesOfWeights(weights) : [];
  }),
  v.check((sizes) => sizes.length > 0 && sizes[0] !== -1, SIZE_TEXT),
  v.check((sizes) => sizes.every((size) => size >= 1), "1 byte at least: brokers refuse empty bodies"),
  v.check(
    (sizes) => sizes.every((size) => size <= BODY_BYTES_MAX),
    "16 MiB less 64 KiB at most: a frame holds no more",
  ),
);

/** `ZSTD`, `ZLIB:9`. */
const compression = v.pipe(
  v.string(COMPRESSION_TEXT),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const [, name = "", level] = /^([a-z0-9]+)(?::(\d{1,2}))?$/i.exec(dataset.value) ?? [];
    const found = compressionOf(name, level === undefined ? undefined : Number(level));
    if (found === undefined || (found.type === "LZ4" && level !== undefined)) {
      addIssue({ message: COMPRESSION_TEXT });
      return NEVER;
    }
    return found;
  }),
);
const COMPRESS_OVER_DEFAULT = 4096;

/** A frame is 16 MiB at most [com.rocketmq.remoting.frameMaxLength], its header included. */
const BODY_BYTES_MAX = 16 * 1024 * 1024 - 64 * 1024;
/** Templates of all messages of a connection. */
const TEMPLATE_BYTES_MAX = 256 * 1024 * 1024;

export const loadEntries = {
  namesrv: namesrvAddr,
  topic: optional(topicName),
  cluster: optional(v.string()),
  conns: optional(wholeNumber(1, CONNECTIONS_MAX)),
  "in-flight": optional(wholeNumber(1, IN_FLIGHT_MAX)),
  threads: optional(wholeNumber(1, IN_FLIGHT_MAX)),
  consumers: optional(wholeNumber(1, CONNECTIONS_MAX)),
  workers: optional(wholeNumber(1, 256)),
  size: optional(bodySizes, "1k"),
  payload: optional(v.string()),
  compress: optional(compression),
  "compress-over": optional(byteSize),
  rate: optional(messageRate),
  closed: optional(v.boolean(), false),
  arrival: v.picklist(["uniform", "poisson"], "uniform or poisson"),
  ramp: optional(duration, "0s"),
  duration: v.pipe(optional(duration, "30s"), v.minValue(1000, "1s at least")),
  count: optional(wholeNumber(1, 2 ** 32 - 1)),
  warmup: optional(duration, "5s"),
  queues: optional(wholeNumber(1, 65_535), "8"),
  tags: optional(v.string(), ""),
  "tag-count": optional(wholeNumber(0, 1000), "0"),
  properties: optional(v.pipe(v.string(), v.transform(propertiesOf)), ""),
  keys: optional(v.boolean(), false),
  "key-cardinality": optional(wholeNumber(1, 2 ** 32 - 1)),
  filterType: v.picklist(["TAG", "SQL92"], "TAG or SQL92"),
  expression: optional(v.string(), "*"),
  group: optional(resourceName("group", 120), GROUP_DEFAULT),
  groups: optional(wholeNumber(1, GROUPS_MAX), "1"),
  "consume-delay": optional(duration, "0ms"),
  "fail-rate": optional(part, "0"),
  headers: v.picklist(["binary", "json"], "binary or json"),
  "drain-timeout": optional(duration, "30s"),
  force: optional(v.boolean(), false),
  keep: optional(v.boolean(), false),
  gate: optional(v.string()),
  repeat: optional(wholeNumber(1, 1000), "1"),
  strict: optional(v.boolean(), false),
  "abort-on-saturation": optional(v.boolean(), false),
  quiet: optional(v.boolean(), false),
  msgTraceEnable: optional(v.boolean(), false),
  ...credentialEntries,
  ...exportEntries,
};

export type LoadFlags = v.InferOutput<v.ObjectSchema<typeof loadEntries, undefined>>;

/** Bytes of bodies in flight over all connections, where nobody says how many, and at most. */
const UNDER_WAY_BYTES_DEFAULT = 128 * 1024 * 1024;
const UNDER_WAY_BYTES_MAX = 1024 ** 3;
const KEYS_DEFAULT = 10_000;
const CONNECTIONS_DEFAULT = 4;
const IN_FLIGHT_DEFAULT = 64;

export interface VerbOptions {
  kind: MessageKind;
  sends: boolean;
  receives: boolean;
  batch?: number;
  delayLevel?: number;
  /** Of transactions. */
  fates?: FateRates;
}

/** What the flags of a verb amount to; queues, topic and delay are the cluster's to tell. */
export function planOf(flags: LoadFlags, verb: VerbOptions): Omit<LoadPlan, "queues" | "topic" | "delayMs"> {
  if (!verb.sends && flags.rate !== undefined)
    throw new UsageError("--rate is for sending: found it where nothing is sent, want none");
  if (flags.closed && flags.rate !== undefined)
    throw new UsageError("--closed and --rate exclude each other: found both, want one");
  if (flags.compress !== undefined && (!verb.sends || verb.kind === "batch"))
    throw new UsageError("--compress is for single messages that are sent: RocketMQ compresses no batches, want none");
  if (flags["compress-over"] !== undefined && flags.compress === undefined)
    throw new UsageError("--compress-over is given without --compress, want both");
  const conns = flags.conns ?? (flags.threads === undefined ? CONNECTIONS_DEFAULT : 1);
  const count = flags.count;
  const tags = tagsOf({ tags: flags.tags, tagCount: flags["tag-count"] });
  if (
    verb.sends &&
    verb.receives &&
    flags.filterType === "TAG" &&
    !tags.some((tag) => passesTags(flags.expression, tag))
  )
    throw new UsageError(
      `--expression is ${JSON.stringify(flags.expression)}, want one that takes ${tags.join(", ") || "messages without a tag"}: nothing would be received`,
    );
  const inFlight = flags["in-flight"] ?? flags.threads;
  const size = Math.max(...flags.size);
  const templateBytes = flags.size.reduce((sum, bytes) => sum + bytes, 0) * flags.queues * tags.length * conns;
  if (
    verb.sends &&
    (flags.size.length > 1 || tags.length > 1) &&
    templateBytes * (verb.batch ?? 1) > TEMPLATE_BYTES_MAX
  )
    throw new UsageError(
      `${flags.size.length} sizes x ${tags.length} tags x ${flags.queues} queues x ${conns} connections take ${templateBytes} bytes, want ${TEMPLATE_BYTES_MAX} at most: fewer or smaller ones`,
    );
  if (verb.sends && conns * (inFlight ?? 1) * size * (verb.batch ?? 1) > UNDER_WAY_BYTES_MAX)
    throw new UsageError(
      `${conns} connections x ${inFlight ?? 1} in flight x ${size * (verb.batch ?? 1)} bytes are more than ${UNDER_WAY_BYTES_MAX} bytes under way, want fewer or smaller ones`,
    );
  return {
    kind: verb.kind,
    producers: verb.sends ? conns : 0,
    consumers: verb.receives ? (flags.consumers ?? conns) : 0,
    inFlight:
      inFlight ??
      Math.max(1, Math.min(IN_FLIGHT_DEFAULT, Math.floor(UNDER_WAY_BYTES_DEFAULT / conns / size / (verb.batch ?? 1)))),
    rate: flags.rate,
    arrival: flags.arrival,
    rampSeconds: flags.ramp / 1000,
    bodyBytes: Math.round(flags.size.reduce((sum, bytes) => sum + bytes, 0) / flags.size.length),
    bodySizes: flags.size.length > 1 ? flags.size : undefined,
    payload: flags.payload === undefined ? new Uint8Array() : payloadOf(flags.payload),
    compress:
      flags.compress === undefined
        ? undefined
        : { ...flags.compress, overBytes: flags["compress-over"] ?? COMPRESS_OVER_DEFAULT },
    batch: verb.batch ?? 1,
    header: flags.headers === "binary" ? "rocketmq" : "json",
    tags: flags.tags,
    tagCount: flags["tag-count"],
    properties: flags.properties,
    keyCardinality: flags["key-cardinality"] ?? (flags.keys ? KEYS_DEFAULT : 0),
    delayLevel: verb.delayLevel ?? 0,
    ...(verb.fates ?? { rollbackRate: 0, unknownRate: 0, checkRollbackRate: 0, checkUnknownRate: 0 }),
    expressionType: flags.filterType,
    expression: flags.expression,
    // What failed or was left unknown in an earlier run must not come to this one.
    group:
      (flags["fail-rate"] > 0 || (verb.fates?.unknownRate ?? 0) > 0) && flags.group === GROUP_DEFAULT
        ? `${GROUP_DEFAULT}-${runName()}`
        : flags.group,
    groups: flags.groups,
    consumeDelayMs: flags["consume-delay"],
    failRate: flags["fail-rate"],
    pullBatch: 32,
    warmupSeconds: count === undefined ? flags.warmup / 1000 : 0,
    seconds: count === undefined ? Math.max(1, Math.round(flags.duration / 1000)) : Number.MAX_SAFE_INTEGER,
    count,
    drainMs: flags["drain-timeout"],
    run: randomBytes(4).readUInt32BE(),
    credentials: credentialsOf(flags),
  };
}

/** `a=1,b=x`. Throws UsageError. */
function propertiesOf(text: string): [string, string][] {
  return text
    .split(",")
    .filter((part) => part !== "")
    .map((part) => {
      const equals = part.indexOf("=");
      if (equals <= 0 || equals === part.length - 1)
        throw new UsageError(`--properties has ${JSON.stringify(part)}, want name=value with commas between`);
      return [part.slice(0, equals), part.slice(equals + 1)];
    });
}

function payloadOf(file: string): Uint8Array {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new UsageError(`--payload is ${JSON.stringify(file)}, want a file: ${errorText(error)}`);
  }
  if (bytes.length === 0 || bytes.length > PAYLOAD_BYTES_MAX)
    throw new UsageError(`--payload ${file} has ${bytes.length} bytes, want 1 to ${PAYLOAD_BYTES_MAX}`);
  return bytes;
}

/** Hex digits that no other run has. */
export function runName(): string {
  return randomBytes(RUN_BYTES).toString("hex");
}

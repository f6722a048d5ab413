import { UsageError } from "../../base/errors.ts";
import { environmentCredentials } from "../../client/credentials.ts";
import { COMPRESSION_TEXT, compressionOf } from "../load/compression-choice.ts";
import { PAYLOAD_HEADER_BYTES } from "../load/payload.ts";
import type { LoadPlan } from "../load/plan.ts";
import type { OriginalFlags } from "./original-flags.ts";

/** What an asynchronous producer of the original may have under way [Producer#MAX_LENGTH_ASYNC_QUEUE]. */
const ASYNC_IN_FLIGHT = 10_000;
/** Keys are seconds there: few different ones. */
const KEYS = 64;
const TAGS_MAX = 1000;
const PROPERTY_START = 50;
/** Keys of the original where none are given [AclClient]. */
const ACCESS_KEY = "rocketmq2";
const SECRET_KEY = "12345678";
const GROUPS = {
  producer: "benchmark_producer",
  batchproducer: "benchmark_batch_producer",
  tproducer: "benchmark_transaction_producer",
};

/** The load that the original's options describe. Throws UsageError for what cannot be done; `expression` is the filter's text. */
export function originalPlan(
  flags: OriginalFlags,
  group: string,
  expression: string,
  run: number,
): Omit<LoadPlan, "queues"> {
  const { tool } = flags;
  const sends = tool !== "consumer";
  const rateOf = (name: string) => (tool === "tproducer" ? Math.min(1, flags.part(name)) : 0);
  const bodyBytes = sends ? Math.max(1, flags.number("messageSize")) : PAYLOAD_HEADER_BYTES;
  const quantity = tool === "producer" ? flags.number("messageQuantity") : 0;
  const delays = tool === "producer" && flags.on("delayEnable");
  return {
    topic: flags.text("topic"),
    kind: tool === "batchproducer" ? "batch" : tool === "tproducer" ? "transaction" : delays ? "delay" : "plain",
    producers: sends ? 1 : 0,
    consumers: sends ? 0 : 1,
    inFlight: tool === "producer" && flags.on("asyncEnable") ? ASYNC_IN_FLIGHT : flags.number("threadCount"),
    sendIntervalMs: tool === "tproducer" ? flags.number("sendInterval") : 0,
    arrival: "uniform",
    rampSeconds: 0,
    bodyBytes,
    payload: new Uint8Array(),
    compress: compressOf(flags),
    batch: tool === "batchproducer" ? flags.number("batchSize") : 1,
    header: "rocketmq",
    tags: "",
    tagCount: sends && tool !== "tproducer" ? Math.min(TAGS_MAX, flags.number("tagCount")) : 0,
    properties: sends && tool !== "tproducer" ? propertiesOf(flags.number("propertySize")) : [],
    keyCardinality: sends && tool !== "tproducer" && flags.on("keyEnable") ? KEYS : 0,
    delayLevel: delays ? flags.number("delayLevel") : 0,
    delayMs: 0,
    rollbackRate: rateOf("sendRollbackRate"),
    unknownRate: rateOf("sendUnknownRate"),
    checkRollbackRate: rateOf("checkRollbackRate"),
    checkUnknownRate: rateOf("checkUnknownRate"),
    expressionType: expression === "*" ? "TAG" : flags.text("filterType"),
    expression,
    group: sends ? GROUPS[tool] : group,
    groups: 1,
    consumeDelayMs: 0,
    failRate: tool === "consumer" ? Math.min(1, flags.part("failRate")) : 0,
    pullBatch: 32,
    warmupSeconds: 0,
    seconds: Number.MAX_SAFE_INTEGER,
    count: quantity > 0 ? quantity : undefined,
    drainMs: 0,
    run,
    credentials: flags.on("aclEnable")
      ? { accessKey: flags.text("accessKey") || ACCESS_KEY, secretKey: flags.text("secretKey") || SECRET_KEY }
      : environmentCredentials(),
  };
}

/** The original's batch producer takes the options as well, and its client compresses no batches. Throws UsageError. */
function compressOf(flags: OriginalFlags): LoadPlan["compress"] {
  if (!flags.on("compressEnable")) return undefined;
  const [name, level] = [flags.text("compressType"), flags.number("compressLevel")];
  const found = compressionOf(name, level);
  if (found === undefined)
    throw new UsageError(
      `compressType and compressLevel are ${JSON.stringify(name)} and ${level}, want ${COMPRESSION_TEXT}`,
    );
  return { ...found, overBytes: flags.number("compressOverHowMuch") };
}

/** Properties `prop0`, `prop1` ... until they are longer than `bytes`, as the original makes them, its random number a fixed one. */
function propertiesOf(bytes: number): [string, string][] {
  const properties: [string, string][] = [];
  let size = 0;
  for (let value = PROPERTY_START; bytes > 0 && size <= bytes; value += 2) {
    const pairs: [string, string][] = [
      [`prop${properties.length}`, `hello${value}`],
      [`prop${properties.length + 1}`, String(value)],
    ];
    for (const [name, text] of pairs) size += name.length + text.length;
    properties.push(...pairs);
  }
  return properties;
}

/** The consumer's group, with two digits of the time behind it where that is asked for. */
export function groupOf(flags: OriginalFlags, now: number): string {
  const prefix = flags.text("group");
  return flags.on("groupPrefixEnable") ? `${prefix}_${now % 100}` : prefix;
}

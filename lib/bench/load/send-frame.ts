import { assert } from "../../base/assert.ts";
import { type LocalTransactionState, STATE_FLAGS } from "../../client/producer/transaction-state.ts";
import { COMPRESSION_TYPES, compressBody } from "../../message/compression.ts";
import type { RecordView } from "../../message/record.ts";
import { COMPRESSED_FLAG, TRANSACTION_PREPARED_TYPE } from "../../message/sys-flag.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { type FrameTemplate, frameTemplate, requestFrame } from "../raw/frames.ts";
import { bodyBytesOf, bodyTemplate, PAYLOAD_HEADER_BYTES, PAYLOAD_HEX, PAYLOAD_PROPERTY } from "./payload.ts";
import type { LoadCompression, LoadPlan, LoadQueue } from "./plan.ts";
import { passesTags } from "./tag-filter.ts";

/** Marks the places of a number of eight hex digits in the text of the header and of a batch's properties. */
const KEY_MARK = "eeeeeeee";
const COUNTER_MARK = "ffffffff";
/** Marks the place of the born timestamp: as many digits as every time from 2001 to 2286 has. */
const BORN_MARK = "1000000000000";
/** Marks the place of a header that a small body has no room for. */
const STAMP_MARK = "d".repeat(PAYLOAD_HEX);
const ITEM_HEAD_BYTES = 20;
const UNIQ_KEY_HEX = 32;
/** Beside an eighth, what the worst body grows by: zlib's fixed codes take nine bits for each byte from 144 on. */
const COMPRESS_MORE_BYTES = 64;

/** A send that is ready but for its numbers: where each of them goes. */
export interface SendTemplate {
  frame: FrameTemplate;
  /** Begin and end of every body with a header of ours; several in a batch. */
  bodies: readonly { start: number; end: number; counterAt: number; stampAt: number }[];
  /** Of bodies too small for a header: header and body in one piece, to be stamped and written as hex at `stampAt`. */
  small: Buffer | undefined;
  /** Whether the load's consumers are to get its messages: their TAG filter takes them. */
  expected: boolean;
  bodyBytes: number;
  /** How its body, stamped, is to be compressed; undefined: not at all. */
  compress: LoadCompression | undefined;
  /** What its frame may take: one that does not compress grows. */
  frameBytesMax: number;
  /** Tag of its messages; "" without. */
  tag: string;
  /** Offset of eight hex digits of KEYS; -1 without. */
  keyAt: number;
  /** Offset of the 13 digits of the born timestamp. */
  bornAt: number;
  uniqKeyPrefix: string;
}

/** What a producer writes into the properties of every message. */
function properties(plan: LoadPlan, prefix: string, tag: string, bodyBytes: number): string {
  const pairs: [string, string][] = [];
  if (plan.keyCardinality > 0) pairs.push(["KEYS", `k${KEY_MARK}`]);
  if (tag !== "") pairs.push(["TAGS", tag]);
  pairs.push(...plan.properties.map(([name, value]): [string, string] => [name, value]));
  if (bodyBytes < PAYLOAD_HEADER_BYTES) pairs.push([PAYLOAD_PROPERTY, STAMP_MARK]);
  if (plan.delayLevel > 0) pairs.push(["DELAY", String(plan.delayLevel)]);
  if (plan.kind === "transaction") pairs.push(["TRAN_MSG", "true"], ["PGROUP", plan.group]);
  pairs.push(["UNIQ_KEY", prefix + COUNTER_MARK], ["WAIT", "true"]);
  return pairs.map(([name, value]) => `${name}\u0001${value}`).join("\u0002");
}

/** Id of a message: 24 hex digits that this producer alone has; the counter follows. */
function uniqKeyPrefix(run: number, producer: number): string {
  return `${runPrefix(run)}${hex8(producer)}`.padEnd(UNIQ_KEY_HEX - 8, "0");
}

function runPrefix(run: number): string {
  return `7F000001${hex8(run >>> 0)}`;
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, "0").slice(-8).toUpperCase();
}

/** Whether a stored record's id is one of this run's. */
export function isKeyOf(run: number, buffer: Buffer, { propertiesStart, propertiesEnd }: RecordView): boolean {
  return buffer.subarray(propertiesStart, propertiesEnd).includes(`UNIQ_KEY\u0001${runPrefix(run)}`);
}

/** SEND_MESSAGE_V2, or SEND_BATCH_MESSAGE with `plan.batch` items of one layout [MessageDecoder#encodeMessage]. */
export function sendTemplate(
  plan: LoadPlan,
  queue: LoadQueue,
  producer: number,
  tag: string,
  bodyBytes: number = plan.bodyBytes,
): SendTemplate {
  const prefix = uniqKeyPrefix(plan.run, producer);
  const isSmall = bodyBytes < PAYLOAD_HEADER_BYTES;
  const body = isSmall
    ? bodyBytesOf(bodyBytes, plan.payload)
    : bodyTemplate(bodyBytes, plan.payload, plan.run, producer, plan.clock);
  const small = isSmall
    ? Buffer.concat([bodyTemplate(0, plan.payload, plan.run, producer, plan.clock), body])
    : undefined;
  const isBatch = plan.kind === "batch";
  const compress =
    !isBatch && bodyBytes >= (plan.compress?.overBytes ?? Number.POSITIVE_INFINITY) ? plan.compress : undefined;
  const fields = {
    a: plan.group,
    b: plan.topic,
    c: "TBW102",
    d: "8",
    e: String(queue.queueId),
    f: String((plan.kind === "transaction" ? TRANSACTION_PREPARED_TYPE : 0) | compressionFlags(compress)),
    g: BORN_MARK,
    h: "0",
    i: properties(plan, prefix, tag, bodyBytes),
    j: "0",
    k: "false",
    l: "0",
    m: String(isBatch),
    n: queue.brokerName,
  };
  const item = isBatch ? batchItem(body, properties(plan, prefix, tag, bodyBytes)) : body;
  const content = isBatch ? Buffer.concat(Array.from({ length: plan.batch }, () => item)) : body;
  const code = isBatch ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2;
  const frame = frameTemplate(code, fields, content, plan.header, plan.credentials, [
    BORN_MARK,
    KEY_MARK,
    COUNTER_MARK,
    STAMP_MARK,
  ]);
  const contentAt = frame.bytes.length - content.length;
  const bodies = Array.from({ length: isBatch ? plan.batch : 1 }, (_, i) => {
    const start = contentAt + i * item.length + (isBatch ? ITEM_HEAD_BYTES : 0);
    const counterAt = isBatch ? frame.bytes.indexOf(COUNTER_MARK, start + body.length) : -1;
    const stampAt = isSmall ? frame.bytes.indexOf(STAMP_MARK, isBatch ? start : 0) : -1;
    return { start, end: start + body.length, counterAt, stampAt };
  });
  const keyAt = plan.keyCardinality > 0 ? frame.bytes.indexOf(KEY_MARK) : -1;
  const bornAt = frame.bytes.indexOf(BORN_MARK);
  const expected = plan.expressionType !== "TAG" || passesTags(plan.expression, tag);
  const frameBytesMax = frame.bytes.length + (compress === undefined ? 0 : COMPRESS_MORE_BYTES + (bodyBytes >> 3));
  const about = { uniqKeyPrefix: prefix, small, expected, bodyBytes, compress, frameBytesMax, tag };
  return { frame, bodies, keyAt, bornAt, ...about };
}

function compressionFlags(compress: LoadCompression | undefined): number {
  return compress === undefined ? 0 : COMPRESSED_FLAG | COMPRESSION_TYPES[compress.type].flag;
}

/** Compresses the one body of the frame that lies in `out` from `at` to `end`, its numbers written already; returns the frame's new end. */
export function compressFrame({ bodies, compress }: SendTemplate, out: Buffer, at: number, end: number): number {
  if (compress === undefined) return end;
  const bodyAt = at + bodies[0]!.start;
  const body = compressBody(out.subarray(bodyAt, end), compress.type, compress.level);
  const newEnd = bodyAt + body.copy(out, bodyAt);
  assert(newEnd === bodyAt + body.length, "a compressed body fits where its frame is written");
  out.writeInt32BE(newEnd - at - 4, at);
  return newEnd;
}

function batchItem(body: Buffer, text: string): Buffer {
  const props = Buffer.from(text);
  const item = Buffer.alloc(ITEM_HEAD_BYTES + body.length + 2 + props.length);
  item.writeInt32BE(item.length, 0);
  item.writeInt32BE(body.length, 16);
  body.copy(item, ITEM_HEAD_BYTES);
  item.writeInt16BE(props.length, ITEM_HEAD_BYTES + body.length);
  props.copy(item, ITEM_HEAD_BYTES + body.length + 2);
  return item;
}

const HEX = Buffer.from("0123456789ABCDEF");

/** Writes the low 32 bits of `value` as eight hex digits. */
export function writeHex(target: Buffer, at: number, value: number): void {
  let rest = value >>> 0;
  for (let i = 7; i >= 0; i--) {
    target[at + i] = HEX[rest & 15]!;
    rest >>>= 4;
  }
}

/** Writes ms since the epoch as 13 digits. */
export function writeMillis(target: Buffer, at: number, ms: number): void {
  let rest = ms;
  for (let i = 12; i >= 0; i--) {
    const next = Math.floor(rest / 10);
    target[at + i] = 0x30 + rest - next * 10;
    rest = next;
  }
}

/** END_TRANSACTION of a half message, sent one way. */
export function endTransactionFrame(
  plan: LoadPlan,
  half: {
    commitLogOffset: string;
    queueOffset: string;
    msgId: string;
    transactionId: string;
    state: LocalTransactionState;
    /** It answers the broker's question. */
    isChecked: boolean;
  },
): Buffer {
  const fields = {
    producerGroup: plan.group,
    topic: plan.topic,
    tranStateTableOffset: half.queueOffset,
    commitLogOffset: half.commitLogOffset,
    commitOrRollback: String(STATE_FLAGS[half.state]),
    fromTransactionCheck: String(half.isChecked),
    msgId: half.msgId,
    transactionId: half.transactionId,
  };
  const bytes = requestFrame(RequestCode.END_TRANSACTION, fields, plan.credentials);
  bytes.writeInt32BE(ONEWAY_FLAG, FLAG_AT);
  return bytes;
}

/** [RemotingCommand#markOnewayRPC] */
const ONEWAY_FLAG = 2;
/** Offset of the flag in a frame with a ROCKETMQ header: prefix, code, language, version, opaque. */
const FLAG_AT = 8 + 2 + 1 + 2 + 4;

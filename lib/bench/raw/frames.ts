import { type Credentials, signFields } from "../../client/credentials.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";
import { type FrameSigning, fieldsToSign, frameSigning } from "./signing.ts";

/** Opaques begin here: ten digits from the first on, so that a JSON header keeps its length. */
export const OPAQUE_BASE = 1_000_000_000;
const VERSION_5_3_3 = 477;
const UNIQ_KEY_HEX = 32;
const COUNTER_HEX = 8;
/** Marks the place of the counter in the text of a header. */
const COUNTER_MARK = "ffffffff";
const SERIALIZE_BINARY = 1;
/** Offsets in a header in RocketMQ's own encoding. */
export const OPAQUE_AT = 5;
export const EXT_LENGTH_AT = 17;

export type HeaderEncoding = "rocketmq" | "json";

/** A request frame that is sent many times: only its opaque, and the counter in its message id, change. */
export interface FrameTemplate {
  bytes: Buffer;
  opaqueAt: number;
  /** Offset of eight hex digits that count; -1 where there are none. */
  counterAt: number;
  encoding: HeaderEncoding;
  /** Where every copy is signed, when its numbers are written. */
  signing?: FrameSigning | undefined;
}

/**
 * Frame of a request with a given header encoding [RemotingCommand#encode, RocketMQSerializable]. With credentials, `marks` are the
 * texts in the fields' values that are written over in every copy.
 */
export function frameTemplate(
  code: number,
  values: Readonly<Record<string, string>>,
  body: Uint8Array,
  encoding: HeaderEncoding,
  credentials?: Credentials | undefined,
  marks: readonly string[] = [COUNTER_MARK],
): FrameTemplate {
  const fields = credentials === undefined ? values : fieldsToSign(values, credentials);
  const header = encoding === "json" ? jsonHeader(code, fields) : binaryHeader(code, fields);
  const bytes = Buffer.alloc(FRAME_PREFIX_BYTES + header.length + body.length);
  bytes.writeInt32BE(bytes.length - 4, 0);
  bytes.writeInt32BE(header.length, 4);
  if (encoding === "rocketmq") bytes[4] = SERIALIZE_BINARY;
  header.copy(bytes, FRAME_PREFIX_BYTES);
  bytes.set(body, FRAME_PREFIX_BYTES + header.length);
  const opaqueAt =
    encoding === "json"
      ? bytes.indexOf('"opaque":', FRAME_PREFIX_BYTES) + '"opaque":'.length
      : FRAME_PREFIX_BYTES + OPAQUE_AT;
  const signing = credentials && frameSigning(bytes, fields, body.length, credentials, marks);
  return { bytes, opaqueAt, counterAt: bytes.indexOf(COUNTER_MARK), encoding, signing };
}

function jsonHeader(code: number, extFields: Readonly<Record<string, string>>): Buffer {
  const header = {
    code,
    extFields,
    flag: 0,
    language: "JAVA",
    opaque: OPAQUE_BASE,
    serializeTypeCurrentRPC: "JSON",
    version: VERSION_5_3_3,
  };
  return Buffer.from(JSON.stringify(header));
}

function binaryHeader(code: number, fields: Readonly<Record<string, string>>): Buffer {
  const ext = Object.entries(fields).flatMap(([name, value]) => {
    const key = Buffer.from(name);
    const text = Buffer.from(value);
    const lengths = [Buffer.alloc(2), Buffer.alloc(4)] as const;
    lengths[0].writeInt16BE(key.length);
    lengths[1].writeInt32BE(text.length);
    return [lengths[0], key, lengths[1], text];
  });
  const extBytes = Buffer.concat(ext);
  // code 2, language 1 (0 is JAVA), version 2, opaque 4, flag 4, remark length 4, ext length 4.
  const fixed = Buffer.alloc(21);
  fixed.writeInt16BE(code, 0);
  fixed.writeInt16BE(VERSION_5_3_3, 3);
  fixed.writeInt32BE(OPAQUE_BASE, OPAQUE_AT);
  fixed.writeInt32BE(extBytes.length, EXT_LENGTH_AT);
  return Buffer.concat([fixed, extBytes]);
}

/** What a producer writes into the properties of every message; the id's last digits are counted up while sending. */
function sendProperties(run: string): string {
  const uniqKey = `${run.padEnd(UNIQ_KEY_HEX - COUNTER_HEX, "0").slice(0, UNIQ_KEY_HEX - COUNTER_HEX)}${COUNTER_MARK}`;
  return `UNIQ_KEY\u0001${uniqKey}\u0002WAIT\u0001true`;
}

function sendFields(topic: string, queueId: number, properties: string, batch: boolean): Record<string, string> {
  return {
    a: "mq-bench",
    b: topic,
    c: "TBW102",
    d: "8",
    e: String(queueId),
    f: "0",
    g: String(Date.now()),
    h: "0",
    i: properties,
    j: "0",
    k: "false",
    l: "0",
    m: String(batch),
    n: "broker-a",
  };
}

/** SEND_MESSAGE_V2 with one message of `bodyBytes`. `run` is the beginning of its ids: 24 hex digits. */
export function sendTemplate(
  topic: string,
  queueId: number,
  bodyBytes: number,
  encoding: HeaderEncoding,
  run: string,
  credentials?: Credentials | undefined,
) {
  const fields = sendFields(topic, queueId, sendProperties(run), false);
  return frameTemplate(RequestCode.SEND_MESSAGE_V2, fields, bodyOf(bodyBytes), encoding, credentials);
}

/** SEND_BATCH_MESSAGE: each message as size, magic 0, CRC 0, flag, body, properties [MessageDecoder#encodeMessage]. */
export function batchTemplate(
  topic: string,
  queueId: number,
  bodyBytes: number,
  batch: number,
  encoding: HeaderEncoding,
  run: string,
  credentials?: Credentials | undefined,
) {
  const body = bodyOf(bodyBytes);
  const messages = Array.from({ length: batch }, (_, i) => {
    const uniqKey = `${run.slice(0, 16).padEnd(16, "0")}${i.toString(16).padStart(16, "0")}`;
    const properties = Buffer.from(`UNIQ_KEY\u0001${uniqKey}\u0002WAIT\u0001true`);
    const message = Buffer.alloc(20 + body.length + 2 + properties.length);
    message.writeInt32BE(message.length, 0);
    message.writeInt32BE(body.length, 16);
    body.copy(message, 20);
    message.writeInt16BE(properties.length, 20 + body.length);
    properties.copy(message, 22 + body.length);
    return message;
  });
  const fields = sendFields(topic, queueId, sendProperties(run), true);
  return frameTemplate(RequestCode.SEND_BATCH_MESSAGE, fields, Buffer.concat(messages), encoding, credentials);
}

/** A request that is sent once, signed where there are credentials. */
export function requestFrame(
  code: number,
  fields: Readonly<Record<string, string>>,
  credentials: Credentials | undefined,
  body?: Buffer,
): Buffer {
  const signed = credentials === undefined ? fields : signFields(credentials, fields, body);
  return frameTemplate(code, signed, body ?? Buffer.alloc(0), "rocketmq").bytes;
}

/** Printable bytes that do not compress to nothing and are the same every time. */
function bodyOf(bytes: number): Buffer {
  const body = Buffer.alloc(bytes);
  let state = 0x2545f491;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    body[i] = 0x30 + ((state >>> 24) % 75);
  }
  return body;
}

const HEX = Buffer.from("0123456789ABCDEF");

/** Copies the template to `out` at `at` with this opaque and counter; returns the end. */
export function writeFrame(template: FrameTemplate, out: Buffer, at: number, opaque: number, counter: number): number {
  const { bytes, opaqueAt, counterAt, encoding } = template;
  bytes.copy(out, at);
  const where = at + opaqueAt;
  if (encoding === "rocketmq") {
    out[where] = opaque >>> 24;
    out[where + 1] = opaque >>> 16;
    out[where + 2] = opaque >>> 8;
    out[where + 3] = opaque;
  } else {
    let rest = opaque;
    for (let i = 9; i >= 0; i--) {
      const next = (rest / 10) | 0;
      out[where + i] = 0x30 + rest - next * 10;
      rest = next;
    }
  }
  if (counterAt >= 0) {
    let rest = counter;
    for (let i = COUNTER_HEX - 1; i >= 0; i--) {
      out[at + counterAt + i] = HEX[rest & 15]!;
      rest >>>= 4;
    }
  }
  return at + bytes.length;
}

import { writeDecimal } from "../../base/bytes.ts";
import { FLAG_RESPONSE, PROTOCOL_VERSION } from "../../remoting/codes.ts";
import type { Connection, SerializeType } from "../../remoting/types.ts";

const LANGUAGE_JAVA = 0;
const DIGITS_MAX = 20;

/** What every answer to a pull says [PullMessageResponseHeader]. */
export interface PullResponse {
  code: number;
  /** Name of the GetMessageStatus: latin letters and underscores only. */
  remark: string;
  suggestWhichBrokerId: number;
  nextBeginOffset: number;
  minOffset: number;
  maxOffset: number;
  topicSysFlag: number;
  groupSysFlag: number;
}

const FIELDS = [
  "groupSysFlag",
  "maxOffset",
  "minOffset",
  "nextBeginOffset",
  "suggestWhichBrokerId",
  "topicSysFlag",
] as const;

const JSON_KEYS = FIELDS.map((name, i) => Buffer.from(`${i === 0 ? "" : '",'}"${name}":"`, "latin1"));
const BINARY_KEYS = FIELDS.map((name) => Buffer.from(`\u0000${String.fromCharCode(name.length)}${name}`, "latin1"));
const JSON_CODE = Buffer.from('{"code":', "latin1");
const JSON_EXT = Buffer.from(',"extFields":{', "latin1");
const JSON_OPAQUE = Buffer.from('"},"flag":1,"language":"JAVA","opaque":', "latin1");
const JSON_REMARK = Buffer.from(',"remark":"', "latin1");
const JSON_TAIL = Buffer.from(`","serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`, "latin1");
const FIXED_BYTES = 512;

/** Writes the frame's head for a body of `bodyBytes` that follows; the body is the caller's. */
export function writePullHeader(
  connection: Connection,
  serializeType: SerializeType,
  opaque: number,
  response: PullResponse,
  bodyBytes: number,
): void {
  const start = connection.reserve(FIXED_BYTES + (FIELDS.length + 2) * DIGITS_MAX);
  const out = connection.out;
  const end =
    serializeType === 0 ? writeJson(out, start + 8, opaque, response) : writeBinary(out, start + 8, opaque, response);
  const headerBytes = end - start - 8;
  writeInt32(out, start, 4 + headerBytes + bodyBytes);
  writeInt32(out, start + 4, headerBytes | (serializeType << 24));
  connection.commit(end - start);
}

function writeJson(out: Buffer, from: number, opaque: number, response: PullResponse): number {
  let at = put(out, from, JSON_CODE);
  at = writeDecimal(out, at, response.code);
  at = put(out, at, JSON_EXT);
  for (let i = 0; i < FIELDS.length; i++) {
    at = put(out, at, JSON_KEYS[i]!);
    at = writeDecimal(out, at, response[FIELDS[i]!]);
  }
  at = put(out, at, JSON_OPAQUE);
  at = writeDecimal(out, at, opaque);
  at = put(out, at, JSON_REMARK);
  at += out.latin1Write(response.remark, at);
  return put(out, at, JSON_TAIL);
}

/** code i16, language u8, version i16, opaque i32, flag i32, remark, extLength i32, entries [RocketMQSerializable]. */
function writeBinary(out: Buffer, from: number, opaque: number, response: PullResponse): number {
  out[from] = response.code >> 8;
  out[from + 1] = response.code;
  out[from + 2] = LANGUAGE_JAVA;
  out[from + 3] = PROTOCOL_VERSION >> 8;
  out[from + 4] = PROTOCOL_VERSION & 0xff;
  writeInt32(out, from + 5, opaque);
  writeInt32(out, from + 9, FLAG_RESPONSE);
  writeInt32(out, from + 13, response.remark.length);
  const extLength = from + 17 + out.latin1Write(response.remark, from + 17);
  let at = extLength + 4;
  for (let i = 0; i < FIELDS.length; i++) {
    at = put(out, at, BINARY_KEYS[i]!);
    const end = writeDecimal(out, at + 4, response[FIELDS[i]!]);
    writeInt32(out, at, end - at - 4);
    at = end;
  }
  writeInt32(out, extLength, at - extLength - 4);
  return at;
}

function put(out: Buffer, at: number, part: Buffer): number {
  part.copy(out, at);
  return at + part.length;
}

function writeInt32(out: Buffer, at: number, value: number): void {
  out[at] = value >> 24;
  out[at + 1] = value >> 16;
  out[at + 2] = value >> 8;
  out[at + 3] = value;
}

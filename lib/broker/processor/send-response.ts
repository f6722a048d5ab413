import { writeDecimal } from "../../base/bytes.ts";
import { writeOffsetMsgId } from "../../message/message-id.ts";
import { FLAG_RESPONSE, PROTOCOL_VERSION } from "../../remoting/codes.ts";
import type { Connection, SerializeType } from "../../remoting/types.ts";

const LANGUAGE_JAVA = 0;
/** Decimal digits of the longest number written. */
const DIGITS_MAX = 20;

/** What a success answer to a send says beside the broker's constants. */
export interface SendResponse {
  code: number;
  physicalOffset: number;
  queueId: number;
  queueOffset: number;
  /** UNIQ_KEY of the message in `uniqKey[0,uniqKeyLength)`: the response's transactionId. */
  uniqKey: Buffer;
  uniqKeyLength: number;
}

/**
 * Success answers of the send path in both header encodings, written from byte templates into the connection's output
 * [SendMessageResponseHeader, MSG_REGION, TRACE_ON].
 */
export class SendResponseWriter {
  private readonly jsonParts: readonly Buffer[];
  private readonly binaryHead: Buffer;
  private readonly fixedBytes: number;

  /** `storeHost` is the first part of every offsetMsgId: address and port as records carry them. */
  constructor(
    regionId: string,
    traceOn: boolean,
    private readonly storeHost: Buffer,
  ) {
    const region = JSON.stringify(regionId);
    this.jsonParts = [
      '{"code":',
      `,"extFields":{"MSG_REGION":${region},"TRACE_ON":"${traceOn}","msgId":"`,
      '","queueId":"',
      '","queueOffset":"',
      '","transactionId":"',
      '"},"flag":1,"language":"JAVA","opaque":',
      `,"serializeTypeCurrentRPC":"JSON","version":${PROTOCOL_VERSION}}`,
    ].map((part) => Buffer.from(part, "utf8"));
    this.binaryHead = Buffer.concat([
      entry("MSG_REGION", regionId),
      entry("TRACE_ON", String(traceOn)),
      key("msgId"),
      int32((storeHost.length + 8) * 2),
    ]);
    this.fixedBytes =
      256 +
      Math.max(
        this.jsonParts.reduce((sum, part) => sum + part.length, 0),
        this.binaryHead.length,
      );
  }

  write(connection: Connection, serializeType: SerializeType, opaque: number, response: SendResponse): void {
    const start = connection.reserve(this.fixedBytes + 3 * DIGITS_MAX + response.uniqKeyLength);
    const out = connection.out;
    const end =
      serializeType === 0
        ? this.writeJson(out, start + 8, opaque, response)
        : this.writeBinary(out, start + 8, opaque, response);
    const headerBytes = end - start - 8;
    writeInt32(out, start, headerBytes + 4);
    writeInt32(out, start + 4, headerBytes | (serializeType << 24));
    connection.commit(end - start);
  }

  private writeJson(out: Buffer, from: number, opaque: number, response: SendResponse): number {
    const parts = this.jsonParts;
    let at = put(out, from, parts[0]!);
    at = writeDecimal(out, at, response.code);
    at = put(out, at, parts[1]!);
    at = writeOffsetMsgId(out, at, this.storeHost, response.physicalOffset);
    at = put(out, at, parts[2]!);
    at = writeDecimal(out, at, response.queueId);
    at = put(out, at, parts[3]!);
    at = writeDecimal(out, at, response.queueOffset);
    if (response.uniqKeyLength > 0) {
      at = put(out, at, parts[4]!);
      at += response.uniqKey.copy(out, at, 0, response.uniqKeyLength);
    }
    at = put(out, at, parts[5]!);
    at = writeDecimal(out, at, opaque);
    return put(out, at, parts[6]!);
  }

  /** code i16, language u8, version i16, opaque i32, flag i32, remarkLength i32, extLength i32, entries [RocketMQSerializable]. */
  private writeBinary(out: Buffer, from: number, opaque: number, response: SendResponse): number {
    out[from] = response.code >> 8;
    out[from + 1] = response.code;
    out[from + 2] = LANGUAGE_JAVA;
    out[from + 3] = PROTOCOL_VERSION >> 8;
    out[from + 4] = PROTOCOL_VERSION & 0xff;
    writeInt32(out, from + 5, opaque);
    writeInt32(out, from + 9, FLAG_RESPONSE);
    writeInt32(out, from + 13, 0);
    const ext = from + 21;
    let at = put(out, ext, this.binaryHead);
    at = writeOffsetMsgId(out, at, this.storeHost, response.physicalOffset);
    at = putNumber(out, at, QUEUE_ID_KEY, response.queueId);
    at = putNumber(out, at, QUEUE_OFFSET_KEY, response.queueOffset);
    if (response.uniqKeyLength > 0) {
      at = put(out, at, TRANSACTION_ID_KEY);
      writeInt32(out, at, response.uniqKeyLength);
      at += 4 + response.uniqKey.copy(out, at + 4, 0, response.uniqKeyLength);
    }
    writeInt32(out, from + 17, at - ext);
    return at;
  }
}

/** Whether bytes stand in a JSON string as they are. */
export function isPlainJson(buffer: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!;
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
}

const QUEUE_ID_KEY = key("queueId");
const QUEUE_OFFSET_KEY = key("queueOffset");
const TRANSACTION_ID_KEY = key("transactionId");

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

/** A key of the binary header: length u16, text. */
function key(name: string): Buffer {
  const bytes = Buffer.alloc(2 + name.length);
  bytes.writeUInt16BE(name.length);
  bytes.write(name, 2, "latin1");
  return bytes;
}

function entry(name: string, value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([key(name), int32(bytes.length), bytes]);
}

function put(out: Buffer, at: number, part: Buffer): number {
  part.copy(out, at);
  return at + part.length;
}

function putNumber(out: Buffer, from: number, name: Buffer, value: number): number {
  const at = put(out, from, name);
  const end = writeDecimal(out, at + 4, value);
  writeInt32(out, at, end - at - 4);
  return end;
}

function writeInt32(out: Buffer, at: number, value: number): void {
  out[at] = value >> 24;
  out[at + 1] = value >> 16;
  out[at + 2] = value >> 8;
  out[at + 3] = value;
}

import { crc32 } from "../base/crc32.ts";
import {
  BODY_CRC_AT,
  BORN_HOST_AT,
  BORN_TIMESTAMP_AT,
  CRC32_RESERVED_BYTES,
  FLAG_AT,
  HOST_V4_BYTES,
  HOST_V6_BYTES,
  MAGIC_AT,
  MAGIC_BLANK,
  MAGIC_V1,
  MAGIC_V2,
  PHYSICAL_OFFSET_AT,
  QUEUE_ID_AT,
  QUEUE_OFFSET_AT,
  RECORD_BYTES_MIN,
  STORE_TIMESTAMP_AT,
  SYS_FLAG_AT,
} from "./layout.ts";
import { readLong } from "./long.ts";
import { propertiesToMap } from "./properties.ts";
import { BORNHOST_V6_FLAG, STOREHOST_V6_FLAG } from "./sys-flag.ts";

/** Longer than any plausible value: an offset or time beyond it is not one. */
const LONG_MAX = Number.MAX_SAFE_INTEGER;

/** storeTimestamp stands behind the born host, whose length sysFlag tells. */
export function recordStoreTimestamp(buffer: Buffer, at: number): number {
  const v6 = (buffer.readInt32BE(at + SYS_FLAG_AT) & BORNHOST_V6_FLAG) !== 0;
  return readLong(buffer, at + STORE_TIMESTAMP_AT + (v6 ? HOST_V6_BYTES - HOST_V4_BYTES : 0));
}

/** What `RecordView.read` found. */
export type RecordState =
  /** A whole, plausible record. */
  | "record"
  /** The end-of-file blank: go on in the next file. */
  | "blank"
  /** Nothing of ours: the end of the log. */
  | "illegal";

/**
 * The fields of one stored record as numbers and ranges: one reused object per reader, no allocation. Every length is checked
 * against the record and the record against the range before it is believed [CommitLog#checkMessageAndReturnSize].
 */
export class RecordView {
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  size = 0;
  magic = 0;
  bodyCRC = 0;
  queueId = 0;
  flag = 0;
  queueOffset = 0;
  physicalOffset = 0;
  sysFlag = 0;
  bornTimestamp = 0;
  bornHostStart = 0;
  bornHostEnd = 0;
  storeTimestamp = 0;
  storeHostStart = 0;
  storeHostEnd = 0;
  reconsumeTimes = 0;
  preparedTransactionOffset = 0;
  bodyStart = 0;
  bodyEnd = 0;
  topicStart = 0;
  topicEnd = 0;
  propertiesStart = 0;
  propertiesEnd = 0;
  /** Why the last `read` answered illegal. */
  reason = "";

  /**
   * Reads the record at `start`; the bytes up to `end` may be looked at. `physicalOffset` is where it must say it stands; -1
   * accepts any. The body's CRC is not looked at: see `bodyIntact`.
   */
  read(buffer: Buffer, start: number, end: number, physicalOffset: number): RecordState {
    if (end - start < 8) return this.illegal(`${end - start} bytes left, wanted 8 at least`);
    const size = buffer.readInt32BE(start);
    const magic = buffer.readInt32BE(start + MAGIC_AT);
    if (magic === MAGIC_BLANK) return "blank";
    if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return this.illegal(`magic 0x${(magic >>> 0).toString(16)}`);
    if (size < RECORD_BYTES_MIN || size > end - start) {
      return this.illegal(`size ${size}, wanted ${RECORD_BYTES_MIN} to ${end - start}`);
    }
    this.buffer = buffer;
    this.start = start;
    this.size = size;
    this.magic = magic;
    this.readHead(buffer, start);
    if (physicalOffset >= 0 && this.physicalOffset !== physicalOffset) {
      return this.illegal(`physical offset ${this.physicalOffset}, wanted ${physicalOffset}`);
    }
    if (!(this.queueOffset >= 0 && this.queueOffset <= LONG_MAX))
      return this.illegal(`queue offset ${this.queueOffset}`);
    return this.readVariable(buffer, start + size);
  }

  private readHead(buffer: Buffer, start: number): void {
    this.bodyCRC = buffer.readInt32BE(start + BODY_CRC_AT);
    this.queueId = buffer.readInt32BE(start + QUEUE_ID_AT);
    this.flag = buffer.readInt32BE(start + FLAG_AT);
    this.queueOffset = readLong(buffer, start + QUEUE_OFFSET_AT);
    this.physicalOffset = readLong(buffer, start + PHYSICAL_OFFSET_AT);
    this.sysFlag = buffer.readInt32BE(start + SYS_FLAG_AT);
    this.bornTimestamp = readLong(buffer, start + BORN_TIMESTAMP_AT);
  }

  private readVariable(buffer: Buffer, end: number): RecordState {
    // Behind the least record with IPv4 hosts 24 bytes more may be read with IPv6 ones: still inside `end` or illegal.
    let at = this.start + BORN_HOST_AT;
    this.bornHostStart = at;
    at += (this.sysFlag & BORNHOST_V6_FLAG) === 0 ? HOST_V4_BYTES : HOST_V6_BYTES;
    this.bornHostEnd = at;
    this.storeHostStart = at + 8;
    const storeHostEnd = at + 8 + ((this.sysFlag & STOREHOST_V6_FLAG) === 0 ? HOST_V4_BYTES : HOST_V6_BYTES);
    this.storeHostEnd = storeHostEnd;
    const bodyAt = storeHostEnd + 16;
    if (bodyAt + 3 > end) return this.illegal(`size ${this.size} is too small for its hosts`);
    this.storeTimestamp = readLong(buffer, at);
    this.reconsumeTimes = buffer.readInt32BE(storeHostEnd);
    this.preparedTransactionOffset = readLong(buffer, storeHostEnd + 4);
    const bodyLength = buffer.readInt32BE(storeHostEnd + 12);
    const topicBytes = this.magic === MAGIC_V2 ? 2 : 1;
    if (bodyLength < 0 || bodyAt + bodyLength + topicBytes + 2 > end) return this.illegal(`body length ${bodyLength}`);
    this.bodyStart = bodyAt;
    this.bodyEnd = at = bodyAt + bodyLength;
    const topicLength = topicBytes === 2 ? buffer.readInt16BE(at) : buffer.readInt8(at);
    at += topicBytes;
    if (topicLength < 0 || at + topicLength + 2 > end) return this.illegal(`topic length ${topicLength}`);
    this.topicStart = at;
    this.topicEnd = at += topicLength;
    const propertiesLength = buffer.readInt16BE(at);
    this.propertiesStart = at + 2;
    this.propertiesEnd = at + 2 + propertiesLength;
    if (propertiesLength < 0 || this.propertiesEnd !== end) {
      return this.illegal(`properties length ${propertiesLength} does not end the record of ${this.size} bytes`);
    }
    return "record";
  }

  private illegal(reason: string): "illegal" {
    this.reason = reason;
    return "illegal";
  }

  /** Whether the body is the one whose CRC the record carries; an empty body has none. */
  get bodyIntact(): boolean {
    return this.bodyEnd === this.bodyStart || crc32(this.buffer, this.bodyStart, this.bodyEnd) === this.bodyCRC;
  }

  /** Whether the record ends with its `__CRC32#` property and that is right (`forceVerifyPropCRC`). */
  get propertyCrcIntact(): boolean {
    const at = this.start + this.size - CRC32_RESERVED_BYTES;
    if (this.propertiesEnd - this.propertiesStart < CRC32_RESERVED_BYTES) return false;
    if (this.buffer.toString("latin1", at, at + 9) !== "__CRC32#\u0001") return false;
    let expected = 0;
    for (let i = 18; i >= 9; i--) expected = expected * 10 + (this.buffer[at + i]! - 0x30);
    return crc32(this.buffer, this.start, at) === expected;
  }

  /**
   * Whether topic or properties end in a zero byte: the body's CRC does not cover them, and a record whose last page was never
   * written looks like that. No client writes such a topic or property.
   */
  get tornTail(): boolean {
    const { buffer, topicStart, topicEnd, propertiesStart, propertiesEnd } = this;
    if (topicEnd > topicStart && buffer[topicEnd - 1] === 0) return true;
    return propertiesEnd > propertiesStart && buffer[propertiesEnd - 1] === 0;
  }

  get topic(): string {
    return this.buffer.toString("utf8", this.topicStart, this.topicEnd);
  }
}

/** A stored message as clients and queries see it [MessageExt]. */
export interface MessageExt {
  topic: string;
  queueId: number;
  flag: number;
  sysFlag: number;
  bornTimestamp: number;
  /** `ip:port` */
  bornHost: string;
  storeTimestamp: number;
  storeHost: string;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  /** As stored: still compressed where sysFlag says so. */
  body: Buffer;
  properties: Record<string, string>;
  queueOffset: number;
  physicalOffset: number;
  bodyCRC: number;
  /** Bytes of the whole record. */
  size: number;
}

const view = new RecordView();

/**
 * The message of the record at `start`; undefined when there is no whole valid record or its body's CRC is wrong. The body is a
 * view of `buffer`: copy it when `buffer` is a mapping.
 */
export function decodeRecord(buffer: Buffer, start = 0, end = buffer.length): MessageExt | undefined {
  if (view.read(buffer, start, end, -1) !== "record" || !view.bodyIntact) return undefined;
  return {
    topic: view.topic,
    queueId: view.queueId,
    flag: view.flag,
    sysFlag: view.sysFlag,
    bornTimestamp: view.bornTimestamp,
    bornHost: hostText(buffer, view.bornHostStart, view.bornHostEnd),
    storeTimestamp: view.storeTimestamp,
    storeHost: hostText(buffer, view.storeHostStart, view.storeHostEnd),
    reconsumeTimes: view.reconsumeTimes,
    preparedTransactionOffset: view.preparedTransactionOffset,
    body: buffer.subarray(view.bodyStart, view.bodyEnd),
    properties: propertiesToMap(buffer, view.propertiesStart, view.propertiesEnd),
    queueOffset: view.queueOffset,
    physicalOffset: view.physicalOffset,
    bodyCRC: view.bodyCRC,
    size: view.size,
  };
}

/** All records of a pull response's body; stops at the first that is not whole. */
export function decodeRecords(buffer: Buffer, start = 0, end = buffer.length): MessageExt[] {
  const messages: MessageExt[] = [];
  let at = start;
  while (at < end) {
    const message = decodeRecord(buffer, at, end);
    if (message === undefined) break;
    messages.push(message);
    at += message.size;
  }
  return messages;
}

/** `ip:port` of a host as it stands in a record (8 or 20 bytes). */
export function hostText(buffer: Buffer, start: number, end: number): string {
  const port = buffer.readInt32BE(end - 4);
  if (end - start === HOST_V4_BYTES) {
    return `${buffer[start]}.${buffer[start + 1]}.${buffer[start + 2]}.${buffer[start + 3]}:${port}`;
  }
  const groups: string[] = [];
  for (let at = start; at < end - 4; at += 2) groups.push(buffer.readUInt16BE(at).toString(16));
  return `[${groups.join(":")}]:${port}`;
}

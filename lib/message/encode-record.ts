import { assert } from "../base/assert.ts";
import { writeLong } from "../base/bytes.ts";
import { crc32 } from "../base/crc32.ts";
import {
  BODY_CRC_AT,
  BORN_HOST_AT,
  BORN_TIMESTAMP_AT,
  CRC32_RESERVED_BYTES,
  FLAG_AT,
  HOST_V6_BYTES,
  MAGIC_AT,
  MAGIC_V1,
  MAGIC_V2,
  PHYSICAL_OFFSET_AT,
  QUEUE_ID_AT,
  QUEUE_OFFSET_AT,
  SYS_FLAG_AT,
} from "./layout.ts";
import type { MessageInner } from "./message-inner.ts";
import { PROPERTY_SEPARATOR } from "./properties.ts";
import { BORNHOST_V6_FLAG, STOREHOST_V6_FLAG } from "./sys-flag.ts";

const CRC_NAME = Buffer.from("__CRC32#\u0001", "latin1");

/** What the commit log decides about a record; one reused object. */
export interface RecordPlace {
  /** Size of the whole record, as `recordBytes` computed it from the same message. */
  size: number;
  v2: boolean;
  queueOffset: number;
  physicalOffset: number;
  storeTimestamp: number;
  /** Length of the properties with separator and CRC. */
  propertiesBytes: number;
  /** Appends the record's own CRC as the last property (`enabledAppendPropCRC`). */
  propertyCrc: boolean;
}

/** sysFlag as stored: the V6 bits follow the hosts. */
export function storedSysFlag(message: MessageInner): number {
  let sysFlag = message.sysFlag & ~(BORNHOST_V6_FLAG | STOREHOST_V6_FLAG);
  if (message.bornHost.length === HOST_V6_BYTES) sysFlag |= BORNHOST_V6_FLAG;
  if (message.storeHost.length === HOST_V6_BYTES) sysFlag |= STOREHOST_V6_FLAG;
  return sysFlag;
}

/** Length of the properties as stored: a separator is put between the message's and what follows where it is missing. */
export function storedPropertiesBytes(message: MessageInner, propertyCrc: boolean): number {
  const own = message.propertiesEnd - message.propertiesStart;
  const suffix = message.propertiesSuffix.length;
  const more = suffix > 0 || propertyCrc;
  return own + (more && needsSeparator(message) ? 1 : 0) + suffix + (propertyCrc ? CRC32_RESERVED_BYTES : 0);
}

function needsSeparator(message: MessageInner): boolean {
  const end = message.propertiesEnd;
  return end > message.propertiesStart && message.properties[end - 1] !== PROPERTY_SEPARATOR;
}

/**
 * Writes the record at `at` of a mapping: the only copy of the body. `buffer` and `view` are the same bytes. The body's CRC is
 * computed from the source, the size is written last, so that a reader never sees a size before its record.
 */
export function encodeRecord(
  buffer: Buffer,
  view: DataView,
  at: number,
  message: MessageInner,
  topic: Buffer,
  place: RecordPlace,
): void {
  const bodyBytes = message.bodyEnd - message.bodyStart;
  view.setInt32(at + MAGIC_AT, place.v2 ? MAGIC_V2 : MAGIC_V1);
  view.setInt32(at + BODY_CRC_AT, bodyBytes === 0 ? 0 : crc32(message.body, message.bodyStart, message.bodyEnd));
  // `| 0`: an integer that comes as a double makes the compiled code give up at each call.
  view.setInt32(at + QUEUE_ID_AT, message.queueId | 0);
  view.setInt32(at + FLAG_AT, message.flag | 0);
  writeLong(view, at + QUEUE_OFFSET_AT, place.queueOffset);
  writeLong(view, at + PHYSICAL_OFFSET_AT, place.physicalOffset);
  view.setInt32(at + SYS_FLAG_AT, storedSysFlag(message));
  writeLong(view, at + BORN_TIMESTAMP_AT, message.bornTimestamp);
  let next = at + BORN_HOST_AT;
  next = copy(buffer, next, message.bornHost);
  writeLong(view, next, place.storeTimestamp);
  next = copy(buffer, next + 8, message.storeHost);
  view.setInt32(next, message.reconsumeTimes | 0);
  writeLong(view, next + 4, message.preparedTransactionOffset);
  view.setInt32(next + 12, bodyBytes);
  next += 16;
  if (bodyBytes > 0) message.body.copy(buffer, next, message.bodyStart, message.bodyEnd);
  next += bodyBytes;
  if (place.v2) {
    view.setInt16(next, topic.length);
    next += 2;
  } else {
    buffer[next++] = topic.length;
  }
  next = copy(buffer, next, topic);
  view.setInt16(next, place.propertiesBytes);
  next = encodeProperties(buffer, next + 2, message, place);
  view.setInt32(at, place.size);
  if (place.propertyCrc) writePropertyCrc(buffer, at, next);
  assert(
    next - at + (place.propertyCrc ? CRC32_RESERVED_BYTES : 0) === place.size,
    "record size equals what was written",
  );
}

function encodeProperties(buffer: Buffer, at: number, message: MessageInner, place: RecordPlace): number {
  let next = at;
  if (message.propertiesEnd > message.propertiesStart) {
    message.properties.copy(buffer, next, message.propertiesStart, message.propertiesEnd);
    next += message.propertiesEnd - message.propertiesStart;
  }
  const suffix = message.propertiesSuffix;
  if ((suffix.length > 0 || place.propertyCrc) && needsSeparator(message)) buffer[next++] = PROPERTY_SEPARATOR;
  return suffix.length > 0 ? copy(buffer, next, suffix) : next;
}

/** Up to this many bytes a loop is faster than a native copy (16 ns). */
const LOOP_BYTES_MAX = 16;

function copy(target: Buffer, at: number, source: Buffer): number {
  const { length } = source;
  if (length > LOOP_BYTES_MAX) return at + source.copy(target, at);
  for (let i = 0; i < length; i++) target[at + i] = source[i]!;
  return at + length;
}

/** The record's CRC up to `at` as the last property: ten digits, the least significant first [MessageDecoder#createCrc32]. */
function writePropertyCrc(buffer: Buffer, recordStart: number, at: number): void {
  let rest = crc32(buffer, recordStart, at);
  let next = copy(buffer, at, CRC_NAME);
  for (let i = 0; i < 10; i++) {
    buffer[next++] = 0x30 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  buffer[next] = PROPERTY_SEPARATOR;
}

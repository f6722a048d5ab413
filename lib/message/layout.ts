/**
 * The commit-log record, the same bytes on disk and in a pull response [MessageDecoder, MessageExtEncoder]. Big-endian.
 *
 *   0 totalSize i32      20 queueOffset i64     48 bornHost 8 | 20      ..  preparedTransactionOffset i64
 *   4 magic i32          28 physicalOffset i64  ..  storeTimestamp i64  ..  bodyLength i32, body
 *   8 bodyCRC i32        36 sysFlag i32         ..  storeHost 8 | 20    ..  topicLength i8 (V1) | i16 (V2), topic
 *  12 queueId i32        40 bornTimestamp i64   ..  reconsumeTimes i32  ..  propertiesLength i16, properties
 *  16 flag i32
 *
 * A host is its address (4 or 16 bytes, sysFlag says which) and the port as i32.
 */
const HEAD = [
  ["totalSize", 4],
  ["magic", 4],
  ["bodyCRC", 4],
  ["queueId", 4],
  ["flag", 4],
  ["queueOffset", 8],
  ["physicalOffset", 8],
  ["sysFlag", 4],
  ["bornTimestamp", 8],
  ["bornHost", 8],
  ["storeTimestamp", 8],
  ["storeHost", 8],
  ["reconsumeTimes", 4],
  ["preparedTransactionOffset", 8],
  ["bodyLength", 4],
] as const;

type Field = (typeof HEAD)[number][0];

function offsets(): Record<Field, number> {
  const result: Partial<Record<Field, number>> = {};
  let at = 0;
  for (const [name, size] of HEAD) {
    result[name] = at;
    at += size;
  }
  return result as Record<Field, number>;
}

/** Offsets of the fields while both hosts are IPv4. */
export const RECORD = offsets();

export const TOTAL_SIZE_AT = RECORD.totalSize;
export const MAGIC_AT = RECORD.magic;
export const BODY_CRC_AT = RECORD.bodyCRC;
export const QUEUE_ID_AT = RECORD.queueId;
export const FLAG_AT = RECORD.flag;
export const QUEUE_OFFSET_AT = RECORD.queueOffset;
export const PHYSICAL_OFFSET_AT = RECORD.physicalOffset;
export const SYS_FLAG_AT = RECORD.sysFlag;
export const BORN_TIMESTAMP_AT = RECORD.bornTimestamp;
export const BORN_HOST_AT = RECORD.bornHost;
/** Twelve more when the born host is IPv6. */
export const STORE_TIMESTAMP_AT = RECORD.storeTimestamp;

/** A host of 4 address bytes, and of 16. */
export const HOST_V4_BYTES = 8;
export const HOST_V6_BYTES = 20;

/** Up to and with bodyLength, both hosts IPv4. */
export const HEAD_BYTES = HEAD.reduce((sum, [, size]) => sum + size, 0);

/** Smallest record: V1, IPv4 hosts, nothing in body, topic and properties. */
export const RECORD_BYTES_MIN = HEAD_BYTES + 1 + 2;

/** MESSAGE_MAGIC_CODE: topic length in one byte. */
export const MAGIC_V1 = -626843481;
/** MESSAGE_MAGIC_CODE_V2: topic length in two bytes. */
export const MAGIC_V2 = -626843477;
/** BLANK_MAGIC_CODE: the rest of the file is unused. */
export const MAGIC_BLANK = -875286124;

/** Kept free behind every record so that the end-of-file blank (size, magic) always fits. */
export const BLANK_BYTES = 8;

/** Longest topic (in bytes) that a V1 record can hold. */
export const TOPIC_BYTES_MAX_V1 = 127;
/** A topic is a directory's name too; RocketMQ allows no longer ones either [TopicValidator]. */
export const TOPIC_BYTES_MAX = 255;
export const PROPERTIES_BYTES_MAX = 32767;
/** What a record may be larger than its largest body. */
export const RECORD_OVERHEAD_MAX = 64 * 1024;

/** `__CRC32#` 0x01 ten digits 0x02 at the end of the properties [CommitLog#CRC32_RESERVED_LEN]. */
export const CRC32_RESERVED_BYTES = 20;

/** Whether a topic may become a directory's name: a record from elsewhere must not write outside the store. */
export function isTopicPathSafe(topic: string): boolean {
  return topic !== "" && !topic.startsWith(".") && !topic.includes("/") && !topic.includes("\0");
}

/** Size of a record [MessageExtEncoder#calMsgLength]. */
export function recordBytes(
  v2: boolean,
  hostBytes: number,
  bodyBytes: number,
  topicBytes: number,
  propertiesBytes: number,
): number {
  return HEAD_BYTES - 2 * HOST_V4_BYTES + hostBytes + bodyBytes + (v2 ? 2 : 1) + topicBytes + 2 + propertiesBytes;
}

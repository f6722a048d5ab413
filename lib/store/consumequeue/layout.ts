/**
 * The consume-queue entry, big-endian [ConsumeQueue]. Entry k of a queue stands at byte k * 20 of its files.
 *
 *   0 physicalOffset i64
 *   8 size i32
 *  12 tagsCode i64
 */
const FIELDS = [
  ["physicalOffset", 8],
  ["size", 4],
  ["tagsCode", 8],
] as const;

function offsetOf(field: (typeof FIELDS)[number][0]): number {
  let at = 0;
  for (const [name, bytes] of FIELDS) {
    if (name === field) return at;
    at += bytes;
  }
  return at;
}

export const PHYSICAL_OFFSET_AT = offsetOf("physicalOffset");
export const SIZE_AT = offsetOf("size");
export const TAGS_CODE_AT = offsetOf("tagsCode");
export const CQ_UNIT_BYTES = FIELDS.reduce((sum, [, bytes]) => sum + bytes, 0);

/** Size of the entries that fill a queue up to its first real one [ConsumeQueue#fillPreBlank]; their physical offset is 0. */
export const PRE_BLANK_SIZE = 0x7fffffff;

/** A tagsCode up to this is an address in the queue's extension, not a hash [ConsumeQueueExt#MAX_ADDR]. */
export const EXT_ADDRESS_MAX = -2147483649;

/** Bytes of one file: the configured size rounded up to whole entries [MessageStoreConfig#getMappedFileSizeConsumeQueue]. */
export function queueFileBytes(mappedFileSizeConsumeQueue: number): number {
  return Math.ceil(mappedFileSizeConsumeQueue / CQ_UNIT_BYTES) * CQ_UNIT_BYTES;
}

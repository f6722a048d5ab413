/**
 * The index file, big-endian [IndexFile, IndexHeader]: header, hash slots, entries.
 *
 *   0 beginTimestamp i64     8 endTimestamp i64     16 beginPhyOffset i64     24 endPhyOffset i64
 *  32 hashSlotCount i32     36 indexCount i32       (next entry number: 1 = empty, entry 0 is never used)
 *  40 slot i32 * slots: number of the newest entry of the slot's chain
 *     entry * entries: keyHash i32, phyOffset i64, seconds since beginTimestamp i32, previous entry of the chain i32
 */
export const BEGIN_TIMESTAMP_AT = 0;
export const END_TIMESTAMP_AT = 8;
export const BEGIN_PHY_OFFSET_AT = 16;
export const END_PHY_OFFSET_AT = 24;
export const HASH_SLOT_COUNT_AT = 32;
export const INDEX_COUNT_AT = 36;
export const HEADER_BYTES = 40;

export const SLOT_BYTES = 4;

export const KEY_HASH_AT = 0;
export const PHY_OFFSET_AT = 4;
export const SECONDS_AT = 12;
export const PREVIOUS_AT = 16;
export const ENTRY_BYTES = 20;

export const SECONDS_MAX = 0x7fffffff;

/** Sizes of one index file; all files of a store have the same. */
export interface IndexGeometry {
  /** maxHashSlotNum */
  readonly slots: number;
  /** maxIndexNum */
  readonly entries: number;
}

/** Byte position of entry `number`. */
export function entryAt(geometry: IndexGeometry, number: number): number {
  return HEADER_BYTES + geometry.slots * SLOT_BYTES + number * ENTRY_BYTES;
}

/** 420,000,040 with RocketMQ's defaults. */
export function indexFileBytes(geometry: IndexGeometry): number {
  return entryAt(geometry, geometry.entries);
}

import { closeSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { readLong } from "../message/long.ts";
import {
  BEGIN_PHY_OFFSET_AT,
  BEGIN_TIMESTAMP_AT,
  END_PHY_OFFSET_AT,
  END_TIMESTAMP_AT,
  ENTRY_BYTES,
  entryAt,
  HASH_SLOT_COUNT_AT,
  HEADER_BYTES,
  INDEX_COUNT_AT,
  type IndexGeometry,
  indexFileBytes,
  KEY_HASH_AT,
  PHY_OFFSET_AT,
  PREVIOUS_AT,
  SECONDS_AT,
  SLOT_BYTES,
} from "./layout.ts";

const CHUNK_BYTES = 50_000 * ENTRY_BYTES;

/**
 * Makes an index file that was not closed in order sound again, without mapping it: entries are believed as long as they
 * number on (offsets in the log do not fall, chains lead back, seconds do not fall below 0) and lie before `dispatchFrom`, from
 * where the log is indexed again; slots and header are made anew from them. Returns the entries kept; with 0 the file is worth
 * nothing. Bounded by the file's size: 0.3 s for a full one in the page cache.
 */
export function repairIndexFile(path: string, geometry: IndexGeometry, dispatchFrom: number): number {
  const fd = openSync(path, "r+");
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(fd, header, 0, HEADER_BYTES, 0);
    const beginTimestamp = readLong(header, BEGIN_TIMESTAMP_AT);
    if (!(beginTimestamp > 0 && beginTimestamp < Number.MAX_SAFE_INTEGER)) return 0;
    const rebuilt = rebuildSlots(fd, geometry, dispatchFrom);
    if (rebuilt.kept === 0) return 0;
    header.writeBigInt64BE(
      BigInt(Math.max(beginTimestamp, beginTimestamp + rebuilt.seconds * 1000 + 999)),
      END_TIMESTAMP_AT,
    );
    header.writeBigInt64BE(BigInt(rebuilt.firstOffset), BEGIN_PHY_OFFSET_AT);
    header.writeBigInt64BE(BigInt(rebuilt.lastOffset), END_PHY_OFFSET_AT);
    header.writeInt32BE(rebuilt.usedSlots, HASH_SLOT_COUNT_AT);
    header.writeInt32BE(rebuilt.kept + 1, INDEX_COUNT_AT);
    // Entries behind the last believed one go: giving the blocks up and taking the length back zeroes them.
    ftruncateSync(fd, entryAt(geometry, rebuilt.kept + 1));
    ftruncateSync(fd, indexFileBytes(geometry));
    writeFully(fd, rebuilt.slots, HEADER_BYTES);
    writeFully(fd, header, 0);
    return rebuilt.kept;
  } finally {
    closeSync(fd);
  }
}

interface Rebuilt {
  kept: number;
  usedSlots: number;
  firstOffset: number;
  lastOffset: number;
  /** Seconds since the file's begin of the last entry. */
  seconds: number;
  slots: Buffer;
}

function rebuildSlots(fd: number, geometry: IndexGeometry, dispatchFrom: number): Rebuilt {
  const slots = Buffer.alloc(geometry.slots * SLOT_BYTES);
  const result: Rebuilt = { kept: 0, usedSlots: 0, firstOffset: 0, lastOffset: -1, seconds: 0, slots };
  const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let number = 1; number < geometry.entries; ) {
    const read = readSync(fd, chunk, 0, CHUNK_BYTES, entryAt(geometry, number));
    let at = 0;
    for (; at + ENTRY_BYTES <= read && number < geometry.entries; at += ENTRY_BYTES, number++) {
      const hash = chunk.readInt32BE(at + KEY_HASH_AT);
      const offset = readLong(chunk, at + PHY_OFFSET_AT);
      const seconds = chunk.readInt32BE(at + SECONDS_AT);
      const previous = chunk.readInt32BE(at + PREVIOUS_AT);
      if (hash < 0 || offset < result.lastOffset || offset < 0 || offset >= dispatchFrom || seconds < 0) return result;
      const slotAt = (hash % geometry.slots) * SLOT_BYTES;
      if (previous !== slots.readInt32BE(slotAt)) return result;
      if (hash === 0 && offset === 0 && seconds === 0 && number > 1) return result;
      if (previous === 0) result.usedSlots++;
      slots.writeInt32BE(number, slotAt);
      if (number === 1) result.firstOffset = offset;
      result.lastOffset = offset;
      result.seconds = seconds;
      result.kept = number;
    }
    if (at === 0) return result;
  }
  return result;
}

function writeFully(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
}

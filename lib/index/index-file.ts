import { assert } from "../base/assert.ts";
import { viewLong, writeLong } from "../message/long.ts";
import { MappedFile } from "../store/mappedfile/mapped-file.ts";
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
  SECONDS_MAX,
  SLOT_BYTES,
} from "./layout.ts";

/** Blocks behind the slots are allocated in steps of this. */
const RESERVE_BYTES = 1024 * 1024;
/** Asked for this long before the blocks run out. */
const RESERVE_AHEAD_BYTES = RESERVE_BYTES / 4;
/** From this entry on a file is in use, and its slots are touched: an idle broker leaves them alone. */
const TOUCH_SLOTS_AT = 64;
/** Chain steps between two breaths of the event loop. */
const STEPS_PER_TURN = 5000;
/** A chain longer than this is followed no further: one key used for millions of messages fills its slot. */
const STEPS_MAX = 2_000_000;

/** One index file, mapped [IndexFile]. */
export class IndexFile {
  readonly path: string;
  readonly geometry: IndexGeometry;
  beginTimestamp: number;
  endTimestamp: number;
  beginPhyOffset: number;
  endPhyOffset: number;
  hashSlotCount: number;
  /** Number of the next entry; 1 = empty. */
  indexCount: number;
  /** `endTimestamp` when the file was last brought to the disk. */
  flushedTimestamp = 0;
  /** `indexCount` at that time; 0 = something besides entries is not on the disk. */
  #flushedCount = 0;
  /** Only so that `fetchSlots` has a result. */
  fetched = 0;
  /** Touches pages that are about to be written, off the loop. */
  touch: ((file: MappedFile, start: number, end: number) => void) | undefined;
  /** Position from which on blocks must be asked for. */
  #reserveAt = 0;
  readonly #file: MappedFile;

  private constructor(file: MappedFile, geometry: IndexGeometry) {
    this.#file = file;
    this.path = file.path;
    this.geometry = geometry;
    const { view } = file;
    this.beginTimestamp = viewLong(view, BEGIN_TIMESTAMP_AT);
    this.endTimestamp = viewLong(view, END_TIMESTAMP_AT);
    this.beginPhyOffset = viewLong(view, BEGIN_PHY_OFFSET_AT);
    this.endPhyOffset = viewLong(view, END_PHY_OFFSET_AT);
    this.hashSlotCount = view.getInt32(HASH_SLOT_COUNT_AT);
    this.indexCount = Math.min(Math.max(1, view.getInt32(INDEX_COUNT_AT)), geometry.entries);
  }

  /** Opens a file of the right length. Throws what the system says. */
  static open(path: string, geometry: IndexGeometry): IndexFile {
    const file = MappedFile.open(path, indexFileBytes(geometry), { create: false, allocate: "ahead" });
    file.adviseRandom();
    const index = new IndexFile(file, geometry);
    index.flushedTimestamp = index.endTimestamp;
    index.#flushedCount = index.indexCount;
    return index;
  }

  /**
   * Makes a file that goes on where `previous` ended: its end is this one's begin until the first entry. Only the slots get
   * their blocks now. Throws AllocationError; nothing is left behind then.
   */
  static create(path: string, geometry: IndexGeometry, previous: IndexFile | undefined): IndexFile {
    const file = MappedFile.open(path, indexFileBytes(geometry), { create: true, allocate: "ahead" });
    try {
      file.reserve(entryAt(geometry, 0), RESERVE_BYTES);
    } catch (error) {
      file.destroy();
      throw error;
    }
    file.releaseDescriptor();
    file.adviseRandom();
    const index = new IndexFile(file, geometry);
    if (previous !== undefined) {
      if (previous.endTimestamp > 0) index.beginTimestamp = index.endTimestamp = previous.endTimestamp;
      if (previous.endPhyOffset > 0) index.beginPhyOffset = index.endPhyOffset = previous.endPhyOffset;
    }
    index.writeHeader();
    return index;
  }

  get isFull(): boolean {
    return this.indexCount >= this.geometry.entries;
  }

  /** Adds an entry and says so in the header. See `addKey`. */
  putKey(keyHash: number, phyOffset: number, storeTimestamp: number): void {
    this.addKey(keyHash, phyOffset, storeTimestamp);
    this.writeHeader();
  }

  /**
   * Brings the slots of hashes that are about to be added into the processor's cache: they lie anywhere in 20 MB, and one after
   * the other each would be waited for (0.3 µs); here the processor fetches them side by side.
   */
  fetchSlots(hashes: Int32Array, count: number): void {
    const { view } = this.#file;
    const { slots } = this.geometry;
    let all = 0;
    for (let i = 0; i < count; i++) all |= view.getInt32(HEADER_BYTES + (hashes[i]! % slots) * SLOT_BYTES);
    this.fetched = all;
  }

  /**
   * Adds an entry; the file must not be full, and `writeHeader` must follow before anyone reads the file. Allocates nothing.
   * Throws AllocationError when the disk has no room; nothing has changed then.
   */
  addKey(keyHash: number, phyOffset: number, storeTimestamp: number): void {
    const number = this.indexCount;
    assert(number < this.geometry.entries, "entry for a full index file");
    const { view } = this.#file;
    const at = entryAt(this.geometry, number);
    if (at + ENTRY_BYTES > this.#reserveAt) this.#reserve(at);
    if (number === TOUCH_SLOTS_AT) this.touch?.(this.#file, 0, entryAt(this.geometry, 0));
    const slotAt = HEADER_BYTES + (keyHash % this.geometry.slots) * SLOT_BYTES;
    let previous = view.getInt32(slotAt);
    if (previous <= 0 || previous > number) previous = 0;
    view.setInt32(at + KEY_HASH_AT, keyHash);
    writeLong(view, at + PHY_OFFSET_AT, phyOffset);
    view.setInt32(at + SECONDS_AT, this.#secondsOf(storeTimestamp));
    view.setInt32(at + PREVIOUS_AT, previous);
    view.setInt32(slotAt, number);
    if (number <= 1) {
      this.beginPhyOffset = phyOffset;
      this.beginTimestamp = storeTimestamp;
    }
    if (previous === 0) this.hashSlotCount++;
    this.indexCount = number + 1;
    this.endPhyOffset = phyOffset;
    this.endTimestamp = storeTimestamp;
    this.#file.wrotePosition = at + ENTRY_BYTES;
  }

  #reserve(at: number): void {
    const file = this.#file;
    const from = file.reserved;
    try {
      file.reserve(Math.min(file.fileSize, at + ENTRY_BYTES + RESERVE_AHEAD_BYTES), RESERVE_BYTES);
    } catch (error) {
      // What is reserved already is used up before the disk counts as full.
      if (at + ENTRY_BYTES > file.reserved) throw error;
    }
    this.#reserveAt = Math.max(at + ENTRY_BYTES, file.reserved - RESERVE_AHEAD_BYTES);
    if (this.indexCount > TOUCH_SLOTS_AT && file.reserved > from) this.touch?.(file, Math.max(from, at), file.reserved);
  }

  #secondsOf(storeTimestamp: number): number {
    if (this.beginTimestamp <= 0) return 0;
    const seconds = Math.trunc((storeTimestamp - this.beginTimestamp) / 1000);
    return Math.min(Math.max(0, seconds), SECONDS_MAX);
  }

  /** Writes what the header says of the entries. */
  writeHeader(): void {
    const { view } = this.#file;
    writeLong(view, BEGIN_TIMESTAMP_AT, this.beginTimestamp);
    writeLong(view, END_TIMESTAMP_AT, this.endTimestamp);
    writeLong(view, BEGIN_PHY_OFFSET_AT, this.beginPhyOffset);
    writeLong(view, END_PHY_OFFSET_AT, this.endPhyOffset);
    view.setInt32(HASH_SLOT_COUNT_AT, this.hashSlotCount);
    view.setInt32(INDEX_COUNT_AT, this.indexCount);
  }

  /** Whether the file may hold entries of [begin, end]. */
  isTimeMatched(begin: number, end: number): boolean {
    const { beginTimestamp, endTimestamp } = this;
    return (
      (begin < beginTimestamp && end > endTimestamp) ||
      (begin >= beginTimestamp && begin <= endTimestamp) ||
      (end >= beginTimestamp && end <= endTimestamp)
    );
  }

  /**
   * Adds physical offsets of entries with this hash and a store time in [begin, end], newest first, until `found` has `max`
   * [IndexFile#selectPhyOffset]. Lets the loop breathe on long chains.
   */
  async selectPhyOffset(found: number[], keyHash: number, max: number, begin: number, end: number): Promise<void> {
    if (!this.#file.retain()) return;
    try {
      const { view } = this.#file;
      let number = view.getInt32(HEADER_BYTES + (keyHash % this.geometry.slots) * SLOT_BYTES);
      for (let step = 1; step <= STEPS_MAX && found.length < max; step++) {
        if (number <= 0 || number >= this.indexCount) return;
        const at = entryAt(this.geometry, number);
        const seconds = view.getInt32(at + SECONDS_AT);
        if (seconds < 0) return;
        const time = this.beginTimestamp + seconds * 1000;
        if (view.getInt32(at + KEY_HASH_AT) === keyHash && time >= begin && time <= end)
          found.push(viewLong(view, at + PHY_OFFSET_AT));
        if (time < begin) return;
        const previous = view.getInt32(at + PREVIOUS_AT);
        // A chain leads to older entries only; anything else is damage and would run in circles.
        if (previous >= number) return;
        number = previous;
        if (step % STEPS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#file.release();
    }
  }

  /** Whether entries are not yet on the disk; true during the flush that brings them there. */
  get dirty(): boolean {
    return this.indexCount !== this.#flushedCount;
  }

  /** Nothing of the file is known to be on the disk. */
  markDirty(): void {
    this.flushedTimestamp = 0;
    this.#flushedCount = 0;
  }

  /** Brings the file to the disk. Rejects with the system's error. */
  async flush(): Promise<void> {
    const count = this.indexCount;
    const stamp = this.endTimestamp;
    await this.#file.flush();
    this.#flushedCount = Math.max(this.#flushedCount, count);
    this.flushedTimestamp = Math.max(this.flushedTimestamp, stamp);
  }

  close(): void {
    this.#file.close();
  }

  /** Whether a query still holds the closed file's mapping. */
  get isMapped(): boolean {
    return this.#file.address !== 0;
  }
}

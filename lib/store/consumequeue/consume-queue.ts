import { unlinkSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "../../base/assert.ts";
import { viewLong, writeLong } from "../../message/long.ts";
import { fileName, MappedFile } from "../mappedfile/mapped-file.ts";
import { STAGE_ENTRIES } from "./entry-stage.ts";
import { CQ_UNIT_BYTES, PHYSICAL_OFFSET_AT, PRE_BLANK_SIZE, SIZE_AT, TAGS_CODE_AT } from "./layout.ts";
import { type FileRange, findQueueEnd, listQueueFiles, syncPath, zeroFileFrom } from "./queue-files.ts";
import type { QueueSurroundings } from "./queue-surroundings.ts";

/** Blocks of the tail file are allocated in steps: small for the thousands of queues that see a message now and then. */
const RESERVE_BYTES_MIN = 16 * 1024;
const RESERVE_BYTES_MAX = 1024 * 1024;
/** A gap is filled up to this many entries; beyond it the queue begins anew at the record's offset. */
const GAP_ENTRIES_MAX = 10_000_000;
const PAGE_BYTES = 4096;
/** Entries behind the end that are in memory without asking the kernel. */
const HOT_ENTRIES = 2000;
const WARM_BYTES = 64 * 1024;
const NO_VIEW: DataView = new DataView(new ArrayBuffer(0));

/** One queue of one topic: where its messages stand in the log, in fixed entries [ConsumeQueue]. */
export class ConsumeQueue {
  // What every message touches comes first: with thousands of queues none of it is in the cache.
  /** Index of the next entry: the queue's max offset. */
  maxIndex = 0;
  /** Offset that the next record of this queue gets; ahead of `maxIndex` by what is not dispatched yet. */
  nextQueueOffset = 0;
  /** End in the commit log of the last entry's record; -1 without entries. */
  maxPhysical = -1;
  /** Where the next entry goes: memory of the stage, or the tail's mapping where the stage has no slot. */
  #view = NO_VIEW;
  /** Byte in `#view`. */
  #at = 0;
  /** End of the room from `#at` on. */
  #end = 0;
  dirty = false;
  /** Used since the last look of the mapping's keeper. */
  touched = false;

  /** Begin of the entries in `#view` that the tail's `wrotePosition` does not count yet. */
  #drained = 0;
  /** Slot of the stage, -1 without. */
  #slot = -1;

  readonly topic: string;
  readonly queueId: number;
  readonly directory: string;
  readonly fileBytes: number;
  /** Entries of one file. */
  readonly perFile: number;
  /** Entries before this one (in the first file) are filler. */
  #startIndex = 0;

  readonly #surroundings: QueueSurroundings;
  #range: FileRange = { first: 0, last: -1 };
  #listed = false;
  #destroyed = false;

  #tail: MappedFile | undefined;
  /** Position in the tail from which on `#reserve` must be asked. */
  #reserveAt = 0;
  /** File number of `#tail`. */
  #tailNumber = -1;
  /** Mapped files other than the tail. */
  readonly #older = new Map<number, MappedFile>();

  #minIndex = 0;
  /** The log's min offset that `#minIndex` was found for. */
  #minFor = -1;

  #firstDirtyFile = 0;
  /** `recover` found the last file short: entries of records before the newest of all queues may be missing. */
  torn = false;
  #flushedIndex = 0;
  #flushing = false;

  constructor(topic: string, queueId: number, directory: string, surroundings: QueueSurroundings) {
    this.topic = topic;
    this.queueId = queueId;
    this.directory = directory;
    this.#surroundings = surroundings;
    this.fileBytes = surroundings.fileBytes;
    this.perFile = this.fileBytes / CQ_UNIT_BYTES;
  }

  /** Reads the directory and finds the end. Throws ConfigError naming the file that cannot be. */
  recover(clean: boolean): void {
    const listed = listQueueFiles(this.directory, this.fileBytes, this.#surroundings.logger);
    this.#range = { first: listed.first, last: listed.last };
    this.torn ||= listed.torn;
    this.#listed = true;
    const end = findQueueEnd(this.directory, this.fileBytes, this.#range, clean);
    this.maxIndex = end.maxIndex;
    this.maxPhysical = end.maxPhysical;
    this.nextQueueOffset = this.maxIndex;
    this.#flushedIndex = this.maxIndex;
    this.#startIndex = this.#range.first * this.perFile;
    // Files behind the one with the last entry are dropped; one with none in front of it is a next file made ahead.
    const last = Math.max(this.#range.first, Math.ceil(this.maxIndex / this.perFile) - 1);
    while (this.#range.last > last) unlinkSync(this.#path(this.#range.last--));
    if (this.maxIndex === this.#startIndex) this.#range.last = Math.min(this.#range.last, this.#range.first);
    this.#minFor = -1;
  }

  /** Files on the disk. */
  get fileCount(): number {
    return this.#range.last - this.#range.first + 1;
  }

  /** Mapped files. */
  get mappedCount(): number {
    return this.#older.size + (this.#tail === undefined ? 0 : 1);
  }

  /** Index of the first entry whose record is still in the log; `maxIndex` when there is none [ConsumeQueue#correctMinOffset]. */
  get minIndex(): number {
    const minPhysical = this.#surroundings.minPhysicalOffset();
    if (this.#minFor !== minPhysical) {
      this.#minIndex = this.#lowerBound(minPhysical);
      this.#minFor = minPhysical;
    }
    return this.#minIndex;
  }

  /**
   * Adds an entry. A record that the queue knows already is skipped, so that a part of the log can be dispatched again.
   * Allocates nothing unless a file is opened or grows. Throws AllocationError or the system's error when the disk has no room;
   * nothing has changed then.
   */
  put(queueOffset: number, physicalOffset: number, size: number, tagsCode: number): void {
    if (physicalOffset + size <= this.maxPhysical) return;
    if (queueOffset !== this.maxIndex) {
      if (queueOffset < this.maxIndex && !this.#startOver(queueOffset, physicalOffset)) return;
      if (queueOffset > this.maxIndex) this.#fillTo(queueOffset, physicalOffset);
    }
    this.#write(physicalOffset, size, tagsCode);
    this.maxPhysical = physicalOffset + size;
    if (this.nextQueueOffset < this.maxIndex) this.nextQueueOffset = this.maxIndex;
  }

  #write(physicalOffset: number, size: number, tagsCode: number): void {
    if (this.#at === this.#end) this.#nextRoom();
    const view = this.#view;
    const at = this.#at | 0;
    writeLong(view, at + PHYSICAL_OFFSET_AT, physicalOffset);
    view.setInt32(at + SIZE_AT, size);
    writeLong(view, at + TAGS_CODE_AT, tagsCode);
    this.#at = at + CQ_UNIT_BYTES;
    this.maxIndex++;
    this.touched = true;
    if (!this.dirty) this.#markDirty(this.#tailNumber);
  }

  /** Makes room for the next entries, whose blocks are there then: what is staged can always be written. */
  #nextRoom(): void {
    this.#drain();
    const number = Math.floor(this.maxIndex / this.perFile);
    const tail = this.#tail !== undefined && this.#tailNumber === number ? this.#tail : this.#openTail(number);
    const position = ((this.maxIndex - number * this.perFile) * CQ_UNIT_BYTES) | 0;
    if (position + STAGE_ENTRIES * CQ_UNIT_BYTES > this.#reserveAt) this.#reserve(tail, position);
    const { stage } = this.#surroundings;
    if (this.#slot < 0) this.#slot = stage.take();
    this.#view = this.#slot < 0 ? tail.view : stage.viewOf(this.#slot);
    this.#at = this.#drained = this.#slot < 0 ? position : stage.startOf(this.#slot);
    const entries = Math.floor((Math.min(this.fileBytes, tail.reserved) - position) / CQ_UNIT_BYTES);
    this.#end = this.#at + Math.min(STAGE_ENTRIES, entries) * CQ_UNIT_BYTES;
    tail.wrotePosition = position;
  }

  /** Brings what is staged into the tail. Whoever looks at the files calls it first. */
  #drain(): void {
    const bytes = this.#at - this.#drained;
    if (bytes === 0) return;
    const tail = this.#tail;
    assert(tail !== undefined, "staged entries have an open tail");
    if (this.#slot >= 0) {
      const source = this.#surroundings.stage.bufferOf(this.#slot);
      source.copy(tail.buffer, tail.wrotePosition, this.#drained, this.#at);
    }
    tail.wrotePosition += bytes;
    this.#drained = this.#at;
  }

  /** Drains, and gives the slot back: the tail is about to change, or the queue has been quiet. */
  #endRoom(): void {
    this.#drain();
    if (this.#slot >= 0) this.#surroundings.stage.give(this.#slot);
    this.#slot = -1;
    this.#view = NO_VIEW;
    this.#at = this.#end = this.#drained = 0;
  }

  /** Blocks for the entry at `at`, and before they run out for those behind it. */
  #reserve(tail: MappedFile, at: number): void {
    const step = Math.min(RESERVE_BYTES_MAX, Math.max(RESERVE_BYTES_MIN, at - (at % PAGE_BYTES)));
    const from = tail.reserved;
    try {
      tail.reserve(Math.min(this.fileBytes, at + CQ_UNIT_BYTES + step / 4), step);
    } catch (error) {
      // What is reserved already is used up before the disk counts as full.
      if (at + CQ_UNIT_BYTES > tail.reserved) throw error;
    } finally {
      // Descriptors are scarcer than mappings; a running flush gives its one back itself.
      if (!this.#flushing) tail.releaseDescriptor();
    }
    this.#reserveAt = Math.max(at + CQ_UNIT_BYTES, tail.reserved - step / 4);
    if (at > 0 && tail.reserved > from) this.#surroundings.touch(tail, Math.max(from, at), tail.reserved);
  }

  #markDirty(number: number): void {
    this.dirty = true;
    this.#firstDirtyFile = number;
    this.#surroundings.markDirty(this);
  }

  /** The queue was deleted and made anew: its records start at 0 again. Any other repeat is ignored. */
  #startOver(queueOffset: number, physicalOffset: number): boolean {
    const { logger } = this.#surroundings;
    if (queueOffset !== 0) {
      logger.error(
        `queue ${this.topic}-${this.queueId}: record at ${physicalOffset} has queue offset ${queueOffset}, wanted ${this.maxIndex}; it is not added`,
      );
      return false;
    }
    logger.warn(`queue ${this.topic}-${this.queueId} starts anew at offset 0 with the record at ${physicalOffset}`);
    this.#dropFiles();
    return true;
  }

  /** Entries of which the log knows nothing any more: filled so that every offset keeps its message [ConsumeQueue#fillPreBlank]. */
  #fillTo(queueOffset: number, physicalOffset: number): void {
    const { logger } = this.#surroundings;
    if (queueOffset - this.maxIndex > GAP_ENTRIES_MAX) this.#dropFiles();
    const empty = this.#range.last < this.#range.first;
    if (empty) {
      const number = Math.floor(queueOffset / this.perFile);
      this.maxIndex = number * this.perFile;
      this.#range = { first: number, last: number - 1 };
      logger.info(`queue ${this.topic}-${this.queueId} begins at offset ${queueOffset}`);
    } else
      logger.error(
        `queue ${this.topic}-${this.queueId}: record at ${physicalOffset} has queue offset ${queueOffset}, wanted ${this.maxIndex}; the gap is filled`,
      );
    while (this.maxIndex < queueOffset) this.#write(0, PRE_BLANK_SIZE, 0);
    if (empty) this.#startIndex = queueOffset;
    this.#minFor = -1;
  }

  #openTail(number: number): MappedFile {
    assert(!this.#destroyed, `put into destroyed queue ${this.topic}-${this.queueId}`);
    this.#endRoom();
    const opened = this.#older.get(number) ?? this.#open(number, true);
    this.#older.delete(number);
    if (this.#tail !== undefined) this.#older.set(this.#tailNumber, this.#tail);
    this.#tail = opened;
    this.#tailNumber = number;
    this.#reserveAt = 0;
    if (this.#range.last < number) this.#range.last = number;
    return opened;
  }

  #open(number: number, create: boolean): MappedFile {
    if (create && this.#range.last < this.#range.first) this.#surroundings.makeDirectory(this.directory);
    const file = MappedFile.open(this.#path(number), this.fileBytes, { create, allocate: "ahead" });
    const written = Math.min(this.fileBytes, (this.maxIndex - number * this.perFile) * CQ_UNIT_BYTES);
    file.wrotePosition = Math.max(0, written);
    file.adviseRandom();
    file.releaseDescriptor();
    this.#surroundings.opened(this);
    return file;
  }

  #path(number: number): string {
    return join(this.directory, fileName(number * this.fileBytes));
  }

  /** The mapped file that holds entry `index`, opened if need be. Not to be kept beyond the turn. */
  fileOf(index: number): MappedFile {
    assert(index >= this.#range.first * this.perFile && index < this.maxIndex, `entry ${index} outside the queue`);
    this.touched = true;
    if (this.#at !== this.#drained) this.#drain();
    const number = Math.floor(index / this.perFile);
    if (number === this.#tailNumber && this.#tail !== undefined) return this.#tail;
    let file = this.#older.get(number);
    if (file === undefined) {
      file = this.#open(number, false);
      this.#older.set(number, file);
    }
    return file;
  }

  /** Byte position of entry `index` in its file. */
  positionOf(index: number): number {
    return ((index % this.perFile) * CQ_UNIT_BYTES) | 0;
  }

  /** First entry still on the disk, filler not counted. */
  get firstIndex(): number {
    return Math.max(this.#range.first * this.perFile, this.#startIndex);
  }

  /** Entry's physical offset; filler counts as lying before everything. */
  physicalOffsetOf(index: number): number {
    const view = this.fileOf(index).view;
    const at = this.positionOf(index);
    if (view.getInt32(at + SIZE_AT) === PRE_BLANK_SIZE) return -1;
    return viewLong(view, at + PHYSICAL_OFFSET_AT);
  }

  /** The entry at `index`, undefined outside [first, max). */
  entry(index: number): { physicalOffset: number; size: number; tagsCode: number } | undefined {
    if (index < this.firstIndex || index >= this.maxIndex) return undefined;
    const view = this.fileOf(index).view;
    const at = this.positionOf(index);
    return {
      physicalOffset: viewLong(view, at + PHYSICAL_OFFSET_AT),
      size: view.getInt32(at + SIZE_AT),
      tagsCode: viewLong(view, at + TAGS_CODE_AT),
    };
  }

  /** First index in [firstIndex, maxIndex) whose record lies at or behind `physicalOffset`; maxIndex when none does. */
  #lowerBound(physicalOffset: number): number {
    let low = this.firstIndex;
    let high = this.maxIndex;
    if (low >= high || this.maxPhysical <= physicalOffset) return high;
    if (this.physicalOffsetOf(low) >= physicalOffset) return low;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.physicalOffsetOf(middle) >= physicalOffset) high = middle;
      else low = middle;
    }
    return high;
  }

  /** Whether reading entry `index` costs no disk access; near the end it is taken for granted. */
  isWarm(index: number): boolean {
    if (this.maxIndex - index <= HOT_ENTRIES) return true;
    const at = this.positionOf(index);
    return this.fileOf(index).residentLately(at, at + CQ_UNIT_BYTES);
  }

  /** Brings the entries at and behind `index` into memory without blocking the loop. */
  async warm(index: number): Promise<void> {
    const path = this.#path(Math.floor(index / this.perFile));
    const at = this.positionOf(index);
    const file = await open(path, "r");
    try {
      await file.read(Buffer.allocUnsafe(WARM_BYTES), 0, WARM_BYTES, at - (at % PAGE_BYTES));
    } finally {
      await file.close();
    }
  }

  /** Removes the entries of records at or behind `physicalEnd`; their bytes become zeros [ConsumeQueue#truncateDirtyLogicFiles]. Returns how many. */
  truncate(physicalEnd: number): number {
    if (this.maxPhysical <= physicalEnd) return 0;
    const end = this.#lowerBound(physicalEnd);
    const before = this.maxIndex;
    const first = this.firstIndex;
    const lastEntry = end > first ? this.entry(end - 1) : undefined;
    this.maxPhysical =
      lastEntry === undefined || lastEntry.size === PRE_BLANK_SIZE ? -1 : lastEntry.physicalOffset + lastEntry.size;
    this.#cutTo(end);
    this.nextQueueOffset = this.maxIndex;
    this.#minFor = -1;
    return before - end;
  }

  #cutTo(end: number): void {
    this.#endRoom();
    const keep = Math.max(this.#range.first, Math.ceil(end / this.perFile) - 1);
    while (this.#range.last > keep) {
      const number = this.#range.last--;
      this.#takeOpen(number)?.close();
      unlinkSync(this.#path(number));
    }
    const open = this.#tailNumber === keep ? this.#tail : this.#older.get(keep);
    const at = (end - keep * this.perFile) * CQ_UNIT_BYTES;
    if (open !== undefined) {
      open.buffer.fill(0, at, Math.max(at, open.wrotePosition));
      open.wrotePosition = at;
    } else if (at < this.fileBytes && this.#range.last >= keep) zeroFileFrom(this.#path(keep), at, this.fileBytes);
    this.maxIndex = end;
    this.#flushedIndex = Math.min(this.#flushedIndex, end);
    if (!this.dirty) this.#markDirty(keep);
    this.#firstDirtyFile = Math.min(this.#firstDirtyFile, keep);
  }

  #takeOpen(number: number): MappedFile | undefined {
    if (number === this.#tailNumber) {
      this.#endRoom();
      const tail = this.#tail;
      this.#tail = undefined;
      this.#tailNumber = -1;
      return tail;
    }
    const file = this.#older.get(number);
    this.#older.delete(number);
    return file;
  }

  /** Bytes not yet on the disk. */
  get dirtyBytes(): number {
    return (this.maxIndex - this.#flushedIndex) * CQ_UNIT_BYTES;
  }

  /** Brings the queue to the disk. Rejects with the system's error; the queue stays dirty then. */
  async flush(): Promise<void> {
    if (!this.dirty || this.#destroyed) return;
    this.#endRoom();
    const end = this.maxIndex;
    const first = Math.max(this.#firstDirtyFile, this.#range.first);
    const last = this.#range.last;
    this.dirty = false;
    this.#flushing = true;
    try {
      for (let number = first; number <= last && !this.#destroyed; number++) await this.#flushFile(number);
      this.#flushedIndex = Math.max(this.#flushedIndex, Math.min(end, this.maxIndex));
    } catch (error) {
      if (this.#destroyed) return;
      if (!this.dirty) this.#markDirty(first);
      this.#firstDirtyFile = Math.min(this.#firstDirtyFile, first);
      throw error;
    } finally {
      this.#flushing = false;
    }
  }

  async #flushFile(number: number): Promise<void> {
    const open = number === this.#tailNumber ? this.#tail : this.#older.get(number);
    if (open === undefined) {
      if (number < this.#range.first || number > this.#range.last) return;
      await syncPath(this.#path(number));
      return;
    }
    await open.flush();
    open.releaseDescriptor();
  }

  /** Unmaps everything; what is dirty stays in the page cache and on the list for the next flush. Files are opened again when needed. */
  unmap(): void {
    if (this.#flushing) return;
    for (const number of [...this.#older.keys(), this.#tailNumber]) this.#takeOpen(number)?.close();
  }

  /**
   * Takes the first files away whose last entry's record is no longer in the log; never the last file. Returns their paths:
   * the caller removes them at its own pace [MappedFileQueue#deleteExpiredFileByOffset].
   */
  detachExpired(minPhysical: number): string[] {
    const paths: string[] = [];
    while (this.#range.last > this.#range.first) {
      const lastEntry = (this.#range.first + 1) * this.perFile - 1;
      if (lastEntry >= this.maxIndex || this.physicalOffsetOf(lastEntry) >= minPhysical) break;
      const number = this.#range.first++;
      this.#takeOpen(number)?.close();
      paths.push(this.#path(number));
    }
    if (paths.length > 0) this.#minFor = -1;
    return paths;
  }

  #dropFiles(): void {
    for (const number of [...this.#older.keys(), this.#tailNumber]) this.#takeOpen(number)?.close();
    for (let number = this.#range.first; number <= this.#range.last; number++) unlinkSync(this.#path(number));
    this.#range = { first: 0, last: -1 };
    this.maxIndex = 0;
    this.nextQueueOffset = 0;
    this.maxPhysical = -1;
    this.#startIndex = 0;
    this.#flushedIndex = 0;
    this.#minFor = -1;
    this.#firstDirtyFile = 0;
  }

  /** Closes everything; the files are the caller's. Nothing may be put any more. */
  close(destroyed: boolean): void {
    for (const number of [...this.#older.keys(), this.#tailNumber]) this.#takeOpen(number)?.close();
    this.#destroyed = destroyed;
    if (destroyed) this.dirty = false;
  }

  get listed(): boolean {
    return this.#listed;
  }
}

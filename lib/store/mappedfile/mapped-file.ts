import { closeSync, constants, fdatasync, fstatSync, fsyncSync, openSync, unlinkSync } from "node:fs";
import { basename } from "node:path";
import { assert } from "../../base/assert.ts";
import { adviseRandom, isResident, type Mapping, mapFile, unmap, willNeed } from "../../os/mmap.ts";
import { AllocationError, preallocate } from "../../os/preallocate.ts";
import { ResidentSpans } from "./resident-spans.ts";

const EMPTY = Buffer.alloc(0);
const EMPTY_VIEW = new DataView(EMPTY.buffer, 0, 0);

export interface MappedFileOptions {
  /** Makes the file when it is not there. */
  create: boolean;
  /**
   * `whole`: all blocks are allocated now, so that no later write can meet a full disk. `ahead`: the caller calls `reserve`
   * before it writes. `none`: the file is complete already (only read, or written by `whole` before).
   */
  allocate: "whole" | "ahead" | "none";
}

/** RocketMQ's name of the file that starts at `offset`: 20 decimal digits. */
export function fileName(offset: number): string {
  return offset.toString().padStart(20, "0");
}

/**
 * One file of fixed size, mapped whole and shared [DefaultMappedFile]. Writers write into `buffer` or `view` and move
 * `wrotePosition`; positions are byte offsets in the file. The mapping goes when `destroy` or `close` was called and the last
 * `retain` is released; `buffer` must not be kept beyond the turn without one (a view of an unmapped file is a crash).
 */
export class MappedFile {
  readonly path: string;
  /** Logical offset of the file's first byte, from its name. */
  readonly fileFromOffset: number;
  readonly fileSize: number;
  /** The mapping; empty after unmapping. */
  buffer: Buffer;
  view: DataView;
  /** End of what was written into the mapping. */
  wrotePosition = 0;
  /** End of what is on the disk. */
  flushedPosition = 0;

  private mapping: Mapping | undefined;
  private spans: ResidentSpans | undefined;
  private fd: number;
  private references = 1;
  private closing = false;
  private reservedEnd: number;

  private constructor(path: string, fileSize: number, fd: number, reservedEnd: number) {
    this.path = path;
    const number = Number(basename(path));
    this.fileFromOffset = Number.isFinite(number) ? number : 0;
    this.fileSize = fileSize;
    this.fd = fd;
    this.reservedEnd = reservedEnd;
    this.mapping = mapFile(fd, fileSize, path);
    this.buffer = this.mapping.buffer;
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.length);
  }

  /**
   * Opens and maps `path`. A new file gets its full length; where its blocks cannot be allocated it is removed again and
   * AllocationError (with errno) is thrown. The caller has checked the length of an existing file; a shorter one is extended.
   */
  static open(path: string, fileSize: number, options: MappedFileOptions): MappedFile {
    let fd: number;
    let created = false;
    try {
      fd = openSync(path, "r+");
    } catch (error) {
      if (!options.create || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      // Without O_EXCL: the allocation helper may be making the same file.
      fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
      created = true;
    }
    try {
      const reservedEnd = prepareBlocks(path, fd, fileSize, options);
      return new MappedFile(path, fileSize, fd, reservedEnd);
    } catch (error) {
      closeSync(fd);
      // A half-allocated file has taken the disk's last blocks: give them back at once.
      if (created) unlinkSync(path);
      throw error;
    }
  }

  /** Whether nothing more fits. */
  get isFull(): boolean {
    return this.wrotePosition === this.fileSize;
  }

  /** Address of the mapping, for the helper thread that touches pages ahead. 0 after unmapping. */
  get address(): number {
    return this.mapping?.address ?? 0;
  }

  /** Descriptor for fs calls (cold reads, fdatasync). Open as long as the file is. */
  get descriptor(): number {
    if (this.fd === -1) this.fd = openSync(this.path, "r+");
    return this.fd;
  }

  /** Closes the descriptor; it is opened again when needed. For stores with more queue files than descriptors. */
  releaseDescriptor(): void {
    if (this.fd === -1) return;
    closeSync(this.fd);
    this.fd = -1;
  }

  /**
   * Makes sure that the blocks up to `end` exist, allocating `stepBytes` at least (`ahead` files). Cheap when they do. Throws
   * AllocationError: the caller refuses the write.
   */
  reserve(end: number, stepBytes: number): void {
    if (end <= this.reservedEnd) return;
    const target = Math.min(Math.max(end, this.reservedEnd + stepBytes), this.fileSize);
    const start = Math.min(this.reservedEnd, target);
    const code = preallocate(this.descriptor, start, target - start);
    if (code !== 0) throw new AllocationError(this.path, target - start, code);
    this.reservedEnd = target;
  }

  /** End of the blocks that `reserve` made sure of. */
  get reserved(): number {
    return this.reservedEnd;
  }

  /** Whether the log's byte at `offset` has its place here. */
  holds(offset: number): boolean {
    const position = offset - this.fileFromOffset;
    return position >= 0 && position < this.fileSize;
  }

  /** Takes a reference; false when the file is closing or closed. */
  retain(): boolean {
    if (this.closing) return false;
    this.references++;
    return true;
  }

  /** Gives a reference back; the last one after `close` or `destroy` unmaps. */
  release(): void {
    assert(this.references > 0, `mapped file released more often than retained: ${this.path}`);
    this.references--;
    if (this.references === 0) this.unmapNow();
  }

  /** Faults are to bring in single pages: for files touched here and there (consume queue, index). */
  adviseRandom(): void {
    if (this.mapping !== undefined) adviseRandom(this.mapping);
  }

  /** Whether the pages of [start, end) are in memory. */
  resident(start: number, end: number): boolean {
    return this.mapping === undefined || isResident(this.mapping, start, end);
  }

  /** The same, or they were within the last 100 ms: for readers that only want to spare the loop a wait for the disk. */
  residentLately(start: number, end: number): boolean {
    if (this.mapping === undefined) return true;
    this.spans ??= new ResidentSpans(this.fileSize, (from, to) => this.resident(from, to));
    return this.spans.cover(start, end, this.wrotePosition);
  }

  /** Starts reading [start, end) ahead without waiting for it. */
  readAhead(start: number, end: number): void {
    if (this.mapping !== undefined && end > start) willNeed(this.mapping, start, end);
  }

  /**
   * Writes everything written so far to the disk (asynchronous fdatasync; it covers pages dirtied through the mapping) and
   * moves `flushedPosition`. Rejects with the system's error: after that nothing about the file is known.
   */
  async flush(): Promise<void> {
    const end = this.wrotePosition;
    if (!this.retain()) return;
    try {
      await new Promise<void>((resolve, reject) =>
        fdatasync(this.descriptor, (error) => (error ? reject(error) : resolve())),
      );
      if (end > this.flushedPosition) this.flushedPosition = end;
    } finally {
      this.release();
    }
  }

  /** Unmaps and closes once nobody holds a reference; the file stays. */
  close(): void {
    if (this.closing) return;
    this.closing = true;
    this.release();
  }

  /** Removes the file's name now and closes as `close` does. */
  destroy(): void {
    if (this.closing) return;
    try {
      unlinkSync(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    this.close();
  }

  private unmapNow(): void {
    const mapping = this.mapping;
    this.mapping = undefined;
    this.buffer = EMPTY;
    this.view = EMPTY_VIEW;
    if (mapping !== undefined) unmap(mapping);
    this.releaseDescriptor();
  }
}

function prepareBlocks(path: string, fd: number, fileSize: number, options: MappedFileOptions): number {
  const length = fstatSync(fd).size;
  if (options.allocate === "none" && length >= fileSize) return fileSize;
  if (options.allocate === "ahead") {
    if (length < fileSize) extendSparse(path, fd, fileSize);
    return 0;
  }
  const code = preallocate(fd, 0, fileSize);
  if (code !== 0) throw new AllocationError(path, fileSize, code);
  return fileSize;
}

/** Gives the file its length by allocating its last page only. */
function extendSparse(path: string, fd: number, fileSize: number): void {
  const code = preallocate(fd, fileSize - 1, 1);
  if (code !== 0) throw new AllocationError(path, fileSize, code);
}

/** Makes a created, renamed or removed name in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

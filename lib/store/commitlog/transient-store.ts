import { closeSync, constants, openSync, write, writeSync } from "node:fs";
import { dropPages, type Mapping, mapAnonymous, unmap } from "../../os/mmap.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";

const PAGE_BYTES = 4096;
/** Bytes of one write: a pool thread is busy that long at most, and the loop never. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024;
/** Memory of what was written is given back in pieces of this size. */
const DROP_BYTES = 8 * 1024 * 1024;

/** Memory that stands before a file of the log [TransientStorePool]. Unmapped when the last `retain` is released. */
export class TransientBuffer {
  readonly mapping: Mapping;
  readonly view: DataView;
  /** End of what was appended; `file.wrotePosition` is the end of what was committed. */
  wrotePosition: number;
  /** The memory before it was given back. */
  droppedEnd: number;
  private references = 1;

  /** `durable`: descriptor with O_DSYNC, -1 where a commit need not be durable. Taken over: closed with the memory, or when there is none. */
  constructor(
    readonly file: MappedFile,
    readonly durable: number,
  ) {
    try {
      this.mapping = mapAnonymous(file.fileSize);
    } catch (error) {
      if (durable >= 0) closeSync(durable);
      throw error;
    }
    const { buffer } = this.mapping;
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.wrotePosition = this.droppedEnd = file.wrotePosition;
  }

  get address(): number {
    return this.mapping.address;
  }

  get fileSize(): number {
    return this.mapping.length;
  }

  retain(): boolean {
    if (this.references === 0) return false;
    this.references++;
    return true;
  }

  release(): void {
    this.references--;
    if (this.references === 0) unmap(this.mapping);
  }
}

/**
 * With `transientStorePoolEnable` records are appended to memory and written to the file later ("commit"): reads see only what
 * is committed, a killed process loses the rest, a stop commits everything. Buffers wait oldest first; the newest takes appends.
 *
 * SYNC_FLUSH uses it too (`durable`): a commit is one write through O_DSYNC and moves `flushedPosition` with it. Records written
 * into the mapping would have to be cleaned out of the page table by each fdatasync, while the loop faults on the same pages.
 * Nothing is acknowledged before its commit, so that what a killed process loses nobody was promised.
 */
export class TransientStore {
  private readonly buffers: TransientBuffer[] = [];
  private readonly poolSize: number;
  private committing: Promise<void> | undefined;
  private abandoned = false;

  constructor(
    poolSize: number,
    readonly durable = false,
  ) {
    this.poolSize = Math.max(1, poolSize);
  }

  /** A buffer for a file that now takes appends; undefined with the pool exhausted: that file is then written without one. */
  open(file: MappedFile): TransientBuffer | undefined {
    if (this.buffers.length >= this.poolSize) return undefined;
    const durable = this.durable ? openSync(file.path, constants.O_WRONLY | constants.O_DSYNC) : -1;
    const entry = new TransientBuffer(file, durable);
    file.retain();
    this.buffers.push(entry);
    return entry;
  }

  /** The first file that lacks something, or the one that takes appends; what is behind it in the log is not readable yet. */
  get oldestFile(): MappedFile | undefined {
    return this.buffers[0]?.file;
  }

  /** Bytes appended and not yet in a file. */
  get behindBytes(): number {
    let bytes = 0;
    for (const { file, wrotePosition } of this.buffers) bytes += wrotePosition - file.wrotePosition;
    return bytes;
  }

  /**
   * Writes to the files what is there, if it is `leastPages` pages or ends a file; one commit runs at a time. `onLoop`: in this
   * thread, which stands still meanwhile.
   */
  commit(leastPages: number, onLoop = false): Promise<void> {
    if (this.committing !== undefined) return this.committing;
    if (this.abandoned) return Promise.resolve();
    if (this.behindBytes === 0 || (this.buffers.length === 1 && this.behindBytes < leastPages * PAGE_BYTES)) {
      return Promise.resolve();
    }
    this.committing = this.commitAll(onLoop).finally(() => {
      this.committing = undefined;
    });
    return this.committing;
  }

  private async commitAll(onLoop: boolean): Promise<void> {
    for (;;) {
      const entry = this.buffers[0];
      if (entry === undefined) return;
      const end = entry.wrotePosition;
      while (entry.file.wrotePosition < end) await this.commitSlice(entry, end, onLoop);
      if (!this.dropWhenDone(entry)) return;
    }
  }

  /** A write or flush failed: what is in memory only stays there and goes with the process. */
  abandon(): void {
    this.abandoned = true;
  }

  /** Commits everything on the loop: at stop. */
  commitNow(): void {
    while (!this.abandoned) {
      const entry = this.buffers[0];
      if (entry === undefined) return;
      const { file, mapping } = entry;
      while (file.wrotePosition < entry.wrotePosition) {
        const start = file.wrotePosition;
        const bytes = entry.wrotePosition - start;
        file.wrotePosition += taken(file, writeSync(file.descriptor, mapping.buffer, start, bytes, start), bytes);
      }
      if (!this.dropWhenDone(entry)) return;
    }
  }

  private async commitSlice(entry: TransientBuffer, end: number, onLoop: boolean): Promise<void> {
    const { file, mapping } = entry;
    const start = file.wrotePosition;
    const bytes = Math.min(end - start, WRITE_BYTES_MAX);
    const done = start + taken(file, await this.write(entry, start, bytes, onLoop), bytes);
    file.wrotePosition = done;
    // What stands before it may have been written into the mapping, which only a flush brings to the disk.
    if (this.durable && file.flushedPosition === start) file.flushedPosition = done;
    if (done - entry.droppedEnd < DROP_BYTES) return;
    dropPages(mapping, entry.droppedEnd, done);
    entry.droppedEnd = done;
  }

  /** One write; apart so that tests can make it fail or wait. */
  async write(entry: TransientBuffer, start: number, bytes: number, onLoop: boolean): Promise<number> {
    if (!onLoop) return writeSlice(entry, start, bytes);
    return writeSync(descriptorOf(entry), entry.mapping.buffer, start, bytes, start);
  }

  /** Gives back a buffer whose file is full and written; true when there may be a next one. */
  private dropWhenDone(entry: TransientBuffer): boolean {
    if (entry.file.wrotePosition < entry.file.fileSize || this.buffers[0] !== entry) return false;
    this.buffers.shift();
    this.free(entry);
    return true;
  }

  private free(entry: TransientBuffer): void {
    entry.release();
    if (entry.durable >= 0) closeSync(entry.durable);
    entry.file.release();
  }

  /** Commits all and gives back the memory. */
  async close(): Promise<void> {
    await this.committing?.catch(() => {});
    this.commitNow();
    for (const entry of this.buffers.splice(0)) this.free(entry);
  }
}

/** Bytes of a write; throws where the system took none, which would be tried for ever. */
function taken({ path }: MappedFile, written: number, bytes: number): number {
  if (written <= 0) throw new Error(`${path} took ${written} of ${bytes} bytes`);
  return written;
}

function descriptorOf({ file, durable }: TransientBuffer): number {
  return durable >= 0 ? durable : file.descriptor;
}

/** Writes `bytes` from `start` on where the file has them; resolves to how many were written. */
function writeSlice(entry: TransientBuffer, start: number, bytes: number): Promise<number> {
  const { mapping } = entry;
  return new Promise((resolve, reject) => {
    write(descriptorOf(entry), mapping.buffer, start, bytes, start, (error, written) =>
      error ? reject(error) : resolve(written),
    );
  });
}

import { write, writeSync } from "node:fs";
import { type Mapping, mapAnonymous, unmap } from "../../os/mmap.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";

const PAGE_BYTES = 4096;
/** Bytes of one write: a pool thread is busy that long at most, and the loop never. */
const WRITE_BYTES_MAX = 4 * 1024 * 1024;

/** Memory that stands before a file of the log [TransientStorePool]. */
export interface TransientBuffer {
  readonly file: MappedFile;
  readonly mapping: Mapping;
  readonly view: DataView;
  /** End of what was appended; `file.wrotePosition` is the end of what was committed. */
  wrotePosition: number;
}

/**
 * With `transientStorePoolEnable` records are appended to memory and written to the file later ("commit"): reads see only what
 * is committed, a killed process loses the rest, a stop commits everything. Buffers wait oldest first; the newest takes appends.
 */
export class TransientStore {
  private readonly buffers: TransientBuffer[] = [];
  private readonly poolSize: number;
  private committing: Promise<void> | undefined;

  constructor(poolSize: number) {
    this.poolSize = Math.max(1, poolSize);
  }

  /** A buffer for a file that now takes appends; undefined with the pool exhausted: that file is then written without one. */
  open(file: MappedFile): TransientBuffer | undefined {
    if (this.buffers.length >= this.poolSize) return undefined;
    const mapping = mapAnonymous(file.fileSize);
    const { buffer } = mapping;
    const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    file.retain();
    const entry = { file, mapping, view, wrotePosition: file.wrotePosition };
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

  /** Writes to the files what is there, if it is `leastPages` pages or ends a file; one commit runs at a time. */
  commit(leastPages: number): Promise<void> {
    if (this.committing !== undefined) return this.committing;
    if (this.behindBytes === 0 || (this.buffers.length === 1 && this.behindBytes < leastPages * PAGE_BYTES)) {
      return Promise.resolve();
    }
    this.committing = this.commitAll().finally(() => {
      this.committing = undefined;
    });
    return this.committing;
  }

  private async commitAll(): Promise<void> {
    for (;;) {
      const entry = this.buffers[0];
      if (entry === undefined) return;
      const end = entry.wrotePosition;
      while (entry.file.wrotePosition < end) await commitSlice(entry, end);
      if (!this.dropWhenDone(entry)) return;
    }
  }

  /** Commits everything on the loop: at stop. */
  commitNow(): void {
    for (;;) {
      const entry = this.buffers[0];
      if (entry === undefined) return;
      const { file, mapping } = entry;
      while (file.wrotePosition < entry.wrotePosition) {
        file.wrotePosition += writeSync(
          file.descriptor,
          mapping.buffer,
          file.wrotePosition,
          entry.wrotePosition - file.wrotePosition,
          file.wrotePosition,
        );
      }
      if (!this.dropWhenDone(entry)) return;
    }
  }

  /** Gives back a buffer whose file is full and written; true when there may be a next one. */
  private dropWhenDone(entry: TransientBuffer): boolean {
    if (entry.file.wrotePosition < entry.file.fileSize || this.buffers[0] !== entry) return false;
    this.buffers.shift();
    this.free(entry);
    return true;
  }

  private free(entry: TransientBuffer): void {
    unmap(entry.mapping);
    entry.file.release();
  }

  /** Commits all and gives back the memory. */
  async close(): Promise<void> {
    await this.committing?.catch(() => {});
    this.commitNow();
    for (const entry of this.buffers.splice(0)) this.free(entry);
  }
}

function commitSlice(entry: TransientBuffer, end: number): Promise<void> {
  const start = entry.file.wrotePosition;
  const bytes = Math.min(end - start, WRITE_BYTES_MAX);
  return new Promise((resolve, reject) => {
    write(entry.file.descriptor, entry.mapping.buffer, start, bytes, start, (error, written) => {
      if (error) return reject(error);
      entry.file.wrotePosition = start + written;
      resolve();
    });
  });
}

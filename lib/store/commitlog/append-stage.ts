import { writeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { addBeforeOutput, removeBeforeOutput } from "../../base/before-output.ts";
import { errorText } from "../../base/errors.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";

/** Holds what the largest chunk from a socket brings; stays in the processor's cache. */
const STAGE_BYTES = 512 * 1024;

/**
 * The newest records of the log on their way into its file: encoded here, written by one call for all that came in one turn. Into
 * the page cache, that is: a killed process loses none of it, and no answer leaves before (`base/before-output.ts`).
 *
 * A page that is written through a mapping must be found clean by each flush, which takes it from the page table and interrupts every
 * core for it, and be faulted in again; pages touched ahead are flushed as zeros. Pages that are only written by calls are not mapped.
 */
export class AppendStage {
  readonly buffer = Buffer.allocUnsafeSlow(STAGE_BYTES);
  readonly view = new DataView(this.buffer.buffer, this.buffer.byteOffset, STAGE_BYTES);
  /** Bytes that are not in the file yet. */
  private used = 0;
  private file: MappedFile | undefined;
  private failure: Error | undefined;

  /** @param onFailed is told once when records could not be written: nothing is stored any more. */
  constructor(private readonly onFailed: (error: Error) => void) {}

  start(): void {
    addBeforeOutput(this.settle);
  }

  /** The file that takes appends from now on, at its write position. */
  use(file: MappedFile): void {
    assert(this.used === 0, "the stage is empty when the file changes");
    this.file = file;
  }

  /**
   * Where in `buffer` a record of `bytes` is to be encoded; -1 when no stage could hold it, which is empty then. Throws where older
   * records had to be written for it and could not.
   */
  place(bytes: number): number {
    if (this.used + bytes > STAGE_BYTES) this.settle();
    return bytes > STAGE_BYTES ? -1 : this.used;
  }

  /** The record of `bytes` stands there. */
  add(bytes: number): void {
    if (this.used === 0) queueMicrotask(this.settleQuietly);
    this.used += bytes;
  }

  /** Brings everything into the file and moves its write position. Throws where that fails, now and ever after. */
  readonly settle = (): void => {
    if (this.used === 0) return;
    if (this.failure !== undefined) throw this.failure;
    try {
      this.write();
    } catch (error) {
      this.failure = new Error(`cannot write the commit log: ${errorText(error)}`, { cause: error });
      this.onFailed(this.failure);
      throw this.failure;
    }
  };

  /** The same; false where it fails, which `onFailed` was told. Ends a turn that had nothing to say to anybody. */
  readonly settleQuietly = (): boolean => {
    try {
      this.settle();
      return true;
    } catch {
      return false;
    }
  };

  private write(): void {
    const { file, used } = this;
    assert(file !== undefined, "a stage in use has a file");
    for (let at = 0; at < used; ) {
      const bytes = this.writeSome(file.descriptor, at, used - at, file.wrotePosition + at);
      if (bytes <= 0) throw new Error(`${file.path} took ${bytes} of ${used - at} bytes`);
      at += bytes;
    }
    file.wrotePosition += used;
    this.used = 0;
  }

  /** One write; apart so that tests can make it fail or short. */
  writeSome(fd: number, at: number, bytes: number, position: number): number {
    return writeSync(fd, this.buffer, at, bytes, position);
  }

  /** Writes what is left. Where a write failed, nothing may leave a connection before all are closed and `release` is called. */
  close(): void {
    if (this.settleQuietly()) this.release();
    this.file = undefined;
  }

  release(): void {
    removeBeforeOutput(this.settle);
  }
}

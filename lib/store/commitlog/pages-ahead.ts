import type { MappedFile } from "../mappedfile/mapped-file.ts";
import type { MappedFileQueue } from "../mappedfile/mapped-file-queue.ts";
import type { FileAllocator, Touchable } from "./file-allocator.ts";

/** Pages that are not mapped are made ahead for a writer that needs less time for a step of the allocator: 100 MB/s and more. */
const FAST_STEP_MS = 40;

/** Where the records of a file are written: into its mapping, into memory before it, or by calls. */
export type WrittenBy = "mapping" | "memory" | "calls";

/** Has the helper keep ahead of the writer: with pages of the current file and, past half of it, with the next one. */
export class PagesAhead {
  /** Position in the file at which `go` wants to be called again. */
  at = 0;
  /** When it was last called. */
  private lastTime = 0;

  constructor(
    private readonly allocator: FileAllocator,
    private readonly files: MappedFileQueue,
  ) {}

  /** `memory`: what stands before `file` and is to be touched; undefined where nothing is. */
  go(file: MappedFile, position: number, writtenBy: WrittenBy, memory: Touchable | undefined): void {
    const { allocator, files } = this;
    const half = files.fileSize / 2;
    const step = position + allocator.touchStepBytes;
    this.at = position < half ? Math.min(step, half) : step;
    const time = performance.now();
    const fast = time - this.lastTime < FAST_STEP_MS;
    this.lastTime = time;
    if (writtenBy === "mapping") allocator.touchAhead(file, position);
    else if (memory !== undefined) allocator.touchAhead(memory, position);
    else if (writtenBy === "calls" && fast) allocator.touchAhead(file, position, file.descriptor);
    if (position >= half) allocator.prepare(files.pathOf(files.nextFileOffset()), writtenBy === "mapping");
  }
}

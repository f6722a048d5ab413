import { PAGE_BYTES } from "../os/mmap.ts";
import { zeroRange } from "../os/preallocate.ts";
import type { MappedFile } from "./mappedfile/mapped-file.ts";

/** Compared or filled between two yields. */
const STEP_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Makes everything behind `position` read as zeros. Old records behind a cut would else be taken for good ones when a later
 * record happens to end where one of them starts and the process dies then.
 */
export async function zeroTail(file: MappedFile, position: number): Promise<void> {
  const aligned = Math.min(file.fileSize, Math.ceil(position / PAGE_BYTES) * PAGE_BYTES);
  if (aligned > position) file.buffer.fill(0, position, aligned);
  if (aligned === file.fileSize) return;
  if (zeroRange(file.descriptor, aligned, file.fileSize - aligned) === 0) return;
  await fillZeros(file, aligned);
}

/** For file systems without FALLOC_FL_ZERO_RANGE: pages that are zero already are only read. */
async function fillZeros(file: MappedFile, start: number): Promise<void> {
  for (let at = start; at < file.fileSize; ) {
    const stepEnd = Math.min(file.fileSize, at + STEP_BYTES);
    for (; at < stepEnd; at += ZEROS.length) {
      const end = Math.min(stepEnd, at + ZEROS.length);
      const zero = file.buffer.compare(ZEROS, 0, end - at, at, end) === 0;
      if (!zero) file.buffer.fill(0, at, end);
    }
    at = stepEnd;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

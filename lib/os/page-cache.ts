import { libc } from "./libc.ts";

const POSIX_FADV_WILLNEED = 3;

/**
 * Brings [offset, offset + length) of a file into the page cache without mapping it. Blocks for ranges that were never written (their
 * pages are zeros, without a read), else starts to read. Returns 0 or an errno.
 */
export function bringIn(fd: number, offset: number, length: number): number {
  return libc().posix_fadvise(fd, offset, length, POSIX_FADV_WILLNEED);
}

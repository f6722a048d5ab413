import { errnoText, libc } from "./libc.ts";

const EINTR = 4;
const SYNC_FILE_RANGE_WRITE = 2;

/**
 * Allocates the blocks of [offset, offset + length) and extends the file to that end. Returns 0 or an errno; a failed call may
 * leave the file partly allocated, so that the caller truncates or unlinks it at once.
 */
export function preallocate(fd: number, offset: number, length: number): number {
  for (;;) {
    const code = libc().posix_fallocate(fd, offset, length);
    if (code !== EINTR) return code;
  }
}

/** A failed allocation with its errno. */
export class AllocationError extends Error {
  readonly errno: number;

  constructor(path: string, bytes: number, code: number) {
    super(`cannot allocate ${bytes} bytes for ${path}: ${errnoText(code)}`);
    this.name = "AllocationError";
    this.errno = code;
  }
}

/** Starts writeback of the range without waiting for it: spreads the work of a later fdatasync. */
export function startWriteback(fd: number, start: number, end: number): void {
  libc().sync_file_range(fd, start, end - start, SYNC_FILE_RANGE_WRITE);
}

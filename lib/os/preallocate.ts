import { errno, errnoText, libc } from "./libc.ts";

const EINTR = 4;

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

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 0x10;

/** Makes the range read as zeros, its blocks kept, without writing them (ext4, xfs). Returns 0 or an errno (EOPNOTSUPP elsewhere). */
export function zeroRange(fd: number, offset: number, length: number): number {
  return libc().fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length) === 0 ? 0 : errno();
}

/** Makes the range read as zeros and gives its blocks back; the length stays. Returns 0 or an errno (EOPNOTSUPP on some file systems). */
export function punchHole(fd: number, offset: number, length: number): number {
  return libc().fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) === 0 ? 0 : errno();
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

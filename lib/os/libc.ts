import { dlopen, FFIType, type Pointer, read } from "bun:ffi";
import { MqError } from "../base/errors.ts";

/**
 * The C library, opened at the first call. `bun:ffi` is used in this directory only. Lengths and offsets cross as u64 from a
 * double: exact, since all of them stay below 2^53.
 */
const SYMBOLS = {
  mmap: {
    args: [FFIType.u64, FFIType.u64, FFIType.i32, FFIType.i32, FFIType.i32, FFIType.u64],
    returns: FFIType.ptr,
  },
  munmap: { args: [FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  madvise: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  mlock: { args: [FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  munlock: { args: [FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  mincore: { args: [FFIType.u64, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
  posix_fallocate: { args: [FFIType.i32, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  fallocate: { args: [FFIType.i32, FFIType.i32, FFIType.u64, FFIType.u64], returns: FFIType.i32 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64_fast },
  posix_fadvise: { args: [FFIType.i32, FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  listxattr: { args: [FFIType.ptr, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
  getxattr: { args: [FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.u64], returns: FFIType.i64 },
  setxattr: { args: [FFIType.ptr, FFIType.ptr, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  __errno_location: { args: [], returns: FFIType.ptr },
} as const;

const NAMES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`, "libc.so"];

function open() {
  const failures: string[] = [];
  for (const name of NAMES) {
    try {
      return dlopen(name, SYMBOLS).symbols;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new MqError(`cannot open the C library: the store needs Linux with glibc or musl (${failures.join("; ")})`);
}

let symbols: ReturnType<typeof open> | undefined;

/** The C functions; throws MqError where there is no usable C library. */
export function libc(): ReturnType<typeof open> {
  symbols ??= open();
  return symbols;
}

/** errno of this thread. Must be read right after the failing call. */
export function errno(): number {
  return read.i32(libc().__errno_location() as Pointer, 0);
}

const ERRNO_TEXTS: Record<number, string> = {
  1: "operation not permitted (EPERM)",
  5: "input/output error (EIO)",
  9: "bad file descriptor (EBADF)",
  11: "held by another process (EAGAIN)",
  12: "out of memory or of mappings, see vm.max_map_count (ENOMEM)",
  13: "permission denied (EACCES)",
  22: "invalid argument (EINVAL)",
  27: "file too large, see ulimit -f (EFBIG)",
  28: "no space left on device (ENOSPC)",
  30: "read-only file system (EROFS)",
  95: "not supported by the file system (EOPNOTSUPP)",
  122: "disk quota exceeded (EDQUOT)",
};

/** One phrase for an errno. */
export function errnoText(code: number): string {
  return ERRNO_TEXTS[code] ?? `errno ${code}`;
}

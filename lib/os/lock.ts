import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { libc } from "./libc.ts";

const F_SETLK = 6;
const F_WRLCK = 1;
const SEEK_SET = 0;
const LOCK_EX = 2;
const LOCK_NB = 4;

/** struct flock on 64-bit Linux: i16 type, i16 whence, i64 start @8, i64 len @16, i32 pid @24; 32 bytes. */
function flockStruct(start: number, length: number): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, F_WRLCK, true);
  view.setInt16(2, SEEK_SET, true);
  view.setInt32(8, start, true);
  view.setInt32(16, length, true);
  return bytes;
}

/**
 * Takes byte [0, 1) of `path` as the JVM's FileChannel.tryLock does (fcntl) and flock besides: fcntl does not keep out another
 * open of the same process, flock does not keep out a JVM. Returns the descriptor, or -1 when somebody else holds either.
 * The file must never be opened a second time in this process: closing any descriptor of it drops the fcntl lock.
 */
export function lockFile(path: string): number {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  // flock first: it is the one that refuses a second open within this process, whose close then must not happen.
  if (libc().flock(fd, LOCK_EX | LOCK_NB) !== 0) return refuse(fd, false);
  if (libc().fcntl(fd, F_SETLK, flockStruct(0, 1)) !== 0) return refuse(fd, true);
  held.add(path);
  return fd;
}

/** Paths locked by this process. */
const held = new Set<string>();

function refuse(fd: number, mayClose: boolean): -1 {
  // Closing would drop the fcntl lock if this very process is the holder; such a descriptor is left open instead.
  if (mayClose || held.size === 0) closeSync(fd);
  return -1;
}

/** Writes the text RocketMQ keeps in its lock file. */
export function writeLockText(fd: number): void {
  ftruncateSync(fd, 0);
  writeSync(fd, "lock", 0);
}

/** Releases the lock by closing its only descriptor. */
export function unlockFile(fd: number, path: string): void {
  held.delete(path);
  closeSync(fd);
}

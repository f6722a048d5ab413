import { closeSync, fdatasyncSync, openSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { errorText } from "../../base/errors.ts";
import { errnoText } from "../../os/libc.ts";
import { lockPages, unlockPages } from "../../os/memlock.ts";
import { mapFile, populateWrite, unmap } from "../../os/mmap.ts";
import { bringIn } from "../../os/page-cache.ts";
import { preallocate } from "../../os/preallocate.ts";

/** One madvise: it holds the address space's lock, which a fault of the loop would wait for. */
const TOUCH_STEP_BYTES = 256 * 1024;
/** Pages of a warmed file are touched and synced in pieces of this size. */
const WARM_STEP_BYTES = 16 * 1024 * 1024;

/** `touch`: pages at an address, or with a descriptor (else -1) those at that offset of the file, which are not mapped then. */
export type AllocateRequest =
  | { kind: "allocate"; path: string; bytes: number; warm: boolean; touched: number }
  | { kind: "touch"; address: number; bytes: number; locking: "" | "lock" | "unlock"; fd: number }
  | { kind: "stop" };

export type AllocateReply =
  | { kind: "allocate"; path: string; reason: string }
  | { kind: "touch"; errno: number; lockErrno: number };

/**
 * The helper Worker of the store: makes files and touches pages, which would stall the loop. The entry file calls it when
 * `workerData.role` is `allocate`. A file that cannot be allocated is left as it is: the loop removes it, which alone knows
 * whether it took the file meanwhile.
 */
export function runAllocateWorker(): void {
  const port = parentPort;
  if (port === null) throw new Error("the file helper was started outside a Worker");
  port.on("message", (request: AllocateRequest) => {
    if (request.kind === "stop") {
      port.close();
      return;
    }
    port.postMessage(handle(request));
  });
}

function handle(request: Exclude<AllocateRequest, { kind: "stop" }>): AllocateReply {
  if (request.kind === "touch") {
    const { address, bytes, locking, fd } = request;
    if (fd >= 0) return { kind: "touch", errno: cache(fd, address, bytes), lockErrno: 0 };
    const errno = locking === "unlock" ? 0 : touch(address, bytes);
    return { kind: "touch", errno, lockErrno: locking === "" ? 0 : inSteps(LOCKING[locking], address, bytes) };
  }
  try {
    return { kind: "allocate", path: request.path, reason: allocate(request) };
  } catch (error) {
    return { kind: "allocate", path: request.path, reason: errorText(error) };
  }
}

const LOCKING = { lock: lockPages, unlock: unlockPages };

function touch(address: number, bytes: number): number {
  return inSteps(populateWrite, address, bytes);
}

function cache(fd: number, offset: number, bytes: number): number {
  return inSteps((at, length) => bringIn(fd, at, length), offset, bytes);
}

function inSteps(call: (at: number, length: number) => number, address: number, bytes: number): number {
  for (let at = 0; at < bytes; at += TOUCH_STEP_BYTES) {
    const code = call(address + at, Math.min(TOUCH_STEP_BYTES, bytes - at));
    if (code !== 0) return code;
  }
  return 0;
}

function allocate({ path, bytes, warm, touched }: Extract<AllocateRequest, { kind: "allocate" }>): string {
  const fd = openSync(path, "a+", 0o644);
  try {
    const code = preallocate(fd, 0, bytes);
    if (code !== 0) return errnoText(code);
  } finally {
    closeSync(fd);
  }
  if (warm) warmFile(path, bytes);
  else if (touched > 0) touchBegin(path, Math.min(touched, bytes));
  return "";
}

/** What the first messages after a roll go into is in memory before anyone can touch pages through the file's own mapping. */
function touchBegin(path: string, bytes: number): void {
  const fd = openSync(path, "r+");
  try {
    const mapping = mapFile(fd, bytes, path);
    touch(mapping.address, bytes);
    unmap(mapping);
  } finally {
    closeSync(fd);
  }
}

function warmFile(path: string, bytes: number): void {
  const fd = openSync(path, "r+");
  try {
    const mapping = mapFile(fd, bytes, path);
    for (let at = 0; at < bytes; at += WARM_STEP_BYTES) {
      if (populateWrite(mapping.address + at, Math.min(WARM_STEP_BYTES, bytes - at)) !== 0) break;
      fdatasyncSync(fd);
    }
    unmap(mapping);
  } finally {
    closeSync(fd);
  }
}

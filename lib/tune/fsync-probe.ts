import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

const WRITES = 200;
const BLOCK_BYTES = 4096;

export interface FsyncTimes {
  p50Ms: number;
  p99Ms: number;
}

/** Times 200 writes of 4 KiB, each with fdatasync, in a file of its own that is removed. Throws what node:fs throws. */
export function probeFsync(directory: string): FsyncTimes {
  const path = join(directory, `.mq-tune-probe-${process.pid}`);
  const file = openSync(path, "wx", 0o600);
  const block = Buffer.alloc(BLOCK_BYTES, 0x6d);
  const times: number[] = [];
  try {
    for (let i = 0; i < WRITES; i++) {
      const from = performance.now();
      writeSync(file, block, 0, BLOCK_BYTES, i * BLOCK_BYTES);
      fdatasyncSync(file);
      times.push(performance.now() - from);
    }
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

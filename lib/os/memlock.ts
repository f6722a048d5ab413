import { readFileSync } from "node:fs";
import { errno, libc } from "./libc.ts";

/** Keeps the pages of [address, address + length) in memory, faulting them in. Blocks: not on the loop. Returns 0 or an errno. */
export function lockPages(address: number, length: number): number {
  return libc().mlock(address, length) === 0 ? 0 : errno();
}

/** Lets the kernel take the pages back. Returns 0 or an errno. */
export function unlockPages(address: number, length: number): number {
  return libc().munlock(address, length) === 0 ? 0 : errno();
}

/** Bytes that this process may lock: the soft limit of `ulimit -l`, Infinity for unlimited; undefined where it cannot be read. */
export function memlockLimit(file = "/proc/self/limits"): number | undefined {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch {
    return undefined;
  }
  const soft = /^Max locked memory\s+(\S+)/m.exec(text)?.[1];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
}

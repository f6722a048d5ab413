import { closeSync, openSync, readSync } from "node:fs";
import { totalmem } from "node:os";
import { type LimitFile, limitFiles, readText } from "./control-group.ts";

const MEMORY_MAX: LimitFile = { v2: "memory.max", v1: "memory.limit_in_bytes", controller: "memory" };

/** Memory of the machine, or of the container where that is less. */
export function memoryBytes(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}

/** What bounds this process's memory. */
export interface MemoryBound {
  bytes: number;
  /** The file that says so, or `the machine`. */
  source: string;
}

/**
 * The least of the machine's memory and the limits of the process's control groups: `memory.max` of version 2 (systemd's MemoryMax)
 * and `memory.limit_in_bytes` of version 1, of the own group and all above it. Unreadable files bound nothing. `root` is another
 * tree in place of `/`.
 */
export function memoryBound(root = "/", machineBytes = totalmem()): MemoryBound {
  let bound: MemoryBound = { bytes: machineBytes, source: "the machine" };
  for (const file of limitFiles(root, MEMORY_MAX)) {
    const bytes = limitIn(file);
    if (bytes !== undefined && bytes < bound.bytes) bound = { bytes, source: file };
  }
  return bound;
}

function limitIn(file: string): number | undefined {
  const text = readText(file).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

const STATUS_BYTES = 4096;
const KIB = 1024;

/**
 * Reads this process's memory from /proc/self/status (3 µs): what no file backs, which the kernel cannot drop, and what is locked.
 * Without /proc everything resident counts, and nothing as locked.
 */
export class ProcessMemory {
  private readonly fd: number;
  private readonly bytes = Buffer.allocUnsafe(STATUS_BYTES);

  constructor() {
    this.fd = openStatus();
  }

  /** Bytes of anonymous memory: heap, buffers, pools; no mapped files. */
  anonymousBytes(): number {
    return this.field("RssAnon:") ?? process.memoryUsage.rss();
  }

  /** Bytes held by mlock. */
  lockedBytes(): number {
    return this.field("VmLck:") ?? 0;
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
  }

  private field(name: string): number | undefined {
    if (this.fd < 0) return undefined;
    const length = readSync(this.fd, this.bytes, 0, STATUS_BYTES, 0);
    const at = this.bytes.subarray(0, length).indexOf(name);
    if (at < 0) return undefined;
    const text = this.bytes.latin1Slice(at + name.length, Math.min(at + name.length + 32, length));
    return Number.parseInt(text, 10) * KIB;
  }
}

function openStatus(): number {
  try {
    return openSync("/proc/self/status", "r");
  } catch {
    return -1;
  }
}

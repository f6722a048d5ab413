import { type Pointer, toArrayBuffer } from "bun:ffi";
import { MqError } from "../base/errors.ts";
import { errno, errnoText, libc } from "./libc.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
/** mmap returns (void*)-1 on failure; no user address comes near it. */
const ADDRESS_MAX = 2 ** 48;

const MADV_RANDOM = 1;
const MADV_WILLNEED = 3;
const MADV_DONTNEED = 4;
const MADV_POPULATE_WRITE = 23;

export const PAGE_BYTES = 4096;

/** Bytes of a file (or anonymous memory) at an address. Unmapped by `unmap` only: the collector never frees it. */
export interface Mapping {
  /** Valid in every thread of the process. */
  readonly address: number;
  readonly length: number;
  readonly buffer: Buffer;
}

function map(length: number, flags: number, fd: number, what: string): Mapping {
  const address = Number(libc().mmap(0, length, PROT_READ | PROT_WRITE, flags, fd, 0));
  if (!(address > 0 && address < ADDRESS_MAX)) {
    throw new MqError(`cannot map ${length} bytes of ${what}: ${errnoText(errno())}`);
  }
  const buffer = Buffer.from(toArrayBuffer(address as Pointer, 0, length));
  return { address, length, buffer };
}

/**
 * Maps the first `length` bytes of an open file shared and writable. The file must be that long and its blocks allocated:
 * touching a page the disk has no room for kills the process (SIGBUS).
 */
export function mapFile(fd: number, length: number, path: string): Mapping {
  return map(length, MAP_SHARED, fd, path);
}

/** Zeroed memory outside the heap. */
export function mapAnonymous(length: number): Mapping {
  return map(length, MAP_PRIVATE | MAP_ANONYMOUS, -1, "anonymous memory");
}

/** Unmaps. A view of `mapping.buffer` used after this is a segmentation fault: the owner counts references. */
export function unmap(mapping: Mapping): void {
  if (libc().munmap(mapping.address, mapping.length) !== 0) {
    throw new MqError(`cannot unmap ${mapping.length} bytes: ${errnoText(errno())}`);
  }
}

/** Faults the pages of [address, address + length) in for writing. Blocks (0.3 to 1.5 ms per MiB): not on the loop. Returns 0 or an errno. */
export function populateWrite(address: number, length: number): number {
  const start = address - (address % PAGE_BYTES);
  return libc().madvise(start, address + length - start, MADV_POPULATE_WRITE) === 0 ? 0 : errno();
}

/** Starts reading the range ahead without waiting for it. */
export function willNeed(mapping: Mapping, start: number, end: number): void {
  const from = start - (start % PAGE_BYTES);
  libc().madvise(mapping.address + from, Math.min(end, mapping.length) - from, MADV_WILLNEED);
}

/** Gives the memory of whole pages inside [start, end) of an anonymous mapping back; they read as zeros from then on. */
export function dropPages(mapping: Mapping, start: number, end: number): void {
  const from = Math.ceil(start / PAGE_BYTES) * PAGE_BYTES;
  const to = end - (end % PAGE_BYTES);
  if (to > from) libc().madvise(mapping.address + from, to - from, MADV_DONTNEED);
}

/** Faults bring in single pages: without it the first touch of a sparse file makes zeros for the whole read-ahead window (1.4 ms at 8 MiB). */
export function adviseRandom(mapping: Mapping): void {
  libc().madvise(mapping.address, mapping.length, MADV_RANDOM);
}

/** mincore answers one byte per page; ranges beyond this many pages are sampled up to it. */
const RESIDENT_PAGES_MAX = 1024;
const residentPages = new Uint8Array(RESIDENT_PAGES_MAX);

/** Whether every page of [start, end) is in memory (1.4 µs). Only the first 4 MiB are looked at; unknown counts as resident. */
export function isResident(mapping: Mapping, start: number, end: number): boolean {
  const from = start - (start % PAGE_BYTES);
  const pages = Math.min(Math.ceil((end - from) / PAGE_BYTES), RESIDENT_PAGES_MAX);
  if (pages <= 0) return true;
  if (libc().mincore(mapping.address + from, pages * PAGE_BYTES, residentPages) !== 0) return true;
  for (let i = 0; i < pages; i++) if ((residentPages[i]! & 1) === 0) return false;
  return true;
}

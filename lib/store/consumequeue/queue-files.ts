import {
  closeSync,
  fdatasync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
} from "node:fs";
import { basename, join } from "node:path";
import { ConfigError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { readLong } from "../../message/long.ts";
import { punchHole } from "../../os/preallocate.ts";
import { fileName } from "../mappedfile/mapped-file.ts";
import { CQ_UNIT_BYTES, PHYSICAL_OFFSET_AT, PRE_BLANK_SIZE, SIZE_AT } from "./layout.ts";

/** Work on a queue's files that needs no mapping: listing, finding the end, cutting. */

/** Files [first, last] by number (offset / file size); `last` is first - 1 when there is none. */
export interface FileRange {
  first: number;
  last: number;
}

/** What a scan of the last files found. */
export interface QueueEnd {
  /** Index behind the last valid entry. */
  maxIndex: number;
  /** End of the last valid entry's record in the commit log, -1 without one. */
  maxPhysical: number;
}

/** Multiple of the entry's size, and enough that a queue of some ten thousand entries needs one read. */
const SCAN_BYTES = 50_000 * CQ_UNIT_BYTES;
const FIRST_READ_BYTES = 200 * CQ_UNIT_BYTES;
const scanBuffer = Buffer.allocUnsafeSlow(SCAN_BYTES);

/** Subdirectory of a queue; RocketMQ skips directories there. */
const QUARANTINE = "quarantine";

/** Recovery after an unclean stop looks at this many last files, as RocketMQ does. */
const FILES_SCANNED = 3;

interface QueueFile {
  path: string;
  number: number;
  size: number;
}

/**
 * Lists a queue's directory. A last file that is empty is removed, one that is short is cut to whole entries and extended: both
 * are left by a kill. Where a file in the middle is missing or has another size, it and those behind it are put aside. In each
 * case the queue is torn: the log fills it up again. Throws ConfigError where all files have one other size.
 */
export function listQueueFiles(
  directory: string,
  fileBytes: number,
  logger: Logger,
): FileRange & { /** Entries may be missing at the end. */ torn: boolean } {
  const files = queueFilesIn(directory, fileBytes);
  const first = files[0];
  if (first === undefined) return { first: 0, last: -1, torn: false };
  refuseOtherSize(files, fileBytes);
  const sound = soundFiles(files, fileBytes);
  if (sound < files.length) putAside(directory, files.slice(sound), fileBytes, logger);
  const range = { first: first.number, last: first.number + sound - 1 };
  const last = files[sound - 1];
  if (last === undefined) return { ...range, torn: true };
  if (!repairLastFile(last.path, fileBytes, logger)) range.last--;
  return { ...range, torn: sound < files.length || last.size < fileBytes };
}

function queueFilesIn(directory: string, fileBytes: number): QueueFile[] {
  const files: QueueFile[] = [];
  for (const name of readdirSync(directory)) {
    if (!/^\d{20}$/.test(name)) continue;
    const path = join(directory, name);
    const number = Number(name) / fileBytes;
    if (!Number.isInteger(number))
      throw new ConfigError(
        `load ${path}: offset ${Number(name)} is no multiple of mappedFileSizeConsumeQueue ${fileBytes}; set it to the size that the store was made with`,
      );
    files.push({ path, number, size: statSync(path).size });
  }
  return files.sort((a, b) => a.number - b.number);
}

/** One size that is not ours in every file is no damage but a wrong key. A single short file may be either: it is taken for torn. */
function refuseOtherSize(files: readonly QueueFile[], fileBytes: number): void {
  const { path, size } = files[0]!;
  if (size <= (files.length === 1 ? fileBytes : 0) || files.some((file) => file.size !== size)) return;
  if (size === fileBytes) return;
  throw new ConfigError(
    `load ${path}: found ${size} bytes, wanted ${fileBytes} (mappedFileSizeConsumeQueue); set it to the size that the store was made with`,
  );
}

/** How many of the first files number on and have their size; the last of all may be short. */
function soundFiles(files: readonly QueueFile[], fileBytes: number): number {
  for (const [i, { number, size }] of files.entries()) {
    if (number !== files[0]!.number + i || size > fileBytes) return i;
    if (size < fileBytes && i < files.length - 1) return i;
  }
  return files.length;
}

/** Their entries cannot be reached, and are made anew from the log. */
function putAside(directory: string, files: readonly QueueFile[], fileBytes: number, logger: Logger): void {
  const [{ path, size }] = files as [QueueFile];
  const to = join(directory, QUARANTINE);
  mkdirSync(to, { recursive: true });
  for (const file of files) renameSync(file.path, join(to, `${basename(file.path)}.${Date.now()}`));
  const found = size === fileBytes ? "the file before it is missing" : `found ${size} bytes, wanted ${fileBytes}`;
  logger.warn(`load ${path}: ${found}; it and ${files.length - 1} behind it were moved to ${to}`);
}

/** False when the file was empty and is gone. */
function repairLastFile(path: string, fileBytes: number, logger: Logger): boolean {
  const fd = openSync(path, "r+");
  try {
    const { size } = fstatSync(fd);
    if (size === fileBytes) return true;
    if (size > fileBytes)
      throw new ConfigError(`load ${path}: found ${size} bytes, wanted ${fileBytes} (mappedFileSizeConsumeQueue)`);
    if (size === 0) {
      logger.warn(`removed the empty last file ${path}`);
      unlinkSync(path);
      return false;
    }
    logger.warn(`${path} has ${size} bytes, wanted ${fileBytes}: kept its ${Math.floor(size / CQ_UNIT_BYTES)} entries`);
    ftruncateSync(fd, size - (size % CQ_UNIT_BYTES));
    ftruncateSync(fd, fileBytes);
    return true;
  } finally {
    closeSync(fd);
  }
}

/**
 * Finds the end of a queue. After a clean stop only the last file is looked at, by halving; else the last three are read
 * entry by entry up to the first that is invalid or lies before its predecessor in the log, and what follows is zeroed, so
 * that no stale entry can come back.
 */
export function findQueueEnd(directory: string, fileBytes: number, range: FileRange, clean: boolean): QueueEnd {
  const perFile = fileBytes / CQ_UNIT_BYTES;
  if (range.last < range.first) return { maxIndex: range.first * perFile, maxPhysical: -1 };
  let maxPhysical = -1;
  const start = clean ? range.last : Math.max(range.first, range.last - FILES_SCANNED + 1);
  for (let number = start; number <= range.last; number++) {
    const found = endOfFile(join(directory, fileName(number * fileBytes)), fileBytes, clean, maxPhysical);
    if (found.entries > 0) maxPhysical = found.maxPhysical;
    if (found.entries < perFile || number === range.last) {
      // A next file made ahead has no entries: the end is known from the file before it.
      if (found.entries === 0 && number === start && number > range.first)
        return findQueueEnd(directory, fileBytes, { first: range.first, last: number - 1 }, clean);
      return { maxIndex: number * perFile + found.entries, maxPhysical };
    }
  }
  return { maxIndex: (range.last + 1) * perFile, maxPhysical };
}

function endOfFile(
  path: string,
  fileBytes: number,
  clean: boolean,
  maxPhysicalBefore: number,
): { entries: number; maxPhysical: number } {
  const fd = openSync(path, "r+");
  try {
    const first = readEntries(fd, 0, Math.min(FIRST_READ_BYTES, fileBytes));
    let scanned = scan(first, maxPhysicalBefore);
    if (scanned.valid < first) return cut(fd, fileBytes, scanned.valid, clean, scanned.maxPhysical);
    if (clean) return halve(fd, fileBytes, first, scanned.maxPhysical);
    let at = first;
    while (at < fileBytes) {
      const read = readEntries(fd, at, Math.min(SCAN_BYTES, fileBytes - at));
      scanned = scan(read, scanned.maxPhysical);
      at += scanned.valid;
      if (scanned.valid < read || read === 0) break;
    }
    return cut(fd, fileBytes, at, clean, scanned.maxPhysical);
  } finally {
    closeSync(fd);
  }
}

/** Whole entries read into the scan buffer, in bytes. */
function readEntries(fd: number, at: number, bytes: number): number {
  let read = 0;
  while (read < bytes) {
    const count = readSync(fd, scanBuffer, read, bytes - read, at + read);
    if (count === 0) break;
    read += count;
  }
  return read - (read % CQ_UNIT_BYTES);
}

function scan(bytes: number, maxPhysicalBefore: number): { valid: number; maxPhysical: number } {
  let maxPhysical = maxPhysicalBefore;
  let at = 0;
  for (; at < bytes; at += CQ_UNIT_BYTES) {
    const physical = readLong(scanBuffer, at + PHYSICAL_OFFSET_AT);
    const size = scanBuffer.readInt32BE(at + SIZE_AT);
    if (physical < 0 || size <= 0) break;
    if (size === PRE_BLANK_SIZE && physical === 0) continue;
    if (physical < maxPhysical) break;
    maxPhysical = physical + size;
  }
  return { valid: at, maxPhysical };
}

/** Entries of a cleanly closed file: valid ones, the first `validBytes` among them, then zeros only. */
function halve(
  fd: number,
  fileBytes: number,
  validBytes: number,
  maxPhysicalOfFirst: number,
): { entries: number; maxPhysical: number } {
  let low = validBytes / CQ_UNIT_BYTES - 1;
  let high = fileBytes / CQ_UNIT_BYTES;
  let maxPhysical = maxPhysicalOfFirst;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    readEntries(fd, middle * CQ_UNIT_BYTES, CQ_UNIT_BYTES);
    const size = scanBuffer.readInt32BE(SIZE_AT);
    const physical = readLong(scanBuffer, PHYSICAL_OFFSET_AT);
    if (physical >= 0 && size > 0) {
      low = middle;
      if (size !== PRE_BLANK_SIZE) maxPhysical = physical + size;
    } else high = middle;
  }
  return { entries: low + 1, maxPhysical };
}

/** Zeroes what follows the last valid entry. */
function cut(
  fd: number,
  fileBytes: number,
  validBytes: number,
  clean: boolean,
  maxPhysical: number,
): { entries: number; maxPhysical: number } {
  if (!clean && validBytes < fileBytes) zeroFrom(fd, validBytes, fileBytes);
  return { entries: validBytes / CQ_UNIT_BYTES, maxPhysical };
}

/** By giving the blocks back: no byte is written, and a file of holes stays one. */
function zeroFrom(fd: number, at: number, fileBytes: number): void {
  if (punchHole(fd, at, fileBytes - at) === 0) return;
  ftruncateSync(fd, at);
  ftruncateSync(fd, fileBytes);
}

/** Zeroes a file that is not mapped from byte `at` on. */
export function zeroFileFrom(path: string, at: number, fileBytes: number): void {
  const fd = openSync(path, "r+");
  try {
    zeroFrom(fd, at, fileBytes);
  } finally {
    closeSync(fd);
  }
}

/** fdatasync of a file that is not mapped just now. Rejects with the system's error. */
export async function syncPath(path: string): Promise<void> {
  const fd = openSync(path, "r+");
  try {
    await new Promise<void>((resolve, reject) => fdatasync(fd, (error) => (error ? reject(error) : resolve())));
  } finally {
    closeSync(fd);
  }
}

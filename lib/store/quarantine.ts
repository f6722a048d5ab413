import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Logger } from "../base/log.ts";
import { MAGIC_V1 } from "../message/layout.ts";
import { RecordView } from "../message/record.ts";
import { type MappedFile, syncDirectory } from "./mappedfile/mapped-file.ts";

/** Subdirectory of the log; RocketMQ skips directories there. */
const QUARANTINE = "quarantine";
/** A whole record is looked for this far behind a damaged one: further than the largest record reaches. */
const LOOK_BEHIND_BYTES = 8 * 1024 * 1024;
const COPY_BYTES = 4 * 1024 * 1024;

/** What V1 and V2 magics have in common. */
const MAGIC_BEGIN = Buffer.alloc(4);
MAGIC_BEGIN.writeInt32BE(MAGIC_V1);
const MAGIC_COMMON = MAGIC_BEGIN.subarray(0, 3);

function directoryOf(file: MappedFile): string {
  const directory = join(dirname(file.path), QUARANTINE);
  mkdirSync(directory, { recursive: true });
  return directory;
}

/** Moves a file aside that holds records behind the cut: its name leaves the log, its bytes stay for who wants to look. */
export function quarantineFile(file: MappedFile, logger: Logger | undefined): void {
  const to = join(directoryOf(file), `${basename(file.path)}.${Date.now()}`);
  renameSync(file.path, to);
  syncDirectory(dirname(to));
  syncDirectory(dirname(file.path));
  logger?.error("a commit-log file behind the cut holds records; it was moved aside", { file: file.path, to });
}

/**
 * A torn last record is nobody's: it was never acknowledged. But where whole records stand behind a damaged one, they and it are
 * copied aside before the cut, as `quarantine/<file>.<position>.<time>`. The copy is on the disk when this resolves.
 */
export async function quarantineTail(file: MappedFile, position: number, logger: Logger | undefined): Promise<void> {
  const first = findRecord(file, position);
  if (first < 0) return;
  const record = new RecordView();
  let end = first;
  let records = 0;
  while (record.read(file.buffer, end, file.fileSize, file.fileFromOffset + end) === "record") {
    end += record.size;
    records++;
  }
  const to = join(directoryOf(file), `${basename(file.path)}.${position}.${Date.now()}`);
  await copyRange(file, position, end, to);
  logger?.error("whole records stand behind a damaged one; they were copied aside before the cut", {
    offset: file.fileFromOffset + position,
    records,
    to,
  });
}

/** Whether a whole record stands in the first part of a file. */
export function holdsRecord(file: MappedFile): boolean {
  return (
    new RecordView().read(file.buffer, 0, file.fileSize, file.fileFromOffset) === "record" || findRecord(file, 0) >= 0
  );
}

/** Position of the next whole record behind `position`, -1 when there is none near. */
function findRecord(file: MappedFile, position: number): number {
  const record = new RecordView();
  const area = file.buffer.subarray(position, Math.min(file.fileSize, position + LOOK_BEHIND_BYTES));
  for (let at = area.indexOf(MAGIC_COMMON, 5); at >= 0; at = area.indexOf(MAGIC_COMMON, at + 1)) {
    const start = position + at - 4;
    const state = record.read(file.buffer, start, file.fileSize, file.fileFromOffset + start);
    if (state === "record" && record.bodyIntact) return start;
  }
  return -1;
}

async function copyRange(file: MappedFile, start: number, end: number, to: string): Promise<void> {
  const fd = openSync(to, "w", 0o644);
  try {
    for (let at = start; at < end; ) {
      at += writeSync(fd, file.buffer, at, Math.min(COPY_BYTES, end - at));
      await new Promise((resolve) => setImmediate(resolve));
    }
    fsyncSync(fd);
    syncDirectory(dirname(to));
  } finally {
    closeSync(fd);
  }
}

import { RECORD_BYTES_MIN } from "../message/layout.ts";
import { RecordView } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { StoredRecord } from "./types.ts";

/** First read of a record that is not in memory: holds most whole ones. */
const COLD_READ_BYTES = 4096;

const view = new RecordView();

/**
 * The record at `physicalOffset` as a heap copy; undefined when none begins there (size, magic, place or lengths are wrong) or it
 * may not be read yet. Records that are not in memory are read from the disk without blocking the loop.
 */
export async function readLogRecord(log: CommitLog, physicalOffset: number): Promise<StoredRecord | undefined> {
  if (!Number.isSafeInteger(physicalOffset) || physicalOffset < log.minOffset) return undefined;
  const readable = log.readableEnd - physicalOffset;
  if (readable < RECORD_BYTES_MIN) return undefined;
  if (!log.isInMemory(physicalOffset, RECORD_BYTES_MIN)) return readColdRecord(log, physicalOffset, readable);
  const range = log.select(physicalOffset, RECORD_BYTES_MIN);
  if (range === undefined) return undefined;
  const end = Math.min(range.file.wrotePosition, range.start + readable);
  if (view.read(range.buffer, range.start, end, physicalOffset) !== "record") return undefined;
  return { bytes: Buffer.from(range.buffer.subarray(range.start, range.start + view.size)), physicalOffset };
}

async function readColdRecord(
  log: CommitLog,
  physicalOffset: number,
  readable: number,
): Promise<StoredRecord | undefined> {
  const fileRest = log.files.fileSize - (physicalOffset % log.files.fileSize);
  const head = await log.readCold(physicalOffset, Math.min(COLD_READ_BYTES, readable, fileRest));
  if (head === undefined) return undefined;
  const size = head.readInt32BE(0);
  if (size < RECORD_BYTES_MIN || size > Math.min(readable, fileRest)) return undefined;
  const bytes = size <= head.length ? head.subarray(0, size) : await log.readCold(physicalOffset, size);
  if (bytes === undefined || view.read(bytes, 0, size, physicalOffset) !== "record") return undefined;
  return { bytes, physicalOffset };
}

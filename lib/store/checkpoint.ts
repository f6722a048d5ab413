import { readLong, writeLong } from "../base/bytes.ts";
import { MappedFile } from "./mappedfile/mapped-file.ts";

/** The file's length; RocketMQ uses the first 40 bytes only. */
export const CHECKPOINT_BYTES = 4096;

const PHYSIC_MSG_TIMESTAMP_AT = 0;
const LOGICS_MSG_TIMESTAMP_AT = 8;
const INDEX_MSG_TIMESTAMP_AT = 16;
const MASTER_FLUSHED_OFFSET_AT = 24;
const CONFIRM_PHY_OFFSET_AT = 32;

/** mq's own part, which RocketMQ leaves alone: "mqstore1". */
const OWN_MAGIC_AT = 64;
const OWN_MAGIC = 0x6d717374;
const OWN_VERSION = 0x6f726531;
const DERIVED_OFFSET_AT = 72;
const QUEUES_AT = 80;
const QUEUE_ENTRIES_AT = 88;
/** The stamps as they were when this part was written: where they differ, RocketMQ has had the store since. */
const STAMP_COPIES_AT = 96;
const STAMP_BYTES = 24;

/** Recovery goes back this much further than the stamps say [StoreCheckpoint#getMinTimestamp]. */
const SAFETY_MS = 3000;

/**
 * Up to which store time each kind of file is on the disk [StoreCheckpoint]. A stamp moves only after its flush has succeeded, so
 * that recovery, which starts at the least of them, never starts too late.
 *
 *   0 physicMsgTimestamp i64   8 logicsMsgTimestamp i64   16 indexMsgTimestamp i64   24 masterFlushedOffset i64   32 confirmPhyOffset i64
 *  64 "mqstore1"   72 derivedOffset i64   80 queues i64   88 queueEntries i64   96 copies of the three stamps
 *
 * Stamps are no measure where the clock was set: mq goes by the log offset besides.
 */
export class Checkpoint {
  private readonly file: MappedFile;
  private dirty = false;

  private constructor(file: MappedFile) {
    this.file = file;
  }

  static open(path: string): Checkpoint {
    return new Checkpoint(MappedFile.open(path, CHECKPOINT_BYTES, { create: true, allocate: "whole" }));
  }

  /** Store time of the newest commit-log data on the disk. */
  get physicMsgTimestamp(): number {
    return readLong(this.file.view, PHYSIC_MSG_TIMESTAMP_AT);
  }
  set physicMsgTimestamp(value: number) {
    this.set(PHYSIC_MSG_TIMESTAMP_AT, value);
  }

  /** Store time of the newest consume-queue entry such that all before it are on the disk. */
  get logicsMsgTimestamp(): number {
    return readLong(this.file.view, LOGICS_MSG_TIMESTAMP_AT);
  }
  set logicsMsgTimestamp(value: number) {
    this.set(LOGICS_MSG_TIMESTAMP_AT, value);
  }

  /** The same for index files. */
  get indexMsgTimestamp(): number {
    return readLong(this.file.view, INDEX_MSG_TIMESTAMP_AT);
  }
  set indexMsgTimestamp(value: number) {
    this.set(INDEX_MSG_TIMESTAMP_AT, value);
  }

  get masterFlushedOffset(): number {
    return readLong(this.file.view, MASTER_FLUSHED_OFFSET_AT);
  }
  set masterFlushedOffset(value: number) {
    this.set(MASTER_FLUSHED_OFFSET_AT, value);
  }

  get confirmPhyOffset(): number {
    return readLong(this.file.view, CONFIRM_PHY_OFFSET_AT);
  }
  set confirmPhyOffset(value: number) {
    this.set(CONFIRM_PHY_OFFSET_AT, value);
  }

  /** Store time from which a recovery must dispatch again. */
  get minTimestamp(): number {
    return Math.max(0, Math.min(this.physicMsgTimestamp, this.logicsMsgTimestamp) - SAFETY_MS);
  }

  /** Log offset up to which log, queues and index are on the disk; undefined when another than mq wrote last. */
  get derivedOffset(): number | undefined {
    return this.own(DERIVED_OFFSET_AT);
  }
  set derivedOffset(value: number) {
    this.set(DERIVED_OFFSET_AT, value);
  }

  /** Queues with entries, and their entries' number, as the last stop in order left them; undefined as above. */
  get queues(): { count: number; entries: number } | undefined {
    const count = this.own(QUEUES_AT);
    const entries = this.own(QUEUE_ENTRIES_AT);
    return count === undefined || entries === undefined ? undefined : { count, entries };
  }
  set queues({ count, entries }: { count: number; entries: number }) {
    this.set(QUEUES_AT, count);
    this.set(QUEUE_ENTRIES_AT, entries);
  }

  private own(at: number): number | undefined {
    const { buffer, view } = this.file;
    const ours = view.getInt32(OWN_MAGIC_AT) === OWN_MAGIC && view.getInt32(OWN_MAGIC_AT + 4) === OWN_VERSION;
    if (!ours || buffer.compare(buffer, STAMP_COPIES_AT, STAMP_COPIES_AT + STAMP_BYTES, 0, STAMP_BYTES) !== 0)
      return undefined;
    const value = readLong(view, at);
    return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  }

  private set(at: number, value: number): void {
    const { buffer, view } = this.file;
    // What is of no use any more must not become ours by the copies below.
    if (this.own(DERIVED_OFFSET_AT) === undefined) buffer.fill(0, DERIVED_OFFSET_AT, STAMP_COPIES_AT);
    writeLong(view, at, value);
    buffer.copy(buffer, STAMP_COPIES_AT, 0, STAMP_BYTES);
    view.setInt32(OWN_MAGIC_AT, OWN_MAGIC);
    view.setInt32(OWN_MAGIC_AT + 4, OWN_VERSION);
    this.dirty = true;
  }

  /** Brings changed stamps to the disk. */
  async flush(): Promise<void> {
    if (!this.dirty) return;
    this.dirty = false;
    this.file.wrotePosition = CHECKPOINT_BYTES;
    await this.file.flush();
  }

  close(): void {
    this.file.close();
  }
}

import { readLong, writeLong } from "../base/bytes.ts";
import { MappedFile } from "./mappedfile/mapped-file.ts";

/** The file's length; only the first 40 bytes are used. */
export const CHECKPOINT_BYTES = 4096;

const PHYSIC_MSG_TIMESTAMP_AT = 0;
const LOGICS_MSG_TIMESTAMP_AT = 8;
const INDEX_MSG_TIMESTAMP_AT = 16;
const MASTER_FLUSHED_OFFSET_AT = 24;
const CONFIRM_PHY_OFFSET_AT = 32;

/** Recovery goes back this much further than the stamps say [StoreCheckpoint#getMinTimestamp]. */
const SAFETY_MS = 3000;

/**
 * Up to which store time each kind of file is on the disk [StoreCheckpoint]. A stamp moves only after its flush has succeeded, so
 * that recovery, which starts at the least of them, never starts too late.
 *
 *   0 physicMsgTimestamp i64   8 logicsMsgTimestamp i64   16 indexMsgTimestamp i64   24 masterFlushedOffset i64   32 confirmPhyOffset i64
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

  private set(at: number, value: number): void {
    writeLong(this.file.view, at, value);
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

import type { CommitLog } from "./commitlog/commit-log.ts";
import { readLogRecord } from "./read-record.ts";
import type { ReplicationLog, StoredRecord, StoreRange } from "./types.ts";

/** What the store does for a log that a master fills. */
export interface ReplicationHost {
  /** Why nothing may be appended; undefined when it may. */
  refusal(): string | undefined;
  /** Dispatches and flushes what was appended. */
  appended(): void;
  flush(): Promise<void>;
  /** Where the newest entry of all consume queues leads; undefined without entries. */
  newestRecordOffset(): number | undefined;
}

/** The commit log as bytes [DefaultMessageStore#getCommitLogData, #appendToCommitLog]. */
export class CommitLogBytes implements ReplicationLog {
  private readonly range: StoreRange = { buffer: Buffer.alloc(0), start: 0, end: 0 };

  constructor(
    private readonly log: CommitLog,
    private readonly host: ReplicationHost,
  ) {}

  get minOffset(): number {
    return this.log.minOffset;
  }

  get maxOffset(): number {
    return this.log.committedWhere;
  }

  get flushedWhere(): number {
    return this.log.flushedWhere;
  }

  get fileSize(): number {
    return this.log.files.fileSize;
  }

  select(offset: number, bytesMax: number): StoreRange | undefined {
    const file = offset < this.maxOffset ? this.log.files.findByOffset(offset) : undefined;
    if (file === undefined) return undefined;
    const { range } = this;
    range.buffer = file.buffer;
    range.start = offset - file.fileFromOffset;
    range.end = Math.min(file.wrotePosition, range.start + bytesMax);
    return range.end > range.start ? range : undefined;
  }

  isInMemory(offset: number, bytes: number): boolean {
    return this.log.isInMemory(offset, bytes);
  }

  readCold(offset: number, bytes: number): Promise<Buffer | undefined> {
    return this.log.readCold(offset, bytes);
  }

  appendData(offset: number, source: Buffer, start: number, end: number): string | undefined {
    return this.host.refusal() ?? this.log.appendData(offset, source, start, end);
  }

  appended(): void {
    this.host.appended();
  }

  flush(): Promise<void> {
    return this.host.flush();
  }

  async newestRecord(): Promise<StoredRecord | undefined> {
    const offset = this.host.newestRecordOffset();
    return offset === undefined ? undefined : readLogRecord(this.log, offset);
  }
}

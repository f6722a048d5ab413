import type { Logger } from "../base/log.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { CommitLogFollower } from "./commitlog/dispatch-request.ts";
import type { MappedFile } from "./mappedfile/mapped-file.ts";
import { RecordDispatcher } from "./record-dispatcher.ts";

/** Records looked at between two looks at the clock. */
const RECORDS_PER_LOOK = 32;
/** The loop is held this long at most, then others run. */
const SLICE_MS = 1;
/** Of a slave, whose master's senders wait for the next turn. */
const SLICE_IN_PARTS_MS = 0.2;

/**
 * Dispatches records that were not dispatched in the turn of their append: those that may be read only after a flush or commit,
 * and what a full consume queue held back [DefaultMessageStore.ReputMessageService].
 */
export class Reput {
  private readonly log: CommitLog;
  private readonly follower: CommitLogFollower;
  private readonly dispatcher: RecordDispatcher;
  private readonly onFatal: (error: Error) => void;
  private readonly logger: Logger | undefined;
  /** The log is a slave's: records come in pieces, and the master's senders wait meanwhile. */
  private readonly inParts: boolean;
  /** A record may be readable in part only: the rest is under way from the master, or from the store pool. */
  private readonly mayBeCut: boolean;
  private scheduled = false;
  private stopped = false;

  constructor(
    log: CommitLog,
    inParts: boolean,
    follower: CommitLogFollower,
    onFatal: (error: Error) => void,
    logger?: Logger,
  ) {
    this.log = log;
    this.inParts = inParts;
    this.mayBeCut = inParts || log.transient !== undefined;
    this.follower = follower;
    this.dispatcher = new RecordDispatcher(log);
    this.onFatal = onFatal;
    this.logger = logger;
  }

  /** Bytes appended and not dispatched. */
  get behindBytes(): number {
    return this.log.maxOffset - this.log.dispatchedOffset;
  }

  /** Dispatches what may be read: one slice now, the rest in later turns. */
  wake(): void {
    if (this.scheduled || this.stopped || this.slice()) return;
    this.wakeLater();
  }

  /** Dispatches in later turns: a slave takes and confirms its master's next bytes first. */
  wakeLater(): void {
    if (this.scheduled || this.stopped) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.wake();
    });
  }

  /** Dispatches everything that may be read, slice by slice. */
  async drain(): Promise<void> {
    while (!this.stopped && !this.slice()) await new Promise((resolve) => setImmediate(resolve));
  }

  stop(): void {
    this.stopped = true;
  }

  /** One slice; true when nothing is left that may be read. */
  private slice(): boolean {
    const until = performance.now() + (this.inParts ? SLICE_IN_PARTS_MS : SLICE_MS);
    for (;;) {
      for (let i = 0; i < RECORDS_PER_LOOK; i++) {
        if (this.log.dispatchedOffset >= this.log.readableEnd) return true;
        if (!this.one()) return true;
      }
      if (performance.now() >= until) return this.log.dispatchedOffset >= this.log.readableEnd;
    }
  }

  private one(): boolean {
    const { log, dispatcher } = this;
    const offset = log.dispatchedOffset;
    const file = log.files.findByOffset(offset);
    if (file === undefined) return this.fail(`no file holds offset ${offset}`);
    const start = offset - file.fileFromOffset;
    if (this.mayBeCut && !this.isWhole(file, start)) return false;
    const state = dispatcher.record.read(file.buffer, start, file.wrotePosition, offset);
    if (state === "illegal") return this.fail(`record at ${offset}: ${dispatcher.record.reason}`);
    if (state === "blank") {
      log.dispatchedOffset = file.fileFromOffset + file.fileSize;
      return true;
    }
    if (this.inParts) log.lastStoreTimestamp = dispatcher.record.storeTimestamp;
    this.follower.dispatch(dispatcher.toRequest());
    log.dispatchedOffset = offset + dispatcher.record.size;
    return true;
  }

  /** Whether the record at `start` is here to its end, or is none at all. */
  private isWhole(file: MappedFile, start: number): boolean {
    const end = Math.min(file.wrotePosition, this.log.readableEnd - file.fileFromOffset);
    if (end - start < 8) return false;
    const size = file.buffer.readInt32BE(start);
    return size < 0 || size <= end - start || size > file.fileSize - start;
  }

  private fail(reason: string): false {
    this.stopped = true;
    const hint = this.inParts ? "; this log is not its master's: empty the slave's store to have it copied anew" : "";
    const error = new Error(`cannot dispatch: ${reason}${hint}`);
    this.logger?.error(error.message);
    this.onFatal(error);
    return false;
  }
}

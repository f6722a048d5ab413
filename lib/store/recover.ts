import type { Logger } from "../base/log.ts";
import { RecordView } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { DispatchRequest } from "./commitlog/dispatch-request.ts";
import type { MappedFile } from "./mappedfile/mapped-file.ts";
import { holdsRecord, quarantineFile, quarantineTail } from "./quarantine.ts";
import { RecordDispatcher } from "./record-dispatcher.ts";
import type { StoreConfig } from "./store-config.ts";
import { zeroTail } from "./zero-tail.ts";

/** The loop is held this long at most, then others run (the process must answer that it lives). */
const SLICE_MS = 5;
const RECORDS_PER_LOOK = 32;
const PROGRESS_MS = 2000;
/** Read ahead of the scan: a page fault would hold the loop. */
const READ_AHEAD_BYTES = 32 * 1024 * 1024;

export interface RecoverOptions {
  log: CommitLog;
  config: StoreConfig;
  /** The last stop was in order. */
  clean: boolean;
  /** Store time up to which everything derived is on the disk (unclean stop only). */
  minTimestamp: number;
  /** Store time up to which the index is on the disk; bounds the start with messageIndexSafe. */
  indexMsgTimestamp: number;
  /** Log offset up to which everything is on the disk, where that is known (unclean stop only). */
  derivedOffset?: number | undefined;
  /** After a clean stop: end of the last record that a consume queue knows, -1 for none. */
  queuesEnd: number;
  /** Log offset up to which a queue or the index is whole that lost files or entries, -1 for its beginning: dispatch begins there at the latest. */
  tornEnd?: number | undefined;
  /** Told the offset from which every record will be dispatched, before the first is: what is known beyond it is stale. */
  onStart: (offset: number) => void;
  dispatch: (request: DispatchRequest) => void;
  logger?: Logger | undefined;
}

/**
 * Finds the end of the log [CommitLog#recoverNormally, #recoverAbnormally]: walks records from the last point known to be good,
 * checks size, magic, place and CRC, dispatches what may not be dispatched yet, cuts at the first record that is not whole. The
 * scan is bounded: after a clean stop it starts where the consume queues end, after an unclean one at the newest file that
 * begins before the checkpoint. Returns the end.
 */
export async function recoverCommitLog(options: RecoverOptions): Promise<number> {
  const { log, clean, logger } = options;
  const { files } = log.files;
  if (files.length === 0) return 0;
  const start = clean
    ? Math.min(cleanStart(options), tornStart(options))
    : Math.min(uncleanStart(options), derivedStart(options), tornStart(options));
  if (!clean) logger?.warn("the store was not closed in order; checking the commit log", { from: start });
  options.onStart(start);
  const scan = new Scan(options, start);
  const end = await scan.run();
  await cut(options, end, scan.reason);
  if (!clean) for (const file of files.slice()) if (file.fileFromOffset + file.fileSize > start) await file.flush();
  if (!clean || scan.records > 1000) {
    const { records } = scan;
    logger?.info("commit log recovered", { records, from: start, end, ms: Math.round(performance.now() - scan.begun) });
  }
  log.dispatchedOffset = end;
  log.startAt(end);
  return end;
}

/** Where the queues end, if a record, a blank or untouched space stands there; else the start of that file. */
function cleanStart(options: RecoverOptions): number {
  const { log, queuesEnd } = options;
  const file = log.files.findByOffset(queuesEnd);
  if (queuesEnd < 0 || file === undefined) {
    return queuesEnd > log.minOffset ? log.files.last!.fileFromOffset : log.minOffset;
  }
  const position = queuesEnd - file.fileFromOffset;
  const untouched = position + 8 > file.fileSize || file.buffer.readInt32BE(position + 4) === 0;
  if (untouched || new RecordView().read(file.buffer, position, file.fileSize, queuesEnd) !== "illegal")
    return queuesEnd;
  return file.fileFromOffset;
}

/** Begin of the file that holds the offset up to which everything is on the disk: stamps say too much where the clock was set. */
function derivedStart({ log, derivedOffset }: RecoverOptions): number {
  if (derivedOffset === undefined) return Number.POSITIVE_INFINITY;
  const { files } = log;
  const file = files.findByOffset(derivedOffset) ?? (derivedOffset >= files.maxOffset ? files.last : files.first);
  return file?.fileFromOffset ?? log.minOffset;
}

/** Begin of the file that holds the end of what is torn: its word is not enough to begin inside a file. */
function tornStart({ log, tornEnd, logger }: RecoverOptions): number {
  if (tornEnd === undefined) return Number.POSITIVE_INFINITY;
  const start = log.files.findByOffset(tornEnd)?.fileFromOffset ?? log.minOffset;
  logger?.warn("a consume queue or the index lost entries: dispatching the commit log again", { from: start });
  return start;
}

/** The newest file whose first record was stored before everything derived was on the disk; else the first file. */
function uncleanStart(options: RecoverOptions): number {
  const { log, config } = options;
  const { files } = log.files;
  const bounded = config.messageIndexEnable && config.messageIndexSafe;
  const limit = bounded ? Math.min(options.minTimestamp, options.indexMsgTimestamp) : options.minTimestamp;
  const record = new RecordView();
  for (let i = files.length - 1; i > 0; i--) {
    const file = files[i]!;
    if (record.read(file.buffer, 0, file.fileSize, file.fileFromOffset) !== "record") continue;
    if (config.checkCRCOnRecover && !record.bodyIntact) continue;
    if (record.storeTimestamp > 0 && record.storeTimestamp <= limit) return file.fileFromOffset;
  }
  return log.minOffset;
}

class Scan {
  records = 0;
  reason = "";
  readonly begun = performance.now();
  private readonly options: RecoverOptions;
  private readonly dispatcher: RecordDispatcher;
  private offset: number;
  private reported = this.begun;
  private readAheadEnd = 0;

  constructor(options: RecoverOptions, start: number) {
    this.options = options;
    this.dispatcher = new RecordDispatcher(options.log);
    this.offset = start;
  }

  async run(): Promise<number> {
    while (!this.slice()) {
      this.report();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.offset;
  }

  private report(): void {
    const time = performance.now();
    if (time - this.reported < PROGRESS_MS) return;
    this.reported = time;
    const { log, logger } = this.options;
    const { minOffset, maxOffset } = log.files;
    logger?.info("checking the commit log", {
      offset: this.offset,
      from: minOffset,
      to: maxOffset,
      records: this.records,
    });
  }

  /** True at the end of the log. */
  private slice(): boolean {
    const until = performance.now() + SLICE_MS;
    do {
      for (let i = 0; i < RECORDS_PER_LOOK; i++) if (!this.one()) return true;
    } while (performance.now() < until);
    return false;
  }

  private one(): boolean {
    const { log } = this.options;
    const file = log.files.findByOffset(this.offset);
    if (file === undefined) return false;
    const position = this.offset - file.fileFromOffset;
    this.readAhead(file, position);
    const { record } = this.dispatcher;
    const state = record.read(file.buffer, position, file.fileSize, this.offset);
    if (state === "blank") {
      this.offset = file.fileFromOffset + file.fileSize;
      return true;
    }
    if (state === "illegal") return this.end(record.reason);
    if (record.tornTail) return this.end("topic or properties end in zeros");
    if (!this.intact()) return this.end(`body CRC is not ${record.bodyCRC}`);
    this.options.dispatch(this.dispatcher.toRequest());
    log.lastStoreTimestamp = record.storeTimestamp;
    this.records++;
    this.offset += record.size;
    return true;
  }

  private intact(): boolean {
    const { config } = this.options;
    if (!config.checkCRCOnRecover) return true;
    return config.forceVerifyPropCRC ? this.dispatcher.record.propertyCrcIntact : this.dispatcher.record.bodyIntact;
  }

  private end(reason: string): false {
    this.reason = reason;
    return false;
  }

  private readAhead(file: MappedFile, position: number): void {
    const ahead = file.fileFromOffset + position + READ_AHEAD_BYTES / 2;
    if (ahead < this.readAheadEnd) return;
    const end = Math.min(file.fileSize, position + READ_AHEAD_BYTES);
    file.readAhead(position, end);
    this.readAheadEnd = file.fileFromOffset + end;
  }
}

/** Cuts the log at `end`: later files go (those with records into quarantine), the rest of the last file reads as zeros. */
async function cut(options: RecoverOptions, end: number, reason: string): Promise<void> {
  const { log, clean, logger } = options;
  const queue = log.files;
  const holder = queue.findByOffset(end);
  const position = holder === undefined ? 0 : end - holder.fileFromOffset;
  const leftover = holder !== undefined && position + 8 <= holder.fileSize && !isZero(holder.buffer, position, 8);
  if (leftover) {
    logger?.warn("cut the commit log at a record that is not whole", { offset: end, reason });
  }
  // A page that was lost reads as zeros, and good records may stand behind it.
  if (holder !== undefined && (leftover || !clean)) await quarantineTail(holder, position, logger);
  for (let i = queue.files.length - 1; i > 0; i--) {
    const file = queue.files[i]!;
    if (file.fileFromOffset < end || file.fileFromOffset + file.fileSize <= end) break;
    if (!isZero(file.buffer, 0, 8) || holdsRecord(file)) quarantineFile(file, logger);
  }
  queue.truncate(end);
  const last = queue.last;
  if (last === undefined || last.fileFromOffset + last.fileSize <= end) return;
  if (!clean || leftover) await zeroTail(last, end - last.fileFromOffset);
}

function isZero(buffer: Buffer, start: number, length: number): boolean {
  for (let i = start; i < start + length; i++) if (buffer[i] !== 0) return false;
  return true;
}

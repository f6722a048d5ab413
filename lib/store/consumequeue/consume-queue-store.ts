import { mkdirSync, readdirSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { errorText } from "../../base/errors.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";
import { ConsumeQueue } from "./consume-queue.ts";
import { EntryStage } from "./entry-stage.ts";
import { queueFileBytes } from "./layout.ts";
import type { QueueSurroundings } from "./queue-surroundings.ts";

export interface ConsumeQueueSettings {
  storePathRootDir: string;
  /** Bytes. */
  mappedFileSizeConsumeQueue: number;
}

/** What the queues must know of the log. */
export interface CommitLogView {
  /** First offset that the log still has. */
  readonly minOffset: number;
  /** Records below are dispatched. */
  readonly dispatchedOffset: number;
  readonly maxOffset: number;
}

/** Mapped queue files; beyond it those not used of late are unmapped. The kernel allows 65,530 mappings in all. */
const MAPPED_MAX = 16_384;
/** Entries that wait for room on the disk; the store must refuse writes long before (see `refusal`). */
const DEFERRED_MAX = 1_000_000;
/** fdatasyncs in flight: the rest of the pool stays free for cold reads. */
const FLUSHES_AT_ONCE = 2;
const PAGE_BYTES = 4096;
/** Queue ids below it are found without the table. */
const DIRECT_MAX = 1024;
/** Recovery holds the loop this long at most. */
const SLICE_MS = 5;
/** Recovery reports its progress at most this often. */
const PROGRESS_MS = 2000;
const DELETED_PREFIX = ".deleted-";

interface Deferred {
  queue: ConsumeQueue;
  queueOffset: number;
  physicalOffset: number;
  size: number;
  tagsCode: number;
}

/**
 * All consume queues: `consumequeue/<topic>/<queueId>/` [ConsumeQueueStore]. Also the commit log's table of queue offsets:
 * `nextOffset` and `increase` work on the same handle that `put` uses, one look-up each.
 */
export class ConsumeQueueStore {
  readonly directory: string;
  readonly fileBytes: number;
  /** Topic → queue id → queue. */
  readonly table = new Map<string, Map<number, ConsumeQueue>>();
  /** Store timestamp of the newest entry such that it and all before it are on the disk; for the checkpoint. 0 = none yet. */
  flushedTimestamp = 0;
  /** Entries of all records below this log offset are on the disk. */
  flushedOffset = 0;
  /** Store timestamp of the newest entry. */
  newestTimestamp = 0;
  /** Why entries cannot be written just now, undefined when they can: the store must refuse writes. */
  refusal: string | undefined;
  /** Touches pages ahead of the writer, off the loop; set by the store that has a helper for it. */
  touch: ((file: MappedFile, start: number, end: number) => void) | undefined;

  readonly #logger: Logger;
  readonly #commitLog: CommitLogView;
  readonly #mappedMax: number;
  readonly #surroundings: QueueSurroundings;
  readonly #dirty = new Set<ConsumeQueue>();
  /** Queues that have something mapped, oldest first. */
  readonly #mapped = new Set<ConsumeQueue>();
  readonly #flushingMapped: ConsumeQueue[] = [];
  /** `table` again, as arrays by queue id below `DIRECT_MAX`: a look-up per message. */
  readonly #direct = new Map<string, (ConsumeQueue | undefined)[]>();
  #mappedFiles = 0;
  #last: ConsumeQueue | undefined;
  #lastTopic = "";
  #lastQueueId = -1;
  #deferred: Deferred[] = [];
  #flushing: Promise<void> | undefined;
  #flushFailed = false;
  /** Topics that were deleted while records of theirs waited for dispatch, and the log's end then. */
  readonly #deletedAt = new Map<string, number>();
  #deletions = 0;

  /** @param mappedMax queue files mapped at once. @param stage for the newest entries. */
  constructor(
    settings: ConsumeQueueSettings,
    commitLog: CommitLogView,
    logger: Logger = createLogger("store"),
    mappedMax = MAPPED_MAX,
    stage = new EntryStage(),
  ) {
    this.#mappedMax = mappedMax;
    this.directory = join(settings.storePathRootDir, "consumequeue");
    this.fileBytes = queueFileBytes(settings.mappedFileSizeConsumeQueue);
    this.#logger = logger;
    this.#commitLog = commitLog;
    this.#surroundings = {
      fileBytes: this.fileBytes,
      logger,
      stage,
      minPhysicalOffset: () => commitLog.minOffset,
      markDirty: (queue) => this.#dirty.add(queue),
      opened: (queue) => this.#opened(queue),
      makeDirectory: (path) => mkdirSync(path, { recursive: true }),
      touch: (file, start, end) => this.touch?.(file, start, end),
    };
  }

  /** Finds the queues: one directory scan per topic; no file is opened. */
  load(): void {
    for (const topic of foldersOf(this.directory)) {
      if (topic.startsWith(DELETED_PREFIX)) {
        this.#removeFolder(join(this.directory, topic));
        continue;
      }
      for (const name of foldersOf(join(this.directory, topic))) {
        const queueId = Number(name);
        if (/^\d{1,10}$/.test(name)) this.queue(topic, queueId);
        else this.#logger.warn(`${join(this.directory, topic, name)} is no queue, wanted a number: ignored`);
      }
    }
  }

  /**
   * Opens every queue and finds its end. Returns the end of the last record that any queue knows, -1 when none knows one:
   * dispatch goes on from there after a clean stop. After an unclean one call `truncateDirty` with the offset that dispatch
   * starts at before dispatching: what the queues know beyond it is then built anew and cannot be stale.
   * @param clean the store was closed in order: queues end where their zeros begin, which needs a few reads each only.
   * Throws ConfigError naming the file for a hole or a wrong size.
   */
  recover(clean = false): number {
    for (const _ of this.#recovering(clean));
    return this.newestQueue?.maxPhysical ?? -1;
  }

  /** `recover` in slices, between which the process can say that it lives: 200,000 queues take 3 s, 20 s after an unclean stop. */
  async recoverInSlices(clean: boolean): Promise<number> {
    let until = performance.now() + SLICE_MS;
    for (const _ of this.#recovering(clean)) {
      if (performance.now() < until) continue;
      await new Promise((resolve) => setImmediate(resolve));
      until = performance.now() + SLICE_MS;
    }
    return this.newestQueue?.maxPhysical ?? -1;
  }

  *#recovering(clean: boolean): Generator<undefined> {
    let done = 0;
    let reported = Date.now();
    const total = this.queueCount;
    for (const queues of this.table.values())
      for (const queue of queues.values()) {
        queue.recover(clean);
        done++;
        if ((done & 255) === 0 && Date.now() - reported > PROGRESS_MS) {
          reported = Date.now();
          this.#logger.info(`recovering consume queues: ${done} of ${total}`);
        }
        yield;
      }
  }

  /** Where the first of the queues that lost entries ends in the log, -1 at its beginning; undefined when none did. */
  get tornEnd(): number | undefined {
    let end: number | undefined;
    for (const queues of this.table.values())
      for (const queue of queues.values())
        if (queue.torn && queue.maxPhysical < (end ?? Number.POSITIVE_INFINITY)) end = queue.maxPhysical;
    return end;
  }

  /** The queue whose last entry lies furthest in the log; undefined without entries. */
  get newestQueue(): ConsumeQueue | undefined {
    let newest: ConsumeQueue | undefined;
    for (const queues of this.table.values())
      for (const queue of queues.values())
        if (queue.maxPhysical >= 0 && queue.maxPhysical > (newest?.maxPhysical ?? -1)) newest = queue;
    return newest;
  }

  /** Queues that have entries, and up to which index, all together: shows a queue or a file at its end that is gone. */
  get census(): { count: number; entries: number } {
    const census = { count: 0, entries: 0 };
    for (const queues of this.table.values())
      for (const { maxIndex } of queues.values())
        if (maxIndex > 0) {
          census.count++;
          census.entries += maxIndex;
        }
    return census;
  }

  get queueCount(): number {
    let count = 0;
    for (const queues of this.table.values()) count += queues.size;
    return count;
  }

  /** The queue if it exists. */
  find(topic: string, queueId: number): ConsumeQueue | undefined {
    if (queueId === this.#lastQueueId && topic === this.#lastTopic) return this.#last;
    const queue = this.#direct.get(topic)?.[queueId] ?? this.table.get(topic)?.get(queueId);
    if (queue === undefined) return undefined;
    // An append asks three times for the same queue.
    this.#last = queue;
    this.#lastTopic = topic;
    this.#lastQueueId = queueId;
    return queue;
  }

  /** The queue, made when there is none (its directory comes with its first entry). */
  queue(topic: string, queueId: number): ConsumeQueue {
    let queues = this.table.get(topic);
    if (queues === undefined) {
      queues = new Map();
      this.table.set(topic, queues);
    }
    let queue = queues.get(queueId);
    if (queue === undefined) {
      queue = new ConsumeQueue(topic, queueId, join(this.directory, topic, String(queueId)), this.#surroundings);
      queues.set(queueId, queue);
      if (queueId < DIRECT_MAX) this.#addDirect(topic, queueId, queue);
    }
    return queue;
  }

  #addDirect(topic: string, queueId: number, queue: ConsumeQueue): void {
    let queues = this.#direct.get(topic);
    if (queues === undefined) {
      queues = [];
      this.#direct.set(topic, queues);
    }
    while (queues.length < queueId) queues.push(undefined);
    queues[queueId] = queue;
  }

  /** Queue offset that the next record of the queue gets; 0 for an unknown queue. */
  nextOffset(topic: string, queueId: number): number {
    return this.find(topic, queueId)?.nextQueueOffset ?? 0;
  }

  /** Counts `by` records as appended to the log. */
  increase(topic: string, queueId: number, by: number): void {
    const queue = this.find(topic, queueId) ?? this.queue(topic, queueId);
    queue.nextQueueOffset += by;
  }

  /**
   * Adds the entry of a dispatched record; a record known already is skipped. When the disk has no room the entry waits in
   * memory, `refusal` says why, and it is written as soon as there is room. Throws Error when too many wait.
   */
  put(
    topic: string,
    queueId: number,
    queueOffset: number,
    physicalOffset: number,
    size: number,
    tagsCode: number,
    storeTimestamp: number,
  ): void {
    if (this.#deletedAt.size > 0 && this.#isOfDeleted(topic, physicalOffset)) return;
    const queue = this.find(topic, queueId) ?? this.queue(topic, queueId);
    if (this.#deferred.length === 0) {
      try {
        queue.put(queueOffset, physicalOffset, size, tagsCode);
        if (storeTimestamp > this.newestTimestamp) this.newestTimestamp = storeTimestamp;
        return;
      } catch (error) {
        this.refusal = `consume queue cannot grow: ${errorText(error)}`;
        this.#logger.error(this.refusal);
      }
    }
    if (this.#deferred.length >= DEFERRED_MAX)
      throw new Error(`${DEFERRED_MAX} consume-queue entries wait already: ${this.refusal}`);
    this.#deferred.push({ queue, queueOffset, physicalOffset, size, tagsCode });
    if (queue.nextQueueOffset <= queueOffset) queue.nextQueueOffset = queueOffset + 1;
  }

  /** Such a record has an offset of the queue that is gone: it has no place in one that was made since. */
  #isOfDeleted(topic: string, physicalOffset: number): boolean {
    const deletedAt = this.#deletedAt.get(topic);
    if (deletedAt === undefined) return false;
    if (physicalOffset < deletedAt) return true;
    this.#deletedAt.delete(topic);
    return false;
  }

  #rememberDeleted(topic: string): void {
    const { dispatchedOffset, maxOffset } = this.#commitLog;
    for (const [other, deletedAt] of this.#deletedAt) if (deletedAt <= dispatchedOffset) this.#deletedAt.delete(other);
    if (maxOffset > dispatchedOffset) this.#deletedAt.set(topic, maxOffset);
  }

  /** Entries that wait for room on the disk. While there are any the store is not to be marked as cleanly closed. */
  get deferredCount(): number {
    return this.#deferred.length;
  }

  /** Tries the waiting entries again; true when none waits any more. Called by every flush, and after files were deleted. */
  retryDeferred(): boolean {
    let written = 0;
    try {
      for (const entry of this.#deferred) {
        entry.queue.put(entry.queueOffset, entry.physicalOffset, entry.size, entry.tagsCode);
        written++;
      }
    } catch (error) {
      this.refusal = `consume queue cannot grow: ${errorText(error)}`;
    }
    if (written > 0) this.#deferred = this.#deferred.slice(written);
    if (this.#deferred.length > 0) return false;
    if (this.refusal !== undefined) this.#logger.info("consume queues can grow again");
    this.refusal = undefined;
    return true;
  }

  /** Removes entries of records at or beyond `physicalEnd`, everywhere. */
  truncateDirty(physicalEnd: number): void {
    let entries = 0;
    let cut = 0;
    for (const queues of this.table.values())
      for (const queue of queues.values()) {
        const removed = queue.truncate(physicalEnd);
        entries += removed;
        if (removed > 0) cut++;
      }
    if (cut > 0)
      this.#logger.info(`${entries} entries of ${cut} consume queues removed from log offset ${physicalEnd} on`);
  }

  /** The log lost its files below `minPhysical`. Queues look for their min offset when next asked; nothing to do at once. */
  correctMinOffset(_minPhysical: number): void {}

  /**
   * Brings queues to the disk that have `leastPages` dirty pages of 4 KiB or more; 0 = every dirty one, after which
   * `flushedTimestamp` moves. Calls during a flush share it (a thorough one waits and runs again). Rejects with the system's
   * error; `flushedTimestamp` never moves after that.
   */
  async flush(leastPages: number): Promise<void> {
    while (this.#flushing !== undefined) {
      if (leastPages > 0) return this.#flushing;
      await this.#flushing;
    }
    this.#flushing = this.#flush(leastPages).finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(leastPages: number): Promise<void> {
    const complete = this.retryDeferred() && leastPages === 0;
    const stamp = this.newestTimestamp;
    const offset = this.#commitLog.dispatchedOffset;
    const due: ConsumeQueue[] = [];
    for (const queue of this.#dirty)
      if (leastPages === 0 || queue.dirtyBytes >= leastPages * PAGE_BYTES) {
        due.push(queue);
        this.#dirty.delete(queue);
      }
    const worker = async (): Promise<void> => {
      for (let queue = due.pop(); queue !== undefined; queue = due.pop()) await queue.flush();
    };
    try {
      await Promise.all(Array.from({ length: FLUSHES_AT_ONCE }, worker));
    } catch (error) {
      for (const queue of due) this.#dirty.add(queue);
      if (!this.#flushFailed)
        this.#logger.error(`flush consume queue: ${errorText(error)}; the checkpoint stays where it is`);
      this.#flushFailed = true;
      throw error;
    }
    if (!complete || this.#flushFailed) return;
    this.flushedTimestamp = Math.max(this.flushedTimestamp, stamp);
    this.flushedOffset = offset;
  }

  /** Takes files away that hold only entries of records before `minPhysical`; returns their paths, to be removed one at a time. */
  detachExpired(minPhysical: number): string[] {
    const paths: string[] = [];
    for (const queues of this.table.values())
      for (const queue of queues.values()) if (queue.fileCount > 1) paths.push(...queue.detachExpired(minPhysical));
    return paths;
  }

  /** Drops all queues of a topic. The directory gets another name at once and is removed in the background. */
  destroy(topic: string): boolean {
    const queues = this.table.get(topic);
    if (queues === undefined) return false;
    for (const queue of queues.values()) this.#forget(queue);
    this.table.delete(topic);
    this.#direct.delete(topic);
    this.#rememberDeleted(topic);
    this.#removeLater(join(this.directory, topic));
    this.#logger.info(`deleted the ${queues.size} queues of topic ${topic}`);
    return true;
  }

  /** Drops one queue. */
  destroyQueue(queue: ConsumeQueue): void {
    const queues = this.table.get(queue.topic);
    if (queues?.get(queue.queueId) !== queue) return;
    this.#forget(queue);
    queues.delete(queue.queueId);
    if (queues.size === 0) {
      this.table.delete(queue.topic);
      this.#direct.delete(queue.topic);
    }
    this.#removeLater(queue.directory);
    this.#logger.info(`deleted queue ${queue.topic}-${queue.queueId}`);
  }

  /** Drops everything: the log is empty, so no entry can mean anything [recovery without commit-log files]. */
  destroyAll(): void {
    for (const topic of [...this.table.keys()]) this.destroy(topic);
  }

  #forget(queue: ConsumeQueue): void {
    this.#last = undefined;
    this.#lastQueueId = -1;
    const direct = this.#direct.get(queue.topic);
    if (direct?.[queue.queueId] === queue) direct[queue.queueId] = undefined;
    queue.close(true);
    this.#dirty.delete(queue);
    this.#mapped.delete(queue);
    this.#deferred = this.#deferred.filter((entry) => entry.queue !== queue);
  }

  #removeLater(path: string): void {
    this.#deletions++;
    const aside = join(this.directory, `${DELETED_PREFIX}${process.pid}-${Date.now()}-${this.#deletions}`);
    try {
      renameSync(path, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    this.#removeFolder(aside);
  }

  #removeFolder(path: string): void {
    rm(path, { recursive: true, force: true }).catch((error) =>
      this.#logger.error(`remove ${path}: ${errorText(error)}; it is tried again at the next start`),
    );
  }

  /** Flushes everything and unmaps. Rejects when this or an earlier flush failed; everything is closed nevertheless. */
  async shutdown(): Promise<void> {
    try {
      await this.flush(0);
      // What a failed flush left in memory the next one may take for written.
      if (this.#flushFailed) throw new Error("an earlier flush of the consume queues failed");
    } finally {
      for (const queues of this.table.values()) for (const queue of queues.values()) queue.close(false);
      this.#mapped.clear();
    }
  }

  /** Mapped queue files, for tests and figures. */
  get mappedFiles(): number {
    let count = 0;
    for (const queue of this.#mapped) count += queue.mappedCount;
    return count;
  }

  #opened(queue: ConsumeQueue): void {
    this.#mapped.add(queue);
    this.#mappedFiles++;
    if (this.#mappedFiles > this.#mappedMax) this.#unmapUnused(queue);
  }

  /** Second chance: what was used since the last look stays unless that leaves too much, until a quarter is free. */
  #unmapUnused(opening: ConsumeQueue): void {
    let mapped = this.mappedFiles;
    for (const queue of this.#mapped) {
      if (mapped <= this.#mappedMax * 0.75) break;
      if (queue === opening) continue;
      this.#mapped.delete(queue);
      if (queue.touched) {
        queue.touched = false;
        // Behind all others: the same look meets it again when they did not free enough.
        this.#mapped.add(queue);
        continue;
      }
      const before = queue.mappedCount;
      queue.unmap();
      mapped -= before - queue.mappedCount;
      if (queue.mappedCount > 0) this.#flushingMapped.push(queue);
    }
    // A queue that is just being flushed keeps its files.
    for (const queue of this.#flushingMapped.splice(0)) this.#mapped.add(queue);
    this.#mappedFiles = mapped;
  }
}

function foldersOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

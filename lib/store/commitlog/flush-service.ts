import { errorText } from "../../base/errors.ts";
import { linger } from "../../base/linger.ts";
import type { Logger } from "../../base/log.ts";
import type { StoreConfig } from "../store-config.ts";
import type { PutMessageStatus } from "../types.ts";
import type { CommitLog } from "./commit-log.ts";
import type { TransientStore } from "./transient-store.ts";

const PAGE_BYTES = 4096;
/** So many senders of one turn are worth a flush of their own: the other connections' messages are stored while it runs. */
const EARLY_WAITERS = 16;
/** A round that takes longer than this is slow, ms. */
const SLOW_ROUND_MS = 1;
/** So many rounds without a slow one before, and a round with nobody else about may be written on the loop. */
const FAST_ROUNDS = 64;
/** Bytes of such a round at most. */
const ON_LOOP_BYTES_MAX = 16 * 1024;
/** Senders that wait for one flush; more would only time out. */
const WAITERS_MAX = 200_000;

export interface FlushListener {
  /** Everything up to `log.flushedWhere` is on the disk; `storeTimestamp` is that of its newest record. */
  onFlushed(storeTimestamp: number): void;
  /** Memory of the transient store went to the files: more is readable. */
  onCommitted(): void;
  /** A write or flush failed: what is on the disk is unknown from here on. */
  onFatal(error: Error): void;
}

/**
 * Brings the log to the disk [CommitLog.DefaultFlushManager]. ASYNC_FLUSH by the clock, SYNC_FLUSH in rounds: one fdatasync is in
 * flight, everyone who waited when it began is answered together, those who came meanwhile share the next. After a failure
 * nothing is flushed or answered well any more: the kernel may have dropped what it could not write.
 */
export class FlushService {
  /** Set by the first failure. */
  failure: Error | undefined;

  private readonly log: CommitLog;
  private readonly config: StoreConfig;
  private readonly listener: FlushListener;
  private readonly sync: boolean;
  private readonly logger: Logger | undefined;

  /** Waiters in order of arrival: three columns and where the first is. */
  private ends: number[] = [];
  private deadlines: number[] = [];
  private dones: ((status: PutMessageStatus) => void)[] = [];
  private head = 0;

  private flushing: Promise<void> | undefined;
  private roundScheduled = false;
  private wokenMeanwhile = false;
  private timeoutTimer: ReturnType<typeof setTimeout> | undefined;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private commitTimer: ReturnType<typeof setTimeout> | undefined;
  private lastThoroughFlush = 0;
  private lastThoroughCommit = 0;
  private running = false;
  /** Rounds since the last slow one. */
  private fastRounds = 0;
  /** `linger.turns` when the last round began. */
  private turnsBefore = 0;

  constructor(log: CommitLog, config: StoreConfig, listener: FlushListener, logger?: Logger) {
    this.log = log;
    this.config = config;
    this.listener = listener;
    this.sync = config.flushDiskType === "SYNC_FLUSH";
    this.logger = logger;
  }

  start(): void {
    this.running = true;
    this.lastThoroughFlush = this.lastThoroughCommit = performance.now();
    this.scheduleFlush();
    if (this.log.transient?.durable === false) this.scheduleCommit();
  }

  get waiting(): number {
    return this.dones.length - this.head;
  }

  /** Calls `done` once when everything below `physicalEnd` is on the disk, after `syncFlushTimeout` without that, or on a failure. */
  wait(physicalEnd: number, done: (status: PutMessageStatus) => void): void {
    const atOnce = this.answerNow(physicalEnd);
    if (atOnce !== undefined) {
      done(atOnce);
      return;
    }
    this.ends.push(physicalEnd);
    this.deadlines.push(performance.now() + this.config.syncFlushTimeout);
    this.dones.push(done);
    this.armTimeout();
    linger.hold();
    this.wake();
  }

  private answerNow(physicalEnd: number): PutMessageStatus | undefined {
    if (this.failure !== undefined) return "SERVICE_NOT_AVAILABLE";
    if (physicalEnd <= this.log.flushedWhere) return "PUT_OK";
    return this.waiting >= WAITERS_MAX ? "FLUSH_DISK_TIMEOUT" : undefined;
  }

  /** Has a flush begin when this turn's work is done: all messages of the turn share it. */
  wake(): void {
    // What was appended while a flush runs may lie behind its target: another one follows, also where nobody waits for it.
    if (this.flushing !== undefined) this.wokenMeanwhile = true;
    if (this.roundScheduled || this.flushing !== undefined || this.failure !== undefined) return;
    this.roundScheduled = true;
    queueMicrotask(() => {
      if (this.waiting >= EARLY_WAITERS) this.startRound();
      else setImmediate(() => this.startRound());
    });
  }

  private startRound(): void {
    this.roundScheduled = false;
    void this.flush().catch(() => {});
  }

  /** Flushes everything committed so far; a call during a flush waits for the next one. Rejects once a flush has failed. */
  async flush(): Promise<void> {
    while (this.flushing !== undefined) await this.flushing;
    if (this.failure !== undefined) throw this.failure;
    await this.begin();
  }

  private begin(): Promise<void> {
    this.wokenMeanwhile = false;
    const round: Promise<void> = this.flushOnce().finally(() => {
      if (this.flushing !== round) return;
      this.flushing = undefined;
      // Who came while this round's senders were answered waits for the next one.
      if (this.wokenMeanwhile || this.waiting > 0) this.wake();
    });
    this.flushing = round;
    return round;
  }

  private async flushOnce(): Promise<void> {
    const { log } = this;
    const stamp = log.lastStoreTimestamp;
    const stampEnd = log.maxOffset;
    let target = log.committedWhere;
    try {
      if (log.transient?.durable === true) {
        await this.commitDurably(log.transient);
        target = log.committedWhere;
      }
      if (target > log.flushedWhere) await log.flushFiles();
    } catch (error) {
      this.fail(error);
      throw this.failure;
    }
    if (target > log.flushedWhere) log.flushedWhere = target;
    // The disk gets its next work before this round's senders are answered.
    if (this.wokenMeanwhile) void this.begin().catch(() => {});
    // With the transient store the newest record may not be in a file yet: its time is then not claimed.
    this.listener.onFlushed(target >= stampEnd ? stamp : 0);
    this.answer("PUT_OK", log.flushedWhere);
  }

  /**
   * Where nobody but the senders that wait has spoken since the last round and the disk is quick, the write is done on the loop: a
   * thread that is woken for it, and wakes the loop, takes half as long as the write. One slow round, and the next ones are not.
   */
  private async commitDurably(transient: TransientStore): Promise<void> {
    const turns = (linger.turns - this.turnsBefore) | 0;
    this.turnsBefore = linger.turns;
    const alone = turns <= this.waiting && this.fastRounds >= FAST_ROUNDS;
    const begun = performance.now();
    await transient.commit(0, alone && transient.behindBytes <= ON_LOOP_BYTES_MAX);
    this.fastRounds = performance.now() - begun > SLOW_ROUND_MS ? 0 : this.fastRounds + 1;
  }

  private fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = new Error(`cannot flush the commit log: ${errorText(error)}`, { cause: error });
    this.log.transient?.abandon();
    this.logger?.error(`${this.failure.message}; the store takes no more writes`);
    this.answer("SERVICE_NOT_AVAILABLE", Number.POSITIVE_INFINITY);
    this.listener.onFatal(this.failure);
  }

  /** Answers the waiters at the head that want no more than `end`. */
  private answer(status: PutMessageStatus, end: number): void {
    while (this.head < this.dones.length && this.ends[this.head]! <= end) this.pop(status);
    this.compact();
    if (this.waiting === 0) linger.answered();
  }

  private pop(status: PutMessageStatus): void {
    const done = this.dones[this.head]!;
    this.head++;
    try {
      done(status);
    } catch (error) {
      // One sender's answer must not keep the others waiting.
      this.logger?.error("answering a sender after the flush failed", { error: errorText(error) });
    }
  }

  private compact(): void {
    if (this.head < this.dones.length && this.head < 4096) return;
    this.ends = this.ends.slice(this.head);
    this.deadlines = this.deadlines.slice(this.head);
    this.dones = this.dones.slice(this.head);
    this.head = 0;
  }

  /** One timer for the waiter at the head: all wait equally long, so that deadlines are in order. */
  private armTimeout(): void {
    if (this.timeoutTimer !== undefined || this.waiting === 0) return;
    const delay = Math.max(1, this.deadlines[this.head]! - performance.now());
    this.timeoutTimer = setTimeout(() => {
      this.timeoutTimer = undefined;
      const time = performance.now();
      while (this.waiting > 0 && this.deadlines[this.head]! <= time) this.pop("FLUSH_DISK_TIMEOUT");
      this.compact();
      if (this.waiting === 0) linger.answered();
      this.armTimeout();
    }, delay);
  }

  /** Told after each append: wakes the flush where the clock is not waited for (SYNC_FLUSH, `flushCommitLogTimed=false`). */
  appended(): void {
    if (!this.running) return;
    if (this.sync) this.wake();
    else if (this.config.flushCommitLogTimed) return;
    else if (this.dirtyBytes >= this.config.flushCommitLogLeastPages * PAGE_BYTES) this.wake();
  }

  private get dirtyBytes(): number {
    return this.log.committedWhere - this.log.flushedWhere;
  }

  private scheduleFlush(): void {
    if (!this.running) return;
    this.flushTimer = setTimeout(() => void this.timedFlush(), this.config.flushIntervalCommitLog);
  }

  private async timedFlush(): Promise<void> {
    const thorough = performance.now() >= this.lastThoroughFlush + this.config.flushCommitLogThoroughInterval;
    const least = thorough ? 1 : this.config.flushCommitLogLeastPages * PAGE_BYTES;
    if (thorough) this.lastThoroughFlush = performance.now();
    try {
      if (this.dirtyBytes >= Math.max(1, least)) await this.flush();
    } catch {
      return;
    }
    this.scheduleFlush();
  }

  private scheduleCommit(): void {
    if (!this.running) return;
    this.commitTimer = setTimeout(() => void this.timedCommit(), this.config.commitIntervalCommitLog);
  }

  private async timedCommit(): Promise<void> {
    const thorough = performance.now() >= this.lastThoroughCommit + this.config.commitCommitLogThoroughInterval;
    if (thorough) this.lastThoroughCommit = performance.now();
    try {
      await this.log.transient?.commit(thorough ? 0 : this.config.commitCommitLogLeastPages);
      this.listener.onCommitted();
    } catch (error) {
      this.fail(error);
      return;
    }
    this.scheduleCommit();
  }

  /** Ends the clocks, commits and flushes everything, answers who still waits. Rejects when that fails. */
  async stop(): Promise<void> {
    this.running = false;
    clearTimeout(this.flushTimer);
    clearTimeout(this.commitTimer);
    try {
      await this.log.transient?.commit(0);
      this.log.transient?.commitNow();
      await this.flush();
    } finally {
      clearTimeout(this.timeoutTimer);
      this.answer("FLUSH_DISK_TIMEOUT", Number.POSITIVE_INFINITY);
    }
  }
}

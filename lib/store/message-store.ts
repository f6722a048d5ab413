import { join } from "node:path";
import { errorText, MqError } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { IndexService } from "../index/index-service.ts";
import type { MessageInner } from "../message/message-inner.ts";
import { isConsumable } from "../message/sys-flag.ts";
import { Checkpoint } from "./checkpoint.ts";
import { cleanExpiredConsumeQueue, cleanUnusedTopic } from "./clean-queues.ts";
import { CleanService } from "./clean-service.ts";
import { CommitLog } from "./commitlog/commit-log.ts";
import type { CommitLogFollower, DispatchRequest } from "./commitlog/dispatch-request.ts";
import { FlushService } from "./commitlog/flush-service.ts";
import { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";
import { FlushConsumeQueueService } from "./consumequeue/flush-consume-queue-service.ts";
import { type QueryMessageResult, queryMessage } from "./query-message.ts";
import { QueueReads } from "./queue-reads.ts";
import { readLogRecord } from "./read-record.ts";
import { recoverStore } from "./recover-store.ts";
import { CommitLogBytes } from "./replication-log.ts";
import { Reput } from "./reput.ts";
import type { StoreConfig } from "./store-config.ts";
import { StoreLock } from "./store-lock.ts";
import type {
  AppendResult,
  BoundaryType,
  GetMessageResult,
  MessageFilter,
  MessageStore,
  PutMessageStatus,
  ReplicationLog,
  StoredRecord,
  StoreListeners,
} from "./types.ts";

/** Several commit-log directories are joined by it [MessageStoreConfig#MULTI_PATH_SPLITTER]. */
const MULTI_PATH_SPLITTER = ",";
/** The checkpoint is written this often when it changed. */
const CHECKPOINT_MS = 1000;

type Phase = "new" | "loading" | "loaded" | "running" | "stopping" | "closed";

export interface MessageStoreOptions {
  /** Entry file of the helper Worker (`Bun.main` of the broker command), which branches on `workerData.role`; undefined = no helper. */
  workerEntry?: string | undefined;
  /** Host that records and offsetMsgIds name: 4 or 16 address bytes and the port as int32. */
  storeHost?: Buffer | undefined;
  /** Replaces the system's used percent of a path's disk; for tests. */
  usedPercent?: ((path: string) => number) | undefined;
}

/**
 * Log, queues, index and what runs beside them, opened, run and closed together [DefaultMessageStore]. Everything that changes
 * the log runs on the event loop without an await in between.
 */
class LogStore implements MessageStore, CommitLogFollower {
  readonly log: CommitLog;
  readonly queues: ConsumeQueueStore;
  /** Absent with messageIndexEnable=false. */
  readonly index: IndexService | undefined;
  readonly storeHost: Buffer;
  readonly replication: ReplicationLog;
  private readonly config: StoreConfig;
  private readonly logger: Logger;
  private readonly listeners: StoreListeners;
  private readonly flushService: FlushService;
  private readonly queueFlush: FlushConsumeQueueService;
  private readonly reput: Reput;
  private readonly reads: QueueReads;
  private readonly cleaner: CleanService;
  /** Last file of the log when the disk was last looked at for a roll. */
  private rolledAt = -1;
  private readonly refused: AppendResult;
  /** Records met whose topic or queue cannot be one. */
  private unroutable = 0;
  private phase: Phase = "new";
  /** What stopped the store for good: a failed write or flush, or records that cannot be dispatched. */
  private failure: Error | undefined;
  private lock: StoreLock | undefined;
  private checkpoint: Checkpoint | undefined;
  private checkpointTimer: ReturnType<typeof setInterval> | undefined;

  constructor(config: StoreConfig, listeners: StoreListeners, logger: Logger, options: MessageStoreOptions) {
    this.config = config;
    this.listeners = listeners;
    this.logger = logger;
    this.storeHost = options.storeHost ?? Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
    const { workerEntry } = options;
    const directories = commitLogDirectories(config);
    const onFatal = (error: Error) => this.fail(error);
    const onWriteFailed = (error: Error): void => {
      logger.error(`${error.message}; the store takes no more writes`);
      this.fail(error);
    };
    this.log = new CommitLog({ config, directories, follower: this, workerEntry, logger, onWriteFailed });
    this.queues = new ConsumeQueueStore(config, this.log, logger);
    this.index = config.messageIndexEnable ? new IndexService(config, logger) : undefined;
    const touch: ConsumeQueueStore["touch"] = (file, start, end) => this.log.allocator.touchRange(file, start, end);
    this.queues.touch = touch;
    if (this.index !== undefined) this.index.touch = touch;
    this.queueFlush = new FlushConsumeQueueService(config, this.queues, (stamp) => void this.onQueuesFlushed(stamp));
    this.reads = new QueueReads(config, this.log, this.queues, logger);
    const { groupsBehind } = listeners;
    const parts = { files: this.log.files, queues: this.queues, index: this.index, groupsBehind };
    this.cleaner = new CleanService(config, parts, logger, { usedPercent: options.usedPercent });
    this.reput = new Reput(this.log, config.brokerRole === "SLAVE", this, onFatal, logger);
    this.flushService = new FlushService(
      this.log,
      config,
      { onFlushed: (stamp) => this.onFlushed(stamp), onCommitted: () => this.onCommitted(), onFatal },
      logger,
    );
    this.replication = new CommitLogBytes(this.log, {
      refusal: () => this.stopped,
      appended: () => this.afterData(),
      flush: () => this.flushService.flush(),
      newestRecordOffset: () => this.newestRecordOffset(),
    });
    this.refused = {
      status: "SERVICE_NOT_AVAILABLE",
      reason: "",
      physicalOffset: 0,
      physicalEnd: 0,
      queueOffset: 0,
      storeTimestamp: 0,
      count: 0,
    };
  }

  private newestRecordOffset(): number | undefined {
    const queue = this.queues.newestQueue;
    return queue?.entry(queue.maxIndex - 1)?.physicalOffset;
  }

  async load(): Promise<void> {
    const begun = performance.now();
    this.phase = "loading";
    const lock = StoreLock.acquire(this.config.storePathRootDir);
    this.lock = lock;
    let changed = false;
    try {
      this.checkpoint = Checkpoint.open(join(this.config.storePathRootDir, "checkpoint"));
      this.log.files.load();
      const clean = lock.clean && !this.log.files.lastExtended;
      if (!clean) {
        changed = true;
        lock.createAbort();
      }
      this.queues.load();
      this.index?.load(clean, this.checkpoint.indexMsgTimestamp, this.checkpoint.derivedOffset);
      changed = true;
      lock.createAbort();
      await this.recover(clean, this.checkpoint);
    } catch (error) {
      if (!changed && lock.clean) lock.removeAbort();
      await this.log.close();
      lock.release();
      this.phase = "closed";
      throw error;
    }
    this.phase = "loaded";
    const { minOffset, maxOffset } = this.log;
    const ms = Math.round(performance.now() - begun);
    this.logger.info("store opened", { path: this.config.storePathRootDir, minOffset, maxOffset, ms });
  }

  private async recover(closedInOrder: boolean, checkpoint: Checkpoint): Promise<void> {
    const { log, queues, index, config, logger } = this;
    const dispatch = (request: DispatchRequest): void => this.dispatch(request);
    await recoverStore({ log, queues, index, config, checkpoint, closedInOrder, dispatch, logger });
  }

  start(): void {
    this.log.start();
    this.phase = "running";
    this.flushService.start();
    this.queueFlush.start();
    this.cleaner.start();
    this.checkpointTimer = setInterval(() => this.writeCheckpoint(), CHECKPOINT_MS);
    this.reput.wake();
  }

  private writeCheckpoint(): void {
    this.checkpoint
      ?.flush()
      .catch((error) => this.logger.error("cannot write the checkpoint", { error: String(error) }));
  }

  private onFlushed(storeTimestamp: number): void {
    const { checkpoint } = this;
    if (checkpoint !== undefined && storeTimestamp > checkpoint.physicMsgTimestamp) {
      checkpoint.physicMsgTimestamp = storeTimestamp;
    }
    // With SYNC_FLUSH what was flushed becomes readable: consumers see it before its senders are answered.
    if (this.log.dispatchedOffset < this.log.readableEnd) this.reput.wake();
    if (this.log.transient?.durable === true) this.listeners.onAppended?.();
    this.listeners.onFlushed?.();
  }

  private onCommitted(): void {
    this.reput.wake();
    this.listeners.onAppended?.();
  }

  /** The stamp from which a recovery dispatches again moves only when queues and index both are on the disk up to it. */
  private async onQueuesFlushed(storeTimestamp: number): Promise<void> {
    const { checkpoint, index } = this;
    if (checkpoint === undefined) return;
    const derived = Math.min(this.queues.flushedOffset, this.log.flushedWhere);
    try {
      await index?.flush();
    } catch {
      // The index has logged it; the stamps stay where they are.
      return;
    }
    this.stamp(checkpoint, storeTimestamp);
    if (derived > (checkpoint.derivedOffset ?? 0)) checkpoint.derivedOffset = derived;
  }

  /** Brings queues and index to the disk and says so in the checkpoint: a recovery need not go back behind what is stored now. */
  async checkpointNow(): Promise<void> {
    await this.queues.flush(0);
    await this.onQueuesFlushed(this.queues.flushedTimestamp);
    await this.checkpoint?.flush();
  }

  private stamp(checkpoint: Checkpoint, logicsMsgTimestamp: number): void {
    if (logicsMsgTimestamp > checkpoint.logicsMsgTimestamp) checkpoint.logicsMsgTimestamp = logicsMsgTimestamp;
    const indexed = this.index?.flushedTimestamp ?? 0;
    if (indexed > checkpoint.indexMsgTimestamp) checkpoint.indexMsgTimestamp = indexed;
  }

  private fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.listeners.onFatal?.(error);
  }

  nextQueueOffset(topic: string, queueId: number): number {
    return this.queues.nextOffset(topic, queueId);
  }

  increaseQueueOffset(topic: string, queueId: number, by: number): void {
    this.queues.increase(topic, queueId, by);
  }

  /** The one order in which a record becomes visible: queue, index, then who waits for it. */
  dispatch(request: DispatchRequest): void {
    if (request.topic === "") {
      this.tellUnroutable(request.physicalOffset);
      return;
    }
    const consumable = isConsumable(request.sysFlag);
    if (consumable) this.putToQueue(request);
    this.index?.buildIndex(request);
    if (consumable && this.phase === "running") this.tellArrival(request);
  }

  private putToQueue(request: DispatchRequest): void {
    const { topic, queueId, queueOffset, physicalOffset, size, tagsCode, storeTimestamp } = request;
    try {
      this.queues.put(topic, queueId, queueOffset, physicalOffset, size, tagsCode, storeTimestamp);
    } catch (error) {
      // Its record is in the log and dispatch cannot go past it: the next start builds the queue from there.
      this.fail(new Error(`cannot dispatch the record at ${physicalOffset}: ${errorText(error)}`, { cause: error }));
      throw error;
    }
  }

  private tellUnroutable(offset: number): void {
    if (this.unroutable++ > 0) return;
    this.logger.error("a record names no possible queue; it and others like it stay in the log only", { offset });
  }

  /** What a listener throws must not make the send fail whose record is stored. */
  private tellArrival({ topic, queueId, queueOffset, tagsCode, storeTimestamp }: DispatchRequest): void {
    try {
      this.listeners.onArrive?.(topic, queueId, queueOffset + 1, tagsCode, storeTimestamp);
    } catch (error) {
      this.logger.error("telling waiting pulls of a new message failed", { topic, queueId, error: errorText(error) });
    }
  }

  append(message: MessageInner): AppendResult {
    const refusal = this.writeRefusal;
    if (refusal !== undefined) return this.refuse("SERVICE_NOT_AVAILABLE", refusal);
    const shortage = message.waitStoreMsgOk ? this.listeners.replicaShortage?.() : undefined;
    if (shortage !== undefined) return this.refuse("IN_SYNC_REPLICAS_NOT_ENOUGH", shortage);
    const result = this.log.append(message);
    this.afterAppend(result);
    return result;
  }

  appendBatch(message: MessageInner, onItem: (physicalOffset: number) => void): AppendResult {
    const refusal = this.writeRefusal;
    if (refusal !== undefined) return this.refuse("SERVICE_NOT_AVAILABLE", refusal);
    const shortage = message.waitStoreMsgOk ? this.listeners.replicaShortage?.() : undefined;
    if (shortage !== undefined) return this.refuse("IN_SYNC_REPLICAS_NOT_ENOUGH", shortage);
    const result = this.log.appendBatch(message, onItem);
    this.afterAppend(result);
    return result;
  }

  private refuse(status: PutMessageStatus, reason: string): AppendResult {
    this.refused.status = status;
    this.refused.reason = reason;
    return this.refused;
  }

  private afterAppend(result: AppendResult): void {
    if (result.status !== "PUT_OK") return;
    const { log } = this;
    this.lookAtRoll();
    if (log.dispatchedOffset < result.physicalEnd && log.dispatchedOffset < log.readableEnd) this.reput.wake();
    this.flushService.appended();
    this.listeners.onAppended?.();
  }

  /** After bytes of a master. */
  private afterData(): void {
    this.lookAtRoll();
    this.flushService.appended();
    this.reput.wakeLater();
    this.listeners.onAppended?.();
  }

  private lookAtRoll(): void {
    const lastFile = this.log.files.last?.fileFromOffset ?? -1;
    if (lastFile === this.rolledAt) return;
    this.rolledAt = lastFile;
    this.cleaner.fileRolled();
  }

  /** Why nothing at all may be appended. */
  private get stopped(): string | undefined {
    if (this.phase !== "running") return `the store is ${PHASE_TEXT[this.phase]}`;
    return this.failure === undefined ? undefined : `the store takes no more writes: ${this.failure.message}`;
  }

  get writeRefusal(): string | undefined {
    const { stopped } = this;
    if (stopped !== undefined) return stopped;
    if (this.config.brokerRole === "SLAVE") return "this broker is a slave (brokerRole=SLAVE)";
    return this.cleaner.refusal ?? this.queues.refusal;
  }

  awaitDurable(physicalEnd: number, wait: boolean, done: (status: PutMessageStatus) => void): void {
    const { config, listeners } = this;
    if (this.failure !== undefined) {
      done("SERVICE_NOT_AVAILABLE");
      return;
    }
    const { awaitReplication } = listeners;
    if (config.flushDiskType === "ASYNC_FLUSH") {
      if (wait && awaitReplication !== undefined) awaitReplication(physicalEnd, done);
      else done("PUT_OK");
      return;
    }
    const staged = this.log.transient?.durable === true;
    if (!wait && !staged) {
      this.flushService.wake();
      done("PUT_OK");
      return;
    }
    // Before its flush the record is in this process only: who does not want to wait waits nevertheless, but for no slave.
    if (awaitReplication === undefined || !wait) this.flushService.wait(physicalEnd, done);
    else this.awaitBoth(physicalEnd, awaitReplication, done);
  }

  /** Flush and slave are waited for together; a failure of the slave hides one of the flush [CommitLog#handleDiskFlushAndHA]. */
  private awaitBoth(
    physicalEnd: number,
    awaitReplication: NonNullable<StoreListeners["awaitReplication"]>,
    done: (status: PutMessageStatus) => void,
  ): void {
    let flushed: PutMessageStatus | undefined;
    let replicated: PutMessageStatus | undefined;
    const settle = (): void => {
      if (flushed === undefined || replicated === undefined) return;
      done(replicated === "PUT_OK" ? flushed : replicated);
    };
    this.flushService.wait(physicalEnd, (status) => {
      flushed = status;
      settle();
    });
    awaitReplication(physicalEnd, (status) => {
      replicated = status;
      settle();
    });
  }

  putMessage(message: MessageInner): Promise<AppendResult> {
    const result = { ...this.append(message) };
    if (result.status !== "PUT_OK") return Promise.resolve(result);
    return new Promise((resolve) => {
      this.awaitDurable(result.physicalEnd, message.waitStoreMsgOk, (status) => resolve({ ...result, status }));
    });
  }

  getMessage(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult> {
    return this.reads.getMessage(topic, queueId, offset, maxMsgNums, filter);
  }

  getMaxOffsetInQueue(topic: string, queueId: number): number {
    return this.reads.getMaxOffsetInQueue(topic, queueId);
  }

  getMinOffsetInQueue(topic: string, queueId: number): number {
    return this.reads.getMinOffsetInQueue(topic, queueId);
  }

  getMessageStoreTimestamp(topic: string, queueId: number, offset: number): Promise<number> {
    return this.reads.getMessageStoreTimestamp(topic, queueId, offset);
  }

  getOffsetInQueueByTime(topic: string, queueId: number, timestamp: number, boundary: BoundaryType): Promise<number> {
    return this.reads.getOffsetInQueueByTime(topic, queueId, timestamp, boundary);
  }

  getQueueEntry(
    topic: string,
    queueId: number,
    offset: number,
  ): { physicalOffset: number; size: number; tagsCode: number } | undefined {
    return this.reads.getQueueEntry(topic, queueId, offset);
  }

  isInMemory(topic: string, queueId: number, offset: number): boolean {
    return this.reads.isInMemory(topic, queueId, offset);
  }

  deleteTopic(topic: string): void {
    this.queues.destroy(topic);
  }

  cleanUnusedTopic(topics: ReadonlySet<string>): number {
    return cleanUnusedTopic(this.queues, topics);
  }

  cleanExpiredConsumeQueue(): void {
    cleanExpiredConsumeQueue(this.queues, this.log.minOffset);
  }

  readRecord(physicalOffset: number): Promise<StoredRecord | undefined> {
    return readLogRecord(this.log, physicalOffset);
  }

  executeDeleteFilesManually(): void {
    this.cleaner.executeDeleteFilesManually();
  }

  queryMessage(topic: string, key: string, maxNum: number, begin: number, end: number): Promise<QueryMessageResult> {
    return queryMessage(this.log, this.index, topic, key, maxNum, begin, end);
  }

  get minPhyOffset(): number {
    return this.log.minOffset;
  }

  get maxPhyOffset(): number {
    return this.log.maxOffset;
  }

  get flushedWhere(): number {
    return this.log.flushedWhere;
  }

  get dispatchBehindBytes(): number {
    return this.reput.behindBytes;
  }

  runtimeInfo(): Record<string, string> {
    return {
      commitLogMinOffset: String(this.minPhyOffset),
      commitLogMaxOffset: String(this.maxPhyOffset),
      dispatchBehindBytes: String(this.dispatchBehindBytes),
      remainHowManyDataToFlush: String(this.maxPhyOffset - this.flushedWhere),
      remainHowManyDataToCommit: String(this.maxPhyOffset - this.log.committedWhere),
      pageCacheLockTimeMills: "0",
      commitLogDiskRatio: String(this.cleaner.diskState.commitLog / 100),
      consumeQueueDiskRatio: String(this.cleaner.diskState.queues / 100),
    };
  }

  async shutdown({ keepLock } = { keepLock: false }): Promise<void> {
    if (this.phase === "closed" || this.phase === "new" || this.phase === "stopping") return;
    this.phase = "stopping";
    this.queueFlush.stop();
    clearInterval(this.checkpointTimer);
    let complete = this.failure === undefined;
    const step = async (what: string, run: () => Promise<void>): Promise<void> => {
      try {
        await run();
      } catch (error) {
        complete = false;
        this.logger.error(`closing the store: cannot ${what}`, { error: String(error) });
      }
    };
    await step("end cleaning", () => this.cleaner.stop());
    await step("flush the commit log", () => this.flushService.stop());
    await step("dispatch what is left", () => this.reput.drain());
    this.reput.stop();
    // A slave's last record may be there in part: it comes again, whole.
    if (this.config.brokerRole === "SLAVE") this.log.cutUnfinished(this.log.dispatchedOffset);
    complete &&= this.dispatchBehindBytes === 0 && this.queues.deferredCount === 0;
    await step("flush the consume queues", () => this.queues.shutdown());
    await step("flush the index", async () => this.index?.flush());
    if (complete && this.checkpoint !== undefined) this.stampClosed(this.checkpoint);
    await step("close the index", async () => this.index?.shutdown());
    await step("write the checkpoint", async () => this.checkpoint?.flush());
    await step("close the commit log", () => this.log.close());
    this.checkpoint?.close();
    this.finish(complete);
    if (!keepLock) this.release();
  }

  private stampClosed(checkpoint: Checkpoint): void {
    this.stamp(checkpoint, this.queues.flushedTimestamp);
    checkpoint.derivedOffset = this.log.flushedWhere;
    checkpoint.queues = this.queues.census;
  }

  /** `abort` goes only when the next start may trust every file as it is. */
  private finish(complete: boolean): void {
    if (complete) this.lock?.removeAbort();
    else this.logger.warn("the store was not closed in order; the next start checks it");
    this.phase = "closed";
  }

  release(): void {
    this.log.stage?.release();
    this.lock?.release();
  }
}

const PHASE_TEXT: Record<Phase, string> = {
  new: "not open",
  loading: "recovering",
  loaded: "not started",
  running: "running",
  stopping: "shutting down",
  closed: "closed",
};

function commitLogDirectories(config: StoreConfig): string[] {
  const given = (config.storePathCommitLog ?? "")
    .split(MULTI_PATH_SPLITTER)
    .map((path) => path.trim())
    .filter((path) => path !== "");
  return given.length > 0 ? given : [join(config.storePathRootDir, "commitlog")];
}

/** The store of one broker. `load`, then `start`; `shutdown` in any case. */
export function createMessageStore(
  config: StoreConfig,
  listeners: StoreListeners,
  logger: Logger = createLogger("store"),
  options: MessageStoreOptions = {},
): LogStore {
  if (config.mappedFileSizeCommitLog < 4096) {
    throw new MqError(
      `cannot open the store: mappedFileSizeCommitLog=${config.mappedFileSizeCommitLog}, wanted 4096 at least`,
    );
  }
  return new LogStore(config, listeners, logger, options);
}

import type { MessageInner } from "../message/message-inner.ts";

/** [PutMessageStatus]; the broker maps each to a response code by a table. */
export type PutMessageStatus =
  | "PUT_OK"
  | "FLUSH_DISK_TIMEOUT"
  | "FLUSH_SLAVE_TIMEOUT"
  | "SLAVE_NOT_AVAILABLE"
  | "SERVICE_NOT_AVAILABLE"
  | "CREATE_MAPPED_FILE_FAILED"
  | "MESSAGE_ILLEGAL"
  | "PROPERTIES_SIZE_EXCEEDED"
  | "OS_PAGE_CACHE_BUSY"
  | "IN_SYNC_REPLICAS_NOT_ENOUGH"
  | "UNKNOWN_ERROR";

/** Result of an append; one reused object per store: copy what must outlive the call. */
export interface AppendResult {
  status: PutMessageStatus;
  /** Why, when status is not PUT_OK: names the limit or the state (which disk, which percentage). */
  reason: string;
  physicalOffset: number;
  /** End of the record (or of the batch's last record) in the commit log: what flush and slave must reach. */
  physicalEnd: number;
  /** Queue offset of the record, or of the batch's first. */
  queueOffset: number;
  storeTimestamp: number;
  /** Records appended. */
  count: number;
}

/** [GetMessageStatus] */
export type GetMessageStatus =
  | "FOUND"
  | "NO_MATCHED_MESSAGE"
  | "MESSAGE_WAS_REMOVING"
  | "OFFSET_FOUND_NULL"
  | "OFFSET_OVERFLOW_BADLY"
  | "OFFSET_OVERFLOW_ONE"
  | "OFFSET_TOO_SMALL"
  | "NO_MATCHED_LOGIC_QUEUE"
  | "NO_MESSAGE_IN_QUEUE";

/** A range of the commit log that stays mapped until `release`. */
export interface StoreRange {
  buffer: Buffer;
  start: number;
  end: number;
}

export interface GetMessageResult {
  status: GetMessageStatus;
  nextBeginOffset: number;
  minOffset: number;
  maxOffset: number;
  messageCount: number;
  bytes: number;
  /** Ranges in queue order; neighbours in the log are joined into one. Either all from the mapping or one heap buffer (cold read). */
  ranges: StoreRange[];
  /** Must be called exactly once when the bytes have been sent or dropped. */
  release: () => void;
  /** Distance of the last pulled record from the log's tail exceeds accessMessageInMemoryMaxRatio of RAM. */
  suggestPullingFromSlave: boolean;
}

/** Tests a consume-queue entry: tag hash stage of a subscription. */
export interface MessageFilter {
  /** `tagsCode` as stored. True = may match. */
  isMatchedByConsumeQueue(tagsCode: number): boolean;
}

/** What the store tells those above it; filled in by `broker/broker.ts`. */
export interface StoreListeners {
  /** One new consume-queue entry is readable; `maxOffset` is the queue's new end (entry's offset + 1). Called in the turn of the append. */
  onArrive?: (topic: string, queueId: number, maxOffset: number, tagsCode: number, storeTimestamp: number) => void;
  /** Replication: calls `done` once when `physicalEnd` is replicated as the policy wants. Absent = no replication to wait for. */
  awaitReplication?: (physicalEnd: number, done: (status: PutMessageStatus) => void) => void;
  /** Why a message that is to be waited for must not be stored: too few replicas. */
  replicaShortage?: () => string | undefined;
  /** The log grew by an append, a commit of the transient store or bytes of a master. */
  onAppended?: () => void;
  /** More of the log is on the disk. */
  onFlushed?: () => void;
  /** Messages below a log offset that are not consumed, by group: asked before files are deleted by force. */
  groupsBehind?: (logEnd: number) => Promise<ReadonlyMap<string, number>>;
  /** The store cannot go on (failed write or fdatasync): it takes no more writes. */
  onFatal?: (error: Error) => void;
}

/** One record of the log as queries see it: a view that may be kept (heap copy). */
export interface StoredRecord {
  bytes: Buffer;
  physicalOffset: number;
}

/** The commit log as bytes: what a master sends and a slave appends. */
export interface ReplicationLog {
  readonly minOffset: number;
  /** End of what is in the files; with the transient store more may be in memory. */
  readonly maxOffset: number;
  readonly flushedWhere: number;
  /** mappedFileSizeCommitLog. */
  readonly fileSize: number;
  /** Bytes from `offset` on, `bytesMax` and the end of their file at most, in the mapping: good for this turn. Undefined when there are none. */
  select(offset: number, bytesMax: number): StoreRange | undefined;
  /** Whether reading them through the mapping costs no disk access. */
  isInMemory(offset: number, bytes: number): boolean;
  /** Reads them without blocking the loop; undefined when they are not all in one file. */
  readCold(offset: number, bytes: number): Promise<Buffer | undefined>;
  /**
   * For a slave: copies bytes of the master's log to the end of this one, which an empty log takes from `offset`. Returns why
   * not, undefined when done. `appended` must follow before the turn ends.
   */
  appendData(offset: number, source: Buffer, start: number, end: number): string | undefined;
  /** Dispatches and flushes what was appended. */
  appended(): void;
  /** Brings all that is there to the disk. Rejects once that failed. */
  flush(): Promise<void>;
  /** The last record that queues lead to; undefined when there is none. Looks at every queue. */
  newestRecord(): Promise<StoredRecord | undefined>;
}

export type BoundaryType = "LOWER" | "UPPER";

/** Everything the broker asks of the store. Implemented by `store/message-store.ts`. */
export interface MessageStore {
  /** Opens files and recovers; resolves when reads and writes are possible. Throws ConfigError/MqError naming file, found, expected. */
  load(): Promise<void>;
  /** Starts flush, cleaning and allocation services. */
  start(): void;
  /** Flushes, writes the checkpoint, removes `abort` when everything is dispatched and durable, releases the lock unless it is kept until `release`. */
  shutdown(options?: { keepLock: boolean }): Promise<void>;
  /** Lets others have the store's directory, after `shutdown`. */
  release(): void;

  /** Appends and dispatches in the same turn. Does not wait: see `awaitDurable`. */
  append(message: MessageInner): AppendResult;
  /** Appends the items of a batch body (`message.body`, store.md §1.6) under one topic and queue, all or none. `onItem` sees each record's physical offset in order. */
  appendBatch(message: MessageInner, onItem: (physicalOffset: number) => void): AppendResult;
  /** Calls `done` once when the record is as durable as flushDiskType, brokerRole and `wait` ask; at once (synchronously) when nothing is to be waited for. */
  awaitDurable(physicalEnd: number, wait: boolean, done: (status: PutMessageStatus) => void): void;
  /** append + awaitDurable for internal writers (delay, transaction, retry). */
  putMessage(message: MessageInner): Promise<AppendResult>;

  /** Synchronous when the pages are warm; a promise when a cold read goes through fs.read. */
  getMessage(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult>;
  /** Next offset to be written; 0 for an unknown queue. */
  getMaxOffsetInQueue(topic: string, queueId: number): number;
  getMinOffsetInQueue(topic: string, queueId: number): number;
  /** Store time of the entry at `offset`, -1 when there is none. */
  getMessageStoreTimestamp(topic: string, queueId: number, offset: number): Promise<number>;
  getOffsetInQueueByTime(topic: string, queueId: number, timestamp: number, boundary: BoundaryType): Promise<number>;
  /** The consume-queue entry at `offset`. */
  getQueueEntry(
    topic: string,
    queueId: number,
    offset: number,
  ): { physicalOffset: number; size: number; tagsCode: number } | undefined;
  /** Whether the pages of the entry's record are resident (mincore); unknown counts as resident. */
  isInMemory(topic: string, queueId: number, offset: number): boolean;
  /** The record at a physical offset (validated: size, magic, bounds); undefined when there is none. */
  readRecord(physicalOffset: number): Promise<StoredRecord | undefined>;
  /** Records whose `topic#key` hashes alike (RocketMQ matches on hash; mq also drops other topics), newest index first, in log order. */
  queryMessage(
    topic: string,
    key: string,
    maxNum: number,
    begin: number,
    end: number,
  ): Promise<{ records: StoredRecord[]; indexLastUpdateTimestamp: number; indexLastUpdatePhyoffset: number }>;

  /** Drops the queues of a topic (commit-log data stays). */
  deleteTopic(topic: string): void;
  /** Deletes queues of topics not in the set (code 316); returns how many topics. */
  cleanUnusedTopic(topics: ReadonlySet<string>): number;
  cleanExpiredConsumeQueue(): void;
  /** Manual cleaning request (code 329). */
  executeDeleteFilesManually(): void;

  /** The log as replication sees it. */
  readonly replication: ReplicationLog;
  readonly storeHost: Buffer;
  readonly minPhyOffset: number;
  readonly maxPhyOffset: number;
  readonly flushedWhere: number;
  /** Bytes appended and not yet dispatched. */
  readonly dispatchBehindBytes: number;
  /** Why the store refuses writes just now, or undefined. */
  readonly writeRefusal: string | undefined;
  /** Figures of code 28 that the store knows, by RocketMQ's key. */
  runtimeInfo(): Record<string, string>;
}

import { dirname } from "node:path";
import { assert } from "../../base/assert.ts";
import { now } from "../../base/clock.ts";
import { errorText } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { BatchItem } from "../../message/batch.ts";
import { encodeRecord, type RecordPlace, storedPropertiesBytes, storedSysFlag } from "../../message/encode-record.ts";
import { fillFromProperties } from "../../message/fill-from-properties.ts";
import {
  BLANK_BYTES,
  HOST_V4_BYTES,
  HOST_V6_BYTES,
  MAGIC_BLANK,
  PROPERTIES_BYTES_MAX,
  RECORD_OVERHEAD_MAX,
  recordBytes,
} from "../../message/layout.ts";
import { MessageInner } from "../../message/message-inner.ts";
import { recordStoreTimestamp } from "../../message/record.ts";
import { isConsumable } from "../../message/sys-flag.ts";
import { memoryBytes } from "../../os/memory.ts";
import { deliverTimestamp, parseDelayLevels } from "../delay-levels.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";
import { MappedFileQueue } from "../mappedfile/mapped-file-queue.ts";
import { lockedBytes, type StoreConfig, usesPool, usesStage } from "../store-config.ts";
import type { AppendResult, PutMessageStatus } from "../types.ts";
import { AppendStage } from "./append-stage.ts";
import { copyHead, copyItem } from "./batch-message.ts";
import { type CommitLogFollower, DispatchRequest } from "./dispatch-request.ts";
import { FileAllocator } from "./file-allocator.ts";
import { readAt, syncDirectory } from "./file-io.ts";
import { NextFile } from "./next-file.ts";
import { PagesAhead } from "./pages-ahead.ts";
import { type Topic, TopicNames } from "./topic-names.ts";
import { type TransientBuffer, TransientStore } from "./transient-store.ts";

/** The topic whose consume queues hold deliver times instead of tag hashes. */
const SCHEDULE_TOPIC = "SCHEDULE_TOPIC_XXXX";
/** What was written this recently is in memory without asking the kernel; less where memory is short. */
const HOT_BYTES = Math.min(256 * 1024 * 1024, memoryBytes() / 16);
/** Files that may wait for their last write with SYNC_FLUSH; one more is written into its mapping. */
const SYNC_BUFFERS = 4;

/** A range of the log in its file's mapping. Good for this turn; `file.retain()` keeps it longer. */
export interface LogRange {
  buffer: Buffer;
  start: number;
  end: number;
  file: MappedFile;
}

export interface CommitLogOptions {
  config: StoreConfig;
  directories: readonly string[];
  follower: CommitLogFollower;
  workerEntry?: string | undefined;
  logger?: Logger | undefined;
  /** Records could not be written into the file: nobody may be told that they are stored. */
  onWriteFailed?: ((error: Error) => void) | undefined;
}

/**
 * The commit log: all topics' records in order, in files of fixed size [CommitLog]. Everything up to the write position is
 * owned by the event loop: an append assigns the queue offset and stores it in one turn, without an await.
 */
export class CommitLog {
  readonly files: MappedFileQueue;
  readonly allocator: FileAllocator;
  /** Memory before the files, with transientStorePoolEnable or SYNC_FLUSH. */
  readonly transient: TransientStore | undefined;
  /** Records below are dispatched; equal to `maxOffset` when nothing is behind. */
  dispatchedOffset = 0;
  /** Everything below is on the disk; moved by the flush service. */
  flushedWhere = 0;
  /** Store time of the newest record. */
  lastStoreTimestamp = 0;
  /** A file was made and its name is not yet durable. */
  namesDirty = false;

  private readonly nextFile: NextFile;
  private readonly ahead: PagesAhead;
  /** Where records are encoded; undefined where that is a mapping or the transient store. */
  readonly stage: AppendStage | undefined;
  private readonly config: StoreConfig;
  private readonly follower: CommitLogFollower;
  private readonly logger: Logger | undefined;
  private readonly topics: TopicNames;
  private readonly result: AppendResult;
  private readonly place: RecordPlace;
  private readonly request = new DispatchRequest();
  private readonly item = new BatchItem();
  private readonly itemMessage = new MessageInner();
  private readonly delayLevels: readonly number[];
  private readonly recordBytesMax: number;
  /** Dispatch in the turn of the append: what is appended may be read at once. */
  private readonly dispatchAtOnce: boolean;

  /** Where the next record goes: bytes of the current file or of the memory before it. */
  private current: MappedFile | undefined;
  private buffer: Buffer = Buffer.alloc(0);
  private view: DataView = new DataView(new ArrayBuffer(0));
  private position = 0;
  private transientBuffer: TransientBuffer | undefined;
  /** The current file was found at start: its blocks may be missing (the JVM leaves files sparse). */
  private blocksUnknown = false;

  constructor(options: CommitLogOptions) {
    const { config } = options;
    this.config = config;
    this.follower = options.follower;
    this.logger = options.logger;
    const fileSize = config.mappedFileSizeCommitLog;
    this.files = new MappedFileQueue(options.directories, fileSize, {
      allocate: "whole",
      allocateExisting: "ahead",
      sizeKey: "mappedFileSizeCommitLog",
      logger: options.logger,
    });
    const warm = config.warmMapedFileEnable;
    const { workerEntry, logger } = options;
    this.allocator = new FileAllocator({ fileSize, warm, lockBytes: lockedBytes(config), workerEntry, logger });
    this.nextFile = new NextFile(this.files, this.allocator, logger);
    this.ahead = new PagesAhead(this.allocator, this.files);
    const syncMaster = config.flushDiskType === "SYNC_FLUSH" && config.brokerRole !== "SLAVE";
    if (usesPool(config)) this.transient = new TransientStore(config.transientStorePoolSize);
    else if (syncMaster && !config.readUnCommitted) this.transient = new TransientStore(SYNC_BUFFERS, true);
    else if (usesStage(config)) this.stage = new AppendStage((error) => options.onWriteFailed?.(error));
    this.dispatchAtOnce =
      this.transient === undefined && (config.flushDiskType === "ASYNC_FLUSH" || config.readUnCommitted);
    this.topics = new TopicNames(config.autoMessageVersionOnTopicLen);
    this.delayLevels = parseDelayLevels(config.messageDelayLevel) ?? [0];
    this.recordBytesMax = Math.min(config.maxMessageSize + RECORD_OVERHEAD_MAX, fileSize - BLANK_BYTES);
    this.result = {
      status: "PUT_OK",
      reason: "",
      physicalOffset: 0,
      physicalEnd: 0,
      queueOffset: 0,
      storeTimestamp: 0,
      count: 0,
    };
    this.place = {
      size: 0,
      v2: false,
      queueOffset: 0,
      physicalOffset: 0,
      storeTimestamp: 0,
      propertiesBytes: 0,
      propertyCrc: config.enabledAppendPropCRC,
    };
  }

  /** First offset that is still there. */
  get minOffset(): number {
    return this.files.minOffset;
  }

  /** End of what was appended (with the transient store: in memory perhaps). */
  get maxOffset(): number {
    return this.current === undefined ? this.files.maxOffset : this.current.fileFromOffset + this.position;
  }

  /** End of what is in the files. */
  get committedWhere(): number {
    if (this.stage?.settleQuietly() === false) return this.current!.fileFromOffset + this.current!.wrotePosition;
    if (this.transient === undefined) return this.maxOffset;
    const oldest = this.transient.oldestFile;
    return oldest === undefined ? this.maxOffset : oldest.fileFromOffset + oldest.wrotePosition;
  }

  /** End of what consumers may see: with SYNC_FLUSH only what is on the disk, unless readUnCommitted [CommitLog#getConfirmOffset]. */
  get readableEnd(): number {
    if (this.config.flushDiskType === "SYNC_FLUSH" && !this.config.readUnCommitted) return this.flushedWhere;
    return this.committedWhere;
  }

  /** Sets the end of the log after recovery; the next append goes there. */
  startAt(offset: number): void {
    this.current = this.files.findByOffset(offset) ?? this.files.last;
    this.flushedWhere = offset;
    const { current } = this;
    if (current === undefined) return;
    assert(offset === current.fileFromOffset + current.wrotePosition, "the log ends where recovery says");
    this.blocksUnknown = true;
    this.use(current);
  }

  /**
   * Opens the first file of an empty store (a slave's begins where its master says) and starts the helper. Throws when the disk
   * has no room for a first file.
   */
  start(): void {
    this.stage?.start();
    this.allocator.start();
    if (this.current === undefined && this.config.brokerRole === "SLAVE") return;
    if (this.current === undefined) this.use(this.createNext());
    else if (!this.reserveBlocks()) this.logger?.error(`the store takes no writes: ${this.result.reason}`);
    if (!this.blocksUnknown) this.touch();
  }

  /**
   * Brings what was appended in this turn into the file. Readers of the file call it, and every write to a socket does: before it
   * nobody hears of those records. Throws where that fails: the store takes no more writes then.
   */
  settle(): void {
    this.stage?.settle();
  }

  /** Appends one message and dispatches it in the same turn where it may be read at once. The result is reused. */
  append(message: MessageInner): AppendResult {
    const { result, place } = this;
    const topic = this.topics.of(message.topic);
    if (!this.measure(message, topic)) return result;
    if (!this.makeRoom(place.size)) return result;
    const consumable = isConsumable(message.sysFlag);
    place.storeTimestamp = now();
    place.queueOffset = consumable ? this.follower.nextQueueOffset(message.topic, message.queueId) : 0;
    const physicalOffset = this.maxOffset;
    this.put(message, topic, physicalOffset);
    if (consumable) this.follower.increaseQueueOffset(message.topic, message.queueId, 1);
    result.status = "PUT_OK";
    result.reason = "";
    result.physicalOffset = physicalOffset;
    result.physicalEnd = physicalOffset + place.size;
    result.queueOffset = place.queueOffset;
    result.storeTimestamp = place.storeTimestamp;
    result.count = 1;
    this.follow(message, topic);
    return result;
  }

  /**
   * Appends the items of a batch body under the message's topic, queue, hosts and times: all in one file or none. `onItem` gets
   * each record's physical offset in order.
   */
  appendBatch(message: MessageInner, onItem: (physicalOffset: number) => void): AppendResult {
    const { result, place, item, itemMessage } = this;
    const topic = this.topics.of(message.topic);
    if (message.bodyEnd - message.bodyStart > this.config.maxMessageSize) return this.bodyTooLarge(message);
    // Such records take no place in a queue, which the batch's offsets would count nevertheless.
    if (!isConsumable(message.sysFlag))
      return this.fail("MESSAGE_ILLEGAL", `sysFlag ${message.sysFlag}: a batch cannot be prepared or rolled back`);
    copyHead(message, itemMessage);
    let bytes = 0;
    let count = 0;
    for (let at = message.bodyStart; at < message.bodyEnd; ) {
      at = item.read(message.body, at, message.bodyEnd);
      if (at < 0) return this.fail("MESSAGE_ILLEGAL", `item ${count} of the batch is cut or its lengths disagree`);
      copyItem(item, itemMessage);
      if (!this.measure(itemMessage, topic)) return result;
      bytes += place.size;
      count++;
    }
    if (count === 0) return this.fail("MESSAGE_ILLEGAL", "the batch holds no message");
    if (bytes > this.files.fileSize - BLANK_BYTES) {
      return this.fail(
        "MESSAGE_ILLEGAL",
        `the batch takes ${bytes} bytes, a commit-log file holds ${this.files.fileSize}`,
      );
    }
    if (!this.makeRoom(bytes)) return result;
    const storeTimestamp = now();
    const first = this.maxOffset;
    const queueOffset = this.follower.nextQueueOffset(message.topic, message.queueId);
    let at = message.bodyStart;
    for (let i = 0; i < count; i++) {
      at = item.read(message.body, at, message.bodyEnd);
      copyItem(item, itemMessage);
      this.measure(itemMessage, topic);
      fillFromProperties(itemMessage);
      place.storeTimestamp = storeTimestamp;
      place.queueOffset = queueOffset + i;
      const physicalOffset = this.maxOffset;
      this.put(itemMessage, topic, physicalOffset);
      this.follower.increaseQueueOffset(message.topic, message.queueId, 1);
      onItem(physicalOffset);
      this.follow(itemMessage, topic);
    }
    result.status = "PUT_OK";
    result.reason = "";
    result.physicalOffset = first;
    result.physicalEnd = this.maxOffset;
    result.queueOffset = queueOffset;
    result.storeTimestamp = storeTimestamp;
    result.count = count;
    return result;
  }

  /**
   * Copies bytes of a master's log to the end of this one, over as many files as they take; an empty log begins with the file at
   * `offset`. Returns why not, undefined when done. Nothing is dispatched.
   */
  appendData(offset: number, source: Buffer, start: number, end: number): string | undefined {
    const { files } = this;
    if (this.current !== undefined && this.maxOffset === 0 && offset > 0) {
      files.destroy();
      this.current = undefined;
    }
    if (this.current === undefined && offset % files.fileSize !== 0)
      return `the log would begin at ${offset}, wanted a multiple of mappedFileSizeCommitLog=${files.fileSize}, which must be the master's`;
    if (this.current !== undefined && offset !== this.maxOffset)
      return `bytes for offset ${offset}, wanted ${this.maxOffset}`;
    for (let at = start; at < end; ) {
      if (!this.roomForData(offset)) return this.result.reason;
      const bytes = Math.min(end - at, files.fileSize - this.position);
      source.copy(this.buffer, this.position, at, at + bytes);
      this.position += bytes;
      at += bytes;
      this.publishPosition();
      if (this.position >= this.ahead.at) this.touch();
    }
    return undefined;
  }

  private roomForData(offset: number): boolean {
    if (this.current !== undefined && this.position < this.files.fileSize)
      return !this.blocksUnknown || this.reserveBlocks();
    const first = this.current === undefined;
    try {
      this.use(this.createNext(offset));
    } catch (error) {
      this.fail("CREATE_MAPPED_FILE_FAILED", errorText(error));
      return false;
    }
    if (first) this.dispatchedOffset = this.flushedWhere = this.maxOffset;
    return true;
  }

  /** Forgets what stands behind `offset` in the current file: the begin of a record whose end never came. */
  cutUnfinished(offset: number): void {
    const { current } = this;
    if (current === undefined || offset >= this.maxOffset || offset < current.fileFromOffset) return;
    const position = offset - current.fileFromOffset;
    this.buffer.fill(0, position, this.position);
    this.position = position;
    this.publishPosition();
    current.flushedPosition = Math.min(current.flushedPosition, position);
    this.flushedWhere = Math.min(this.flushedWhere, offset);
  }

  /** Sets size and version of the record in `place`; false with `result` set when a limit is exceeded. */
  private measure(message: MessageInner, topic: Topic): boolean {
    const { place, config } = this;
    assert(isHost(message.bornHost) && isHost(message.storeHost), "a host has 8 or 20 bytes");
    assert(message.bodyStart >= 0 && message.bodyEnd <= message.body.length, "the body's range lies in its buffer");
    const bodyBytes = message.bodyEnd - message.bodyStart;
    if (bodyBytes > config.maxMessageSize) {
      this.bodyTooLarge(message);
      return false;
    }
    const propertiesBytes = storedPropertiesBytes(message, place.propertyCrc);
    if (propertiesBytes > PROPERTIES_BYTES_MAX) {
      const reason = `properties of ${propertiesBytes} bytes, at most ${PROPERTIES_BYTES_MAX}`;
      this.fail("PROPERTIES_SIZE_EXCEEDED", reason);
      return false;
    }
    const topicBytes = topic.bytes.length;
    if (topic.refusal !== "" || message.queueId < 0) {
      this.fail("MESSAGE_ILLEGAL", topic.refusal === "" ? `queue ${message.queueId}, wanted 0 or more` : topic.refusal);
      return false;
    }
    const hostBytes = message.bornHost.length + message.storeHost.length;
    const size = recordBytes(topic.v2, hostBytes, bodyBytes, topicBytes, propertiesBytes);
    if (size > this.recordBytesMax) {
      this.fail("MESSAGE_ILLEGAL", `record of ${size} bytes, at most ${this.recordBytesMax} (maxMessageSize)`);
      return false;
    }
    place.size = size;
    place.v2 = topic.v2;
    place.propertiesBytes = propertiesBytes;
    return true;
  }

  private bodyTooLarge(message: MessageInner): AppendResult {
    const bytes = message.bodyEnd - message.bodyStart;
    return this.fail(
      "MESSAGE_ILLEGAL",
      `body of ${bytes} bytes, at most ${this.config.maxMessageSize} (maxMessageSize)`,
    );
  }

  private fail(status: PutMessageStatus, reason: string): AppendResult {
    this.result.status = status;
    this.result.reason = reason;
    this.result.count = 0;
    return this.result;
  }

  /** Encodes at the write position and moves it. */
  private put(message: MessageInner, topic: Topic, physicalOffset: number): void {
    const { place } = this;
    place.physicalOffset = physicalOffset;
    const { stage } = this;
    const staged = stage === undefined ? -1 : stage.place(place.size);
    if (stage !== undefined && staged >= 0) {
      encodeRecord(stage.buffer, stage.view, staged, message, topic.bytes, place);
      stage.add(place.size);
      this.position += place.size;
    } else {
      encodeRecord(this.buffer, this.view, this.position, message, topic.bytes, place);
      this.position += place.size;
      this.publishPosition();
    }
    this.lastStoreTimestamp = place.storeTimestamp;
    if (this.position >= this.ahead.at) this.touch();
  }

  private publishPosition(): void {
    if (this.transientBuffer === undefined) this.current!.wrotePosition = this.position;
    else this.transientBuffer.wrotePosition = this.position;
  }

  /** Dispatches what was just put, unless older records wait or it may not be read yet. */
  private follow(message: MessageInner, topic: Topic): void {
    const { place, request } = this;
    if (!this.dispatchAtOnce || this.dispatchedOffset !== place.physicalOffset) return;
    request.topic = message.topic;
    request.keyPrefixHash = topic.keyPrefixHash;
    request.queueId = message.queueId;
    request.queueOffset = place.queueOffset;
    request.physicalOffset = place.physicalOffset;
    request.size = place.size;
    request.tagsCode = this.storedTagsCode(message.topic, message.delayLevel, message.tagsCode, place.storeTimestamp);
    request.storeTimestamp = place.storeTimestamp;
    request.sysFlag = storedSysFlag(message);
    request.buffer = message.properties;
    request.uniqKeyStart = message.uniqKeyStart;
    request.uniqKeyEnd = message.uniqKeyEnd;
    request.keysStart = message.keysStart;
    request.keysEnd = message.keysEnd;
    this.follower.dispatch(request);
    this.dispatchedOffset = place.physicalOffset + place.size;
  }

  /** In the schedule topic the time at which a message is due stands in place of the tag hash. */
  storedTagsCode(topic: string, delayLevel: number, tagsCode: number, storeTimestamp: number): number {
    if (delayLevel <= 0 || topic !== SCHEDULE_TOPIC) return tagsCode;
    return deliverTimestamp(this.delayLevels, delayLevel, storeTimestamp);
  }

  /** Rolls to the next file when `bytes` and the end-of-file blank do not fit; false with `result` set when there is none. */
  private makeRoom(bytes: number): boolean {
    if (this.blocksUnknown && !this.reserveBlocks()) return false;
    if (this.current !== undefined && this.position + bytes + BLANK_BYTES <= this.files.fileSize) return true;
    let next: MappedFile;
    try {
      next = this.createNext();
    } catch (error) {
      this.fail("CREATE_MAPPED_FILE_FAILED", (error as Error).message);
      return false;
    }
    if (this.current !== undefined) this.endCurrent();
    this.use(next);
    return true;
  }

  /** A touched page without a block on a full disk would kill the process: have them all before the first append. */
  private reserveBlocks(): boolean {
    try {
      this.current?.reserve(this.files.fileSize, this.files.fileSize);
    } catch (error) {
      this.fail("CREATE_MAPPED_FILE_FAILED", errorText(error));
      return false;
    }
    this.blocksUnknown = false;
    return true;
  }

  /** Writes the end-of-file blank: the rest of the file is unused. */
  private endCurrent(): void {
    this.settle();
    const rest = this.files.fileSize - this.position;
    if (rest === 0) return;
    const blankAt = this.maxOffset;
    this.view.setInt32(this.position + 4, MAGIC_BLANK);
    this.view.setInt32(this.position, rest);
    this.position = this.files.fileSize;
    this.publishPosition();
    if (this.dispatchedOffset === blankAt) this.dispatchedOffset = blankAt + rest;
  }

  private createNext(startOffset = 0): MappedFile {
    const file = this.nextFile.make(startOffset);
    this.namesDirty = true;
    return file;
  }

  private use(file: MappedFile): void {
    this.current = file;
    this.position = file.wrotePosition;
    this.buffer = file.buffer;
    this.view = file.view;
    this.transientBuffer = undefined;
    this.transientBuffer = this.openTransient(file);
    // Else pages are touched in folios of up to 2 MiB, and every fdatasync writes the whole folio that one record dirtied.
    if (this.config.flushDiskType === "SYNC_FLUSH" && this.transientBuffer === undefined) file.adviseRandom();
    if (this.transientBuffer !== undefined) {
      this.buffer = this.transientBuffer.mapping.buffer;
      this.view = this.transientBuffer.view;
    }
    this.stage?.use(file);
    this.ahead.at = this.position;
  }

  /** Without memory for it the file is written directly, as with an exhausted pool. */
  private openTransient(file: MappedFile): TransientBuffer | undefined {
    try {
      return this.transient?.open(file);
    } catch (error) {
      this.logger?.warn(`${file.path} is written without the transient store: ${errorText(error)}`);
      return undefined;
    }
  }

  private touch(): void {
    const { current, transientBuffer } = this;
    if (current === undefined) return;
    const writtenBy = transientBuffer !== undefined ? "memory" : this.stage !== undefined ? "calls" : "mapping";
    // Memory of SYNC_FLUSH is given back soon: what is touched ahead would only add to it.
    this.ahead.go(current, this.position, writtenBy, this.transient?.durable === true ? undefined : transientBuffer);
  }

  /** The bytes [physicalOffset, physicalOffset + size) where they are mapped; undefined when they are not all in one file's written part. */
  select(physicalOffset: number, size: number): LogRange | undefined {
    this.settle();
    const file = this.files.findByOffset(physicalOffset);
    if (file === undefined) return undefined;
    const start = physicalOffset - file.fileFromOffset;
    const end = start + size;
    if (size <= 0 || end > file.wrotePosition) return undefined;
    return { buffer: file.buffer, start, end, file };
  }

  /** Whether reading the range through the mapping costs no disk access. */
  isInMemory(physicalOffset: number, size: number): boolean {
    if (this.maxOffset - physicalOffset <= HOT_BYTES) return true;
    const file = this.files.findByOffset(physicalOffset);
    if (file === undefined) return true;
    const start = physicalOffset - file.fileFromOffset;
    return file.residentLately(start, Math.min(start + size, file.fileSize));
  }

  /** Reads the range from the disk into the heap without blocking the loop; undefined when it is not all in one file. */
  async readCold(physicalOffset: number, size: number): Promise<Buffer | undefined> {
    const range = this.select(physicalOffset, size);
    if (range === undefined || !range.file.retain()) return undefined;
    try {
      const target = Buffer.allocUnsafeSlow(size);
      let got = 0;
      while (got < size) {
        const bytes = await readAt(range.file.descriptor, target, got, range.start + got);
        if (bytes === 0) return undefined;
        got += bytes;
      }
      return target;
    } finally {
      range.file.release();
    }
  }

  /** Store time of the record at `physicalOffset`; -1 when there is none. */
  pickupStoreTimestamp(physicalOffset: number): number {
    const range = this.select(physicalOffset, 64 + 12);
    return range === undefined ? -1 : recordStoreTimestamp(range.buffer, range.start);
  }

  /** Brings everything that is in the files to the disk. Rejects with the system's error. */
  async flushFiles(): Promise<void> {
    const first = Math.floor((this.flushedWhere - this.files.minOffset) / this.files.fileSize);
    for (const file of this.files.files.slice(Math.max(0, first))) {
      if (file.flushedPosition < file.wrotePosition) await file.flush();
    }
    await this.syncNames();
  }

  /** Makes the names of new files durable. */
  private async syncNames(): Promise<void> {
    if (!this.namesDirty) return;
    this.namesDirty = false;
    for (const directory of this.files.directories) {
      await syncDirectory(directory);
      await syncDirectory(dirname(directory));
    }
  }

  /** Writes what is staged, commits the transient store, ends the helper and unmaps. */
  async close(): Promise<void> {
    this.stage?.close();
    await this.transient?.close();
    await this.allocator.close();
    this.current = undefined;
    this.buffer = Buffer.alloc(0);
    this.files.close();
  }
}

function isHost(host: Buffer): boolean {
  return host.length === HOST_V4_BYTES || host.length === HOST_V6_BYTES;
}

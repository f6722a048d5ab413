import { createLogger, type Logger } from "../base/log.ts";
import { viewLong } from "../message/long.ts";
import { memoryBytes } from "../os/memory.ts";
import { ChosenRecords, sizesAgree } from "./chosen-records.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { ConsumeQueue } from "./consumequeue/consume-queue.ts";
import type { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";
import {
  CQ_UNIT_BYTES,
  EXT_ADDRESS_MAX,
  PHYSICAL_OFFSET_AT,
  PRE_BLANK_SIZE,
  SIZE_AT,
  TAGS_CODE_AT,
} from "./consumequeue/layout.ts";
import type { MappedFile } from "./mappedfile/mapped-file.ts";
import type { GetMessageResult, GetMessageStatus, MessageFilter, StoreRange } from "./types.ts";

export interface GetMessageSettings {
  brokerRole: string;
  /** Keep the asked offset on a slave unless true. */
  offsetCheckInSlave?: boolean;
  /** Bytes of consume queue looked at for one pull. */
  maxFilterMessageSize?: number;
  /** Consume-queue files looked at for one pull while nothing matches. */
  travelCqFileNumWhenGetMessage?: number;
  /** Percent of the machine's memory. */
  accessMessageInMemoryMaxRatio: number;
  maxTransferBytesOnMessageInMemory: number;
  maxTransferCountOnMessageInMemory: number;
  maxTransferBytesOnMessageInDisk: number;
  maxTransferCountOnMessageInDisk: number;
}

const MAX_FILTER_MESSAGE_SIZE = 16_000;
/** Upper limit of one answer, whatever the configuration says [DefaultMessageStore.MAX_PULL_MSG_SIZE]. */
const MAX_PULL_BYTES = 128 * 1024 * 1024;
/** Reads from the disk at once: the pool's other threads stay free for flushes. */
const COLD_READS_MAX = 8;
/** Records with a smaller gap between them are read in one go. */
const COLD_GAP_BYTES = 64 * 1024;
/** What is read ahead behind a cold pull: the next one of the same consumer finds it in memory. */
const READ_AHEAD_BYTES = 1024 * 1024;

/** The kernel is asked about this much in one go. */
const SPAN_BYTES_MAX = 4 * 1024 * 1024;

const nothing = (): void => {};

/** Finds the messages for a pull [DefaultMessageStore#getMessage]. */
export class GetMessage {
  readonly #settings: GetMessageSettings;
  readonly #log: CommitLog;
  readonly #queues: ConsumeQueueStore;
  readonly #logger: Logger;
  /** Records this near to the log's end are taken for being in memory. */
  readonly #hotBytes: number;
  /** Of the pull that is looked up in this turn; nothing of it is in a result, which may be read turns later. */
  readonly #chosen = new ChosenRecords();
  #coldReads = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    settings: GetMessageSettings,
    log: CommitLog,
    queues: ConsumeQueueStore,
    logger: Logger = createLogger("store"),
  ) {
    this.#settings = settings;
    this.#log = log;
    this.#queues = queues;
    this.#logger = logger;
    this.#hotBytes = memoryBytes() * (settings.accessMessageInMemoryMaxRatio / 100);
  }

  /** Synchronous when queue and log are in memory; a promise when the disk has to be asked. */
  getMessage(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult> {
    const queue = this.#queues.find(topic, queueId);
    if (queue === undefined || offset < queue.minIndex || offset >= queue.maxIndex || queue.isWarm(offset))
      return this.#warmPull(topic, queueId, offset, maxMsgNums, filter);
    // Whatever became of the queue meanwhile: the second look asks no more whether it is warm, and says what is wrong if anything is.
    return queue
      .warm(offset)
      .catch(nothing)
      .then(() => this.#warmPull(topic, queueId, offset, maxMsgNums, filter));
  }

  #warmPull(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult> {
    const queue = this.#queues.find(topic, queueId);
    if (queue === undefined) return this.#empty("NO_MATCHED_LOGIC_QUEUE", offset, 0, 0, 0);
    const { maxIndex } = queue;
    if (maxIndex === 0) return this.#empty("NO_MESSAGE_IN_QUEUE", offset, 0, 0, 0);
    const { minIndex } = queue;
    if (offset < minIndex) return this.#empty("OFFSET_TOO_SMALL", offset, minIndex, minIndex, maxIndex);
    if (offset === maxIndex) return this.#empty("OFFSET_OVERFLOW_ONE", offset, offset, minIndex, maxIndex);
    if (offset > maxIndex) return this.#empty("OFFSET_OVERFLOW_BADLY", offset, maxIndex, minIndex, maxIndex);
    return this.#pull(queue, offset, maxMsgNums, filter);
  }

  /** A slave keeps the asked offset: its queue may only be behind the master's [DefaultMessageStore#nextOffsetCorrection]. */
  #empty(
    status: GetMessageStatus,
    asked: number,
    next: number,
    minOffset: number,
    maxOffset: number,
  ): GetMessageResult {
    const keep = this.#settings.brokerRole === "SLAVE" && this.#settings.offsetCheckInSlave !== true;
    return {
      status,
      nextBeginOffset: keep ? asked : next,
      minOffset,
      maxOffset,
      messageCount: 0,
      bytes: 0,
      ranges: [],
      release: nothing,
      suggestPullingFromSlave: false,
    };
  }

  #pull(
    queue: ConsumeQueue,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult> {
    const result = this.#empty("NO_MATCHED_MESSAGE", offset, offset, queue.minIndex, queue.maxIndex);
    result.nextBeginOffset = offset;
    const chosen = this.#chosen;
    const lastPulled = this.#choose(queue, offset, maxMsgNums, filter, result, chosen);
    result.suggestPullingFromSlave = this.#log.maxOffset - lastPulled > this.#hotBytes;
    if (chosen.count === 0) return result;
    result.status = "FOUND";
    return this.#attach(result, chosen);
  }

  /** Walks the queue from `offset`; fills `chosen` and the result's next offset and status. Returns where the last looked-at record stands. */
  #choose(
    queue: ConsumeQueue,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
    result: GetMessageResult,
    chosen: ChosenRecords,
  ): number {
    this.#log.settle();
    chosen.clear();
    const { maxIndex } = queue;
    const { files } = this.#log;
    const filterBytes = Math.max(
      this.#settings.maxFilterMessageSize ?? MAX_FILTER_MESSAGE_SIZE,
      maxMsgNums * CQ_UNIT_BYTES,
    );
    const travel = this.#settings.travelCqFileNumWhenGetMessage ?? 1;
    const end = Math.min(maxIndex, offset + Math.ceil(filterBytes / CQ_UNIT_BYTES));
    let lastPulled = 0;
    let file: MappedFile | undefined;
    /** Records before this are in a file that is gone. */
    let skipBefore = -1;
    let index = offset;
    for (let fileCount = 0; fileCount < travel && index < end && chosen.count === 0; fileCount++) {
      const view = queue.fileOf(index).view;
      const fileEnd = Math.min(end, (Math.floor(index / queue.perFile) + 1) * queue.perFile);
      for (let at = queue.positionOf(index); index < fileEnd; at += CQ_UNIT_BYTES) {
        const physicalOffset = viewLong(view, at + PHYSICAL_OFFSET_AT);
        const size = view.getInt32(at + SIZE_AT);
        if (this.#isFull(chosen, size, physicalOffset, maxMsgNums)) return lastPulled;
        lastPulled = physicalOffset;
        index++;
        result.nextBeginOffset = index;
        if (physicalOffset < skipBefore) continue;
        if (filter !== undefined) {
          const tagsCode = viewLong(view, at + TAGS_CODE_AT);
          if (tagsCode > EXT_ADDRESS_MAX && !filter.isMatchedByConsumeQueue(tagsCode)) continue;
        }
        if (file?.holds(physicalOffset) !== true) file = files.findByOffset(physicalOffset);
        if (file === undefined || physicalOffset - file.fileFromOffset + size > file.wrotePosition) {
          if (chosen.count === 0) result.status = "MESSAGE_WAS_REMOVING";
          if (size !== PRE_BLANK_SIZE) skipBefore = physicalOffset + files.fileSize - (physicalOffset % files.fileSize);
          continue;
        }
        chosen.add(index - 1, physicalOffset, size);
        skipBefore = -1;
      }
    }
    return lastPulled;
  }

  /** [DefaultMessageStore#isTheBatchFull]; the first message always fits. */
  #isFull(chosen: ChosenRecords, size: number, physicalOffset: number, maxMsgNums: number): boolean {
    const { count } = chosen;
    if (count === 0) return false;
    if (count >= maxMsgNums) return true;
    const bytes = chosen.bytes + size;
    if (bytes > MAX_PULL_BYTES) return true;
    const settings = this.#settings;
    if (this.#log.maxOffset - physicalOffset <= this.#hotBytes)
      return bytes > settings.maxTransferBytesOnMessageInMemory || count >= settings.maxTransferCountOnMessageInMemory;
    return bytes > settings.maxTransferBytesOnMessageInDisk || count >= settings.maxTransferCountOnMessageInDisk;
  }

  /** Ranges of the mapping when all of it is in memory, else one heap buffer read from the disk. */
  #attach(result: GetMessageResult, chosen: ChosenRecords): GetMessageResult | Promise<GetMessageResult> {
    const { ranges } = result;
    const held: MappedFile[] = [];
    let file: MappedFile | undefined;
    let last: StoreRange | undefined;
    for (let i = 0; i < chosen.count; i++) {
      const physicalOffset = chosen.physicalOffset[i]!;
      const size = chosen.size[i]!;
      if (file?.holds(physicalOffset) !== true) {
        file = this.#log.files.findByOffset(physicalOffset)!;
        if (!file.retain()) break;
        held.push(file);
        last = undefined;
      }
      const start = (physicalOffset - file.fileFromOffset) | 0;
      if (last !== undefined && last.end === start) last.end += size;
      else {
        last = { buffer: file.buffer, start, end: start + size };
        ranges.push(last);
      }
      chosen.start[i] = start;
      result.messageCount++;
      result.bytes += size;
    }
    result.release = releaseOnce(held);
    if (!held.every((file) => this.#isWarm(file, ranges))) return this.#readCold(result, chosen.copy());
    if (held.length !== 1 || !sizesAgree(held[0]!.view, chosen, result.messageCount)) this.#checkSizes(result, chosen);
    this.#goOnBehind(result, chosen);
    return result;
  }

  /** One question for all ranges of a file; range by range only where pages between them are out. */
  #isWarm(file: MappedFile, ranges: readonly StoreRange[]): boolean {
    let first = -1;
    let end = 0;
    for (const range of ranges) {
      if (range.buffer !== file.buffer) continue;
      if (first < 0) first = range.start;
      end = range.end;
    }
    if (end - first <= SPAN_BYTES_MAX && this.#log.isInMemory(file.fileFromOffset + first, end - first)) return true;
    return ranges.every(
      ({ buffer, start, end }) =>
        buffer !== file.buffer || this.#log.isInMemory(file.fileFromOffset + start, end - start),
    );
  }

  /** The queue and the log must agree about each record's size; where they do not, the answer ends before that record. */
  #checkSizes(result: GetMessageResult, chosen: ChosenRecords): void {
    let rangeIndex = 0;
    let at = result.ranges[0]?.start ?? 0;
    for (let i = 0; i < result.messageCount; i++) {
      const size = chosen.size[i]!;
      let range = result.ranges[rangeIndex]!;
      if (at === range.end) {
        rangeIndex++;
        range = result.ranges[rangeIndex]!;
        at = range.start;
      }
      if (range.buffer.readInt32BE(at) !== size) {
        const found = range.buffer.readInt32BE(at);
        this.#cutAt(result, chosen, i, rangeIndex, at, found);
        return;
      }
      at += size;
    }
  }

  #cutAt(
    result: GetMessageResult,
    chosen: ChosenRecords,
    i: number,
    rangeIndex: number,
    at: number,
    found: number,
  ): void {
    this.#logger.error(
      `record at ${chosen.physicalOffset[i]} has size ${found}, wanted ${chosen.size[i]} as its queue says: not delivered`,
    );
    const range = result.ranges[rangeIndex]!;
    range.end = at;
    result.ranges.length = at === range.start ? rangeIndex : rangeIndex + 1;
    for (let j = i; j < chosen.count; j++) result.bytes -= j < result.messageCount ? chosen.size[j]! : 0;
    result.messageCount = i;
  }

  /** Where fewer records are delivered than were chosen, the next pull goes on at the first that was not; one that comes first is skipped. */
  #goOnBehind(result: GetMessageResult, chosen: ChosenRecords): void {
    const { messageCount } = result;
    if (messageCount === chosen.count) return;
    if (messageCount > 0) {
      result.nextBeginOffset = chosen.queueOffset[messageCount]!;
      return;
    }
    result.nextBeginOffset = chosen.queueOffset[0]! + 1;
    result.status = "MESSAGE_WAS_REMOVING";
  }

  async #readCold(result: GetMessageResult, chosen: ChosenRecords): Promise<GetMessageResult> {
    const releaseMapping = result.release;
    await this.#enter();
    try {
      const count = result.messageCount;
      const target = Buffer.allocUnsafeSlow(result.bytes);
      let filled = 0;
      for (let i = 0; i < count; ) {
        const from = chosen.physicalOffset[i]!;
        let next = i + 1;
        while (next < count && this.#oneRead(chosen, next)) next++;
        const end = chosen.physicalOffset[next - 1]! + chosen.size[next - 1]!;
        const bytes = await this.#log.readCold(from, end - from);
        if (bytes === undefined) break;
        for (; i < next; i++) {
          const start = chosen.physicalOffset[i]! - from;
          filled += bytes.copy(target, filled, start, start + chosen.size[i]!);
        }
        this.#readAhead(end);
      }
      this.#useHeap(result, chosen, target.subarray(0, filled));
      return result;
    } finally {
      releaseMapping();
      this.#leave();
    }
  }

  /** Whether record `i` stands close behind record `i - 1` in the same file. */
  #oneRead(chosen: ChosenRecords, i: number): boolean {
    const before = chosen.physicalOffset[i - 1]! + chosen.size[i - 1]!;
    const here = chosen.physicalOffset[i]!;
    const { fileSize } = this.#log.files;
    return (
      here >= before &&
      here - before <= COLD_GAP_BYTES &&
      Math.floor(here / fileSize) === Math.floor((before - 1) / fileSize)
    );
  }

  #readAhead(physicalOffset: number): void {
    const file = this.#log.files.findByOffset(physicalOffset);
    if (file === undefined) return;
    const start = physicalOffset - file.fileFromOffset;
    file.readAhead(start, Math.min(file.fileSize, start + READ_AHEAD_BYTES));
  }

  #useHeap(result: GetMessageResult, chosen: ChosenRecords, bytes: Buffer): void {
    const range: StoreRange = { buffer: bytes, start: 0, end: bytes.length };
    result.ranges = bytes.length === 0 ? [] : [range];
    result.release = nothing;
    result.bytes = bytes.length;
    let count = 0;
    for (let filled = 0; count < chosen.count && filled < bytes.length; count++) filled += chosen.size[count]!;
    result.messageCount = count;
    this.#checkSizes(result, chosen);
    this.#goOnBehind(result, chosen);
  }

  #enter(): Promise<void> | undefined {
    if (this.#coldReads < COLD_READS_MAX) {
      this.#coldReads++;
      return undefined;
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next();
    else this.#coldReads--;
  }
}

function releaseOnce(held: readonly MappedFile[]): () => void {
  let released = false;
  return () => {
    if (released) return;
    released = true;
    for (const file of held) file.release();
  };
}

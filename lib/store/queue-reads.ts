import type { Logger } from "../base/log.ts";
import { recordStoreTimestamp } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { ConsumeQueue } from "./consumequeue/consume-queue.ts";
import type { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";
import { GetMessage, type GetMessageSettings } from "./get-message.ts";
import type { BoundaryType, GetMessageResult, MessageFilter } from "./types.ts";

/** Up to here a record's head is read for its store time, whatever its host lengths. */
const TIMESTAMP_BYTES = 64 + 12;

/** What readers ask about queues: messages, offsets, times. Nothing here makes a queue that does not exist. */
export class QueueReads {
  readonly #log: CommitLog;
  readonly #queues: ConsumeQueueStore;
  readonly #get: GetMessage;

  constructor(settings: GetMessageSettings, log: CommitLog, queues: ConsumeQueueStore, logger?: Logger) {
    this.#log = log;
    this.#queues = queues;
    this.#get = new GetMessage(settings, log, queues, logger);
  }

  getMessage(
    topic: string,
    queueId: number,
    offset: number,
    maxMsgNums: number,
    filter: MessageFilter | undefined,
  ): GetMessageResult | Promise<GetMessageResult> {
    return this.#get.getMessage(topic, queueId, offset, maxMsgNums, filter);
  }

  getMaxOffsetInQueue(topic: string, queueId: number): number {
    return this.#queues.find(topic, queueId)?.maxIndex ?? 0;
  }

  getMinOffsetInQueue(topic: string, queueId: number): number {
    return this.#queues.find(topic, queueId)?.minIndex ?? 0;
  }

  getQueueEntry(
    topic: string,
    queueId: number,
    offset: number,
  ): { physicalOffset: number; size: number; tagsCode: number } | undefined {
    return this.#queues.find(topic, queueId)?.entry(offset);
  }

  /** Store time of the entry at `offset`, -1 when there is none. */
  async getMessageStoreTimestamp(topic: string, queueId: number, offset: number): Promise<number> {
    const queue = this.#queues.find(topic, queueId);
    if (queue === undefined || offset < queue.minIndex || offset >= queue.maxIndex) return -1;
    return this.#storeTimestamp(queue, offset);
  }

  /** Whether the record's pages are resident; true for an entry that is not there [DefaultMessageStore#checkInMemByConsumeOffset]. */
  isInMemory(topic: string, queueId: number, offset: number): boolean {
    const entry = this.getQueueEntry(topic, queueId, offset);
    return entry === undefined || this.#log.isInMemory(entry.physicalOffset, entry.size);
  }

  /**
   * By halving over the store times of the queue's records [ConsumeQueue#getOffsetInQueueByTime]. LOWER: the first entry stored
   * at or after `timestamp`; max offset when all are older, min offset when all are newer. UPPER: the last entry stored at or
   * before it; 0 when all are newer. 0 for a queue without entries or one whose records cannot be read.
   */
  async getOffsetInQueueByTime(
    topic: string,
    queueId: number,
    timestamp: number,
    boundary: BoundaryType,
  ): Promise<number> {
    const queue = this.#queues.find(topic, queueId);
    if (queue === undefined) return 0;
    const max = queue.maxIndex;
    let low = queue.minIndex;
    let high = max;
    if (low >= high) return 0;
    const first = low;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const time = await this.#storeTimestamp(queue, middle);
      if (time < 0 && middle >= queue.minIndex) return 0;
      const before = boundary === "LOWER" ? time < timestamp : time <= timestamp;
      if (before) low = middle + 1;
      else high = middle;
    }
    if (boundary === "LOWER") return low;
    return low === first ? 0 : low - 1;
  }

  /** -1 when the record is gone. */
  async #storeTimestamp(queue: ConsumeQueue, index: number): Promise<number> {
    if (!queue.isWarm(index)) await queue.warm(index);
    const entry = queue.entry(index);
    if (entry === undefined || entry.size < TIMESTAMP_BYTES) return -1;
    const { physicalOffset } = entry;
    if (this.#log.isInMemory(physicalOffset, TIMESTAMP_BYTES)) return this.#log.pickupStoreTimestamp(physicalOffset);
    const bytes = await this.#log.readCold(physicalOffset, TIMESTAMP_BYTES);
    return bytes === undefined ? -1 : recordStoreTimestamp(bytes, 0);
  }
}

import { encodeRecord, storedPropertiesBytes } from "../../lib/message/encode-record.ts";
import { recordBytes, TOPIC_BYTES_MAX_V1 } from "../../lib/message/layout.ts";
import type { MessageInner } from "../../lib/message/message-inner.ts";
import type { AppendResult, MessageStore, PutMessageStatus, StoredRecord } from "../../lib/store/types.ts";

interface Entry {
  physicalOffset: number;
  size: number;
  tagsCode: number;
}

/**
 * A store in memory for tests of what stands above the store: real records, queues that can be damaged, a clock and a refusal
 * that the test sets. Only what those tests need is there.
 */
export class MemoryStore {
  readonly storeHost = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
  readonly records = new Map<number, Buffer>();
  readonly queues = new Map<string, { min: number; entries: Entry[] }>();
  minPhyOffset = 0;
  maxPhyOffset = 0;
  /** Infinity = everything is flushed at once. */
  flushedWhere = Number.POSITIVE_INFINITY;
  /** Status of the next appends. */
  refusal: PutMessageStatus | undefined;
  now: () => number = Date.now;
  /** As StoreListeners.onArrive. */
  onArrive: ((topic: string, queueId: number, tagsCode: number) => void) | undefined;
  /** Offsets whose read fails with an error. */
  readonly unreadable = new Set<number>();

  append(message: MessageInner): AppendResult {
    const result: AppendResult = {
      status: this.refusal ?? "PUT_OK",
      reason: this.refusal === undefined ? "" : "the test refuses it",
      physicalOffset: this.maxPhyOffset,
      physicalEnd: this.maxPhyOffset,
      queueOffset: 0,
      storeTimestamp: this.now(),
      count: 1,
    };
    if (this.refusal !== undefined) return result;
    const queue = this.queue(message.topic, message.queueId);
    result.queueOffset = queue.min + queue.entries.length;
    const topic = Buffer.from(message.topic, "utf8");
    const v2 = topic.length > TOPIC_BYTES_MAX_V1;
    const propertiesBytes = storedPropertiesBytes(message, false);
    const hosts = message.bornHost.length + message.storeHost.length;
    const size = recordBytes(v2, hosts, message.bodyEnd - message.bodyStart, topic.length, propertiesBytes);
    const record = Buffer.alloc(size);
    encodeRecord(record, new DataView(record.buffer, record.byteOffset, size), 0, message, topic, {
      size,
      v2,
      queueOffset: result.queueOffset,
      physicalOffset: result.physicalOffset,
      storeTimestamp: result.storeTimestamp,
      propertiesBytes,
      propertyCrc: false,
    });
    this.records.set(result.physicalOffset, record);
    queue.entries.push({ physicalOffset: result.physicalOffset, size, tagsCode: message.tagsCode });
    this.maxPhyOffset += size;
    result.physicalEnd = this.maxPhyOffset;
    this.onArrive?.(message.topic, message.queueId, message.tagsCode);
    return result;
  }

  awaitDurable(_physicalEnd: number, _wait: boolean, done: (status: PutMessageStatus) => void): void {
    done("PUT_OK");
  }

  queue(topic: string, queueId: number): { min: number; entries: Entry[] } {
    const key = `${topic}:${queueId}`;
    let queue = this.queues.get(key);
    if (queue === undefined) {
      queue = { min: 0, entries: [] };
      this.queues.set(key, queue);
    }
    return queue;
  }

  getQueueEntry(topic: string, queueId: number, offset: number): Entry | undefined {
    const queue = this.queue(topic, queueId);
    return queue.entries[offset - queue.min];
  }

  getMinOffsetInQueue(topic: string, queueId: number): number {
    return this.queue(topic, queueId).min;
  }

  getMaxOffsetInQueue(topic: string, queueId: number): number {
    const queue = this.queue(topic, queueId);
    return queue.min + queue.entries.length;
  }

  async readRecord(physicalOffset: number): Promise<StoredRecord | undefined> {
    if (this.unreadable.has(physicalOffset)) throw new Error("EIO: the test's disk is broken");
    const bytes = this.records.get(physicalOffset);
    return bytes === undefined ? undefined : { bytes, physicalOffset };
  }

  /** As the contract's type: calling what is not here fails the test. */
  get asMessageStore(): MessageStore {
    return this as unknown as MessageStore;
  }
}

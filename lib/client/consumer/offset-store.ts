import { errorText } from "../../base/errors.ts";
import type { ClientInstance } from "../client-instance.ts";
import { type MessageQueue, messageQueueKey } from "../message-queue.ts";

/** [OffsetStore] How far a group has consumed each queue. */
export interface OffsetStore {
  /** Called once before the first use. */
  load(): Promise<void>;
  /** Remembers `offset`; with `increaseOnly` a smaller one is ignored. */
  update(queue: MessageQueue, offset: number, increaseOnly: boolean): void;
  /** Remembers `offset` and ignores every later update until `remove`. */
  updateAndFreeze(queue: MessageQueue, offset: number): void;
  /** What is remembered here; -1 for nothing. */
  memory(queue: MessageQueue): number;
  /** What is stored; -1 for nothing. Rejects when that cannot be found out. */
  readFromStore(queue: MessageQueue): Promise<number>;
  /** Stores the offsets of `owned` and forgets the others; with `confirmed` waits for the answers and rejects on a failure. */
  persistAll(owned: readonly MessageQueue[], confirmed: boolean): Promise<void>;
  persist(queue: MessageQueue): Promise<void>;
  remove(queue: MessageQueue): void;
  clone(topic: string): Map<MessageQueue, number>;
}

interface Entry {
  queue: MessageQueue;
  offset: number;
  frozen: boolean;
}

/** What both stores do in memory. */
export class OffsetTable {
  readonly entries = new Map<string, Entry>();

  update(queue: MessageQueue, offset: number, increaseOnly: boolean): void {
    const key = messageQueueKey(queue);
    const entry = this.entries.get(key);
    if (entry === undefined) this.entries.set(key, { queue, offset, frozen: false });
    else if (!entry.frozen && (!increaseOnly || offset > entry.offset)) entry.offset = offset;
  }

  updateAndFreeze(queue: MessageQueue, offset: number): void {
    this.entries.set(messageQueueKey(queue), { queue, offset, frozen: true });
  }

  memory(queue: MessageQueue): number {
    return this.entries.get(messageQueueKey(queue))?.offset ?? -1;
  }

  remove(queue: MessageQueue): void {
    this.entries.delete(messageQueueKey(queue));
  }

  clone(topic: string): Map<MessageQueue, number> {
    const offsets = new Map<MessageQueue, number>();
    for (const { queue, offset } of this.entries.values()) if (queue.topic === topic) offsets.set(queue, offset);
    return offsets;
  }
}

/** [RemoteBrokerOffsetStore] Offsets of a clustering group, kept by the broker of each queue. */
export class RemoteOffsetStore extends OffsetTable implements OffsetStore {
  readonly #instance: ClientInstance;
  readonly #group: string;
  readonly #readOnly: boolean;
  readonly #strict: boolean;

  /** `readOnly` never commits; `strict` as in BrokerApi#queryConsumerOffset. */
  constructor(instance: ClientInstance, group: string, options: { readOnly: boolean; strict: boolean }) {
    super();
    this.#instance = instance;
    this.#group = group;
    this.#readOnly = options.readOnly;
    this.#strict = options.strict;
  }

  async load(): Promise<void> {}

  async readFromStore(queue: MessageQueue): Promise<number> {
    const { address } = await this.#instance.needBroker(queue);
    const offset = await this.#instance.api.queryConsumerOffset(address, this.#group, queue, this.#strict);
    if (offset >= 0) this.update(queue, offset, false);
    return offset;
  }

  async persistAll(owned: readonly MessageQueue[], confirmed: boolean): Promise<void> {
    const keys = new Set(owned.map(messageQueueKey));
    const failures: string[] = [];
    const commits: Promise<void>[] = [];
    for (const [key, entry] of this.entries) {
      if (!keys.has(key)) this.entries.delete(key);
      else commits.push(this.#commit(entry, confirmed).catch((error) => void failures.push(errorText(error))));
    }
    await Promise.all(commits);
    if (failures.length > 0) throw new Error(`commit the offsets of group ${this.#group}: ${failures.join("; ")}`);
  }

  async persist(queue: MessageQueue): Promise<void> {
    const entry = this.entries.get(messageQueueKey(queue));
    if (entry !== undefined) await this.#commit(entry, false);
  }

  async #commit({ queue, offset }: Entry, confirmed: boolean): Promise<void> {
    if (this.#readOnly) return;
    const { address } = await this.#instance.needBroker(queue);
    if (confirmed) await this.#instance.api.updateConsumerOffset(address, this.#group, queue, offset);
    else await this.#instance.api.updateConsumerOffsetOneway(address, this.#group, queue, offset);
  }
}

import type { MessageExt } from "../message.ts";
import type { MessageQueue } from "../message-queue.ts";

/** A queue not pulled for this long is given up and taken anew [ProcessQueue#PULL_MAX_IDLE_TIME]. */
const PULL_MAX_IDLE_MS = 120_000;
/** How long a lock is believed without a renewal [ProcessQueue#REBALANCE_LOCK_MAX_LIVE_TIME]. */
const LOCK_MAX_LIVE_MS = 30_000;

/**
 * [ProcessQueue, PullRequest] One queue this client owns: where to pull next and which messages are here, pulled and not yet
 * done. Messages stand in ascending offset order.
 */
export class ProcessQueue {
  readonly queue: MessageQueue;
  /** Offset of the next pull. */
  nextOffset: number;
  /** Not ours any more: nothing of it is consumed or committed. */
  dropped = false;
  /** Orderly: the broker granted the lock, at `lastLockTimestamp`. */
  locked = false;
  lastLockTimestamp = Date.now();
  /** Orderly: the start offset was asked again after the lock was there. */
  previouslyLocked = false;
  lastPullTimestamp = Date.now();
  lastConsumeTimestamp = Date.now();
  /** Orderly: somebody is consuming this queue or is about to. */
  consuming = false;
  /** Listener calls running now on messages of this queue. */
  listenersRunning = 0;
  tryUnlockTimes = 0;
  #messages = new Map<number, MessageExt>();
  /** Orderly: handed to the listener, not committed. */
  readonly #taken = new Map<number, MessageExt>();
  #bytes = 0;
  #offsetMax = -1;

  constructor(queue: MessageQueue, nextOffset: number) {
    this.queue = queue;
    this.nextOffset = nextOffset;
  }

  get count(): number {
    return this.#messages.size + this.#taken.size;
  }

  /** Body bytes of the messages here. */
  get bytes(): number {
    return this.#bytes;
  }

  get firstOffset(): number {
    return this.#messages.keys().next().value ?? -1;
  }

  get lastOffset(): number {
    return this.#messages.size === 0 ? -1 : this.#offsetMax;
  }

  get takenRange(): { count: number; first: number; last: number } {
    const offsets = [...this.#taken.keys()];
    return { count: offsets.length, first: offsets[0] ?? 0, last: offsets.at(-1) ?? 0 };
  }

  /** Distance between the first and the last message here. */
  get span(): number {
    return this.#messages.size === 0 ? 0 : this.#offsetMax - this.firstOffset;
  }

  get lockExpired(): boolean {
    return Date.now() - this.lastLockTimestamp > LOCK_MAX_LIVE_MS;
  }

  get pullExpired(): boolean {
    return Date.now() - this.lastPullTimestamp > PULL_MAX_IDLE_MS;
  }

  put(messages: readonly MessageExt[]): void {
    for (const message of messages) {
      if (this.#messages.has(message.queueOffset)) continue;
      const inOrder = message.queueOffset > this.#offsetMax || this.#messages.size === 0;
      this.#messages.set(message.queueOffset, message);
      this.#bytes += message.body.length;
      if (!inOrder) this.#sort();
      else this.#offsetMax = message.queueOffset;
    }
  }

  #sort(): void {
    this.#messages = new Map([...this.#messages].sort((a, b) => a[0] - b[0]));
  }

  has(message: MessageExt): boolean {
    return this.#messages.has(message.queueOffset);
  }

  first(): MessageExt | undefined {
    return this.#messages.values().next().value;
  }

  /** Takes done messages out; the answer is the offset to commit, or -1 when nothing was here. */
  remove(messages: readonly MessageExt[]): number {
    this.lastConsumeTimestamp = Date.now();
    if (this.#messages.size === 0) return -1;
    for (const message of messages) {
      if (this.#messages.delete(message.queueOffset)) this.#bytes -= message.body.length;
    }
    return this.#messages.size === 0 ? this.#offsetMax + 1 : this.firstOffset;
  }

  /** Orderly: the next messages for the listener; they stay here until `commit`, `rollback` or `consumeAgain`. */
  take(countMax: number): MessageExt[] {
    this.lastConsumeTimestamp = Date.now();
    const taken: MessageExt[] = [];
    for (const [offset, message] of this.#messages) {
      if (taken.length === countMax) break;
      this.#messages.delete(offset);
      this.#taken.set(offset, message);
      taken.push(message);
    }
    return taken;
  }

  /** Orderly: what was taken is done; the answer is the offset to commit, or -1 when nothing was taken. */
  commit(): number {
    let last = -1;
    for (const [offset, message] of this.#taken) {
      last = offset;
      this.#bytes -= message.body.length;
    }
    this.#taken.clear();
    return last < 0 ? -1 : last + 1;
  }

  /** Orderly: what was taken comes first again. */
  rollback(): void {
    this.#messages = new Map([...this.#taken, ...this.#messages]);
    this.#taken.clear();
  }

  /** Orderly: these messages, taken last, come first again. */
  consumeAgain(messages: readonly MessageExt[]): void {
    const first = new Map<number, MessageExt>();
    for (const message of messages) {
      if (this.#taken.delete(message.queueOffset)) first.set(message.queueOffset, message);
    }
    this.#messages = new Map([...first, ...this.#messages]);
  }

  /** Forgets all messages: an offset reset is under way. */
  clear(): void {
    this.#messages.clear();
    this.#taken.clear();
    this.#bytes = 0;
    this.#offsetMax = -1;
  }
}

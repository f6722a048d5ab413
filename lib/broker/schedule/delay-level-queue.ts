import { errorText } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { PropertyName } from "../../message/properties.ts";
import type { MessageStore } from "../../store/types.ts";
import type { EscapeBridge } from "../slave/escape-bridge.ts";
import type { BrokerStats } from "../stats/broker-stats.ts";
import { appendUnwaited, copyOf, decodeStoredMessage, type StoredMessage } from "../stored-message.ts";
import { topicNameFault } from "../topic/topic-validator.ts";
import { SCHEDULE_TOPIC, TRANS_HALF_TOPIC } from "../types.ts";
import type { DelayOffsetManager } from "./delay-offset-manager.ts";
import type { TurnShare } from "./turn-share.ts";

/** Wait after a failed put or read; doubled up to the second one while it goes on failing. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;
/** Longest sleep: the clock may be set meanwhile. */
const SLEEP_MS_MAX = 60_000;
/** Reads of one record before it counts as unreadable. */
const READ_ATTEMPTS = 3;
/** Skipped records that get a line of their own, each pass. */
const SKIP_LINES_MAX = 10;

/** Properties that would have the next broker keep the message back again. */
const DELAYING = [
  PropertyName.DELAY,
  PropertyName.TIMER_DELAY_SEC,
  PropertyName.TIMER_DELAY_MS,
  PropertyName.TIMER_DELIVER_MS,
];

/** What a level needs of the broker. */
export interface DelayLevelEnvironment {
  readonly store: MessageStore;
  readonly stats: BrokerStats;
  readonly offsets: DelayOffsetManager;
  readonly logger: Logger;
  /** Shared by all levels. */
  readonly share: TurnShare;
  /** Where an acting master puts what is due; undefined: into the own store. */
  readonly escapeBridge: Pick<EscapeBridge, "put"> | undefined;
}

/**
 * One queue of SCHEDULE_TOPIC_XXXX: all its messages wait equally long, so that they come due in queue order
 * [ScheduleMessageService.DeliverDelayedMessageTimerTask]. A timer stands at the next due time; nothing is polled.
 */
export class DelayLevelQueue {
  readonly queueId: number;
  #offset = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  /** Earliest due time named by `arm` while a pass runs. */
  #armedAt = Number.POSITIVE_INFINITY;
  #stopped = true;
  #retryMs = RETRY_MS_MIN;
  #failing = false;
  #readAttempts = 0;
  #skipped = 0;

  constructor(
    readonly level: number,
    readonly delayMs: number,
    private readonly environment: DelayLevelEnvironment,
  ) {
    this.queueId = level - 1;
  }

  get offset(): number {
    return this.#offset;
  }

  /** Begins at the stored offset, moved into what the queue still holds. */
  start(): void {
    const { store, offsets, logger } = this.environment;
    const stored = offsets.offsetTable.get(this.level);
    const min = store.getMinOffsetInQueue(SCHEDULE_TOPIC, this.queueId);
    const max = store.getMaxOffsetInQueue(SCHEDULE_TOPIC, this.queueId);
    this.#offset = Math.min(Math.max(stored ?? 0, min, 0), max);
    if (stored !== undefined && stored !== this.#offset) {
      logger.warn("delay offset lies outside its queue and is moved", {
        level: this.level,
        stored,
        min,
        max,
        now: this.#offset,
      });
      offsets.update(this.level, this.#offset);
    }
    this.#stopped = false;
    this.arm(Date.now());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  /** A message of this level that is due at `deliverAt` (ms) is in the queue. */
  arm(deliverAt: number): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) this.#armedAt = Math.min(this.#armedAt, deliverAt);
    else if (deliverAt < this.#timerAt) this.#sleepUntil(deliverAt);
  }

  #sleepUntil(at: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    const sleepMs = Math.min(Math.max(at - Date.now(), 0), SLEEP_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#running = this.#pass();
    }, sleepMs);
  }

  async #pass(): Promise<void> {
    this.#armedAt = Number.POSITIVE_INFINITY;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#skipped = 0;
    let next: number;
    try {
      next = await this.#deliverDue();
    } catch (error) {
      next = this.#failed(errorText(error));
    }
    if (this.#skipped > SKIP_LINES_MAX)
      this.environment.logger.error("more delayed messages were skipped", {
        level: this.level,
        count: this.#skipped - SKIP_LINES_MAX,
      });
    this.#running = undefined;
    if (!this.#stopped) this.#sleepUntil(Math.min(next, this.#armedAt));
  }

  /** Delivers all that is due; returns when to come again. */
  async #deliverDue(): Promise<number> {
    const { store } = this.environment;
    while (!this.#stopped) {
      const nextTurn = this.environment.share.take();
      if (nextTurn !== undefined) {
        await nextTurn;
        continue;
      }
      const entry = store.getQueueEntry(SCHEDULE_TOPIC, this.queueId, this.#offset);
      if (entry === undefined) {
        if (this.#moveIntoQueue()) continue;
        return Number.POSITIVE_INFINITY;
      }
      const now = Date.now();
      // A due time further away than the level's delay comes from a clock that was set back since.
      const dueAt = entry.tagsCode > now + this.delayMs ? now : entry.tagsCode;
      if (dueAt > now) return dueAt;
      const message = await this.#read(entry.physicalOffset);
      if (message === "again") return this.#failed("the message could not be read");
      if (message !== undefined && !this.#stopped) {
        const failure =
          this.environment.escapeBridge === undefined ? this.#deliver(message) : await this.#escape(message);
        if (failure !== undefined) return this.#failed(failure);
      }
      if (this.#stopped) break;
      this.#advance(this.#offset + 1);
    }
    return Number.POSITIVE_INFINITY;
  }

  #advance(offset: number): void {
    this.#offset = offset;
    this.#readAttempts = 0;
    this.#retryMs = RETRY_MS_MIN;
    this.environment.offsets.update(this.level, offset);
    if (!this.#failing) return;
    this.#failing = false;
    this.environment.logger.info("delayed messages are delivered again", { level: this.level });
  }

  /** No entry at the offset: true when the queue goes on elsewhere. */
  #moveIntoQueue(): boolean {
    const { store, logger } = this.environment;
    const min = store.getMinOffsetInQueue(SCHEDULE_TOPIC, this.queueId);
    const max = store.getMaxOffsetInQueue(SCHEDULE_TOPIC, this.queueId);
    if (this.#offset === max) return false;
    const next = this.#offset < min ? min : this.#offset > max ? max : this.#offset + 1;
    logger.error("no entry at the delay offset: moved on", {
      level: this.level,
      offset: this.#offset,
      min,
      max,
      now: next,
    });
    this.#advance(next);
    return true;
  }

  /** The message, undefined when it is to be skipped, "again" when the read failed and may succeed later. */
  async #read(physicalOffset: number): Promise<StoredMessage | "again" | undefined> {
    try {
      const record = await this.environment.store.readRecord(physicalOffset);
      const message = record === undefined ? undefined : decodeStoredMessage(record);
      if (message === undefined) return this.#skip(physicalOffset, "the commit log has no valid record there");
      if (message.topic !== SCHEDULE_TOPIC || message.queueId !== this.queueId)
        return this.#skip(physicalOffset, `the record belongs to topic ${message.topic}, queue ${message.queueId}`);
      return message;
    } catch (error) {
      this.#readAttempts++;
      if (this.#readAttempts < READ_ATTEMPTS) return "again";
      return this.#skip(physicalOffset, errorText(error));
    }
  }

  #skip(physicalOffset: number, reason: string): undefined {
    this.#skipped++;
    if (this.#skipped <= SKIP_LINES_MAX)
      this.environment.logger.error("a delayed message is skipped", {
        level: this.level,
        offset: this.#offset,
        physicalOffset,
        reason,
      });
    return undefined;
  }

  /** Puts the message, its properties as they are, under its own topic; returns why that failed, undefined when it is stored or can never be. */
  #deliver(message: StoredMessage): string | undefined {
    const { store, stats } = this.environment;
    const { [PropertyName.REAL_TOPIC]: topic = "", [PropertyName.REAL_QID]: queue = "" } = message.properties;
    const queueId = /^\d{1,9}$/.test(queue) ? Number(queue) : -1;
    const fault = topicNameFault(topic) ?? (queueId < 0 ? `REAL_QID is "${queue}", wanted a queue id` : undefined);
    if (fault !== undefined || topic === TRANS_HALF_TOPIC || topic === SCHEDULE_TOPIC)
      return this.#skip(message.physicalOffset, fault ?? `its topic is ${topic}`);
    const result = appendUnwaited(store, copyOf(message, message.properties, { topic, queueId }));
    if (result.status === "MESSAGE_ILLEGAL" || result.status === "PROPERTIES_SIZE_EXCEEDED")
      return this.#skip(message.physicalOffset, `${result.status} ${result.reason}`);
    if (result.status !== "PUT_OK") return `${result.status} ${result.reason}`;
    stats.incTopicPutNums(topic, 1, result.physicalEnd - result.physicalOffset, queueId);
    stats.incBrokerPutNums(topic, 1);
    return undefined;
  }

  /** As `#deliver`, to another broker, for which the message is no delayed one any more. */
  async #escape(message: StoredMessage): Promise<string | undefined> {
    const { [PropertyName.REAL_TOPIC]: topic = "" } = message.properties;
    const fault = topicNameFault(topic);
    if (fault !== undefined || topic === TRANS_HALF_TOPIC || topic === SCHEDULE_TOPIC)
      return this.#skip(message.physicalOffset, fault ?? `its topic is ${topic}`);
    const properties: Record<string, string> = { ...message.properties, [PropertyName.WAIT]: "false" };
    for (const name of DELAYING) delete properties[name];
    return this.environment.escapeBridge?.put(message, properties, topic);
  }

  /** Says so once, and when to try again. */
  #failed(reason: string): number {
    if (!this.#failing)
      this.environment.logger.error("delayed messages of a level are held up", {
        level: this.level,
        offset: this.#offset,
        reason,
      });
    this.#failing = true;
    const at = Date.now() + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    return at;
  }
}

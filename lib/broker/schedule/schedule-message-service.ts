import { ConfigError } from "../../base/errors.ts";
import type { MessageInner } from "../../message/message-inner.ts";
import { PropertyName } from "../../message/properties.ts";
import { deliverTimestamp, parseDelayLevels } from "../../store/delay-levels.ts";
import type { BrokerContext } from "../broker-context.ts";
import { changeProperties } from "../stored-message.ts";
import { SCHEDULE_TOPIC } from "../types.ts";
import { DelayLevelQueue } from "./delay-level-queue.ts";
import { DelayOffsetManager } from "./delay-offset-manager.ts";
import { TurnShare } from "./turn-share.ts";

/** Messages delivered before sockets have their turn: about half a millisecond. */
const MESSAGES_PER_TURN = 50;
/** Levels become queue ids of one topic. */
const LEVELS_MAX = 1000;

type ScheduleContext = Pick<BrokerContext, "config" | "store" | "stats" | "logger"> &
  Partial<Pick<BrokerContext, "escapeBridge">>;

/** Messages with a delay level: kept in one queue of SCHEDULE_TOPIC_XXXX per level until they are due [ScheduleMessageService]. */
export class ScheduleMessageService {
  /** Highest level of `messageDelayLevel`; higher ones are lowered to it. */
  readonly maxDelayLevel: number;
  readonly offsets: DelayOffsetManager;

  readonly #context: ScheduleContext;
  /** In ms; level n stands at index n, index 0 is unused. */
  readonly #delaysMs: readonly number[];
  #levels: DelayLevelQueue[] = [];
  /** End of the log when the delivery had ended. */
  #deliveredEnd = 0;
  #persistTimer: ReturnType<typeof setInterval> | undefined;

  /** Throws ConfigError for a bad `messageDelayLevel`. */
  constructor(context: ScheduleContext) {
    this.#context = context;
    const text = context.config.messageDelayLevel;
    const delaysMs = parseDelayLevels(text);
    if (delaysMs === undefined || delaysMs.length > LEVELS_MAX)
      throw new ConfigError(
        `read messageDelayLevel: found "${text}", wanted at most ${LEVELS_MAX} delays with one of s m h d each, such as 1s 5s 10s`,
      );
    this.#delaysMs = delaysMs;
    this.maxDelayLevel = delaysMs.length - 1;
    this.offsets = new DelayOffsetManager(context.config, context.logger);
  }

  /** Reads delayOffset.json. */
  load(): void {
    this.offsets.load();
  }

  /** It delivers now; a slave does so only while it acts as the master. */
  get running(): boolean {
    return this.#levels.length > 0;
  }

  /** Begins to deliver, at the offsets as they stand. The store must be loaded. */
  start(): void {
    if (this.running) return;
    const { store, stats, logger, config, escapeBridge } = this.#context;
    const share = new TurnShare(MESSAGES_PER_TURN);
    const environment = { store, stats, logger, share, offsets: this.offsets, escapeBridge };
    this.#levels = this.#delaysMs
      .slice(1)
      .map((delayMs, index) => new DelayLevelQueue(index + 1, delayMs, environment));
    for (const level of this.#levels) level.start();
    this.#persistTimer = setInterval(() => void this.offsets.persistFlushed(store), config.flushDelayOffsetInterval);
  }

  /** Ends the delivery; `start` may follow. */
  async pause(): Promise<void> {
    clearInterval(this.#persistTimer);
    const levels = this.#levels;
    this.#levels = [];
    await Promise.all(levels.map((level) => level.stop()));
  }

  /** Ends the delivery. */
  async shutdown(): Promise<void> {
    await this.pause();
    this.#deliveredEnd = this.#context.store.maxPhyOffset;
  }

  /** Writes the offsets, once the store is closed: only then is it known which copies are on the disk. */
  writeOffsets(): Promise<void> {
    return this.offsets.stopFlushed(this.#context.store.flushedWhere >= this.#deliveredEnd);
  }

  /** When a message stored at `storeTimestamp` under a level is due, ms since the epoch. */
  computeDeliverTimestamp(level: number, storeTimestamp: number): number {
    return deliverTimestamp(this.#delaysMs, level, storeTimestamp);
  }

  /**
   * Turns a message with a delay level into one of the schedule topic, in place; any other is left alone. To be called for
   * every message before it is stored, half messages excepted [HookUtils#handleScheduleMessage, transformDelayLevelMessage].
   */
  transform(message: MessageInner): void {
    if (message.delayLevel <= 0 || message.topic === SCHEDULE_TOPIC) return;
    const level = Math.min(message.delayLevel, this.maxDelayLevel);
    changeProperties(message, {
      [PropertyName.DELAY]: String(level),
      [PropertyName.REAL_TOPIC]: message.topic,
      [PropertyName.REAL_QID]: String(message.queueId),
    });
    message.topic = SCHEDULE_TOPIC;
    message.queueId = level - 1;
    message.tagsCode = this.computeDeliverTimestamp(level, Date.now());
  }

  /** A message that is due at `deliverAt` can be read from a queue of the schedule topic. */
  notifyArriving(queueId: number, deliverAt: number): void {
    this.#levels[queueId]?.arm(deliverAt);
  }

  /** Content of delayOffset.json, compact (code 45). */
  encode(): string {
    return this.offsets.encode();
  }

  /** `scheduleMessageOffset_<level>` = "delivered up to,written up to", for code 28. */
  runtimeInfo(): Record<string, string> {
    const info: Record<string, string> = {};
    for (const [level, offset] of this.offsets.offsetTable) {
      const max = this.#context.store.getMaxOffsetInQueue(SCHEDULE_TOPIC, level - 1);
      info[`scheduleMessageOffset_${level}`] = `${offset},${max}`;
    }
    return info;
  }
}

import { errorText } from "../../base/errors.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { BrokerError } from "../broker-error.ts";
import type { MessageExt } from "../message.ts";
import { messageQueueText } from "../message-queue.ts";
import { type ConsumerContext, isRetryTopic } from "./consumer-context.ts";
import type { ProcessQueue } from "./process-queue.ts";
import type { PullResult } from "./pull-api.ts";
import type { Rebalance } from "./rebalance.ts";

/** [DefaultMQPushConsumerImpl] How long a pull waits after what happened. */
const FLOW_CONTROL_DELAY_MS = 50;
const BROKER_FLOW_CONTROL_DELAY_MS = 20;
const PAUSED_DELAY_MS = 1_000;
const EXCEPTION_DELAY_MS = 3_000;
const BROKER_SUSPEND_MAX_MS = 15_000;
const CONSUMER_TIMEOUT_WHEN_SUSPEND_MS = 30_000;
const MIB = 1024 * 1024;

/** Answers of a broker that does not know this member or its subscription. */
const UNKNOWN_HERE: ReadonlySet<number> = new Set([
  ResponseCode.SUBSCRIPTION_NOT_EXIST,
  ResponseCode.SUBSCRIPTION_NOT_LATEST,
]);

/** Ends a queue's loop. */
const END = -1;

/** [DefaultMQPushConsumerImpl#pullMessage] Pulls one queue for as long as it is ours: one long poll after the other. */
export class PullLoop {
  readonly #context: ConsumerContext;
  readonly #submit: (processQueue: ProcessQueue, messages: MessageExt[]) => void;
  readonly #rebalance: () => Rebalance;
  readonly #sleeps = new Set<() => void>();
  /** Queues whose last pull failed: said once when it starts and once when it ends. */
  readonly #failing = new Set<ProcessQueue>();

  constructor(
    context: ConsumerContext,
    rebalance: () => Rebalance,
    submit: (processQueue: ProcessQueue, messages: MessageExt[]) => void,
  ) {
    this.#context = context;
    this.#rebalance = rebalance;
    this.#submit = submit;
  }

  start(processQueue: ProcessQueue): void {
    void this.#run(processQueue).catch((error) => {
      // Not reached by any answer of a peer: the queue is dropped after two minutes without a pull and taken anew.
      this.#context.logger.error(`pull loop of ${messageQueueText(processQueue.queue)} ended: ${errorText(error)}`);
    });
  }

  /** Wakes everyone who waits, so that they see that the consumer stopped. */
  stop(): void {
    for (const wake of [...this.#sleeps]) wake();
  }

  async #run(processQueue: ProcessQueue): Promise<void> {
    await this.#sleep(this.#context.options.firstPullDelayMs);
    for (;;) {
      const delayMs = await this.#step(processQueue);
      if (delayMs === END) break;
      if (delayMs > 0) await this.#sleep(delayMs);
    }
    this.#failing.delete(processQueue);
    if (processQueue.dropped) this.#context.pullApi.forget(processQueue.queue);
  }

  /** One pull or one reason not to; ms until the next, or END. */
  async #step(processQueue: ProcessQueue): Promise<number> {
    const { paused, options, orderly } = this.#context;
    if (processQueue.dropped || this.#context.stopped) return END;
    processQueue.lastPullTimestamp = Date.now();
    if (paused) return PAUSED_DELAY_MS;
    if (processQueue.count > options.pullThresholdForQueue) return FLOW_CONTROL_DELAY_MS;
    if (Math.floor(processQueue.bytes / MIB) > options.pullThresholdSizeForQueue) return FLOW_CONTROL_DELAY_MS;
    if (!orderly) {
      if (processQueue.span > options.consumeConcurrentlyMaxSpan) return FLOW_CONTROL_DELAY_MS;
    } else if (!processQueue.locked) return EXCEPTION_DELAY_MS;
    try {
      if (orderly && !processQueue.previouslyLocked) {
        // The owner before may have committed between our look and our lock.
        const stored = await this.#context.offsets.readFromStore(processQueue.queue);
        if (stored >= 0) processQueue.nextOffset = stored;
        processQueue.previouslyLocked = true;
      }
      const delayMs = await this.#pull(processQueue);
      if (this.#failing.delete(processQueue)) {
        this.#context.logger.warn(`pulls of ${messageQueueText(processQueue.queue)} succeed again`, {
          group: this.#context.group,
        });
      }
      return delayMs;
    } catch (error) {
      if (processQueue.dropped || this.#context.stopped) return END;
      if (error instanceof BrokerError) {
        if (error.code === ResponseCode.FLOW_CONTROL) return BROKER_FLOW_CONTROL_DELAY_MS;
        // The broker was started anew or has dropped us: told now, it knows us at the next pull.
        if (UNKNOWN_HERE.has(error.code)) void this.#context.instance.sendHeartbeatToAllBrokers();
      } else this.#context.instance.routeInDoubt(processQueue.queue.topic);
      this.#sayFailure(processQueue, error);
      return EXCEPTION_DELAY_MS;
    }
  }

  #sayFailure(processQueue: ProcessQueue, error: unknown): void {
    if (this.#failing.has(processQueue) || isRetryTopic(processQueue.queue.topic)) return;
    this.#failing.add(processQueue);
    this.#context.logger.warn(`${errorText(error)}; trying again every ${EXCEPTION_DELAY_MS / 1000} s`, {
      group: this.#context.group,
    });
  }

  async #pull(processQueue: ProcessQueue): Promise<number> {
    const { subscriptions, options, offsets, pullApi, stats } = this.#context;
    const { queue } = processQueue;
    const subscription = subscriptions.get(queue.topic);
    if (subscription === undefined) return EXCEPTION_DELAY_MS;
    const commits = options.messageModel === "CLUSTERING" && options.commitOffsets;
    const begin = Date.now();
    const result = await pullApi.pull(queue, subscription, {
      offset: processQueue.nextOffset,
      maxNums: options.pullBatchSize,
      maxBytes: options.pullBatchSizeInBytes,
      suspendMs: BROKER_SUSPEND_MAX_MS,
      timeoutMs: CONSUMER_TIMEOUT_WHEN_SUSPEND_MS,
      subVersion: this.#context.announcedVersions.get(queue.topic) ?? 0,
      commitOffset: commits ? offsets.memory(queue) : 0,
      withSubscription: this.#context.litePull || options.postSubscriptionWhenPull,
      lite: this.#context.litePull,
    });
    if (processQueue.dropped || this.#context.stopped) return END;
    if (result.status === "OFFSET_ILLEGAL") return this.#offsetMoved(processQueue, result);
    processQueue.nextOffset = result.nextBeginOffset;
    if (result.messages.length > 0) {
      stats.pulled(queue.topic, result.messages.length, Date.now() - begin);
      processQueue.put(result.messages);
      this.#submit(processQueue, result.messages);
      return options.pullInterval;
    }
    // Nothing waits in between: what was looked at and not wanted counts as consumed.
    if (result.status !== "FOUND" && processQueue.count === 0) offsets.update(queue, processQueue.nextOffset, true);
    return 0;
  }

  /** The broker has the offset no more, not yet, or was told to reset it: start over where it says. */
  async #offsetMoved(processQueue: ProcessQueue, result: PullResult): Promise<number> {
    const { offsets, logger, instance, group } = this.#context;
    const { queue } = processQueue;
    logger.warn(
      `offset ${processQueue.nextOffset} of ${messageQueueText(queue)} is outside ${result.minOffset} to ${result.maxOffset} or was reset: going on at ${result.nextBeginOffset}`,
      { group },
    );
    processQueue.dropped = true;
    offsets.updateAndFreeze(queue, result.nextBeginOffset);
    await this.#rebalance().removeProcessQueue(processQueue);
    instance.rebalanceImmediately();
    return END;
  }

  #sleep(ms: number): Promise<void> {
    if (ms <= 0 || this.#context.stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleeps.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleeps.add(wake);
    });
  }
}

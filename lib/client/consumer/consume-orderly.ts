import { errorText } from "../../base/errors.ts";
import type { MessageExt } from "../message.ts";
import { messageQueueText } from "../message-queue.ts";
import { type ConsumeService, resetRetryTopic } from "./consume-service.ts";
import type { ConsumerContext } from "./consumer-context.ts";
import type {
  ConsumeMessageDirectlyResult,
  ConsumeOrderlyContext,
  ConsumeOrderlyStatus,
  DirectResult,
  MessageListenerOrderly,
} from "./listener.ts";
import type { ProcessQueue } from "./process-queue.ts";
import type { QueueLocks } from "./queue-locks.ts";
import { sendToRetryTopic } from "./send-back.ts";

/** A queue gives way to the others after this long [ConsumeMessageOrderlyService#MAX_TIME_CONSUME_CONTINUOUSLY]. */
const CONSUME_CONTINUOUSLY_MAX_MS = 60_000;
const SUSPEND_MIN_MS = 10;
const SUSPEND_MAX_MS = 30_000;
const LOCK_AGAIN_MS = 100;
const LOCK_LOST_MS = 10;
const NOT_LOCKED_MS = 3_000;
const INT_MAX = 0x7fff_ffff;

const DIRECT_RESULTS: Record<ConsumeOrderlyStatus, DirectResult> = {
  SUCCESS: "CR_SUCCESS",
  SUSPEND_CURRENT_QUEUE_A_MOMENT: "CR_LATER",
  COMMIT: "CR_COMMIT",
  ROLLBACK: "CR_ROLLBACK",
};

/** [ConsumeMessageOrderlyService] One listener call at a time per queue, only while the broker's lock is ours. */
export class ConsumeOrderly implements ConsumeService {
  readonly #context: ConsumerContext;
  readonly #listener: MessageListenerOrderly;
  readonly #locks: QueueLocks;
  readonly #timers = new Set<Timer>();
  readonly #waiting: ProcessQueue[] = [];
  running = 0;

  constructor(context: ConsumerContext, listener: MessageListenerOrderly, locks: QueueLocks) {
    this.#context = context;
    this.#listener = listener;
    this.#locks = locks;
  }

  start(): void {
    if (this.#context.options.messageModel === "CLUSTERING") this.#locks.start();
  }

  stop(): void {
    this.#locks.stop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#waiting.length = 0;
  }

  submit(processQueue: ProcessQueue): void {
    if (processQueue.consuming) return;
    processQueue.consuming = true;
    this.#enqueue(processQueue);
  }

  #enqueue(processQueue: ProcessQueue): void {
    this.#waiting.push(processQueue);
    this.#drain();
  }

  #drain(): void {
    while (this.running < this.#context.options.consumeThreadMax && !this.#context.stopped) {
      const processQueue = this.#waiting.shift();
      if (processQueue === undefined) return;
      this.running++;
      void this.#consumeQueue(processQueue)
        .catch((error) =>
          this.#context.logger.error(`consume in order: ${errorText(error)}`, { group: this.#context.group }),
        )
        .finally(() => {
          this.running--;
          this.#drain();
        });
    }
  }

  #later(processQueue: ProcessQueue, delayMs: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#enqueue(processQueue);
    }, delayMs);
    this.#timers.add(timer);
  }

  #lockAndConsumeLater(processQueue: ProcessQueue, delayMs: number): void {
    const timer = setTimeout(async () => {
      this.#timers.delete(timer);
      const locked = !this.#context.stopped && (await this.#locks.lock(processQueue.queue));
      if (!this.#context.stopped) this.#later(processQueue, locked ? 10 : NOT_LOCKED_MS);
    }, delayMs);
    this.#timers.add(timer);
  }

  get #locking(): boolean {
    return this.#context.options.messageModel === "CLUSTERING";
  }

  /** Consumes until nothing is left, the lock is gone, the listener wants a pause or others have waited long enough. */
  async #consumeQueue(processQueue: ProcessQueue): Promise<void> {
    const begin = Date.now();
    for (;;) {
      if (processQueue.dropped || this.#context.stopped) return;
      if (this.#locking && (!processQueue.locked || processQueue.lockExpired)) {
        this.#lockAndConsumeLater(processQueue, Date.now() === begin ? LOCK_AGAIN_MS : LOCK_LOST_MS);
        return;
      }
      if (Date.now() - begin > CONSUME_CONTINUOUSLY_MAX_MS) {
        this.#later(processQueue, SUSPEND_MIN_MS);
        return;
      }
      const messages = processQueue.take(this.#context.options.consumeMessageBatchMaxSize);
      if (messages.length === 0) {
        processQueue.consuming = false;
        return;
      }
      if (!(await this.#consumeBatch(processQueue, messages))) return;
    }
  }

  /** False when the queue goes on later by a timer. */
  async #consumeBatch(processQueue: ProcessQueue, messages: MessageExt[]): Promise<boolean> {
    resetRetryTopic(messages, this.#context.group);
    const context: ConsumeOrderlyContext = {
      queue: processQueue.queue,
      autoCommit: true,
      suspendCurrentQueueTimeMillis: -1,
    };
    const begin = Date.now();
    for (const message of messages) message.consumeStartTime = begin;
    let status: ConsumeOrderlyStatus | undefined;
    processQueue.listenersRunning++;
    try {
      status = await this.#listener(messages, context);
    } catch (error) {
      const { logger, group } = this.#context;
      logger.warn(`listener failed on ${messageQueueText(processQueue.queue)}, the queue waits: ${errorText(error)}`, {
        group,
      });
    }
    const result = status ?? "SUSPEND_CURRENT_QUEUE_A_MOMENT";
    const ok = result === "SUCCESS" || result === "COMMIT";
    this.#context.stats.consumed(
      processQueue.queue.topic,
      ok ? messages.length : 0,
      ok ? 0 : messages.length,
      Date.now() - begin,
    );
    try {
      return await this.#settle(processQueue, messages, result, context);
    } finally {
      processQueue.listenersRunning--;
    }
  }

  /** [ConsumeMessageOrderlyService#processConsumeResult] */
  async #settle(
    processQueue: ProcessQueue,
    messages: MessageExt[],
    status: ConsumeOrderlyStatus,
    context: ConsumeOrderlyContext,
  ): Promise<boolean> {
    // Messages tried too often go to the retry topic, which leads to the dead-letter topic: the queue goes on without them.
    const again = status === "SUSPEND_CURRENT_QUEUE_A_MOMENT" && (await this.#comesAgain(messages));
    const rollback = status === "ROLLBACK" && !context.autoCommit;
    if (again || rollback) {
      if (again) processQueue.consumeAgain(messages);
      else processQueue.rollback();
      this.#later(processQueue, this.#suspendMs(context));
      return false;
    }
    if (context.autoCommit || status === "COMMIT") this.#commit(processQueue);
    return true;
  }

  #commit(processQueue: ProcessQueue): void {
    const offset = processQueue.commit();
    if (offset >= 0 && !processQueue.dropped) this.#context.offsets.update(processQueue.queue, offset, false);
  }

  #suspendMs(context: ConsumeOrderlyContext): number {
    const ms = context.suspendCurrentQueueTimeMillis;
    const wanted = ms === -1 ? this.#context.options.suspendCurrentQueueTimeMillis : ms;
    return Math.min(SUSPEND_MAX_MS, Math.max(SUSPEND_MIN_MS, wanted));
  }

  /** [ConsumeMessageOrderlyService#checkReconsumeTimes] Messages tried too often leave for the retry topic; false when all did. */
  async #comesAgain(messages: readonly MessageExt[]): Promise<boolean> {
    const { maxReconsumeTimes } = this.#context.options;
    const max = maxReconsumeTimes === -1 ? INT_MAX : maxReconsumeTimes;
    let again = false;
    for (const message of messages) {
      if (message.reconsumeTimes >= max && (await sendToRetryTopic(this.#context, message, max))) continue;
      message.reconsumeTimes++;
      again = true;
    }
    return again;
  }

  async consumeMessageDirectly(message: MessageExt, brokerName: string): Promise<ConsumeMessageDirectlyResult> {
    const context: ConsumeOrderlyContext = {
      queue: { topic: message.topic, brokerName, queueId: message.queueId },
      autoCommit: true,
      suspendCurrentQueueTimeMillis: -1,
    };
    resetRetryTopic([message], this.#context.group);
    const begin = Date.now();
    let consumeResult: DirectResult;
    let remark: string | undefined;
    try {
      const status = await this.#listener([message], context);
      consumeResult = status === undefined ? "CR_RETURN_NULL" : DIRECT_RESULTS[status];
    } catch (error) {
      consumeResult = "CR_THROW_EXCEPTION";
      remark = errorText(error);
    }
    const result = { autoCommit: context.autoCommit, consumeResult, order: true, spentTimeMills: Date.now() - begin };
    return remark === undefined ? result : { ...result, remark };
  }
}

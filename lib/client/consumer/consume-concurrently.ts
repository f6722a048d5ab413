import { errorText } from "../../base/errors.ts";
import type { MessageExt } from "../message.ts";
import { messageQueueText } from "../message-queue.ts";
import { type ConsumeService, resetRetryTopic } from "./consume-service.ts";
import type { ConsumerContext } from "./consumer-context.ts";
import type {
  ConsumeConcurrentlyContext,
  ConsumeConcurrentlyStatus,
  ConsumeMessageDirectlyResult,
  MessageListenerConcurrently,
} from "./listener.ts";
import type { ProcessQueue } from "./process-queue.ts";
import { sendMessageBack } from "./send-back.ts";

const MAX_RECONSUME_TIMES = 16;
/** Messages that could not even be sent back are given to the listener again after this. */
const CONSUME_AGAIN_MS = 5_000;
/** Expired messages looked at per queue and round. */
const EXPIRED_MAX = 16;
const EXPIRED_DELAY_LEVEL = 3;
const INT_MAX = 0x7fff_ffff;

interface Batch {
  processQueue: ProcessQueue;
  messages: MessageExt[];
}

/** [ConsumeMessageConcurrentlyService] Up to `consumeThreadMax` listener calls at once, in whatever order they end. */
export class ConsumeConcurrently implements ConsumeService {
  readonly #context: ConsumerContext;
  readonly #listener: MessageListenerConcurrently;
  /** Bounded by the pull thresholds: every message in it stands in a process queue. */
  #waiting: Batch[] = [];
  #waitingFrom = 0;
  #draining = false;
  #expiry: Timer | undefined;
  readonly #later = new Set<Timer>();
  #failureSaid = false;
  running = 0;

  constructor(context: ConsumerContext, listener: MessageListenerConcurrently) {
    this.#context = context;
    this.#listener = listener;
  }

  start(): void {
    const periodMs = this.#context.options.consumeTimeout * 60_000;
    this.#expiry = setInterval(() => void this.#cleanExpired(periodMs), periodMs);
  }

  stop(): void {
    clearInterval(this.#expiry);
    for (const timer of this.#later) clearTimeout(timer);
    this.#waiting = [];
    this.#waitingFrom = 0;
  }

  submit(processQueue: ProcessQueue, messages: readonly MessageExt[]): void {
    const size = this.#context.options.consumeMessageBatchMaxSize;
    for (let i = 0; i < messages.length; i += size) {
      this.#waiting.push({ processQueue, messages: messages.slice(i, i + size) });
    }
    this.#drain();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    while (this.running < this.#context.options.consumeThreadMax && !this.#context.stopped) {
      const batch = this.#waiting[this.#waitingFrom];
      if (batch === undefined) break;
      this.#waitingFrom++;
      this.#consume(batch);
    }
    if (this.#waitingFrom >= this.#waiting.length) {
      this.#waiting = [];
      this.#waitingFrom = 0;
    }
    this.#draining = false;
  }

  #consume(batch: Batch): void {
    const { processQueue, messages } = batch;
    if (processQueue.dropped) return;
    resetRetryTopic(messages, this.#context.group);
    const begin = Date.now();
    for (const message of messages) message.consumeStartTime = begin;
    const context: ConsumeConcurrentlyContext = {
      queue: processQueue.queue,
      delayLevelWhenNextConsume: 0,
      ackIndex: INT_MAX,
    };
    let answer: ReturnType<MessageListenerConcurrently>;
    try {
      answer = this.#listener(messages, context);
    } catch (error) {
      this.#sayFailure(error, processQueue);
      answer = "RECONSUME_LATER";
    }
    if (!(answer instanceof Promise)) {
      // The usual case without a promise: a listener that only hands the message on.
      this.#done(batch, context, answer, begin);
      return;
    }
    this.running++;
    processQueue.listenersRunning++;
    answer
      .catch((error) => {
        this.#sayFailure(error, processQueue);
        return "RECONSUME_LATER" as const;
      })
      .then((status) => {
        this.running--;
        processQueue.listenersRunning--;
        this.#done(batch, context, status, begin);
        this.#drain();
      });
  }

  /** Every failure is a retry the broker counts; the text of the first one is enough for a log. */
  #sayFailure(error: unknown, processQueue: ProcessQueue): void {
    const { logger, group } = this.#context;
    const text = `listener failed on ${messageQueueText(processQueue.queue)}, the messages come again: ${errorText(error)}`;
    if (this.#failureSaid) logger.debug(text, { group });
    else logger.warn(text, { group });
    this.#failureSaid = true;
  }

  /** [ConsumeMessageConcurrentlyService#processConsumeResult] */
  #done(
    batch: Batch,
    context: ConsumeConcurrentlyContext,
    status: ConsumeConcurrentlyStatus | undefined,
    begin: number,
  ): void {
    const { messages, processQueue } = batch;
    if (messages.length === 0) return;
    const okCount = status === "CONSUME_SUCCESS" ? Math.min(context.ackIndex + 1, messages.length) : 0;
    const failed = okCount === messages.length ? [] : messages.slice(Math.max(0, okCount));
    const { stats, options, logger, group } = this.#context;
    stats.consumed(processQueue.queue.topic, messages.length - failed.length, failed.length, Date.now() - begin);
    if (failed.length === 0) this.#remove(processQueue, messages);
    else if (options.messageModel === "BROADCASTING") {
      logger.warn(`${failed.length} broadcast messages failed and are dropped`, {
        group,
        topic: processQueue.queue.topic,
      });
      this.#remove(processQueue, messages);
    } else void this.#sendBack(batch, failed, context.delayLevelWhenNextConsume);
  }

  async #sendBack({ processQueue, messages }: Batch, failed: readonly MessageExt[], delayLevel: number): Promise<void> {
    if (processQueue.dropped) return;
    const max = this.#context.options.maxReconsumeTimes;
    const stuck: MessageExt[] = [];
    // Counted as running: a stop waits until they are back at the broker.
    this.running++;
    for (const message of failed) {
      if (!processQueue.has(message)) continue;
      const sent = await sendMessageBack(this.#context, message, delayLevel, max === -1 ? MAX_RECONSUME_TIMES : max);
      if (sent) continue;
      message.reconsumeTimes++;
      stuck.push(message);
    }
    this.running--;
    this.#remove(processQueue, stuck.length === 0 ? messages : messages.filter((message) => !stuck.includes(message)));
    if (stuck.length > 0 && !this.#context.stopped) this.#consumeAgainLater(processQueue, stuck);
    this.#drain();
  }

  #consumeAgainLater(processQueue: ProcessQueue, messages: MessageExt[]): void {
    const timer = setTimeout(() => {
      this.#later.delete(timer);
      this.submit(processQueue, messages);
    }, CONSUME_AGAIN_MS);
    this.#later.add(timer);
  }

  #remove(processQueue: ProcessQueue, messages: readonly MessageExt[]): void {
    const offset = processQueue.remove(messages);
    if (offset >= 0 && !processQueue.dropped) this.#context.offsets.update(processQueue.queue, offset, true);
  }

  /** [ProcessQueue#cleanExpiredMsg] Sends back what a listener has held for longer than `timeoutMs`. */
  async #cleanExpired(timeoutMs: number): Promise<void> {
    const { processQueues, logger, group } = this.#context;
    for (const processQueue of processQueues.values()) {
      for (let i = 0; i < EXPIRED_MAX; i++) {
        const message = processQueue.first();
        if (message === undefined || message.consumeStartTime === 0) break;
        if (Date.now() - message.consumeStartTime <= timeoutMs) break;
        logger.warn("a listener holds a message for too long: sending it back", {
          group,
          msgId: message.msgId,
          topic: message.topic,
        });
        if (!(await sendMessageBack(this.#context, message, EXPIRED_DELAY_LEVEL, MAX_RECONSUME_TIMES))) break;
        if (processQueue.first() === message) this.#remove(processQueue, [message]);
      }
    }
  }

  async consumeMessageDirectly(message: MessageExt, brokerName: string): Promise<ConsumeMessageDirectlyResult> {
    const queue = { topic: message.topic, brokerName, queueId: message.queueId };
    resetRetryTopic([message], this.#context.group);
    const begin = Date.now();
    const done = (result: Pick<ConsumeMessageDirectlyResult, "consumeResult" | "remark">) => ({
      autoCommit: true,
      order: false,
      spentTimeMills: Date.now() - begin,
      ...result,
    });
    try {
      const status = await this.#listener([message], { queue, delayLevelWhenNextConsume: 0, ackIndex: INT_MAX });
      if (status === undefined) return done({ consumeResult: "CR_RETURN_NULL" });
      return done({ consumeResult: status === "CONSUME_SUCCESS" ? "CR_SUCCESS" : "CR_LATER" });
    } catch (error) {
      return done({ consumeResult: "CR_THROW_EXCEPTION", remark: errorText(error) });
    }
  }
}

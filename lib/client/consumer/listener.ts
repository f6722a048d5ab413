import type { MessageExt } from "../message.ts";
import type { MessageQueue } from "../message-queue.ts";

/** [ConsumeConcurrentlyStatus] */
export type ConsumeConcurrentlyStatus = "CONSUME_SUCCESS" | "RECONSUME_LATER";

/** [ConsumeConcurrentlyContext] */
export interface ConsumeConcurrentlyContext {
  readonly queue: MessageQueue;
  /** Of a failed message: -1 to the dead-letter topic, 0 the broker decides by the number of tries, else this delay level. */
  delayLevelWhenNextConsume: number;
  /** Index of the last message that went well, when the listener says CONSUME_SUCCESS. */
  ackIndex: number;
}

/** Anything but CONSUME_SUCCESS, an exception included, has the messages delivered again later. */
export type MessageListenerConcurrently = (
  messages: MessageExt[],
  context: ConsumeConcurrentlyContext,
) => ConsumeConcurrentlyStatus | undefined | Promise<ConsumeConcurrentlyStatus | undefined>;

/** [ConsumeOrderlyStatus] COMMIT and ROLLBACK only with `autoCommit` off. */
export type ConsumeOrderlyStatus = "SUCCESS" | "SUSPEND_CURRENT_QUEUE_A_MOMENT" | "COMMIT" | "ROLLBACK";

/** [ConsumeOrderlyContext] */
export interface ConsumeOrderlyContext {
  readonly queue: MessageQueue;
  autoCommit: boolean;
  /** ms to wait after SUSPEND_CURRENT_QUEUE_A_MOMENT; -1: the consumer's setting. */
  suspendCurrentQueueTimeMillis: number;
}

/** An exception or no answer suspends the queue a moment; the same messages come again. */
export type MessageListenerOrderly = (
  messages: MessageExt[],
  context: ConsumeOrderlyContext,
) => ConsumeOrderlyStatus | undefined | Promise<ConsumeOrderlyStatus | undefined>;

/** [CMResult] */
export type DirectResult =
  | "CR_SUCCESS"
  | "CR_LATER"
  | "CR_ROLLBACK"
  | "CR_COMMIT"
  | "CR_THROW_EXCEPTION"
  | "CR_RETURN_NULL";

/** [ConsumeMessageDirectlyResult] */
export interface ConsumeMessageDirectlyResult {
  autoCommit: boolean;
  consumeResult: DirectResult;
  order: boolean;
  remark?: string;
  spentTimeMills: number;
}

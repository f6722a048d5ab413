import { randomInt } from "node:crypto";
import { javaHashCode } from "../../base/java.ts";
import type { MessageQueue } from "../message-queue.ts";
import type { LatencyFault } from "./latency-fault.ts";

/** [TopicPublishInfo] The writable queues of a topic and whose turn it is. */
export class PublishInfo {
  readonly topic: string;
  readonly queues: readonly MessageQueue[];
  /** Order topic: `orderTopicConf` named the queues. */
  readonly ordered: boolean;
  #index = randomInt(0x7fffffff);

  constructor(topic: string, queues: readonly MessageQueue[], ordered: boolean) {
    this.topic = topic;
    this.queues = queues;
    this.ordered = ordered;
  }

  resetIndex(): void {
    this.#index = randomInt(0x7fffffff);
  }

  /** The next queue in turn that `accept` takes; undefined when none of them does. */
  next(accept: (queue: MessageQueue) => boolean = () => true): MessageQueue | undefined {
    for (let i = 0; i < this.queues.length; i++) {
      this.#index = (this.#index + 1) & 0x7fffffff;
      const queue = this.queues[this.#index % this.queues.length];
      if (queue !== undefined && accept(queue)) return queue;
    }
    return undefined;
  }
}

/**
 * [MQFaultStrategy#selectOneMessageQueue] The queue for the next try. `lastBrokerName` is the broker that just failed; `fault` is
 * given when slow brokers are to be passed over.
 */
export function selectOneMessageQueue(
  info: PublishInfo,
  lastBrokerName: string | undefined,
  fault: LatencyFault | undefined,
  isRetry: boolean,
): MessageQueue | undefined {
  const elsewhere = (queue: MessageQueue) => queue.brokerName !== lastBrokerName;
  if (fault === undefined) return info.next(elsewhere) ?? info.next();
  if (isRetry) info.resetIndex();
  return (
    info.next((queue) => fault.isAvailable(queue.brokerName) && elsewhere(queue)) ??
    info.next((queue) => fault.isReachable(queue.brokerName) && elsewhere(queue)) ??
    info.next()
  );
}

/** [SelectMessageQueueByHash] The queue for `key`: same key, same queue as from a Java producer. */
export function selectQueueByHash(queues: readonly MessageQueue[], key: string): MessageQueue | undefined {
  if (queues.length === 0) return undefined;
  return queues[Math.abs(javaHashCode(key) % queues.length)];
}

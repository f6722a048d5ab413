/** [MessageQueue] One queue of a topic on one broker. */
export interface MessageQueue {
  readonly topic: string;
  readonly brokerName: string;
  readonly queueId: number;
}

/** RocketMQ's natural order: topic, broker name, queue id. */
export function compareMessageQueues(a: MessageQueue, b: MessageQueue): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  if (a.brokerName !== b.brokerName) return a.brokerName < b.brokerName ? -1 : 1;
  return a.queueId - b.queueId;
}

/** Key for a Map: no topic or broker name holds a NUL. */
export function messageQueueKey(queue: MessageQueue): string {
  return `${queue.topic}\0${queue.brokerName}\0${queue.queueId}`;
}

/** The text that CONSISTENT_HASH hashes and logs show [MessageQueue#toString]. */
export function messageQueueText(queue: MessageQueue): string {
  return `MessageQueue [topic=${queue.topic}, brokerName=${queue.brokerName}, queueId=${queue.queueId}]`;
}

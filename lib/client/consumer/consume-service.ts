import { PropertyName } from "../../message/properties.ts";
import type { MessageExt } from "../message.ts";
import { retryTopic } from "./consumer-context.ts";
import type { ConsumeMessageDirectlyResult } from "./listener.ts";
import type { ProcessQueue } from "./process-queue.ts";

/** How pulled messages reach the listener: concurrently or in order. */
export interface ConsumeService {
  start(): void;
  /** Starts no listener any more; what runs may end. */
  stop(): void;
  /** Takes note of messages that now stand in `processQueue`. */
  submit(processQueue: ProcessQueue, messages: readonly MessageExt[]): void;
  /** Listener calls that run now. */
  readonly running: number;
  consumeMessageDirectly(message: MessageExt, brokerName: string): Promise<ConsumeMessageDirectlyResult>;
}

/** Messages of the retry topic show the topic they came from [DefaultMQPushConsumerImpl#resetRetryAndNamespace]. */
export function resetRetryTopic(messages: readonly MessageExt[], group: string): void {
  const ours = retryTopic(group);
  for (const message of messages) {
    const origin = message.properties[PropertyName.RETRY_TOPIC];
    if (origin !== undefined && message.topic === ours) message.topic = origin;
  }
}

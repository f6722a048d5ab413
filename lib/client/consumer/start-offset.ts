import type { MessageQueue } from "../message-queue.ts";
import { type ConsumerContext, isRetryTopic } from "./consumer-context.ts";

/**
 * [RebalancePushImpl#computePullFromWhere] Where to begin with a queue: the group's stored offset, else what
 * `consumeFromWhere` says. Rejects when a broker cannot tell: the queue must wait.
 */
export async function computePullFromWhere(context: ConsumerContext, queue: MessageQueue): Promise<number> {
  const stored = await context.offsets.readFromStore(queue);
  if (stored >= 0) return stored;
  const retry = isRetryTopic(queue.topic);
  const { consumeFromWhere, consumeTimestamp } = context.options;
  if (consumeFromWhere === "CONSUME_FROM_FIRST_OFFSET") return 0;
  if (retry && consumeFromWhere === "CONSUME_FROM_LAST_OFFSET") return 0;
  const { address } = await context.instance.needBroker(queue);
  if (retry || consumeFromWhere === "CONSUME_FROM_LAST_OFFSET") return context.instance.api.maxOffset(address, queue);
  return context.instance.api.searchOffset(address, queue, consumeTimestamp);
}

import type { MessageInner } from "../../message/message-inner.ts";
import { PropertyName } from "../../message/properties.ts";
import type { BrokerContext } from "../broker-context.ts";
import { changeProperties } from "../stored-message.ts";
import { DLQ_GROUP_TOPIC_PREFIX, PERM_READ, PERM_WRITE, RETRY_GROUP_TOPIC_PREFIX } from "../types.ts";
import { groupNotExist, type Refusal } from "./send-check.ts";

/**
 * A message sent straight to a retry topic goes to the group's dead-letter queue when it was retried too often, or when
 * the group consumes in order: its member gives the message up [SendMessageProcessor#handleRetryAndDLQ].
 * `maxReconsumeTimes` is the header's, undefined when it has none that counts.
 */
export function redirectRetry(
  context: BrokerContext,
  message: MessageInner,
  maxReconsumeTimes: number | undefined,
): Refusal | undefined {
  const group = message.topic.slice(RETRY_GROUP_TOPIC_PREFIX.length);
  const groupConfig = context.groups.findSubscriptionGroupConfig(group);
  if (groupConfig === undefined) return groupNotExist(context, group);
  const max = maxReconsumeTimes ?? groupConfig.retryMaxTimes;
  if (message.reconsumeTimes <= max && context.locks.isLockAllExpired(group)) return undefined;
  const topic = DLQ_GROUP_TOPIC_PREFIX + group;
  context.topics.createTopicInSendMessageBackMethod(topic, 1, PERM_READ | PERM_WRITE, 0);
  message.topic = topic;
  message.queueId = 0;
  changeProperties(message, { [PropertyName.DELAY]: "-1" });
  context.stats.incDlqPut(group, topic);
  return undefined;
}

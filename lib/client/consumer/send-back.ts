import { errorText } from "../../base/errors.ts";
import { PropertyName } from "../../message/properties.ts";
import type { ClientInstance } from "../client-instance.ts";
import type { Message, MessageExt } from "../message.ts";
import { MASTER_ID } from "../names.ts";
import { Producer } from "../producer/producer.ts";
import { type ConsumerContext, retryTopic } from "./consumer-context.ts";

/** [MixAll#CLIENT_INNER_PRODUCER_GROUP] */
const INNER_PRODUCER_GROUP = "CLIENT_INNER_PRODUCER";
/** Delay level of a message's first retry when it is sent anew. */
const FIRST_RETRY_LEVEL = 3;

const innerProducers = new WeakMap<ClientInstance, Producer>();

/** The producer that an instance's consumers share for sending messages back; started on first use. */
function innerProducer(instance: ClientInstance): Producer {
  let producer = innerProducers.get(instance);
  if (producer === undefined) {
    producer = new Producer({ group: INNER_PRODUCER_GROUP }, instance);
    producer.start();
    innerProducers.set(instance, producer);
  }
  return producer;
}

/** Lets the inner producer go when the last consumer did. */
export async function releaseInnerProducer(instance: ClientInstance): Promise<void> {
  const producer = innerProducers.get(instance);
  if (producer === undefined || ![...instance.consumers].every((consumer) => consumer.group === INNER_PRODUCER_GROUP))
    return;
  innerProducers.delete(instance);
  await producer.shutdown();
}

/**
 * [DefaultMQPushConsumerImpl#sendMessageBack] Has the message delivered again after a delay, or moved to the dead-letter topic:
 * by the broker that stores it, else by sending a copy. False when neither worked.
 */
export async function sendMessageBack(
  context: ConsumerContext,
  message: MessageExt,
  delayLevel: number,
  maxReconsumeTimes: number,
): Promise<boolean> {
  const { instance, group, logger } = context;
  try {
    const { topic, brokerName, queueId } = message;
    const { address } = await instance.needBroker({ topic, brokerName, queueId }, MASTER_ID, true);
    await instance.api.consumerSendMessageBack(address, {
      group,
      commitLogOffset: message.physicalOffset,
      delayLevel,
      originMsgId: message.msgId,
      originTopic: message.topic,
      maxReconsumeTimes,
      brokerName: message.brokerName,
    });
    return true;
  } catch (error) {
    logger.warn(`${errorText(error)}; sending a copy to the retry topic instead`, { group, msgId: message.msgId });
    return sendToRetryTopic(context, message, maxReconsumeTimes);
  }
}

/** A copy for `%RETRY%group`; the broker delays it, or moves it to the dead-letter topic when it was tried too often. */
export async function sendToRetryTopic(
  context: ConsumerContext,
  message: MessageExt,
  maxReconsumeTimes: number,
): Promise<boolean> {
  const { group, logger } = context;
  const properties: Record<string, string> = { ...message.properties };
  properties[PropertyName.ORIGIN_MESSAGE_ID] ??= message.msgId;
  properties[PropertyName.RETRY_TOPIC] = message.topic;
  properties[PropertyName.RECONSUME_TIME] = String(message.reconsumeTimes + 1);
  properties[PropertyName.MAX_RECONSUME_TIMES] = String(maxReconsumeTimes);
  delete properties[PropertyName.TRAN_MSG];
  const copy: Message = {
    topic: retryTopic(group),
    body: message.body,
    flag: message.flag,
    properties,
    delayLevel: FIRST_RETRY_LEVEL + message.reconsumeTimes,
  };
  try {
    await innerProducer(context.instance).send(copy);
    return true;
  } catch (error) {
    logger.warn(`send a message to the retry topic: ${errorText(error)}`, { group, msgId: message.msgId });
    return false;
  }
}

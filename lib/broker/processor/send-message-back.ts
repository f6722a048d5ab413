import { offsetMsgId } from "../../message/message-id.ts";
import { PropertyName } from "../../message/properties.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import {
  optionalBoolean,
  optionalInt,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { copyOf, decodeStoredMessage, durable, type StoredMessage } from "../stored-message.ts";
import { groupNameFault } from "../topic/topic-validator.ts";
import {
  DLQ_GROUP_TOPIC_PREFIX,
  PERM_READ,
  PERM_WRITE,
  RETRY_GROUP_TOPIC_PREFIX,
  type SubscriptionGroupConfig,
  type TopicConfig,
} from "../types.ts";

/** First client whose maxReconsumeTimes counts. */
const VERSION_V3_4_9 = 121;
/** The first retry of a message waits this level (10 s), each further one a level more. */
const FIRST_RETRY_LEVEL = 3;
const DLQ_NUMS_PER_GROUP = 1;
const UNIT_SUB_FLAG = 2;

/** CONSUMER_SEND_MSG_BACK: a consumer could not handle a message [AbstractSendMessageProcessor#consumerSendMsgBack]. */
export function sendMessageBackProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, groups, logger, schedule, stats, store, topics } = context;

  async function consumerSendMsgBack(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const group = requireString(request.ext, "group");
    const groupConfig = findGroup(group);
    if ((config.brokerPermission & PERM_WRITE) === 0)
      throw new ResponseError(
        ResponseCode.NO_PERMISSION,
        `the broker[${config.brokerIP1}] sending message is forbidden (brokerPermission=${config.brokerPermission})`,
      );
    if (groupConfig.retryQueueNums <= 0) return { code: ResponseCode.SUCCESS };

    const offset = requireLong(request.ext, "offset");
    const delayLevel = requireInt(request.ext, "delayLevel");
    const unitMode = optionalBoolean(request.ext, "unitMode", false);
    // Created before the message is looked at, as in RocketMQ: the consumer group reads it from its next rebalance on.
    const retryTopic = writableTopic(
      RETRY_GROUP_TOPIC_PREFIX + group,
      groupConfig.retryQueueNums,
      unitMode ? UNIT_SUB_FLAG : 0,
    );
    const message = await look(offset);
    const atMost =
      (request.version >= VERSION_V3_4_9 ? optionalInt(request.ext, "maxReconsumeTimes") : undefined) ??
      groupConfig.retryMaxTimes;
    const dead = message.reconsumeTimes >= atMost || delayLevel < 0;
    const topic = dead ? writableTopic(DLQ_GROUP_TOPIC_PREFIX + group, DLQ_NUMS_PER_GROUP, 0) : retryTopic;
    const level = dead ? 0 : delayLevel === 0 ? FIRST_RETRY_LEVEL + message.reconsumeTimes : delayLevel;
    const queueNums = dead ? DLQ_NUMS_PER_GROUP : groupConfig.retryQueueNums;
    await put(message, topic.topicName, Math.floor(Math.random() * queueNums), level);

    const originTopic = message.properties[PropertyName.RETRY_TOPIC] ?? message.topic;
    stats.incSendBack(group, originTopic);
    if (dead) {
      stats.incDlqPut(group, originTopic);
      logger.warn("a message went to the dead-letter topic", {
        topic: topic.topicName,
        originTopic: optionalString(request.ext, "originTopic") ?? originTopic,
        group,
        consumer: connection.remoteAddress,
        uniqKey: message.properties[PropertyName.UNIQ_KEY],
        reconsumeTimes: message.reconsumeTimes,
        maxReconsumeTimes: atMost,
      });
    }
    return { code: ResponseCode.SUCCESS };
  }

  function findGroup(group: string): SubscriptionGroupConfig {
    const fault = groupNameFault(group);
    const found = fault === undefined ? groups.findSubscriptionGroupConfig(group) : undefined;
    if (found !== undefined) return found;
    throw new ResponseError(
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      `subscription group not exist, ${group}${fault === undefined ? "" : `: ${fault}`}`,
    );
  }

  function writableTopic(name: string, queueNums: number, topicSysFlag: number): TopicConfig {
    const topic = topics.createTopicInSendMessageBackMethod(name, queueNums, PERM_READ | PERM_WRITE, topicSysFlag);
    if ((topic.perm & PERM_WRITE) !== 0) return topic;
    throw new ResponseError(
      ResponseCode.NO_PERMISSION,
      `the topic[${name}] sending message is forbidden (its perm is ${topic.perm})`,
    );
  }

  async function look(offset: number): Promise<StoredMessage> {
    const record = await store.readRecord(offset);
    const message = record === undefined ? undefined : decodeStoredMessage(record);
    if (message !== undefined) return message;
    throw new ResponseError(
      ResponseCode.SYSTEM_ERROR,
      `look message by offset failed, ${offset}: the commit log holds ${store.minPhyOffset} to ${store.maxPhyOffset}`,
    );
  }

  async function put(message: StoredMessage, topic: string, queueId: number, level: number): Promise<void> {
    const properties: Record<string, string> = {
      ...message.properties,
      [PropertyName.RETRY_TOPIC]: message.properties[PropertyName.RETRY_TOPIC] ?? message.topic,
      [PropertyName.ORIGIN_MESSAGE_ID]:
        message.properties[PropertyName.ORIGIN_MESSAGE_ID] || offsetMsgId(message.storeHost, message.physicalOffset),
      [PropertyName.DELAY]: String(level),
      [PropertyName.WAIT]: "false",
    };
    const reconsumeTimes = message.reconsumeTimes + 1;
    const inner = copyOf(message, properties, { topic, queueId, reconsumeTimes, storeHost: context.storeHost });
    schedule.transform(inner);
    const result = store.append(inner);
    if (result.status !== "PUT_OK") {
      const reason = result.reason === "" ? "" : `: ${result.reason}`;
      throw new ResponseError(ResponseCode.SYSTEM_ERROR, `${result.status}${reason}`);
    }
    stats.incTopicPutNums(inner.topic, 1, result.physicalEnd - result.physicalOffset, inner.queueId);
    stats.incBrokerPutNums(inner.topic, 1);
    const status = await durable(store, result.physicalEnd);
    if (status !== "PUT_OK") throw new ResponseError(ResponseCode.SYSTEM_ERROR, status);
  }

  return [[RequestCode.CONSUMER_SEND_MSG_BACK, { processor: consumerSendMsgBack }]];
}

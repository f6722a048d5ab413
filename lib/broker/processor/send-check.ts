import { ResponseCode } from "../../remoting/codes.ts";
import type { HeaderSlots } from "../../remoting/header-slots.ts";
import type { Connection, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { isNotAllowedSendTopic, topicNameFault } from "../topic/topic-validator.ts";
import { PERM_READ, PERM_WRITE, RETRY_GROUP_TOPIC_PREFIX, type TopicConfig } from "../types.ts";
import { SEND_SLOT } from "./send-header.ts";

export const UNIT_FLAG = 1;
const UNIT_SUB_FLAG = 2;

/** What a refusal carries; undefined lets the message pass. */
export type Refusal = RemotingResponse;

/** Refusals that do not look at the message [SendMessageProcessor#rejectRequest, #preSend]. */
export function refuseSends(context: BrokerContext, now: number): Refusal | undefined {
  const { config, load } = context;
  if (config.brokerRole === "SLAVE" && !config.enableSlaveActingMaster) {
    return busy("[REJECTREQUEST]", "this broker is a slave (brokerRole=SLAVE)");
  }
  if (load.waitingSends >= config.sendThreadPoolQueueCapacity) {
    return busy(
      "[OVERLOAD]",
      `${load.waitingSends} sends wait for flush or slave, limit sendThreadPoolQueueCapacity=${config.sendThreadPoolQueueCapacity}`,
    );
  }
  if (load.memoryShort !== "") return busy("[MEMORY]", load.memoryShort);
  if (now < config.startAcceptSendRequestTimeStamp) {
    return {
      code: ResponseCode.SYSTEM_ERROR,
      remark: `broker unable to service, until ${new Date(config.startAcceptSendRequestTimeStamp).toISOString()} (startAcceptSendRequestTimeStamp)`,
    };
  }
  return undefined;
}

function busy(stage: string, reason: string): Refusal {
  return {
    code: ResponseCode.SYSTEM_BUSY,
    remark: `${stage}system busy, start flow control for a while: ${reason}`,
  };
}

/** Why the topic takes no messages from clients [AbstractSendMessageProcessor#msgCheck]. */
export function refuseTopic(
  context: BrokerContext,
  topic: string,
  known: TopicConfig | undefined,
): Refusal | undefined {
  const { config } = context;
  if ((config.brokerPermission & PERM_WRITE) === 0 && known?.order === true) {
    return {
      code: ResponseCode.NO_PERMISSION,
      remark: `the broker[${context.brokerAddress}] sending message is forbidden: brokerPermission=${config.brokerPermission} and topic[${topic}] is an order topic`,
    };
  }
  const fault = known === undefined ? topicNameFault(topic) : undefined;
  if (fault !== undefined) return { code: ResponseCode.INVALID_PARAMETER, remark: fault };
  if (isNotAllowedSendTopic(topic)) {
    return { code: ResponseCode.NO_PERMISSION, remark: `Sending message to topic[${topic}] is forbidden.` };
  }
  return undefined;
}

/** Why a retry topic is not created: its group is unknown and may not be created either [SendMessageProcessor#handleRetryAndDLQ]. */
export function refuseRetryTopic(context: BrokerContext, topic: string): Refusal | undefined {
  if (!topic.startsWith(RETRY_GROUP_TOPIC_PREFIX)) return undefined;
  const group = topic.slice(RETRY_GROUP_TOPIC_PREFIX.length);
  return context.groups.findSubscriptionGroupConfig(group) === undefined ? groupNotExist(context, group) : undefined;
}

export function groupNotExist(context: BrokerContext, group: string): Refusal {
  return {
    code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    remark: `subscription group not exist, ${group} (autoCreateSubscriptionGroup=${context.config.autoCreateSubscriptionGroup})`,
  };
}

/** A first message's topic, created as its default topic allows; undefined when it may not be. */
export function createTopic(
  context: BrokerContext,
  topic: string,
  slots: HeaderSlots,
  connection: Connection,
): TopicConfig | undefined {
  const retry = topic.startsWith(RETRY_GROUP_TOPIC_PREFIX);
  const unitMode = slots.bool(SEND_SLOT.unitMode, false);
  const sysFlag = unitMode ? (retry ? UNIT_SUB_FLAG : UNIT_FLAG) : 0;
  const created = context.topics.createTopicInSendMessageMethod(
    topic,
    slots.string(SEND_SLOT.defaultTopic) ?? "",
    connection.remoteAddress,
    slots.int(SEND_SLOT.defaultTopicQueueNums, 0),
    sysFlag,
  );
  if (created !== undefined || !retry) return created;
  return context.topics.createTopicInSendMessageBackMethod(topic, 1, PERM_READ | PERM_WRITE, sysFlag);
}

export function topicNotExist(context: BrokerContext, topic: string, defaultTopic: string): Refusal {
  const pattern = context.topics.get(defaultTopic);
  const reason =
    pattern === undefined
      ? `default topic[${defaultTopic}] is not on this broker (autoCreateTopicEnable=${context.config.autoCreateTopicEnable})`
      : `default topic[${defaultTopic}] does not let topics be created from it (perm=${pattern.perm}, autoCreateTopicEnable=${context.config.autoCreateTopicEnable})`;
  return {
    code: ResponseCode.TOPIC_NOT_EXIST,
    remark: `topic[${topic}] not exist, apply first please! ${reason}`,
  };
}

export function queueIdRefusal(queueId: number, topicConfig: TopicConfig, connection: Connection): Refusal {
  return {
    code: ResponseCode.INVALID_PARAMETER,
    remark: `request queueId[${queueId}] is illegal, TopicConfig [topicName=${topicConfig.topicName}, readQueueNums=${topicConfig.readQueueNums}, writeQueueNums=${topicConfig.writeQueueNums}, perm=${topicConfig.perm}, order=${topicConfig.order}] Producer: ${connection.remoteAddress}`,
  };
}

import { errorText } from "../../base/errors.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { HeaderSlots } from "../../remoting/header-slots.ts";
import type { Connection, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { buildSubscription, isTagType } from "../client/subscription.ts";
import { PERM_READ, type SubscriptionData, type SubscriptionGroupConfig, type TopicConfig } from "../types.ts";
import { expressionRefusal } from "./client-manage.ts";
import { PULL_SLOT, PULL_SYS_FLAG } from "./pull-header.ts";

/** [ForbiddenType]: tells clients why a pull got NO_PERMISSION. */
const FORBIDDEN = { broker: 1, group: 2, topic: 3, broadcasting: 4, subscription: 5 } as const;
/** Bit of the forbidden table that closes a topic for a group's reads [PermName#INDEX_PERM_READ]. */
const INDEX_PERM_READ = 2;
const SYSTEM_PULL_GROUP_PREFIX = "CID_RMQ_SYS_";
const SYSTEM_PULL_GROUPS: ReadonlySet<string> = new Set([
  "DEFAULT_CONSUMER",
  "TOOLS_CONSUMER",
  "SCHEDULE_CONSUMER",
  "FILTERSRV_CONSUMER",
  "__MONITOR_CONSUMER",
  "SELF_TEST_C_GROUP",
]);

/** What a pull is about once it passed all checks. */
export interface PullTarget {
  groupConfig: SubscriptionGroupConfig;
  topicConfig: TopicConfig;
  subscription: SubscriptionData;
}

export function isRefusal(result: PullTarget | RemotingResponse): result is RemotingResponse {
  return "code" in result;
}

/** All checks of a pull in RocketMQ's order [PullMessageProcessor#processRequest]. */
export function checkPull(
  context: BrokerContext,
  code: number,
  slots: HeaderSlots,
  connection: Connection,
): PullTarget | RemotingResponse {
  const { config } = context;
  if ((config.brokerPermission & PERM_READ) === 0) {
    return forbidden(
      FORBIDDEN.broker,
      `the broker[${context.brokerAddress}] pulling message is forbidden (brokerPermission=${config.brokerPermission})`,
    );
  }
  if (code === RequestCode.LITE_PULL_MESSAGE && !config.litePullMessageEnable) {
    return forbidden(
      FORBIDDEN.broker,
      `the broker[${context.brokerAddress}] for lite pull consumer is forbidden (litePullMessageEnable=false)`,
    );
  }
  const group = slots.interned(PULL_SLOT.consumerGroup) ?? "";
  const groupConfig = context.groups.findSubscriptionGroupConfig(group);
  if (groupConfig === undefined) {
    return {
      code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      remark: `subscription group [${group}] does not exist (autoCreateSubscriptionGroup=${config.autoCreateSubscriptionGroup})`,
    };
  }
  if (!groupConfig.consumeEnable) {
    return forbidden(FORBIDDEN.group, `subscription group no permission, ${group} (consumeEnable=false)`);
  }
  const topic = slots.interned(PULL_SLOT.topic) ?? "";
  const topicConfig = context.topics.get(topic);
  if (topicConfig === undefined) {
    return { code: ResponseCode.TOPIC_NOT_EXIST, remark: `topic[${topic}] not exist, apply first please! ` };
  }
  if ((topicConfig.perm & PERM_READ) === 0) {
    return forbidden(FORBIDDEN.topic, `the topic[${topic}] pulling message is forbidden (perm=${topicConfig.perm})`);
  }
  const queueId = slots.int(PULL_SLOT.queueId, 0);
  if (queueId < 0 || queueId >= topicConfig.readQueueNums) {
    return {
      code: ResponseCode.INVALID_PARAMETER,
      remark: `queueId[${queueId}] is illegal, topic:[${topic}] topicConfig.readQueueNums:[${topicConfig.readQueueNums}] consumer:[${connection.remoteAddress}]`,
    };
  }
  const subscription = subscriptionOf(context, group, topic, groupConfig, slots);
  if ("code" in subscription) return subscription;
  if (!isTagType(subscription.expressionType)) {
    return { code: ResponseCode.SYSTEM_ERROR, remark: expressionRefusal(subscription.expressionType) };
  }
  return refusePullConsumer(context, group, connection) ?? { groupConfig, topicConfig, subscription };
}

/** The subscription that the request brings along, else the one of the group's last heartbeat. */
function subscriptionOf(
  context: BrokerContext,
  group: string,
  topic: string,
  groupConfig: SubscriptionGroupConfig,
  slots: HeaderSlots,
): SubscriptionData | RemotingResponse {
  if ((slots.int(PULL_SLOT.sysFlag, 0) & PULL_SYS_FLAG.subscription) !== 0) {
    try {
      return buildSubscription(
        topic,
        slots.interned(PULL_SLOT.subscription) ?? "",
        slots.interned(PULL_SLOT.expressionType) ?? "",
        slots.long(PULL_SLOT.subVersion, 0),
      );
    } catch (error) {
      return {
        code: ResponseCode.SUBSCRIPTION_PARSE_FAILED,
        remark: `parse the consumer's subscription failed: ${errorText(error)}`,
      };
    }
  }
  const info = context.consumers.group(group);
  if (info === undefined) {
    return {
      code: ResponseCode.SUBSCRIPTION_NOT_EXIST,
      remark: `the consumer's group info not exist: no client of group ${group} is online on this broker`,
    };
  }
  if (!groupConfig.consumeBroadcastEnable && info.messageModel === "BROADCASTING") {
    return forbidden(FORBIDDEN.broadcasting, `the consumer group[${group}] can not consume by broadcast way`);
  }
  if (context.groups.isForbidden(group, topic, INDEX_PERM_READ)) {
    return forbidden(FORBIDDEN.subscription, `the consumer group[${group}] is forbidden for topic[${topic}]`);
  }
  const subscription = info.subscriptionTable.get(topic);
  if (subscription === undefined) {
    return {
      code: ResponseCode.SUBSCRIPTION_NOT_EXIST,
      remark: `the consumer's subscription not exist: the last heartbeat of group ${group} does not subscribe topic ${topic}; all members must subscribe alike`,
    };
  }
  const subVersion = slots.long(PULL_SLOT.subVersion, 0);
  if (subscription.subVersion < subVersion) {
    return {
      code: ResponseCode.SUBSCRIPTION_NOT_LATEST,
      remark: `the consumer's subscription not latest: broker has version ${subscription.subVersion}, the pull wants ${subVersion}`,
    };
  }
  return subscription;
}

function refusePullConsumer(
  context: BrokerContext,
  group: string,
  connection: Connection,
): RemotingResponse | undefined {
  if (!context.config.rejectPullConsumerEnable) return undefined;
  const info = context.consumers.group(group);
  const passive = info !== undefined && info.consumeType !== "CONSUME_ACTIVELY";
  if (passive || info?.channels.has(connection)) return undefined;
  if (SYSTEM_PULL_GROUPS.has(group) || group.startsWith(SYSTEM_PULL_GROUP_PREFIX)) return undefined;
  return {
    code: ResponseCode.SUBSCRIPTION_NOT_EXIST,
    remark:
      "the consumer's group info not exist, or the pull consumer is rejected by server. (rejectPullConsumerEnable=true)",
  };
}

function forbidden(forbiddenType: number, remark: string): RemotingResponse {
  return { code: ResponseCode.NO_PERMISSION, remark, ext: { forbiddenType } };
}

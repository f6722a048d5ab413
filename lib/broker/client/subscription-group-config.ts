import * as v from "valibot";
import { javaBoolean, javaInt, javaLong, javaString, javaStringMap, unknownMembers } from "../config-schema.ts";
import { MASTER_ID, type SubscriptionGroupConfig } from "../types.ts";

const groupSchema = v.looseObject({
  groupName: v.pipe(javaString, v.nonEmpty()),
  consumeEnable: v.optional(javaBoolean, true),
  consumeFromMinEnable: v.optional(javaBoolean, true),
  consumeBroadcastEnable: v.optional(javaBoolean, true),
  consumeMessageOrderly: v.optional(javaBoolean, false),
  retryQueueNums: v.optional(javaInt, 1),
  retryMaxTimes: v.optional(javaInt, 16),
  brokerId: v.optional(javaLong, MASTER_ID),
  whichBrokerWhenConsumeSlowly: v.optional(javaLong, 1),
  notifyConsumerIdsChangedEnable: v.optional(javaBoolean, true),
  groupSysFlag: v.optional(javaInt, 0),
  consumeTimeoutMinute: v.optional(javaInt, 15),
  attributes: v.nullish(javaStringMap, {}),
});

const KNOWN: ReadonlySet<string> = new Set(Object.keys(groupSchema.entries));

/** Java writes this member into every group; mq keeps what it finds and reads nothing from it. */
const DEFAULT_REST = { groupRetryPolicy: { type: "CUSTOMIZED" } };

/** A group with RocketMQ's defaults where `fields` says nothing [SubscriptionGroupConfig]. */
export function newSubscriptionGroupConfig(
  groupName: string,
  fields: Partial<SubscriptionGroupConfig> = {},
): SubscriptionGroupConfig {
  return {
    groupName,
    consumeEnable: true,
    consumeFromMinEnable: true,
    consumeBroadcastEnable: true,
    consumeMessageOrderly: false,
    retryQueueNums: 1,
    retryMaxTimes: 16,
    brokerId: MASTER_ID,
    whichBrokerWhenConsumeSlowly: 1,
    notifyConsumerIdsChangedEnable: true,
    groupSysFlag: 0,
    consumeTimeoutMinute: 15,
    attributes: {},
    rest: { ...DEFAULT_REST },
    ...fields,
  };
}

/** Reads a group as subscriptionGroup.json and the bodies of codes 200, 225 and 201 carry it. Throws on a value Java could not take. */
export function parseSubscriptionGroupConfig(value: unknown): SubscriptionGroupConfig {
  const plain = value instanceof Map ? Object.fromEntries(value) : value;
  const group = v.parse(groupSchema, plain);
  return {
    groupName: group.groupName,
    consumeEnable: group.consumeEnable,
    consumeFromMinEnable: group.consumeFromMinEnable,
    consumeBroadcastEnable: group.consumeBroadcastEnable,
    consumeMessageOrderly: group.consumeMessageOrderly,
    retryQueueNums: group.retryQueueNums,
    retryMaxTimes: group.retryMaxTimes,
    brokerId: group.brokerId,
    whichBrokerWhenConsumeSlowly: group.whichBrokerWhenConsumeSlowly,
    notifyConsumerIdsChangedEnable: group.notifyConsumerIdsChangedEnable,
    groupSysFlag: group.groupSysFlag,
    consumeTimeoutMinute: group.consumeTimeoutMinute,
    attributes: group.attributes,
    rest: unknownMembers(plain, KNOWN),
  };
}

/** The group as JSON has it: members that mq does not know stand beside the others. */
export function subscriptionGroupJson(config: SubscriptionGroupConfig): Record<string, unknown> {
  const { rest, ...known } = config;
  return { ...rest, ...known };
}

import * as v from "valibot";
import { javaBoolean, javaInt, javaString, javaStringMap, unknownMembers } from "../config-schema.ts";
import { PERM_READ, PERM_WRITE, type TopicConfig } from "../types.ts";

const DEFAULT_QUEUE_NUMS = 16;

const topicConfigSchema = v.looseObject({
  topicName: v.pipe(javaString, v.nonEmpty()),
  readQueueNums: v.optional(javaInt, DEFAULT_QUEUE_NUMS),
  writeQueueNums: v.optional(javaInt, DEFAULT_QUEUE_NUMS),
  perm: v.optional(javaInt, PERM_READ | PERM_WRITE),
  topicFilterType: v.nullish(javaString, "SINGLE_TAG"),
  topicSysFlag: v.optional(javaInt, 0),
  order: v.optional(javaBoolean, false),
  attributes: v.nullish(javaStringMap, {}),
});

const KNOWN: ReadonlySet<string> = new Set(Object.keys(topicConfigSchema.entries));

/** A topic with RocketMQ's defaults (16 queues, read and write) where `fields` says nothing. */
export function newTopicConfig(topicName: string, fields: Partial<TopicConfig> = {}): TopicConfig {
  return {
    topicName,
    readQueueNums: DEFAULT_QUEUE_NUMS,
    writeQueueNums: DEFAULT_QUEUE_NUMS,
    perm: PERM_READ | PERM_WRITE,
    topicFilterType: "SINGLE_TAG",
    topicSysFlag: 0,
    order: false,
    attributes: {},
    ...fields,
  };
}

/** Reads a TopicConfig as topics.json and the bodies of codes 18 and 21 carry it. Throws on a value Java could not take. */
export function parseTopicConfig(value: unknown): TopicConfig {
  const { topicName, ...fields } = v.parse(topicConfigSchema, value instanceof Map ? Object.fromEntries(value) : value);
  return newTopicConfig(topicName, {
    readQueueNums: fields.readQueueNums,
    writeQueueNums: fields.writeQueueNums,
    perm: fields.perm,
    topicFilterType: fields.topicFilterType === "MULTI_TAG" ? "MULTI_TAG" : "SINGLE_TAG",
    topicSysFlag: fields.topicSysFlag,
    order: fields.order,
    attributes: fields.attributes,
  });
}

/** Members of a stored TopicConfig that mq does not know. */
export function unknownTopicFields(value: unknown): Record<string, unknown> {
  return unknownMembers(value, KNOWN);
}

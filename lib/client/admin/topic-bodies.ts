import * as v from "valibot";
import { decimal, flag, integer, mapOf, messageQueueMapOf, text } from "../../protocol/body/tolerant.ts";
import { brokerDataSchema } from "../../protocol/body/topic-route-data.ts";

/** [ClusterInfo] */
export const clusterInfoSchema = v.object({
  brokerAddrTable: mapOf(brokerDataSchema),
  clusterAddrTable: mapOf(v.array(text)),
});
export type ClusterInfo = v.InferOutput<typeof clusterInfoSchema>;

/** [TopicList] */
export const topicListSchema = v.object({ topicList: v.nullish(v.array(text), () => []) });

/** [TopicConfig] */
export const topicConfigSchema = v.object({
  topicName: text,
  readQueueNums: integer,
  writeQueueNums: integer,
  perm: integer,
  topicFilterType: v.nullish(text, "SINGLE_TAG"),
  topicSysFlag: v.nullish(integer, 0),
  order: v.nullish(flag, false),
  attributes: mapOf(text),
});
export type AdminTopicConfig = v.InferOutput<typeof topicConfigSchema>;

/** [TopicStatsTable] */
export const topicStatsSchema = v.object({
  offsetTable: messageQueueMapOf(v.object({ minOffset: integer, maxOffset: integer, lastUpdateTimestamp: integer })),
  topicPutTps: v.nullish(decimal, 0),
});

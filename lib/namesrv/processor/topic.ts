import { stringifyFastjson } from "../../base/fastjson.ts";
import { decodeTopicRouteData } from "../../protocol/body/topic-route-data.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { optionalString, requireString } from "../../remoting/headers.ts";
import type { RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { NamesrvContext } from "../namesrv-context.ts";
import { decoded } from "./decoded.ts";

/** Bits of topicSysFlag [TopicSysFlag]. */
const FLAG_UNIT = 1;
const FLAG_UNIT_SUB = 2;

const DISABLED: RemotingResponse = { code: ResponseCode.SYSTEM_ERROR, remark: "disable" };

function topicList(topics: Iterable<string>, brokerAddr?: string): RemotingResponse {
  return { code: ResponseCode.SUCCESS, body: stringifyFastjson({ brokerAddr, topicList: [...new Set(topics)] }) };
}

/** GET_ALL_TOPIC_LIST_FROM_NAMESERVER */
export function getAllTopicList({ config, routes }: NamesrvContext): RemotingResponse {
  return config.enableAllTopicList ? topicList(routes.topicQueueTable.keys()) : DISABLED;
}

/** GET_TOPICS_BY_CLUSTER: no topics for a cluster that is not known. */
export function getTopicsByCluster({ config, routes }: NamesrvContext, { ext }: RemotingCommand): RemotingResponse {
  if (!config.enableTopicList) return DISABLED;
  const brokerNames = [...(routes.clusterAddrTable.get(requireString(ext, "cluster")) ?? [])];
  const topics: string[] = [];
  for (const [topic, queues] of routes.topicQueueTable)
    if (brokerNames.some((brokerName) => queues.has(brokerName))) topics.push(topic);
  return topicList(topics);
}

/** GET_SYSTEM_TOPIC_LIST_FROM_NS: names of clusters and brokers, and the address of some broker. */
export function getSystemTopicList({ routes }: NamesrvContext): RemotingResponse {
  const topics: string[] = [];
  for (const [cluster, brokerNames] of routes.clusterAddrTable) topics.push(cluster, ...brokerNames);
  for (const { brokerAddrs } of routes.brokerAddrTable.values()) {
    const [address] = brokerAddrs.values();
    if (address !== undefined) return topicList(topics, address);
  }
  return topicList(topics);
}

/** Topics by the flags of their first broker. */
function topicsByFlag({ config, routes }: NamesrvContext, matches: (flag: number) => boolean): RemotingResponse {
  if (!config.enableTopicList) return DISABLED;
  const topics: string[] = [];
  for (const [topic, queues] of routes.topicQueueTable) {
    const [first] = queues.values();
    if (first !== undefined && matches(first.topicSysFlag)) topics.push(topic);
  }
  return topicList(topics);
}

/** GET_UNIT_TOPIC_LIST */
export function getUnitTopicList(context: NamesrvContext): RemotingResponse {
  return topicsByFlag(context, (flag) => (flag & FLAG_UNIT) !== 0);
}

/** GET_HAS_UNIT_SUB_TOPIC_LIST */
export function getHasUnitSubTopicList(context: NamesrvContext): RemotingResponse {
  return topicsByFlag(context, (flag) => (flag & FLAG_UNIT_SUB) !== 0);
}

/** GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST */
export function getHasUnitSubUnUnitTopicList(context: NamesrvContext): RemotingResponse {
  return topicsByFlag(context, (flag) => (flag & FLAG_UNIT) === 0 && (flag & FLAG_UNIT_SUB) !== 0);
}

/** DELETE_TOPIC_IN_NAMESRV: in one cluster, or altogether. */
export function deleteTopic(
  { routes, logger }: NamesrvContext,
  { ext }: RemotingCommand,
  peer: string,
): RemotingResponse {
  const topic = requireString(ext, "topic");
  const clusterName = optionalString(ext, "clusterName", "");
  routes.deleteTopic(topic, clusterName === "" ? undefined : clusterName);
  logger.info("topic deleted", { topic, cluster: clusterName === "" ? undefined : clusterName, peer });
  return { code: ResponseCode.SUCCESS };
}

/** REGISTER_TOPIC_IN_NAMESRV: queues of one topic, from brokers that are registered. */
export function registerTopic({ routes }: NamesrvContext, { ext, body }: RemotingCommand): RemotingResponse {
  const topic = requireString(ext, "topic");
  if (body !== undefined)
    routes.registerTopic(topic, decoded("TopicRouteData", () => decodeTopicRouteData(body)).queueDatas);
  return { code: ResponseCode.SUCCESS };
}

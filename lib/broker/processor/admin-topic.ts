import * as v from "valibot";
import { errorText } from "../../base/errors.ts";
import { JavaDouble, parseFastjson } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalBoolean, optionalInt, optionalString, requireInt, requireString } from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { member } from "../config-schema.ts";
import { parseAttributes } from "../topic/topic-attributes.ts";
import { newTopicConfig, parseTopicConfig } from "../topic/topic-config.ts";
import { topicNameFault } from "../topic/topic-validator.ts";
import type { TopicConfig } from "../types.ts";
import { type MessageQueueJson, refusal, refuseFault, success, topicOf, writtenOrRefuse } from "./admin-request.ts";

/** Queues of one topic: every table and answer about a topic has a row for each. */
const QUEUES_MAX = 65_536;
const PERM_BITS = 0xf;
/** Topics in one CREATE_TOPIC_LIST. */
const TOPICS_PER_REQUEST_MAX = 10_000;

/** Creating, changing, deleting and listing topics [AdminBrokerProcessor]. */
export function adminTopicProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, logger, offsets, stats, store, topics } = context;

  async function updateAndCreateTopic(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const { ext } = request;
    const topic = newTopicConfig(requireString(ext, "topic"), {
      readQueueNums: requireInt(ext, "readQueueNums"),
      writeQueueNums: requireInt(ext, "writeQueueNums"),
      perm: requireInt(ext, "perm"),
      topicFilterType: optionalString(ext, "topicFilterType") === "MULTI_TAG" ? "MULTI_TAG" : "SINGLE_TAG",
      topicSysFlag: optionalInt(ext, "topicSysFlag", 0),
      order: optionalBoolean(ext, "order", false),
      attributes: attributesOf(optionalString(ext, "attributes")),
    });
    checkTopic(topic);
    if (unchanged(topic)) return success();
    logger.info("create or update a topic", { topic: topic.topicName, caller: connection.remoteAddress });
    await update([topic]);
    return success();
  }

  async function updateAndCreateTopicList(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const list = parseList(request.body);
    for (const topic of list) checkTopic(topic);
    const changed = list.filter((topic) => !unchanged(topic));
    logger.info("create or update topics", {
      count: list.length,
      changed: changed.length,
      caller: connection.remoteAddress,
    });
    if (changed.length > 0) await update(changed);
    return success();
  }

  function checkTopic(topic: TopicConfig): void {
    refuseFault(topicNameFault(topic.topicName));
    refuseSystemTopic(topic.topicName);
    for (const field of ["readQueueNums", "writeQueueNums"] as const)
      if (topic[field] < 0 || topic[field] > QUEUES_MAX)
        refuseFault(`${field} of topic ${topic.topicName} is ${topic[field]}, wanted 0 to ${QUEUES_MAX}`);
    if ((topic.perm & ~PERM_BITS) !== 0)
      refuseFault(
        `perm of topic ${topic.topicName} is ${topic.perm}, wanted a sum of 4 (read), 2 (write), 1 (inherit)`,
      );
    if (topic.attributes["+message.type"] === "MIXED" && !config.enableMixedMessageType)
      refuseFault("MIXED message type is not supported.");
  }

  function refuseSystemTopic(topic: string): void {
    if (config.validateSystemTopicWhenUpdateTopic && topics.isSystemTopic(topic))
      refuseFault(`The topic[${topic}] is conflict with system topic.`);
  }

  function unchanged(topic: TopicConfig): boolean {
    const current = topics.get(topic.topicName);
    return (
      current !== undefined &&
      Object.keys(topic.attributes).length === 0 &&
      current.readQueueNums === topic.readQueueNums &&
      current.writeQueueNums === topic.writeQueueNums &&
      current.perm === topic.perm &&
      current.topicFilterType === topic.topicFilterType &&
      current.topicSysFlag === topic.topicSysFlag &&
      current.order === topic.order
    );
  }

  async function update(list: readonly TopicConfig[]): Promise<void> {
    let written: Promise<boolean>;
    try {
      written = topics.updateTopicConfigList(list);
    } catch (error) {
      throw new ResponseError(ResponseCode.SYSTEM_ERROR, errorText(error));
    }
    writtenOrRefuse(await written, topics.path);
    await context.routesPublished();
  }

  async function deleteTopic(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const topic = topicOf(request.ext);
    refuseSystemTopic(topic);
    logger.warn("delete a topic", { topic, caller: connection.remoteAddress });
    const doomed = [topic];
    if (config.clearRetryTopicWhenDeleteTopic)
      for (const group of offsets.whichGroupByTopic(topic))
        for (const retry of [`%RETRY%${group}+${topic}`, `%RETRY%${group}_${topic}`])
          if (topics.get(retry) !== undefined) doomed.push(retry);
    let written = true;
    for (const name of doomed) written = (await deleteOne(name)) && written;
    writtenOrRefuse(written, topics.path);
    return success();
  }

  function deleteOne(topic: string): Promise<boolean> {
    const written = topics.deleteTopicConfig(topic);
    offsets.cleanOffsetByTopic(topic);
    store.deleteTopic(topic);
    stats.onTopicDeleted(topic);
    context.forgetTopic(topic);
    return written;
  }

  function getAllTopicConfig(request: RemotingCommand): RemotingResponse {
    return success(
      {
        dataVersion: topics.dataVersion,
        topicConfigTable: pageOfTopics(request.ext),
        ...context.kept.mappings,
        topicQueueMappingInfoMap: {},
      },
      { totalTopicNum: topics.table.size },
    );
  }

  /** All topics, or the part that a 5.x slave asks for [TopicConfigManager#subTopicConfigTable]. */
  function pageOfTopics(ext: Record<string, string>): Map<string, TopicConfig> {
    const version = optionalString(ext, "dataVersion");
    const maxNum = optionalInt(ext, "maxTopicNum");
    const sequence = optionalInt(ext, "topicSeq");
    const whole = version === undefined && maxNum === undefined && sequence === undefined;
    if (!config.enableSplitMetadata || whole) return topics.table;
    const from = sameVersion(version) ? Math.max(0, sequence ?? 0) : 0;
    const count = Math.min(config.splitMetadataSize, maxNum ?? Number.POSITIVE_INFINITY);
    return new Map([...topics.table].slice(from, from + count));
  }

  function sameVersion(text: string | undefined): boolean {
    if (text === undefined || text.trim() === "") return true;
    const { counter, stateVersion, timestamp } = topics.dataVersion;
    try {
      const version = parseFastjson(text);
      return (
        Number(member(version, "counter")) === counter &&
        Number(member(version, "stateVersion")) === stateVersion &&
        Number(member(version, "timestamp")) === timestamp
      );
    } catch {
      return false;
    }
  }

  function getTopicConfig(request: RemotingCommand): RemotingResponse {
    return success(requireTopic(topicOf(request.ext)));
  }

  function requireTopic(topic: string): TopicConfig {
    const found = topics.get(topic);
    if (found === undefined) throw refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
    return found;
  }

  async function getTopicStatsInfo(request: RemotingCommand): Promise<RemotingResponse> {
    const topic = topicOf(request.ext);
    const { readQueueNums, writeQueueNums } = requireTopic(topic);
    const offsetTable = new Map<MessageQueueJson, object>();
    for (let queueId = 0; queueId < Math.max(readQueueNums, writeQueueNums); queueId++) {
      const maxOffset = store.getMaxOffsetInQueue(topic, queueId);
      const minOffset = Math.max(0, store.getMinOffsetInQueue(topic, queueId));
      const lastUpdateTimestamp =
        maxOffset > 0 ? await store.getMessageStoreTimestamp(topic, queueId, maxOffset - 1) : 0;
      offsetTable.set({ brokerName: config.brokerName, queueId, topic }, { lastUpdateTimestamp, maxOffset, minOffset });
    }
    return success({ offsetTable, topicPutTps: new JavaDouble(stats.tpsTopicPutNums(topic)) });
  }

  function getSystemTopicList(): RemotingResponse {
    return success({ topicList: [...topics.table.keys()].filter((topic) => topics.isSystemTopic(topic)) });
  }

  function cleanUnusedTopic(): RemotingResponse {
    const count = store.cleanUnusedTopic(new Set(topics.table.keys()));
    logger.warn("queues of unknown topics are deleted", { topics: count });
    return success();
  }

  return [
    [RequestCode.UPDATE_AND_CREATE_TOPIC, { processor: updateAndCreateTopic }],
    [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, { processor: updateAndCreateTopicList }],
    [RequestCode.DELETE_TOPIC_IN_BROKER, { processor: deleteTopic }],
    [RequestCode.GET_ALL_TOPIC_CONFIG, { processor: getAllTopicConfig }],
    [RequestCode.GET_TOPIC_CONFIG, { processor: getTopicConfig }],
    [RequestCode.GET_TOPIC_STATS_INFO, { processor: getTopicStatsInfo }],
    [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, { processor: getSystemTopicList }],
    [RequestCode.CLEAN_UNUSED_TOPIC, { processor: cleanUnusedTopic }],
  ];
}

function attributesOf(text: string | undefined): Record<string, string> {
  try {
    return parseAttributes(text);
  } catch (error) {
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, errorText(error));
  }
}

function parseList(body: Buffer | undefined): TopicConfig[] {
  try {
    const list = v.parse(
      v.pipe(v.array(v.unknown()), v.maxLength(TOPICS_PER_REQUEST_MAX)),
      member(parseFastjson(body ?? ""), "topicConfigList"),
    );
    return list.map(parseTopicConfig);
  } catch (error) {
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `read topicConfigList: ${errorText(error)}`);
  }
}

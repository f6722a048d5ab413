import { stringifyFastjson } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import {
  optionalBoolean,
  optionalInt,
  optionalLong,
  optionalString,
  requireInt,
  requireLong,
} from "../../remoting/headers.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { groupOf, type MessageQueueJson, refusal, refuseFault, success, topicOf } from "./admin-request.ts";

/** Index of CPP in LANGUAGES: it cannot read objects as keys. */
const LANGUAGE_CPP = 1;
/** First client that knows code 220. */
const VERSION_V3_0_7_SNAPSHOT = 28;

interface ResetRequest {
  topic: string;
  group: string;
  /** Negative = every queue. */
  queueId: number;
  /** -1 = by timestamp. */
  offset: number;
  /** ms since the epoch; negative = the end. */
  timestamp: number;
  force: boolean;
}

/** Offsets of queues and of groups [AdminBrokerProcessor]. */
export function adminOffsetProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, groups, holdService, logger, offsets, schedule, store, topics } = context;

  async function searchOffsetByTimestamp({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const topic = topicOf(ext);
    const queueId = queueIdOf(ext);
    const boundary = optionalString(ext, "boundaryType")?.toUpperCase() === "UPPER" ? "UPPER" : "LOWER";
    const offset = await store.getOffsetInQueueByTime(topic, queueId, requireLong(ext, "timestamp"), boundary);
    return success(undefined, { offset });
  }

  function getMaxOffset({ ext }: RemotingCommand): RemotingResponse {
    return success(undefined, { offset: store.getMaxOffsetInQueue(topicOf(ext), queueIdOf(ext)) });
  }

  function getMinOffset({ ext }: RemotingCommand): RemotingResponse {
    return success(undefined, { offset: Math.max(0, store.getMinOffsetInQueue(topicOf(ext), queueIdOf(ext))) });
  }

  async function getEarliestMsgStoretime({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const topic = topicOf(ext);
    const queueId = queueIdOf(ext);
    const min = Math.max(0, store.getMinOffsetInQueue(topic, queueId));
    return success(undefined, { timestamp: await store.getMessageStoreTimestamp(topic, queueId, min) });
  }

  /** Slaves ask for it again and again. */
  async function getAllConsumerOffset(): Promise<RemotingResponse> {
    return { code: ResponseCode.SUCCESS, body: await offsets.encodeInSlices() };
  }

  function getAllDelayOffset(): RemotingResponse {
    return { code: ResponseCode.SUCCESS, body: schedule.encode() };
  }

  function cloneGroupOffset({ ext }: RemotingCommand, connection: Connection): RemotingResponse {
    const source = groupOf(ext, "srcGroup");
    const target = groupOf(ext, "destGroup");
    const only = optionalString(ext, "topic")?.trim();
    const offline = optionalBoolean(ext, "offline", false);
    const named = only === undefined || only === "" ? offsets.whichTopicByConsumer(source) : [topicOf(ext)];
    const subscribed = consumers.group(source)?.subscriptionTable;
    for (const topic of named) {
      if (topics.get(topic) === undefined) continue;
      // What the online group does not subscribe any more is not its progress.
      if (!offline && subscribed !== undefined && subscribed.size > 0 && !subscribed.has(topic)) continue;
      offsets.cloneOffset(source, target, topic);
      logger.info("clone offsets", { source, target, topic, caller: connection.remoteAddress });
    }
    return success();
  }

  async function resetOffset(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const { ext } = request;
    const reset: ResetRequest = {
      topic: topicOf(ext),
      group: groupOf(ext),
      queueId: optionalInt(ext, "queueId", -1),
      offset: optionalLong(ext, "offset", -1),
      timestamp: requireLong(ext, "timestamp"),
      force: optionalBoolean(ext, "isForce", optionalBoolean(ext, "force", false)),
    };
    logger.info("reset offsets", { ...reset, caller: connection.remoteAddress });
    return config.useServerSideResetOffset
      ? await resetOnServer(reset)
      : await resetOnClients(reset, request.language === LANGUAGE_CPP);
  }

  /** Stores the offsets with a mark, so that the group's next pull is told [AdminBrokerProcessor#resetOffsetInner]. */
  async function resetOnServer(reset: ResetRequest): Promise<RemotingResponse> {
    const { topic, group, queueId } = reset;
    if (config.brokerRole === "SLAVE") throw refusal(ResponseCode.SYSTEM_ERROR, "Can not reset offset in slave broker");
    const topicConfig = topics.get(topic);
    if (topicConfig === undefined) throw refusal(ResponseCode.TOPIC_NOT_EXIST, `Topic ${topic} does not exist`);
    if (!groups.containsSubscriptionGroup(group))
      throw refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
    const { readQueueNums } = topicConfig;
    if (queueId >= readQueueNums)
      refuseFault(`queueId is ${queueId}, topic ${topic} has queues 0 to ${readQueueNums - 1}`);
    const queueIds = queueId >= 0 ? [queueId] : Array.from({ length: readQueueNums }, (_, index) => index);
    if (queueIds.length === 0) throw refusal(ResponseCode.SYSTEM_ERROR, "No queues to reset.");
    const targets = new Map<number, number>();
    for (const id of queueIds) targets.set(id, await targetOffset(reset, id));
    for (const [id, offset] of targets) offsets.assignResetOffset(topic, group, id, offset);
    // Clients learn of it by their next pull: the one that is held would come back in 15 s only.
    holdService.wakeTopic(topic);
    return success({ offsetTable: byQueue(topic, targets) });
  }

  async function targetOffset({ topic, queueId, offset, timestamp }: ResetRequest, id: number): Promise<number> {
    if (queueId >= 0 && offset !== -1) {
      const min = Math.max(0, store.getMinOffsetInQueue(topic, id));
      const max = store.getMaxOffsetInQueue(topic, id);
      if (offset < min || offset > max + 1)
        throw refusal(ResponseCode.SYSTEM_ERROR, `Target offset ${offset} not in consume queue range [${min}-${max}]`);
      return offset;
    }
    if (timestamp < 0) return store.getMaxOffsetInQueue(topic, id);
    return Math.max(0, await store.getOffsetInQueueByTime(topic, id, timestamp, "LOWER"));
  }

  function byQueue(topic: string, table: ReadonlyMap<number, number>): Map<MessageQueueJson, number> {
    const result = new Map<MessageQueueJson, number>();
    for (const [queueId, offset] of table) result.set({ brokerName: config.brokerName, queueId, topic }, offset);
    return result;
  }

  /** The way of 4.x: the online clients are told to move [Broker2Client#resetOffset]. */
  async function resetOnClients(reset: ResetRequest, cpp: boolean): Promise<RemotingResponse> {
    const { topic, group, timestamp, force } = reset;
    const topicConfig = topics.get(topic);
    if (topicConfig === undefined)
      throw refusal(
        ResponseCode.TOPIC_NOT_EXIST,
        `[reset-offset] reset offset failed, no topic in this broker. topic=${topic}`,
      );
    const targets = new Map<number, number>();
    for (let queueId = 0; queueId < topicConfig.writeQueueNums; queueId++) {
      const current = offsets.queryOffset(group, topic, queueId);
      if (current < 0) throw refusal(ResponseCode.SYSTEM_ERROR, `THe consumer group <${group}> not exist`);
      const wanted = await targetOffset(
        { ...reset, queueId: -1, timestamp: timestamp === -1 ? -1 : timestamp },
        queueId,
      );
      targets.set(queueId, force || wanted < current ? wanted : current);
    }
    const channels = consumers.group(group)?.channels;
    if (channels === undefined || channels.size === 0)
      throw refusal(
        ResponseCode.CONSUMER_NOT_ONLINE,
        `Consumer not online, so can not reset offset, Group: ${group} Topic: ${topic} Timestamp: ${timestamp}`,
      );
    const table = byQueue(topic, targets);
    const forCpp = [...table].map(([queue, offset]) => ({ ...queue, offset }));
    const body = stringifyFastjson({ offsetTable: cpp ? forCpp : table });
    for (const { connection, version } of channels.values()) {
      if (version < VERSION_V3_0_7_SNAPSHOT)
        throw refusal(ResponseCode.SYSTEM_ERROR, `the client does not support this feature. version=${version}`);
      connection.invokeOneway({
        code: RequestCode.RESET_CONSUMER_CLIENT_OFFSET,
        ext: { topic, group, queueId: -1, timestamp, isForce: force },
        body,
      });
    }
    return success({ offsetTable: table });
  }

  /** Where a group stands that must not overtake others, for each queue [AdminBrokerProcessor#queryCorrectionOffset]. */
  function queryCorrectionOffset({ ext }: RemotingCommand): RemotingResponse {
    const topic = topicOf(ext);
    const ignored = new Set((optionalString(ext, "filterGroups") ?? "").split(",").filter((group) => group !== ""));
    const correctionOffsets = new Map<number, number | bigint>(
      offsets.queryMinOffsetInAllGroup(topic, ignored, (queueId) => store.getMinOffsetInQueue(topic, queueId)),
    );
    const own = offsets.queryOffsets(groupOf(ext, "compareGroup"), topic) ?? [];
    for (const [queueId, offset] of own) {
      const lowest = correctionOffsets.get(queueId);
      if (lowest !== undefined && lowest > offset) correctionOffsets.set(queueId, LONG_MAX);
    }
    return success({ correctionOffsets });
  }

  return [
    [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { processor: searchOffsetByTimestamp }],
    [RequestCode.GET_MAX_OFFSET, { processor: getMaxOffset }],
    [RequestCode.GET_MIN_OFFSET, { processor: getMinOffset }],
    [RequestCode.GET_EARLIEST_MSG_STORETIME, { processor: getEarliestMsgStoretime }],
    [RequestCode.GET_ALL_CONSUMER_OFFSET, { processor: getAllConsumerOffset }],
    [RequestCode.GET_ALL_DELAY_OFFSET, { processor: getAllDelayOffset }],
    [RequestCode.CLONE_GROUP_OFFSET, { processor: cloneGroupOffset }],
    [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { processor: resetOffset }],
    [RequestCode.QUERY_CORRECTION_OFFSET, { processor: queryCorrectionOffset }],
  ];
}

const LONG_MAX = 9223372036854775807n;

function queueIdOf(ext: Record<string, string>): number {
  const queueId = requireInt(ext, "queueId");
  if (queueId < 0) refuseFault(`queueId is ${queueId}, wanted 0 or more`);
  return queueId;
}

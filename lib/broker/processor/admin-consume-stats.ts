import { JavaDouble } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalString, requireBoolean } from "../../remoting/headers.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { topicNameFault } from "../topic/topic-validator.ts";
import type { TopicConfig } from "../types.ts";
import { groupOf, type MessageQueueJson, refusal, refuseFault, success, topicOf } from "./admin-request.ts";

/** [OffsetWrapper] */
interface OffsetWrapper {
  brokerOffset: number;
  consumerOffset: number;
  lastTimestamp: number;
  pullOffset: number;
}

/** How far groups have consumed [AdminBrokerProcessor]. */
export function adminConsumeStatsProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, groups, offsets, stats, store, topics } = context;

  async function getConsumeStats({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const group = groupOf(ext, "consumerGroup");
    const offsetTable = new Map<MessageQueueJson, OffsetWrapper>();
    let consumeTps = 0;
    for (const topic of topicsAsked(ext, group)) {
      const topicConfig = topics.get(topic);
      if (topicConfig === undefined) continue;
      await addOffsets(offsetTable, group, topicConfig, topicConfig.readQueueNums);
      consumeTps += stats.tpsGroupGetNums(group, topic);
    }
    return success({ consumeTps: new JavaDouble(consumeTps), offsetTable });
  }

  /** A list is taken as it is; one topic, or all that the group has offsets of, only as far as the online group subscribes them. */
  function topicsAsked(ext: Record<string, string>, group: string): Iterable<string> {
    const list = (optionalString(ext, "topicList") ?? "").split(";").filter((topic) => topic !== "");
    for (const topic of list) refuseFault(topicNameFault(topic));
    if (list.length > 0) return new Set(list);
    const one = optionalString(ext, "topic")?.trim() ?? "";
    const asked = one === "" ? offsets.whichTopicByConsumer(group) : new Set([topicOf(ext)]);
    return [...asked].filter((topic) => isConsumed(group, topic));
  }

  function isConsumed(group: string, topic: string): boolean {
    const subscribed = consumers.group(group)?.subscriptionTable;
    return subscribed === undefined || subscribed.size === 0 || subscribed.has(topic);
  }

  async function addOffsets(
    table: Map<MessageQueueJson, OffsetWrapper>,
    group: string,
    { topicName: topic }: TopicConfig,
    queueNums: number,
  ): Promise<void> {
    for (let queueId = 0; queueId < queueNums; queueId++) {
      const consumerOffset = Math.max(0, offsets.queryOffset(group, topic, queueId));
      const lastTimestamp =
        consumerOffset > 0 ? await store.getMessageStoreTimestamp(topic, queueId, consumerOffset - 1) : 0;
      table.set(
        { brokerName: config.brokerName, queueId, topic },
        {
          brokerOffset: store.getMaxOffsetInQueue(topic, queueId),
          consumerOffset,
          lastTimestamp: Math.max(0, lastTimestamp),
          pullOffset: Math.max(consumerOffset, offsets.queryPullOffset(group, topic, queueId)),
        },
      );
    }
  }

  async function getBrokerConsumeStats({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const orderOnly = requireBoolean(ext, "isOrder");
    const consumeStatsList: Map<string, object[]>[] = [];
    let totalDiff = 0;
    let totalInflightDiff = 0;
    for (const group of [...groups.table.keys()]) {
      const ofGroup: object[] = [];
      for (const topic of offsets.whichTopicByConsumer(group)) {
        const topicConfig = topics.get(topic);
        if (topicConfig === undefined || (orderOnly && !topicConfig.order) || !isConsumed(group, topic)) continue;
        const offsetTable = new Map<MessageQueueJson, OffsetWrapper>();
        await addOffsets(offsetTable, group, topicConfig, topicConfig.writeQueueNums);
        for (const one of offsetTable.values()) {
          totalDiff += one.brokerOffset - one.consumerOffset;
          totalInflightDiff += one.pullOffset - one.consumerOffset;
        }
        ofGroup.push({ consumeTps: new JavaDouble(stats.tpsGroupGetNums(group, topic)), offsetTable });
      }
      consumeStatsList.push(new Map([[group, ofGroup]]));
    }
    return success({ brokerAddr: context.brokerAddress, consumeStatsList, totalDiff, totalInflightDiff });
  }

  async function queryConsumeTimeSpan({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const topic = topicOf(ext);
    const group = groupOf(ext);
    const topicConfig = topics.get(topic);
    if (topicConfig === undefined) throw refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
    const consumeTimeSpanSet: object[] = [];
    for (let queueId = 0; queueId < topicConfig.writeQueueNums; queueId++)
      consumeTimeSpanSet.push(await timeSpan(group, topic, queueId));
    return success({ consumeTimeSpanSet });
  }

  async function timeSpan(group: string, topic: string, queueId: number): Promise<object> {
    const max = store.getMaxOffsetInQueue(topic, queueId);
    const min = Math.max(0, store.getMinOffsetInQueue(topic, queueId));
    const consumed = offsets.queryOffset(group, topic, queueId);
    const minTimeStamp = await store.getMessageStoreTimestamp(topic, queueId, min);
    const maxTimeStamp = max > 0 ? await store.getMessageStoreTimestamp(topic, queueId, max - 1) : -1;
    const consumeTimeStamp =
      consumed > 0 ? await store.getMessageStoreTimestamp(topic, queueId, consumed - 1) : minTimeStamp;
    const next = consumed < max ? await store.getMessageStoreTimestamp(topic, queueId, Math.max(consumed, min)) : -1;
    return {
      consumeTimeStamp,
      consumeTimeStampStr: timeText(consumeTimeStamp),
      delayTime: next > 0 ? Date.now() - next : 0,
      maxTimeStamp,
      maxTimeStampStr: timeText(maxTimeStamp),
      messageQueue: { brokerName: config.brokerName, queueId, topic },
      minTimeStamp,
      minTimeStampStr: timeText(minTimeStamp),
    };
  }

  return [
    [RequestCode.GET_CONSUME_STATS, { processor: getConsumeStats }],
    [RequestCode.GET_BROKER_CONSUME_STATS, { processor: getBrokerConsumeStats }],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, { processor: queryConsumeTimeSpan }],
  ];
}

/** `yyyy-MM-dd#HH:mm:ss:SSS` in local time [UtilAll#formatDate]. */
function timeText(timestamp: number): string {
  const date = new Date(timestamp);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day}#${time}:${String(date.getMilliseconds()).padStart(3, "0")}`;
}

import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import {
  optionalInt,
  optionalLong,
  optionalString,
  requireInt,
  requireLong,
  requireString,
} from "../../remoting/headers.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { groupOf, refusal, subscriptionJson, success, topicOf } from "./admin-request.ts";

const UNIQUE_MSG_QUERY_FLAG = "_UNIQUE_KEY_QUERY";
/** Records one query may return. */
const QUERY_NUM_MAX = 256;
/** Bytes one query may return: a frame holds 16 MiB at most. The first record always goes. */
const QUERY_BYTES_MAX = 12 * 1024 * 1024;
/** Entries that code 321 shows at once. */
const QUEUE_ENTRIES_MAX = 4096;

/** Messages by key, by unique key and by place; the entries of a consume queue [QueryMessageProcessor]. */
export function queryMessageProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, store, topics } = context;

  async function queryMessage({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const topic = topicOf(ext);
    const key = requireString(ext, "key");
    const wanted = requireInt(ext, "maxNum");
    const unique = optionalString(ext, UNIQUE_MSG_QUERY_FLAG) === "true";
    const maxNum = Math.min(Math.max(unique ? config.defaultQueryMaxNum : wanted, 1), QUERY_NUM_MAX);
    const begin = requireLong(ext, "beginTimestamp");
    const end = requireLong(ext, "endTimestamp");
    const found = await store.queryMessage(topic, key, maxNum, begin, end);
    const parts: Buffer[] = [];
    let bytes = 0;
    for (const record of found.records) {
      if (parts.length > 0 && bytes + record.bytes.length > QUERY_BYTES_MAX) break;
      parts.push(record.bytes);
      bytes += record.bytes.length;
    }
    if (parts.length === 0)
      throw refusal(ResponseCode.QUERY_NOT_FOUND, "can not find message, maybe time range not correct");
    return {
      code: ResponseCode.SUCCESS,
      body: parts.length === 1 ? parts[0]! : Buffer.concat(parts),
      ext: {
        indexLastUpdateTimestamp: found.indexLastUpdateTimestamp,
        indexLastUpdatePhyoffset: found.indexLastUpdatePhyoffset,
      },
    };
  }

  async function viewMessageById({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const offset = requireLong(ext, "offset");
    const record = offset < 0 ? undefined : await store.readRecord(offset);
    if (record === undefined) throw refusal(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${offset}`);
    return { code: ResponseCode.SUCCESS, body: record.bytes };
  }

  function queryConsumeQueue({ ext }: RemotingCommand): RemotingResponse {
    const topic = topicOf(ext);
    const queueId = optionalInt(ext, "queueId", 0);
    const index = optionalLong(ext, "index", 0);
    const topicConfig = topics.get(topic);
    const queueIdEnd = Math.max(topicConfig?.readQueueNums ?? 0, topicConfig?.writeQueueNums ?? 0);
    if (queueId < 0 || queueId >= queueIdEnd)
      throw refusal(ResponseCode.SYSTEM_ERROR, `${queueId}@${topic} is not exist!`);
    const count = Math.min(optionalInt(ext, "count", 0), QUEUE_ENTRIES_MAX);
    const queueData: object[] = [];
    for (let at = index; at < index + count; at++) {
      const entry = store.getQueueEntry(topic, queueId, at);
      if (entry === undefined) break;
      queueData.push({
        eval: false,
        physicOffset: entry.physicalOffset,
        physicSize: entry.size,
        tagsCode: entry.tagsCode,
      });
    }
    const response = success({
      ...subscription(ext, topic),
      maxQueueIndex: store.getMaxOffsetInQueue(topic, queueId),
      minQueueIndex: Math.max(0, store.getMinOffsetInQueue(topic, queueId)),
      queueData,
    });
    if (queueData.length === 0) response.remark = `Index ${index} of ${queueId}@${topic} is not exist!`;
    return response;
  }

  function subscription(ext: Record<string, string>, topic: string): object {
    if (optionalString(ext, "consumerGroup") === undefined) return {};
    const group = groupOf(ext, "consumerGroup");
    const data = consumers.findSubscriptionData(group, topic);
    if (data === undefined) return { filterData: `${group}@${topic} is not online!` };
    return { filterData: "null", subscriptionData: subscriptionJson(data) };
  }

  return [
    [RequestCode.QUERY_MESSAGE, { processor: queryMessage }],
    [RequestCode.VIEW_MESSAGE_BY_ID, { processor: viewMessageById }],
    [RequestCode.QUERY_CONSUME_QUEUE, { processor: queryConsumeQueue }],
  ];
}

import { stringifyFastjson } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalInt, optionalLong, requireInt, requireString } from "../../remoting/headers.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";

/** GET_CONSUMER_LIST_BY_GROUP, UPDATE_CONSUMER_OFFSET and QUERY_CONSUMER_OFFSET [ConsumerManageProcessor]. */
export function consumerManageProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, groups, offsets, store, topics } = context;

  function getConsumerListByGroup(request: RemotingCommand): RemotingResponse {
    const group = requireString(request.ext, "consumerGroup");
    const consumerIdList = consumers.clientIds(group);
    if (consumerIdList.length === 0) {
      return { code: ResponseCode.SYSTEM_ERROR, remark: `no consumer for this group, ${group}` };
    }
    return { code: ResponseCode.SUCCESS, body: stringifyFastjson({ consumerIdList }) };
  }

  function updateConsumerOffset(request: RemotingCommand, connection: Connection): RemotingResponse {
    const group = requireString(request.ext, "consumerGroup");
    const topic = requireString(request.ext, "topic");
    const queueId = optionalInt(request.ext, "queueId");
    const offset = optionalLong(request.ext, "commitOffset");
    if (!groups.table.has(group)) {
      return { code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, remark: `Group ${group} not exist!` };
    }
    const topicConfig = topics.get(topic);
    if (topicConfig === undefined) return { code: ResponseCode.TOPIC_NOT_EXIST, remark: `Topic ${topic} not exist!` };
    if (queueId === undefined) {
      return { code: ResponseCode.INVALID_PARAMETER, remark: `QueueId is null, topic is ${topic}` };
    }
    if (offset === undefined) {
      return { code: ResponseCode.INVALID_PARAMETER, remark: `Offset is null, topic is ${topic}` };
    }
    // Java could not read a file with a larger number in it, nor could mq write it exactly.
    if (!Number.isSafeInteger(offset)) {
      return {
        code: ResponseCode.INVALID_PARAMETER,
        remark: `commitOffset[${request.ext.commitOffset}] is illegal, want at most ${Number.MAX_SAFE_INTEGER}`,
      };
    }
    // Bounds the table: a client cannot make it grow by naming queues that do not exist.
    const queueIdEnd = Math.max(topicConfig.readQueueNums, topicConfig.writeQueueNums);
    if (queueId < 0 || queueId >= queueIdEnd) {
      return {
        code: ResponseCode.INVALID_PARAMETER,
        remark: `queueId[${queueId}] is illegal, topic:[${topic}] has queues 0 to ${queueIdEnd - 1}`,
      };
    }
    if (config.useServerSideResetOffset && offsets.hasOffsetReset(topic, group, queueId)) {
      return { code: ResponseCode.SUCCESS, remark: "Offset has been previously reset" };
    }
    offsets.commitOffset(connection.remoteAddress, group, topic, queueId, offset);
    return { code: ResponseCode.SUCCESS };
  }

  function queryConsumerOffset(request: RemotingCommand): RemotingResponse {
    const group = requireString(request.ext, "consumerGroup");
    const topic = requireString(request.ext, "topic");
    const queueId = requireInt(request.ext, "queueId");
    const offset = offsets.queryOffset(group, topic, queueId);
    if (offset >= 0) return { code: ResponseCode.SUCCESS, ext: { offset } };
    if (request.ext.setZeroIfNotFound === "false") {
      return {
        code: ResponseCode.QUERY_NOT_FOUND,
        remark: "Not found, do not set to zero, maybe this group boot first",
      };
    }
    // A new group on a young topic that is still in memory starts at its beginning, whatever consumeFromWhere says.
    const young =
      store.getMinOffsetInQueue(topic, queueId) <= 0 &&
      store.getQueueEntry(topic, queueId, 0) !== undefined &&
      store.isInMemory(topic, queueId, 0);
    if (young) return { code: ResponseCode.SUCCESS, ext: { offset: 0 } };
    return {
      code: ResponseCode.QUERY_NOT_FOUND,
      remark: "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
    };
  }

  return [
    [RequestCode.GET_CONSUMER_LIST_BY_GROUP, { processor: getConsumerListByGroup }],
    [RequestCode.UPDATE_CONSUMER_OFFSET, { processor: updateConsumerOffset }],
    [RequestCode.QUERY_CONSUMER_OFFSET, { processor: queryConsumerOffset }],
  ];
}

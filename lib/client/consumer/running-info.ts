import { JavaDouble, stringifyFastjson } from "../../base/fastjson.ts";
import type { ConsumeType } from "../../protocol/body/heartbeat-data.ts";
import { PROTOCOL_VERSION } from "../../remoting/codes.ts";
import type { ConsumerContext } from "./consumer-context.ts";
import type { ProcessQueue } from "./process-queue.ts";

const MIB = 1024 * 1024;

/** JSON of [ConsumerRunningInfo], what mqadmin's consumerStatus shows of a client. */
export function encodeRunningInfo(context: ConsumerContext, consumeType: ConsumeType, startTimestamp: number): string {
  const { instance, options, subscriptions, processQueues, orderly } = context;
  return stringifyFastjson({
    jstack: undefined,
    mqPopTable: new Map(),
    mqTable: new Map(
      [...processQueues.values()].map((processQueue) => {
        const { topic, brokerName, queueId } = processQueue.queue;
        return [{ topic, brokerName, queueId }, processQueueInfo(processQueue, context)];
      }),
    ),
    properties: {
      PROP_NAMESERVER_ADDR: instance.options.namesrvAddr,
      PROP_CONSUME_TYPE: consumeType,
      PROP_CLIENT_VERSION: PROTOCOL_VERSION === 479 ? "V5_3_3" : String(PROTOCOL_VERSION),
      PROP_CONSUMER_START_TIMESTAMP: String(startTimestamp),
      PROP_THREADPOOL_CORE_SIZE: String(options.consumeThreadMax),
      PROP_CONSUMEORDERLY: String(orderly),
      consumeFromWhere: options.consumeFromWhere,
      messageModel: options.messageModel,
      consumerGroup: context.group,
    },
    statusTable: Object.fromEntries([...subscriptions.keys()].map((topic) => [topic, statusInfo(context, topic)])),
    subscriptionSet: [...subscriptions.values()],
    userConsumerInfo: {},
  });
}

/** [ProcessQueueInfo] with its spelling. */
function processQueueInfo(processQueue: ProcessQueue, context: ConsumerContext): Record<string, unknown> {
  const taken = processQueue.takenRange;
  return {
    commitOffset: context.offsets.memory(processQueue.queue),
    cachedMsgMinOffset: Math.max(0, processQueue.firstOffset),
    cachedMsgMaxOffset: Math.max(0, processQueue.lastOffset),
    cachedMsgCount: processQueue.count,
    cachedMsgSizeInMiB: Math.floor(processQueue.bytes / MIB),
    transactionMsgMinOffset: taken.first,
    transactionMsgMaxOffset: taken.last,
    transactionMsgCount: taken.count,
    locked: processQueue.locked,
    tryUnlockTimes: processQueue.tryUnlockTimes,
    lastLockTimestamp: processQueue.lastLockTimestamp,
    droped: processQueue.dropped,
    lastPullTimestamp: processQueue.lastPullTimestamp,
    lastConsumeTimestamp: processQueue.lastConsumeTimestamp,
  };
}

function statusInfo(context: ConsumerContext, topic: string): Record<string, unknown> {
  const status = context.stats.status(topic);
  return {
    pullRT: new JavaDouble(status.pullRT),
    pullTPS: new JavaDouble(status.pullTPS),
    consumeRT: new JavaDouble(status.consumeRT),
    consumeOKTPS: new JavaDouble(status.consumeOKTPS),
    consumeFailedTPS: new JavaDouble(status.consumeFailedTPS),
    consumeFailedMsgs: status.consumeFailedMsgs,
  };
}

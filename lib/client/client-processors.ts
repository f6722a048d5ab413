import * as v from "valibot";
import { errorText } from "../base/errors.ts";
import { stringifyFastjson } from "../base/fastjson.ts";
import { decompressBody } from "../message/compression.ts";
import { PropertyName } from "../message/properties.ts";
import { decodeRecord } from "../message/record.ts";
import { integer, messageQueueMapOf, parseBody } from "../protocol/body/tolerant.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import { optionalString, requireString } from "../remoting/headers.ts";
import { ResponseError } from "../remoting/response-error.ts";
import type { Processor, ProcessorTable, RemotingCommand } from "../remoting/types.ts";
import type { ClientInstance, ConsumerInner } from "./client-instance.ts";
import { MessageExt } from "./message.ts";
import type { MessageQueue } from "./message-queue.ts";

/** [ClientRemotingProcessor] What brokers may ask of a client. */
export function clientProcessors(instance: ClientInstance): ProcessorTable {
  const consumerOf = (group: string): ConsumerInner => {
    const consumer = instance.consumer(group);
    if (consumer !== undefined) return consumer;
    throw new ResponseError(ResponseCode.SYSTEM_ERROR, `The Consumer Group <${group}> not exist in this consumer`);
  };

  const notifyConsumerIdsChanged: Processor = () => {
    instance.rebalanceImmediately();
    return undefined;
  };

  const resetOffset: Processor = (request) => {
    const topic = requireString(request.ext, "topic");
    const consumer = instance.consumer(requireString(request.ext, "group"));
    const offsets = decodeResetOffsets(request.body);
    consumer?.resetOffset(topic, offsets).catch((error) => instance.logger.error(`reset offsets: ${errorText(error)}`));
    return undefined;
  };

  const consumerStatus: Processor = (request) => {
    const consumer = consumerOf(requireString(request.ext, "group"));
    const messageQueueTable = new Map<object, number>();
    for (const [queue, offset] of consumer.consumerStatus(requireString(request.ext, "topic"))) {
      messageQueueTable.set({ topic: queue.topic, brokerName: queue.brokerName, queueId: queue.queueId }, offset);
    }
    return { code: ResponseCode.SUCCESS, body: stringifyFastjson({ messageQueueTable }) };
  };

  const runningInfo: Processor = (request) => {
    const consumer = consumerOf(requireString(request.ext, "consumerGroup"));
    return { code: ResponseCode.SUCCESS, body: consumer.runningInfo() };
  };

  const consumeMessageDirectly: Processor = async (request) => {
    const consumer = consumerOf(requireString(request.ext, "consumerGroup"));
    const brokerName = optionalString(request.ext, "brokerName", "");
    return {
      code: ResponseCode.SUCCESS,
      body: await consumer.consumeMessageDirectly(requestedMessage(request, brokerName), brokerName),
    };
  };

  const checkTransactionState: Processor = (request, connection) => {
    const message = requestedMessage(request, "");
    const producer = instance.producer(message.properties[PropertyName.PGROUP] ?? "");
    if (producer?.checkTransactionState === undefined) {
      const group = message.properties[PropertyName.PGROUP];
      instance.logger.warn("a broker asks about a transaction of a group without a transaction producer here", {
        group,
      });
      return undefined;
    }
    producer.checkTransactionState({ address: connection.remoteAddress, message, header: request.ext });
    return undefined;
  };

  return new Map(
    [
      [RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, notifyConsumerIdsChanged],
      [RequestCode.RESET_CONSUMER_CLIENT_OFFSET, resetOffset],
      [RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, consumerStatus],
      [RequestCode.GET_CONSUMER_RUNNING_INFO, runningInfo],
      [RequestCode.CONSUME_MESSAGE_DIRECTLY, consumeMessageDirectly],
      [RequestCode.CHECK_TRANSACTION_STATE, checkTransactionState],
    ].map(([code, processor]) => [code as number, { processor: processor as Processor }]),
  );
}

/** [ResetOffsetBody] with objects as keys, or as the list that C++ clients get. */
const resetOffsetBodySchema = v.object({
  offsetTable: v.union([
    v.pipe(
      v.array(v.object({ topic: v.string(), brokerName: v.string(), queueId: integer, offset: integer })),
      v.transform((list) => list.map(({ offset, ...queue }): [MessageQueue, number] => [queue, offset])),
    ),
    messageQueueMapOf(integer),
  ]),
});

function decodeResetOffsets(body: Uint8Array | undefined): [MessageQueue, number][] {
  return parseBody(resetOffsetBodySchema, body, "the offsets to reset to").offsetTable;
}

/** The one record in the body. */
function requestedMessage(request: RemotingCommand, brokerName: string): MessageExt {
  const stored = request.body === undefined ? undefined : decodeRecord(request.body);
  if (stored === undefined) throw new ResponseError(ResponseCode.SYSTEM_ERROR, "the body holds no whole message");
  return new MessageExt(stored, brokerName, decompressBody(stored.body, stored.sysFlag));
}

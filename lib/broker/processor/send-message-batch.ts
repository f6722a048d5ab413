import { fillFromProperties } from "../../message/fill-from-properties.ts";
import { offsetMsgIds } from "../../message/message-id.ts";
import type { MessageInner } from "../../message/message-inner.ts";
import { PropertyName, PropertySlot } from "../../message/properties.ts";
import { FLAG_ONEWAY, ResponseCode } from "../../remoting/codes.ts";
import type { Connection, RawRequest } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { RETRY_GROUP_TOPIC_PREFIX } from "../types.ts";
import { isStored, putRefusal, putStatusCode } from "./put-status.ts";
import type { Refusal } from "./send-check.ts";

const TOPIC_LENGTH_MAX = 127;

/**
 * SEND_BATCH_MESSAGE: the items of one body under one topic and queue, all or none [SendMessageProcessor#sendBatchMessage].
 * The answer's msgId is the items' ids joined with commas. `extend` adds what every send answer carries.
 */
export function sendBatch(
  context: BrokerContext,
  message: MessageInner,
  request: RawRequest,
  connection: Connection,
  queueId: number,
  extend: (response: Refusal) => Refusal,
): Refusal | undefined {
  const { topic } = message;
  if (topic.length > TOPIC_LENGTH_MAX) {
    return { code: ResponseCode.MESSAGE_ILLEGAL, remark: `message topic length too long ${topic.length}` };
  }
  if (topic.startsWith(RETRY_GROUP_TOPIC_PREFIX)) {
    return { code: ResponseCode.MESSAGE_ILLEGAL, remark: `batch request does not support retry group ${topic}` };
  }
  const properties = fillFromProperties(message);
  const special =
    message.delayLevel > 0
      ? PropertyName.DELAY
      : properties.bool(PropertySlot.TRAN_MSG, false)
        ? PropertyName.TRAN_MSG
        : undefined;
  if (special !== undefined) {
    return {
      code: ResponseCode.MESSAGE_ILLEGAL,
      remark: `the message is illegal: a batch cannot be delayed or transactional, property ${special}`,
    };
  }
  const transactionId = properties.text(PropertySlot.UNIQ_KEY);
  const physicalOffsets: number[] = [];
  const result = context.store.appendBatch(message, (physicalOffset) => {
    physicalOffsets.push(physicalOffset);
  });
  if (result.status !== "PUT_OK") return putRefusal(result.status, result.reason);
  context.stats.incTopicPutNums(topic, result.count, result.physicalEnd - result.physicalOffset, queueId);
  context.stats.incBrokerPutNums(topic, result.count);
  const to = {
    opaque: request.opaque,
    serializeType: request.serializeType,
    oneway: (request.flag & FLAG_ONEWAY) !== 0,
  };
  const { queueOffset } = result;
  let answered = false;
  let waiting = false;
  context.store.awaitDurable(result.physicalEnd, message.waitStoreMsgOk, (status) => {
    answered = true;
    if (waiting) context.load.waitingSends--;
    if (!isStored(status)) {
      connection.reply(to, extend(putRefusal(status, context.store.writeRefusal ?? "")));
      return;
    }
    const ext = { msgId: offsetMsgIds(context.storeHost, physicalOffsets), queueId, queueOffset, transactionId };
    connection.reply(to, extend({ code: putStatusCode(status), ext }));
  });
  if (!answered) {
    waiting = true;
    context.load.waitingSends++;
  }
  return undefined;
}

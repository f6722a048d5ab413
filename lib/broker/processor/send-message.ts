import { now } from "../../base/clock.ts";
import { fillFromProperties, setProperties } from "../../message/fill-from-properties.ts";
import { createUniqId } from "../../message/message-id.ts";
import { MessageInner } from "../../message/message-inner.ts";
import { PropertyName, PropertySlot, type PropertySlots } from "../../message/properties.ts";
import { BORNHOST_V6_FLAG, INNER_BATCH_FLAG, MULTI_TAGS_FLAG, STOREHOST_V6_FLAG } from "../../message/sys-flag.ts";
import { FLAG_ONEWAY, RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { HeaderSlots } from "../../remoting/header-slots.ts";
import type { Connection, ProcessorEntry, RawRequest, SerializeType } from "../../remoting/types.ts";
import type { AppendResult, PutMessageStatus } from "../../store/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { changeProperties } from "../stored-message.ts";
import { RETRY_GROUP_TOPIC_PREFIX, type TopicConfig } from "../types.ts";
import { isStored, putRefusal, putStatusCode } from "./put-status.ts";
import {
  createTopic,
  queueIdRefusal,
  type Refusal,
  refuseRetryTopic,
  refuseSends,
  refuseTopic,
  topicNotExist,
} from "./send-check.ts";
import { createSendSlots, requireSendFields, SEND_SLOT } from "./send-header.ts";
import { sendBatch } from "./send-message-batch.ts";
import { isPlainJson, type SendResponse, SendResponseWriter } from "./send-response.ts";
import { redirectRetry } from "./send-retry.ts";

/** Longest UNIQ_KEY that the pooled answers hold; clients make 32 or 56 characters. */
const UNIQ_KEY_BYTES_MAX = 256;
const POOL_MAX = 4096;
/** Before V3_4_9 the header's maxReconsumeTimes means nothing. */
const VERSION_V3_4_9 = 121;
const PERCENT = 0x25;

/** A stored message whose sender waits for the answer; pooled, its callback is made once. */
class PendingSend implements SendResponse {
  code = 0;
  physicalOffset = 0;
  queueId = 0;
  queueOffset = 0;
  uniqKey: Buffer = Buffer.allocUnsafe(UNIQ_KEY_BYTES_MAX);
  uniqKeyLength = 0;
  connection: Connection | undefined;
  serializeType: SerializeType = 0;
  opaque = 0;
  oneway = false;
  waiting = false;
  readonly done: (status: PutMessageStatus) => void;

  constructor(complete: (send: PendingSend, status: PutMessageStatus) => void) {
    this.done = (status) => complete(this, status);
  }
}

/**
 * SEND_MESSAGE, SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE [SendMessageProcessor]. From the frame to the appended record without
 * an await; the answer leaves at once or when flush and replication are done, through a pooled record instead of a promise.
 */
export class SendMessageProcessor {
  private readonly slots: HeaderSlots = createSendSlots();
  private readonly message = new MessageInner();
  private readonly writer: SendResponseWriter;
  private readonly pool: PendingSend[] = [];
  private readonly complete = (send: PendingSend, status: PutMessageStatus): void => this.answer(send, status);

  constructor(
    private readonly context: BrokerContext,
    private readonly propertiesSuffix: Buffer,
  ) {
    this.writer = new SendResponseWriter(context.config.regionId, context.config.traceOn, context.storeHost);
  }

  readonly process = (request: RawRequest, connection: Connection): void => {
    const { slots } = this;
    if (!slots.decode(request)) {
      connection.close("protocol: send header cannot be decoded");
      return;
    }
    const refusal = this.accept(request, connection);
    if (refusal !== undefined) this.refuse(request, connection, refusal);
  };

  private accept(request: RawRequest, connection: Connection): Refusal | undefined {
    const { context, slots } = this;
    const refused = refuseSends(context, now());
    if (refused !== undefined) return refused;
    requireSendFields(slots);
    const topic = slots.interned(SEND_SLOT.topic) ?? "";
    let topicConfig = context.topics.get(topic);
    const refusedTopic = refuseTopic(context, topic, topicConfig);
    if (refusedTopic !== undefined) return refusedTopic;
    const known = topicConfig !== undefined;
    const refusedRetry = known ? undefined : refuseRetryTopic(context, topic);
    if (refusedRetry !== undefined) return refusedRetry;
    topicConfig ??= createTopic(context, topic, slots, connection);
    if (topicConfig === undefined) {
      return topicNotExist(context, topic, slots.string(SEND_SLOT.defaultTopic) ?? "");
    }
    let queueId = slots.int(SEND_SLOT.queueId, 0);
    if (queueId >= Math.max(topicConfig.writeQueueNums, topicConfig.readQueueNums)) {
      return queueIdRefusal(queueId, topicConfig, connection);
    }
    if (queueId < 0) {
      if (topicConfig.writeQueueNums <= 0) return queueIdRefusal(queueId, topicConfig, connection);
      queueId = Math.floor(Math.random() * topicConfig.writeQueueNums);
    }
    if (request.bodyEnd === request.bodyStart) {
      return { code: ResponseCode.MESSAGE_ILLEGAL, remark: "the message is illegal: body is empty" };
    }
    this.fill(request, connection, topicConfig, queueId);
    const batch = request.code === RequestCode.SEND_BATCH_MESSAGE || slots.bool(SEND_SLOT.batch, false);
    return batch
      ? sendBatch(this.context, this.message, request, connection, queueId, (response) => this.extend(response))
      : this.send(request, connection, topicConfig, queueId, known);
  }

  /** The reused message as the request describes it; its bytes stay where the socket put them. */
  private fill(request: RawRequest, connection: Connection, topicConfig: TopicConfig, queueId: number): void {
    const { message, slots } = this;
    message.topic = topicConfig.topicName;
    message.queueId = queueId;
    message.flag = slots.int(SEND_SLOT.flag, 0);
    message.sysFlag = slots.int(SEND_SLOT.sysFlag, 0) & ~(BORNHOST_V6_FLAG | STOREHOST_V6_FLAG);
    if (topicConfig.topicFilterType === "MULTI_TAG") message.sysFlag |= MULTI_TAGS_FLAG;
    message.bornTimestamp = slots.long(SEND_SLOT.bornTimestamp, 0);
    message.bornHost = connection.remoteHost;
    message.storeHost = this.context.storeHost;
    message.reconsumeTimes = slots.int(SEND_SLOT.reconsumeTimes, 0);
    message.preparedTransactionOffset = 0;
    message.body = request.buffer;
    message.bodyStart = request.bodyStart;
    message.bodyEnd = request.bodyEnd;
    const start = slots.start[SEND_SLOT.properties]!;
    message.properties = start < 0 ? request.buffer : slots.buffer(SEND_SLOT.properties);
    message.propertiesStart = Math.max(start, 0);
    message.propertiesEnd = start < 0 ? 0 : slots.end[SEND_SLOT.properties]!;
    message.propertiesSuffix = this.propertiesSuffix;
  }

  private send(
    request: RawRequest,
    connection: Connection,
    topicConfig: TopicConfig,
    queueId: number,
    topicKnown: boolean,
  ): Refusal | undefined {
    const { context, message, slots } = this;
    let properties = fillFromProperties(message);
    if (needsRewrite(properties)) {
      changeProperties(message, { [PropertyName.POP_CK]: undefined });
      properties = fillFromProperties(message);
    }
    if (message.uniqKeyStart < 0) properties = addUniqKey(message);
    if (topicConfig.topicName.charCodeAt(0) === PERCENT && topicConfig.topicName.startsWith(RETRY_GROUP_TOPIC_PREFIX)) {
      const fromHeader = request.version >= VERSION_V3_4_9 && slots.start[SEND_SLOT.maxReconsumeTimes]! >= 0;
      const max = fromHeader ? slots.int(SEND_SLOT.maxReconsumeTimes, 0) : undefined;
      const refusal = redirectRetry(context, message, max);
      if (refusal !== undefined) return refusal;
      properties = fillFromProperties(message);
    }
    if (topicConfig.attributes["cleanup.policy"] === "COMPACTION" && message.keysStart < 0) {
      return { code: ResponseCode.MESSAGE_ILLEGAL, remark: "Required message key is missing" };
    }
    if (properties.has(PropertySlot.INNER_NUM) && (message.sysFlag & INNER_BATCH_FLAG) === 0) {
      return {
        code: ResponseCode.MESSAGE_ILLEGAL,
        remark: "the message is illegal: property INNER_NUM without the inner-batch flag",
      };
    }
    const refusal = this.transform(properties);
    if (refusal !== undefined) return refusal;
    const result = context.store.append(message);
    if (result.status !== "PUT_OK") return putRefusal(result.status, result.reason);
    context.stats.incTopicPutNums(message.topic, 1, result.physicalEnd - result.physicalOffset, message.queueId);
    context.stats.incBrokerPutNums(message.topic, 1);
    this.wait(request, connection, result, queueId, topicKnown);
    return undefined;
  }

  /** Transaction, timer or delay level: what is stored instead of the message as it came. */
  private transform(properties: PropertySlots): Refusal | undefined {
    const { context, message } = this;
    const half =
      properties.bool(PropertySlot.TRAN_MSG, false) && !(message.reconsumeTimes > 0 && message.delayLevel > 0);
    if (half) {
      if (context.config.rejectTransactionMessage) {
        return {
          code: ResponseCode.NO_PERMISSION,
          remark: `the broker[${context.brokerAddress}] sending transaction message is forbidden (rejectTransactionMessage=true)`,
        };
      }
      context.transactions.prepare(message);
      return undefined;
    }
    if (message.delayLevel > 0) {
      context.schedule.transform(message);
      return undefined;
    }
    for (const [slot, name] of TIMER_PROPERTIES) {
      if (!properties.has(slot)) continue;
      return {
        code: ResponseCode.SYSTEM_ERROR,
        remark: `accurate timer message is not enabled: WHEEL_TIMER_NOT_ENABLE, property ${name} needs the timer wheel, which this build does not have; delay levels (property DELAY) work`,
      };
    }
    return undefined;
  }

  private wait(
    request: RawRequest,
    connection: Connection,
    result: AppendResult,
    queueId: number,
    topicKnown: boolean,
  ): void {
    const { context, message } = this;
    const send = this.pool.pop() ?? new PendingSend(this.complete);
    send.connection = connection;
    send.opaque = request.opaque;
    send.serializeType = request.serializeType;
    send.oneway = (request.flag & FLAG_ONEWAY) !== 0;
    send.physicalOffset = result.physicalOffset;
    send.queueId = queueId;
    send.queueOffset = result.queueOffset;
    const { uniqKeyStart, uniqKeyEnd } = message;
    const plain = request.serializeType !== 0 || isPlainJson(message.properties, uniqKeyStart, uniqKeyEnd);
    send.uniqKeyLength =
      uniqKeyStart >= 0 && plain && uniqKeyEnd - uniqKeyStart <= UNIQ_KEY_BYTES_MAX ? uniqKeyEnd - uniqKeyStart : 0;
    message.properties.copy(send.uniqKey, 0, uniqKeyStart, uniqKeyStart + send.uniqKeyLength);
    send.waiting = false;
    const { physicalEnd } = result;
    const { waitStoreMsgOk } = message;
    if (topicKnown) context.store.awaitDurable(physicalEnd, waitStoreMsgOk, send.done);
    else {
      // The first sender of a topic may be asked for it at once: its route comes before its answer.
      void context.routesPublished().then(() => context.store.awaitDurable(physicalEnd, waitStoreMsgOk, send.done));
    }
    if (send.connection !== undefined) {
      send.waiting = true;
      context.load.waitingSends++;
    }
  }

  private answer(send: PendingSend, status: PutMessageStatus): void {
    const { connection } = send;
    if (connection === undefined) return;
    send.connection = undefined;
    if (send.waiting) this.context.load.waitingSends--;
    if (!send.oneway && !connection.closed) {
      if (isStored(status)) {
        send.code = putStatusCode(status);
        this.writer.write(connection, send.serializeType, send.opaque, send);
      } else {
        connection.reply(send, this.extend(putRefusal(status, this.context.store.writeRefusal ?? "")));
      }
    }
    if (this.pool.length < POOL_MAX) this.pool.push(send);
  }

  private refuse(request: RawRequest, connection: Connection, refusal: Refusal): void {
    const to = {
      opaque: request.opaque,
      serializeType: request.serializeType,
      oneway: (request.flag & FLAG_ONEWAY) !== 0,
    };
    connection.reply(to, this.extend(refusal));
  }

  /** MSG_REGION and TRACE_ON stand in every answer to a send. */
  private extend(response: Refusal): Refusal {
    const { regionId, traceOn } = this.context.config;
    return { ...response, ext: { ...response.ext, MSG_REGION: regionId, TRACE_ON: traceOn } };
  }
}

const TIMER_PROPERTIES = [
  [PropertySlot.TIMER_DELIVER_MS, PropertyName.TIMER_DELIVER_MS],
  [PropertySlot.TIMER_DELAY_SEC, PropertyName.TIMER_DELAY_SEC],
  [PropertySlot.TIMER_DELAY_MS, PropertyName.TIMER_DELAY_MS],
] as const;

/** POP_CK must not come back in; the other three come with messages that were consumed and are sent on. */
function needsRewrite(properties: PropertySlots): boolean {
  return (
    properties.has(PropertySlot.POP_CK) ||
    properties.has(PropertySlot.MSG_REGION) ||
    properties.has(PropertySlot.TRACE_ON) ||
    properties.has(PropertySlot.CLUSTER)
  );
}

/** Gives the message of a client that makes no ids one: index and transactions need it. */
function addUniqKey(message: MessageInner): PropertySlots {
  const own = message.properties.subarray(message.propertiesStart, message.propertiesEnd);
  const separator = own.length > 0 && own[own.length - 1] !== 2 ? "\u0002" : "";
  const added = Buffer.from(`${separator}${PropertyName.UNIQ_KEY}\u0001${createUniqId()}\u0002`, "latin1");
  return setProperties(message, Buffer.concat([own, added]));
}

/** The broker's own properties behind those of every message it takes from a client. */
export function brokerProperties(regionId: string, traceOn: boolean, clusterName: string): Buffer {
  return Buffer.from(
    `MSG_REGION\u0001${regionId}\u0002TRACE_ON\u0001${traceOn}\u0002CLUSTER\u0001${clusterName}\u0002`,
    "utf8",
  );
}

export function sendMessageProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { regionId, traceOn, brokerClusterName } = context.config;
  const processor = new SendMessageProcessor(context, brokerProperties(regionId, traceOn, brokerClusterName));
  const entry: ProcessorEntry = { raw: processor.process };
  return [
    [RequestCode.SEND_MESSAGE, entry],
    [RequestCode.SEND_MESSAGE_V2, entry],
    [RequestCode.SEND_BATCH_MESSAGE, entry],
  ];
}

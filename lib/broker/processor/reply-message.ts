import { now } from "../../base/clock.ts";
import { errorText } from "../../base/errors.ts";
import { setProperties } from "../../message/fill-from-properties.ts";
import { offsetMsgId } from "../../message/message-id.ts";
import { MessageInner } from "../../message/message-inner.ts";
import { PropertyName, propertiesToBytes, propertiesToMap } from "../../message/properties.ts";
import { hostText } from "../../message/record.ts";
import { BORNHOST_V6_FLAG, STOREHOST_V6_FLAG } from "../../message/sys-flag.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalInt, optionalString, requireInt, requireLong, requireString } from "../../remoting/headers.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { isStored } from "./put-status.ts";
import { queueIdRefusal, type Refusal, refuseSends, refuseTopic, topicNotExist, UNIT_FLAG } from "./send-check.ts";

const PUSH_TIMEOUT_MS = 10_000;

/** SendMessageRequestHeader in either form. */
interface ReplyHeader {
  producerGroup: string;
  topic: string;
  defaultTopic: string;
  defaultTopicQueueNums: number;
  queueId: number;
  sysFlag: number;
  bornTimestamp: number;
  flag: number;
  properties: string;
  reconsumeTimes: number;
  unitMode: boolean;
}

function decodeHeader(request: RemotingCommand): ReplyHeader {
  const { ext } = request;
  const v2 = request.code === RequestCode.SEND_REPLY_MESSAGE_V2;
  const name = (letter: string, full: string): string => (v2 ? letter : full);
  return {
    producerGroup: requireString(ext, name("a", "producerGroup")),
    topic: requireString(ext, name("b", "topic")),
    defaultTopic: requireString(ext, name("c", "defaultTopic")),
    defaultTopicQueueNums: requireInt(ext, name("d", "defaultTopicQueueNums")),
    queueId: requireInt(ext, name("e", "queueId")),
    sysFlag: requireInt(ext, name("f", "sysFlag")),
    bornTimestamp: requireLong(ext, name("g", "bornTimestamp")),
    flag: requireInt(ext, name("h", "flag")),
    properties: optionalString(ext, name("i", "properties"), ""),
    reconsumeTimes: optionalInt(ext, name("j", "reconsumeTimes"), 0),
    unitMode: ext[name("k", "unitMode")] === "true",
  };
}

/** SEND_REPLY_MESSAGE and its V2: the answer to a request goes to the producer that asked [ReplyMessageProcessor]. */
export function replyMessageProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  function extend(response: RemotingResponse): RemotingResponse {
    const { regionId, traceOn } = context.config;
    return { ...response, ext: { ...response.ext, MSG_REGION: regionId, TRACE_ON: traceOn } };
  }

  async function sendReplyMessage(request: RemotingCommand, connection: Connection): Promise<RemotingResponse> {
    const header = decodeHeader(request);
    const queueId = check(context, header, connection);
    if (typeof queueId !== "number") return extend(queueId);
    const properties = propertiesToMap(header.properties);
    const failure = await push(context, header, properties, request.body, connection);
    const response: RemotingResponse =
      failure === undefined
        ? { code: ResponseCode.SUCCESS, ext: { msgId: "0", queueId, queueOffset: 0 } }
        : { code: ResponseCode.SYSTEM_ERROR, remark: failure };
    if (!context.config.storeReplyMessageEnable) return extend(response);
    const stored = await store(context, header, properties, queueId, request.body, connection);
    return extend(stored === undefined ? response : { ...response, ext: stored });
  }

  return [
    [RequestCode.SEND_REPLY_MESSAGE, { processor: sendReplyMessage }],
    [RequestCode.SEND_REPLY_MESSAGE_V2, { processor: sendReplyMessage }],
  ];
}

/** The checks of a send; the queue to use when they pass. */
function check(context: BrokerContext, header: ReplyHeader, connection: Connection): number | Refusal {
  const refused = refuseSends(context, now());
  if (refused !== undefined) return refused;
  let topicConfig = context.topics.get(header.topic);
  const refusedTopic = refuseTopic(context, header.topic, topicConfig);
  if (refusedTopic !== undefined) return refusedTopic;
  topicConfig ??= context.topics.createTopicInSendMessageMethod(
    header.topic,
    header.defaultTopic,
    connection.remoteAddress,
    header.defaultTopicQueueNums,
    header.unitMode ? UNIT_FLAG : 0,
  );
  if (topicConfig === undefined) return topicNotExist(context, header.topic, header.defaultTopic);
  const { queueId } = header;
  if (queueId >= Math.max(topicConfig.writeQueueNums, topicConfig.readQueueNums)) {
    return queueIdRefusal(queueId, topicConfig, connection);
  }
  if (queueId >= 0) return queueId;
  if (topicConfig.writeQueueNums <= 0) return queueIdRefusal(queueId, topicConfig, connection);
  return Math.floor(Math.random() * topicConfig.writeQueueNums);
}

/** Hands the reply to the waiting producer; returns why it could not be, in RocketMQ's words. */
async function push(
  context: BrokerContext,
  header: ReplyHeader,
  properties: Record<string, string>,
  body: Buffer | undefined,
  connection: Connection,
): Promise<string | undefined> {
  const clientId = properties[PropertyName.REPLY_TO_CLIENT];
  if (clientId === undefined) return `reply message properties[${PropertyName.REPLY_TO_CLIENT}] is null`;
  const target = context.producers.findChannel(clientId);
  if (target === undefined) return `push reply message fail, channel of <${clientId}> not found.`;
  properties[PropertyName.PUSH_REPLY_TIME] = String(now());
  const ext = {
    ...header,
    properties: propertiesToBytes(properties).toString("utf8"),
    bornHost: hostText(connection.remoteHost, 0, connection.remoteHost.length),
    storeHost: hostText(context.storeHost, 0, context.storeHost.length),
    storeTimestamp: now(),
  };
  try {
    const request = { code: RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, ext, body };
    const response = await target.invoke(request, PUSH_TIMEOUT_MS);
    if (response.code === ResponseCode.SUCCESS) return undefined;
    return `push reply message to ${clientId}fail. code ${response.code}: ${response.remark ?? ""}`;
  } catch (error) {
    return `push reply message to ${clientId}fail. ${errorText(error)}`;
  }
}

/** Stores the reply too; the place where it stands, or undefined (logged) when the store refused it. */
async function store(
  context: BrokerContext,
  header: ReplyHeader,
  properties: Record<string, string>,
  queueId: number,
  body: Buffer | undefined,
  connection: Connection,
): Promise<RemotingResponse["ext"]> {
  if (body === undefined) return undefined;
  const message = new MessageInner();
  message.topic = header.topic;
  message.queueId = queueId;
  message.flag = header.flag;
  message.sysFlag = header.sysFlag & ~(BORNHOST_V6_FLAG | STOREHOST_V6_FLAG);
  message.bornTimestamp = header.bornTimestamp;
  message.bornHost = connection.remoteHost;
  message.storeHost = context.storeHost;
  message.reconsumeTimes = header.reconsumeTimes;
  message.body = body;
  message.bodyEnd = body.length;
  setProperties(message, propertiesToBytes(properties));
  const result = await context.store.putMessage(message);
  if (!isStored(result.status)) {
    context.logger.warn("reply message not stored", {
      topic: header.topic,
      status: result.status,
      reason: result.reason,
    });
    return undefined;
  }
  context.stats.incTopicPutNums(header.topic, 1, body.length, queueId);
  context.stats.incBrokerPutNums(header.topic, 1);
  return { msgId: offsetMsgId(context.storeHost, result.physicalOffset), queueId, queueOffset: result.queueOffset };
}

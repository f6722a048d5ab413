import { promisify } from "node:util";
import { deflate } from "node:zlib";
import { encodeBatch } from "../../message/batch.ts";
import { compressBody } from "../../message/compression.ts";
import { createUniqId } from "../../message/message-id.ts";
import { encodeProperties, PropertyName } from "../../message/properties.ts";
import { COMPRESSED_FLAG, COMPRESSION_ZLIB, TRANSACTION_PREPARED_TYPE } from "../../message/sys-flag.ts";
import { RequestCode } from "../../remoting/codes.ts";
import type { RemotingRequest } from "../../remoting/types.ts";
import { ClientError } from "../broker-error.ts";
import { type Message, messageProperties } from "../message.ts";
import type { MessageQueue } from "../message-queue.ts";
import { RETRY_GROUP_TOPIC_PREFIX } from "../names.ts";
import { checkMessage } from "./validators.ts";

/** Bodies up to this size are compressed on the loop, in less than a millisecond. */
const COMPRESS_SYNC_BYTES_MAX = 32 * 1024;

const deflateAsync = promisify(deflate);

/** What a producer needs to know to encode. */
export interface OutgoingOptions {
  producerGroup: string;
  createTopicKey: string;
  defaultTopicQueueNums: number;
  maxMessageSize: number;
  compressMsgBodyOverHowmuch: number;
  compressLevel: number;
  unitMode: boolean;
}

/** A message ready to go: encoded once, sent to as many queues as retries need. */
export interface Outgoing {
  topic: string;
  /** UNIQ_KEY; of a batch all of them joined with commas. */
  msgId: string;
  body: Uint8Array;
  sysFlag: number;
  flag: number;
  batch: boolean;
  properties: string;
  reconsumeTimes: number;
  maxReconsumeTimes: number | undefined;
}

/** Checks, identifies and compresses one message. Throws ClientError where a broker would refuse it anyway. */
export async function prepareMessage(message: Message, options: OutgoingOptions): Promise<Outgoing> {
  checkMessage(message, options.maxMessageSize);
  const properties = messageProperties(message);
  const msgId = properties[PropertyName.UNIQ_KEY] ?? createUniqId();
  properties[PropertyName.UNIQ_KEY] = msgId;
  let sysFlag = properties[PropertyName.TRAN_MSG] === "true" ? TRANSACTION_PREPARED_TYPE : 0;
  let body = message.body;
  if (body.length >= options.compressMsgBodyOverHowmuch) {
    body = await compress(body, options.compressLevel);
    sysFlag |= COMPRESSED_FLAG | COMPRESSION_ZLIB;
  }
  const retry = takeRetryCounts(message.topic, properties);
  return {
    topic: message.topic,
    msgId,
    body,
    sysFlag,
    flag: message.flag ?? 0,
    batch: false,
    properties: encodeProperties(properties),
    ...retry,
  };
}

/** Joins messages of one topic into one request; each keeps its own id. */
export function prepareBatch(messages: readonly Message[], options: OutgoingOptions): Outgoing {
  const first = messages[0];
  if (first === undefined) throw new ClientError("send a batch: found no message, want one or more");
  const ids: string[] = [];
  const items = messages.map((message) => {
    checkMessage(message, options.maxMessageSize);
    checkBatchable(message, first);
    const properties = messageProperties(message);
    const id = createUniqId();
    properties[PropertyName.UNIQ_KEY] = id;
    ids.push(id);
    return { flag: message.flag ?? 0, body: message.body, properties: Buffer.from(encodeProperties(properties)) };
  });
  const wait = first.waitStoreMsgOk === false ? "false" : "true";
  const body = encodeBatch(items);
  if (body.length > options.maxMessageSize) {
    throw new ClientError(
      `send a batch: ${body.length} bytes, want ${options.maxMessageSize} at most; send fewer messages at once`,
    );
  }
  return {
    topic: first.topic,
    msgId: ids.join(","),
    body,
    sysFlag: 0,
    flag: 0,
    batch: true,
    // No UNIQ_KEY here, unlike Java's: a Java broker appends these properties to every message, where it would hide their own.
    properties: encodeProperties({ [PropertyName.WAIT]: wait }),
    reconsumeTimes: 0,
    maxReconsumeTimes: undefined,
  };
}

function checkBatchable(message: Message, first: Message): void {
  const problem =
    message.topic !== first.topic
      ? `topic "${message.topic}" beside "${first.topic}"`
      : (message.waitStoreMsgOk ?? true) !== (first.waitStoreMsgOk ?? true)
        ? "messages that wait and messages that do not"
        : (message.delayLevel ?? 0) > 0 || message.properties?.[PropertyName.DELAY] !== undefined
          ? "a delayed message"
          : message.topic.startsWith(RETRY_GROUP_TOPIC_PREFIX)
            ? "a retry topic"
            : undefined;
  if (problem !== undefined)
    throw new ClientError(`send a batch: found ${problem}, want messages of one topic without delay`);
}

async function compress(body: Uint8Array, level: number): Promise<Buffer> {
  return body.length <= COMPRESS_SYNC_BYTES_MAX ? compressBody(body, "ZLIB", level) : deflateAsync(body, { level });
}

/** To a retry topic the counts travel in the header, not among the properties. */
function takeRetryCounts(topic: string, properties: Record<string, string>) {
  const counts: { reconsumeTimes: number; maxReconsumeTimes: number | undefined } = {
    reconsumeTimes: 0,
    maxReconsumeTimes: undefined,
  };
  if (!topic.startsWith(RETRY_GROUP_TOPIC_PREFIX)) return counts;
  const times = properties[PropertyName.RECONSUME_TIME];
  if (times !== undefined) counts.reconsumeTimes = Number(times);
  const max = properties[PropertyName.MAX_RECONSUME_TIMES];
  if (max !== undefined) counts.maxReconsumeTimes = Number(max);
  delete properties[PropertyName.RECONSUME_TIME];
  delete properties[PropertyName.MAX_RECONSUME_TIMES];
  return counts;
}

/** [SendMessageRequestHeaderV2] The request for one queue. */
export function sendRequest(outgoing: Outgoing, queue: MessageQueue, options: OutgoingOptions): RemotingRequest {
  return {
    code: outgoing.batch ? RequestCode.SEND_BATCH_MESSAGE : RequestCode.SEND_MESSAGE_V2,
    ext: {
      a: options.producerGroup,
      b: outgoing.topic,
      c: options.createTopicKey,
      d: options.defaultTopicQueueNums,
      e: queue.queueId,
      f: outgoing.sysFlag,
      g: Date.now(),
      h: outgoing.flag,
      i: outgoing.properties,
      j: outgoing.reconsumeTimes,
      k: options.unitMode,
      l: outgoing.maxReconsumeTimes,
      m: outgoing.batch,
      n: queue.brokerName,
    },
    body: outgoing.body,
  };
}

import { errorText } from "../../base/errors.ts";
import { JsonKey, parseFastjson } from "../../base/fastjson.ts";
import { parseOffsetMsgId } from "../../message/message-id.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { RemotingTimeoutError } from "../../remoting/errors.ts";
import { optionalString, requireString } from "../../remoting/headers.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext, ClientChannelInfo } from "../broker-context.ts";
import { member } from "../config-schema.ts";
import { refusal, success } from "./admin-request.ts";

const VERSION_V3_0_7_SNAPSHOT = 28;
const VERSION_V3_1_8_SNAPSHOT = 62;
/** What a client gets to answer [Broker2Client#callClient, getConsumeStatus]. */
const CALL_TIMEOUT_MS = 10_000;
const STATUS_TIMEOUT_MS = 5000;

/** Questions that only a client can answer: the broker passes them on [Broker2Client]. */
export function adminClientRelayProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, consumers, groups, store, topics } = context;

  function getConsumerRunningInfo(request: RemotingCommand): Promise<RemotingResponse> {
    return callConsumer(request.code, { ...request.ext }, request.body);
  }

  async function consumeMessageDirectly(request: RemotingCommand): Promise<RemotingResponse> {
    const ext: Record<string, string | number> = { ...request.ext, brokerName: config.brokerName };
    const topic = topics.get(optionalString(request.ext, "topic", ""));
    if (topic !== undefined) ext.topicSysFlag = topic.topicSysFlag;
    const group = groups.table.get(requireString(request.ext, "consumerGroup"));
    if (group !== undefined) ext.groupSysFlag = group.groupSysFlag;
    const msgId = requireString(request.ext, "msgId");
    const place = parseOffsetMsgId(msgId);
    if (place === undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `msgId is "${msgId}", wanted 32 or 56 hex digits of an offsetMsgId`);
    const record = await store.readRecord(place.physicalOffset);
    if (record === undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${place.physicalOffset}`);
    return await callConsumer(request.code, ext, record.bytes);
  }

  async function callConsumer(
    code: number,
    ext: Record<string, string | number>,
    body: Buffer | undefined,
  ): Promise<RemotingResponse> {
    const group = String(ext.consumerGroup ?? "");
    const clientId = String(ext.clientId ?? "");
    const info = consumers.findChannel(group, clientId);
    if (info === undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `The Consumer <${group}> <${clientId}> not online`);
    if (info.version < VERSION_V3_1_8_SNAPSHOT)
      throw refusal(
        ResponseCode.SYSTEM_ERROR,
        `The Consumer <${clientId}> Version <${info.version}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT`,
      );
    try {
      const answer = await info.connection.invoke({ code, ext, body }, CALL_TIMEOUT_MS);
      return { code: answer.code, remark: answer.remark, ext: answer.ext, body: answer.body };
    } catch (error) {
      if (error instanceof RemotingTimeoutError)
        throw refusal(
          ResponseCode.CONSUME_MSG_TIMEOUT,
          `consumer <${group}> <${clientId}> Timeout: ${errorText(error)}`,
        );
      throw refusal(
        ResponseCode.SYSTEM_ERROR,
        `invoke consumer <${group}> <${clientId}> Exception: ${errorText(error)}`,
      );
    }
  }

  async function getConsumerStatus({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const topic = requireString(ext, "topic");
    const group = requireString(ext, "group");
    const only = optionalString(ext, "clientAddr")?.trim() ?? "";
    const channels = [...(consumers.group(group)?.channels.values() ?? [])];
    if (channels.length === 0)
      throw refusal(ResponseCode.SYSTEM_ERROR, `No Any Consumer online in the consumer group: [${group}]`);
    const old = channels.find(({ version }) => version < VERSION_V3_0_7_SNAPSHOT);
    if (old !== undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `the client does not support this feature. version=${old.version}`);
    const asked = channels.filter(({ clientId }) => only === "" || clientId === only);
    const consumerTable = new Map<string, unknown>();
    await Promise.all(
      asked.map(async (info) => {
        const table = await statusOf(info, topic, group);
        if (table !== undefined) consumerTable.set(info.clientId, table);
      }),
    );
    return success({ consumerTable });
  }

  /** One client's offsets as it sent them; undefined when it gave none. */
  async function statusOf(info: ClientChannelInfo, topic: string, group: string): Promise<unknown> {
    try {
      const request = { code: RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, ext: { topic, group } };
      const answer = await info.connection.invoke(request, STATUS_TIMEOUT_MS);
      if (answer.code !== ResponseCode.SUCCESS || answer.body === undefined) return undefined;
      return withObjectKeys(member(parseFastjson(answer.body), "messageQueueTable"));
    } catch (error) {
      context.logger.warn("a client did not tell its offsets", {
        group,
        topic,
        clientId: info.clientId,
        reason: errorText(error),
      });
      return undefined;
    }
  }

  return [
    [RequestCode.GET_CONSUMER_RUNNING_INFO, { processor: getConsumerRunningInfo }],
    [RequestCode.CONSUME_MESSAGE_DIRECTLY, { processor: consumeMessageDirectly }],
    [RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { processor: getConsumerStatus }],
  ];
}

/** A map whose keys are message queues, read as text, with the queues as keys again. */
function withObjectKeys(table: unknown): unknown {
  if (!(table instanceof Map)) return table;
  return new Map([...table].map(([key, value]) => [new JsonKey(String(key)), value]));
}

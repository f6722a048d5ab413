import { LANGUAGES, RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext, ClientChannelInfo } from "../broker-context.ts";
import { refusal, subscriptionJson, success } from "./admin-request.ts";

/** Who is connected: consumers and producers by group [AdminBrokerProcessor]. */
export function adminConnectionProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { consumers, producers } = context;

  function getConsumerConnectionList({ ext }: RemotingCommand): RemotingResponse {
    const group = requireString(ext, "consumerGroup");
    const info = consumers.group(group);
    if (info === undefined) throw refusal(ResponseCode.CONSUMER_NOT_ONLINE, `the consumer group[${group}] not online`);
    const subscriptionTable = new Map<string, object>();
    for (const [topic, data] of info.subscriptionTable) subscriptionTable.set(topic, subscriptionJson(data));
    return success({
      connectionSet: connectionSet(info.channels),
      consumeFromWhere: info.consumeFromWhere,
      consumeType: info.consumeType,
      messageModel: info.messageModel,
      subscriptionTable,
    });
  }

  function getProducerConnectionList({ ext }: RemotingCommand): RemotingResponse {
    const group = requireString(ext, "producerGroup");
    const channels = producers.groups.get(group);
    if (channels === undefined) throw refusal(ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`);
    return success({ connectionSet: connectionSet(channels) });
  }

  function getAllProducerInfo(): RemotingResponse {
    const data = new Map<string, object[]>();
    for (const [group, channels] of producers.groups)
      data.set(
        group,
        [...channels.values()].map((info) => ({
          clientId: info.clientId,
          language: LANGUAGES[info.language],
          lastUpdateTimestamp: info.lastUpdateTimestamp,
          remoteIP: info.connection.remoteAddress,
          version: info.version,
        })),
      );
    return success({ data });
  }

  return [
    [RequestCode.GET_CONSUMER_CONNECTION_LIST, { processor: getConsumerConnectionList }],
    [RequestCode.GET_PRODUCER_CONNECTION_LIST, { processor: getProducerConnectionList }],
    [RequestCode.GET_ALL_PRODUCER_INFO, { processor: getAllProducerInfo }],
  ];
}

function connectionSet(channels: ReadonlyMap<Connection, ClientChannelInfo>): object[] {
  return [...channels.values()].map((info) => ({
    clientAddr: info.connection.remoteAddress,
    clientId: info.clientId,
    language: LANGUAGES[info.language],
    version: info.version,
  }));
}

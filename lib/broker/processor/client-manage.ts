import * as v from "valibot";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { type HeartbeatData, heartbeatSchema } from "../client/heartbeat.ts";
import { isTagType, subscriptionSchema } from "../client/subscription.ts";
import { parseBody } from "./request-body.ts";

const checkClientSchema = v.object({ subscriptionData: v.nullish(subscriptionSchema) });

/** HEART_BEAT, UNREGISTER_CLIENT and CHECK_CLIENT_CONFIG [ClientManageProcessor]. */
export function clientManageProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  function heartBeat(request: RemotingCommand, connection: Connection): RemotingResponse | Promise<RemotingResponse> {
    const data = parseBody(heartbeatSchema, request.body, "HEART_BEAT");
    // Members look for the retry topic's route as soon as they are told to rebalance; without it they wait 20 s for the next time.
    if (context.clients.prepareGroups(data)) {
      return context.routesPublished().then(() => takeHeartbeat(data, request, connection));
    }
    return takeHeartbeat(data, request, connection);
  }

  function takeHeartbeat(data: HeartbeatData, request: RemotingCommand, connection: Connection): RemotingResponse {
    if (connection.closed) return { code: ResponseCode.SYSTEM_ERROR, remark: "connection closed" };
    const outcome = context.clients.heartbeat(data, connection, request.language, request.version);
    if (outcome.refusal !== undefined) {
      context.logger.warn("heartbeat refused in part", { clientId: data.clientID, reason: outcome.refusal });
      return { code: ResponseCode.SYSTEM_ERROR, remark: outcome.refusal };
    }
    return {
      code: ResponseCode.SUCCESS,
      ext: { IS_SUPPORT_HEART_BEAT_V2: true, IS_SUB_CHANGE: outcome.subscriptionChanged },
    };
  }

  function unregisterClient(request: RemotingCommand, connection: Connection): RemotingResponse {
    requireString(request.ext, "clientID");
    context.clients.unregister(connection, request.ext.producerGroup, request.ext.consumerGroup);
    return { code: ResponseCode.SUCCESS };
  }

  function checkClientConfig(request: RemotingCommand): RemotingResponse {
    if (request.body === undefined) return { code: ResponseCode.SUCCESS };
    const { subscriptionData } = parseBody(checkClientSchema, request.body, "CHECK_CLIENT_CONFIG");
    if (!subscriptionData || isTagType(subscriptionData.expressionType)) return { code: ResponseCode.SUCCESS };
    return { code: ResponseCode.SYSTEM_ERROR, remark: expressionRefusal(subscriptionData.expressionType) };
  }

  return [
    [RequestCode.HEART_BEAT, { processor: heartBeat }],
    [RequestCode.UNREGISTER_CLIENT, { processor: unregisterClient }],
    [RequestCode.CHECK_CLIENT_CONFIG, { processor: checkClientConfig }],
  ];
}

/** RocketMQ's own text, which clients show, and the key behind it. */
export function expressionRefusal(expressionType: string): string {
  return `The broker does not support consumer to filter message by ${expressionType} (enablePropertyFilter=false)`;
}

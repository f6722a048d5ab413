import * as v from "valibot";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { textSchema } from "../client/subscription.ts";
import { groupNameFault, topicNameFault } from "../topic/topic-validator.ts";
import { refusal, refuseFault, success } from "./admin-request.ts";
import { parseBody } from "./request-body.ts";

const modeSchema = v.object({ topic: textSchema, consumerGroup: textSchema, mode: v.nullish(textSchema, "PULL") });

/** How groups fetch a topic: pulling is the only way here, so that there is nothing to remember [QueryAssignmentProcessor]. */
export function messageRequestModeProcessors({ kept }: Pick<BrokerContext, "kept">): [number, ProcessorEntry][] {
  function setMessageRequestMode(request: RemotingCommand): RemotingResponse {
    const { topic, consumerGroup, mode } = parseBody(modeSchema, request.body, "SET_MESSAGE_REQUEST_MODE");
    refuseFault(topicNameFault(topic));
    refuseFault(groupNameFault(consumerGroup));
    if (mode !== "PULL")
      throw refusal(ResponseCode.SYSTEM_ERROR, `message request mode is ${mode}: this broker serves PULL only`);
    return success();
  }

  return [
    [RequestCode.SET_MESSAGE_REQUEST_MODE, { processor: setMessageRequestMode }],
    [
      RequestCode.GET_ALL_MESSAGE_REQUEST_MODE,
      { processor: () => ({ code: ResponseCode.SUCCESS, body: kept.requestModes }) },
    ],
  ];
}

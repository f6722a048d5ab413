import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { LOCKS_PER_GROUP_MAX } from "../client/rebalance-lock-manager.ts";
import { integerSchema, textSchema } from "../client/subscription.ts";
import { parseBody } from "./request-body.ts";

const lockSchema = v.object({
  clientId: v.pipe(textSchema, v.minLength(1)),
  consumerGroup: v.pipe(textSchema, v.minLength(1), v.maxLength(255)),
  mqSet: v.nullish(
    v.pipe(
      v.array(v.object({ topic: textSchema, brokerName: v.nullish(textSchema, ""), queueId: integerSchema })),
      v.maxLength(LOCKS_PER_GROUP_MAX),
    ),
    [],
  ),
});

/** LOCK_BATCH_MQ and UNLOCK_BATCH_MQ: who consumes which queue in order. */
export function lockBatchProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { locks } = context.clients;

  function lockBatchMq(request: RemotingCommand): RemotingResponse {
    const body = parseBody(lockSchema, request.body, "LOCK_BATCH_MQ");
    const lockOKMQSet = locks.tryLockBatch(body.consumerGroup, body.mqSet, body.clientId);
    return { code: ResponseCode.SUCCESS, body: stringifyFastjson({ lockOKMQSet }) };
  }

  function unlockBatchMq(request: RemotingCommand): RemotingResponse {
    const body = parseBody(lockSchema, request.body, "UNLOCK_BATCH_MQ");
    locks.unlockBatch(body.consumerGroup, body.mqSet, body.clientId);
    return { code: ResponseCode.SUCCESS };
  }

  return [
    [RequestCode.LOCK_BATCH_MQ, { processor: lockBatchMq }],
    [RequestCode.UNLOCK_BATCH_MQ, { processor: unlockBatchMq }],
  ];
}

import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import { messageQueue, parseBody } from "./tolerant.ts";

interface Queue {
  readonly topic: string;
  readonly brokerName: string;
  readonly queueId: number;
}

/** [LockBatchRequestBody, UnlockBatchRequestBody] */
export interface LockBatch {
  consumerGroup: string;
  clientId: string;
  mqSet: readonly Queue[];
}

export function encodeLockBatch(lock: LockBatch): string {
  return stringifyFastjson({
    clientId: lock.clientId,
    consumerGroup: lock.consumerGroup,
    mqSet: lock.mqSet.map(({ topic, brokerName, queueId }) => ({ topic, brokerName, queueId })),
    onlyThisBroker: false,
  });
}

const lockBatchResponseSchema = v.object({ lockOKMQSet: v.nullish(v.array(messageQueue), () => []) });

/** [LockBatchResponseBody] The queues that are locked now. */
export function decodeLockBatchResponse(body: Uint8Array | undefined): Queue[] {
  return parseBody(lockBatchResponseSchema, body, "the locked queues").lockOKMQSet;
}

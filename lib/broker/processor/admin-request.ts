import { stringifyFastjson } from "../../base/fastjson.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { RemotingResponse } from "../../remoting/types.ts";
import { groupNameFault, topicNameFault } from "../topic/topic-validator.ts";
import type { SubscriptionData } from "../types.ts";

/** What every administrative processor shares: names are checked before anything else sees them, for they become file names. */
type Ext = Record<string, string>;

/** The topic name of a request. Throws INVALID_PARAMETER for one that no topic can have. */
export function topicOf(ext: Ext, field = "topic"): string {
  const topic = requireString(ext, field);
  refuseFault(topicNameFault(topic));
  return topic;
}

/** The group name of a request. Throws INVALID_PARAMETER for one that no group can have. */
export function groupOf(ext: Ext, field = "group"): string {
  const group = requireString(ext, field);
  refuseFault(groupNameFault(group));
  return group;
}

/** Throws INVALID_PARAMETER with the fault as remark, when there is one. */
export function refuseFault(fault: string | undefined): void {
  if (fault !== undefined) throw new ResponseError(ResponseCode.INVALID_PARAMETER, fault);
}

export function success(body?: unknown, ext?: RemotingResponse["ext"]): RemotingResponse {
  return {
    code: ResponseCode.SUCCESS,
    body: body === undefined ? undefined : stringifyFastjson(body),
    ext,
  };
}

export function refusal(code: number, remark: string): ResponseError {
  return new ResponseError(code, remark);
}

/** [MessageQueue], also as the key of an object-keyed map. */
export interface MessageQueueJson {
  brokerName: string;
  queueId: number;
  topic: string;
}

/** SubscriptionData as bodies carry it. */
export function subscriptionJson(data: SubscriptionData): object {
  return { ...data, codeSet: [...data.codeSet], tagsSet: [...data.tagsSet] };
}

/** The answer of an update whose table is in use but not on disk: it would be lost at the next start. */
export function writtenOrRefuse(written: boolean, path: string): void {
  if (!written)
    throw refusal(
      ResponseCode.SYSTEM_ERROR,
      `the change is in use, but ${path} could not be written: it is lost at the next start (see the broker's log)`,
    );
}

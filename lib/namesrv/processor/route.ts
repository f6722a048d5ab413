import { ResponseCode, VERSION_V4_9_4 } from "../../remoting/codes.ts";
import { optionalBoolean, optionalString, requireString } from "../../remoting/headers.ts";
import type { RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { NamesrvContext } from "../namesrv-context.ts";

const ZONE_MODE = "__ZONE_MODE";
const ZONE_NAME = "__ZONE_NAME";

/** GET_ROUTEINFO_BY_TOPIC: which brokers have the topic, and how many queues each. */
export function getRouteInfoByTopic(
  { config, topicRoutes, startedAt }: NamesrvContext,
  { ext, version }: RemotingCommand,
): RemotingResponse {
  const waitedMs = Date.now() - startedAt;
  if (config.needWaitForService && waitedMs < config.waitSecondsForService * 1000) {
    const remark = `name server not ready: ${waitedMs} ms since its start, waitSecondsForService=${config.waitSecondsForService}`;
    return { code: ResponseCode.SYSTEM_ERROR, remark };
  }
  const topic = requireString(ext, "topic");
  const standard = version >= VERSION_V4_9_4 || optionalBoolean(ext, "acceptStandardJsonOnly", false);
  const zoneName = optionalBoolean(ext, ZONE_MODE, false) ? optionalString(ext, ZONE_NAME, "").trim() : "";
  const body = zoneName === "" ? topicRoutes.encoded(topic, standard) : topicRoutes.encodedForZone(topic, zoneName);
  if (body === undefined) return { code: ResponseCode.TOPIC_NOT_EXIST, remark: topicRoutes.missing(topic) };
  return { code: ResponseCode.SUCCESS, body };
}

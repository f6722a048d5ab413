import { crc32 } from "../../base/crc32.ts";
import { errorText } from "../../base/errors.ts";
import { stringifyFastjson } from "../../base/fastjson.ts";
import {
  decodeDataVersion,
  decodeRegisterBrokerBody,
  sameDataVersion,
} from "../../protocol/body/register-broker-body.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import {
  optionalBoolean,
  optionalInt,
  optionalLong,
  optionalString,
  requireLong,
  requireString,
} from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { Connection, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import { NAMESPACE_ORDER_TOPIC_CONFIG } from "../kv-config-manager.ts";
import type { NamesrvContext } from "../namesrv-context.ts";
import type { RegisterResult, Registration } from "../route-info-manager.ts";
import { decoded } from "./decoded.ts";

const ZONE_NAME = "__ZONE_NAME";

/** REGISTER_BROKER: a broker's address and topics, in full or one changed topic. */
export function registerBroker(
  context: NamesrvContext,
  request: RemotingCommand,
  connection: Connection,
): RemotingResponse {
  const registration = registrationOf(request.ext);
  try {
    const result = takeRegistration(context, registration, request, connection);
    const order = context.config.returnOrderTopicConfigToBroker;
    const body = order ? context.kvConfig.encodeNamespace(NAMESPACE_ORDER_TOPIC_CONFIG) : undefined;
    return { code: ResponseCode.SUCCESS, ext: { ...result }, body };
  } catch (error) {
    const { brokerName, brokerAddr } = registration;
    context.logger.warn("registration refused", { broker: brokerName, address: brokerAddr, why: errorText(error) });
    throw error;
  }
}

/** Throws ResponseError for a body that cannot be read or comes too early. */
function takeRegistration(
  { routes }: NamesrvContext,
  registration: Registration,
  { ext, body, version }: RemotingCommand,
  connection: Connection,
): RegisterResult {
  const bodyCrc32 = optionalInt(ext, "bodyCrc32", 0);
  const found = body === undefined ? 0 : crc32(body);
  if (bodyCrc32 !== 0 && found !== bodyCrc32)
    throw refusal(`crc32 not match: body has ${found}, header says ${bodyCrc32}`);
  const compressed = optionalBoolean(ext, "compressed", false);
  const digest = body === undefined ? "" : `${bodyDigest(body)} ${compressed} ${version}`;
  const result = routes.register(registration, connection, digest, () => {
    try {
      return decodeRegisterBrokerBody(body, compressed, version);
    } catch (error) {
      throw refusal(`Failed to decode RegisterBrokerBody: ${errorText(error)}`);
    }
  });
  if (result === undefined)
    throw refusal("register broker failed: one topic came before the first registration with all topics");
  return result;
}

function refusal(remark: string): ResponseError {
  return new ResponseError(ResponseCode.SYSTEM_ERROR, remark);
}

const MAPPING_DATA_VERSION = Buffer.from('"mappingDataVersion":{');
/** The data versions stand at the front of the body. */
const FRONT_BYTES = 4096;

/** Identity of a body. Java's brokers stamp mappingDataVersion anew each time: what stands in it does not count. */
function bodyDigest(body: Buffer): string {
  const stamp = body.subarray(0, FRONT_BYTES).indexOf(MAPPING_DATA_VERSION);
  const end = stamp < 0 ? -1 : body.indexOf(125, stamp);
  if (end < 0) return `${Bun.hash(body)} ${body.length}`;
  return `${Bun.hash(body.subarray(0, stamp))} ${Bun.hash(body.subarray(end))} ${body.length - (end - stamp)}`;
}

function registrationOf(ext: Record<string, string>): Registration {
  const registration = {
    brokerName: requireString(ext, "brokerName"),
    brokerAddr: requireString(ext, "brokerAddr"),
    clusterName: requireString(ext, "clusterName"),
    haServerAddr: requireString(ext, "haServerAddr"),
    brokerId: requireLong(ext, "brokerId"),
    zoneName: optionalString(ext, ZONE_NAME),
    heartbeatTimeoutMillis: optionalLong(ext, "heartbeatTimeoutMillis"),
    enableActingMaster: optionalBoolean(ext, "enableActingMaster"),
  };
  if (registration.brokerId < 0)
    throw new ResponseError(
      ResponseCode.SYSTEM_ERROR,
      `register broker: brokerId is ${registration.brokerId}, want 0 or more`,
    );
  return registration;
}

/** UNREGISTER_BROKER: a broker stops. */
export function unregisterBroker(
  { routes }: NamesrvContext,
  { ext }: RemotingCommand,
  connection: Connection,
): RemotingResponse {
  requireLong(ext, "brokerId");
  routes.unregister(
    requireString(ext, "clusterName"),
    requireString(ext, "brokerAddr"),
    requireString(ext, "brokerName"),
    connection,
  );
  return { code: ResponseCode.SUCCESS };
}

/** BROKER_HEARTBEAT: a sign of life between registrations. */
export function brokerHeartbeat({ routes }: NamesrvContext, { ext }: RemotingCommand): RemotingResponse {
  routes.heartbeat(requireString(ext, "clusterName"), requireString(ext, "brokerAddr"));
  return { code: ResponseCode.SUCCESS };
}

/** QUERY_DATA_VERSION: whether a broker must register again; a sign of life as well. */
export function queryDataVersion({ routes }: NamesrvContext, { ext, body }: RemotingCommand): RemotingResponse {
  const clusterName = requireString(ext, "clusterName");
  const brokerAddr = requireString(ext, "brokerAddr");
  const asked = decoded("DataVersion", () => decodeDataVersion(body));
  routes.heartbeat(clusterName, brokerAddr);
  const known = routes.dataVersion(clusterName, brokerAddr);
  return {
    code: ResponseCode.SUCCESS,
    ext: { changed: known === undefined || !sameDataVersion(known, asked) },
    body: known === undefined ? undefined : stringifyFastjson(known),
  };
}

/** GET_BROKER_MEMBER_GROUP: the addresses of one broker name. */
export function getBrokerMemberGroup({ routes }: NamesrvContext, { ext }: RemotingCommand): RemotingResponse {
  const cluster = requireString(ext, "clusterName");
  const brokerName = requireString(ext, "brokerName");
  const brokerAddrs = routes.brokerAddrTable.get(brokerName)?.brokerAddrs ?? new Map<number, string>();
  return {
    code: ResponseCode.SUCCESS,
    body: stringifyFastjson({ brokerMemberGroup: { brokerAddrs, brokerName, cluster } }),
  };
}

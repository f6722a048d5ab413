import { stringifyFastjson } from "../../base/fastjson.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import type { RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { NamesrvContext } from "../namesrv-context.ts";
import { PERM_READ, PERM_WRITE } from "../route-info-manager.ts";

/** GET_BROKER_CLUSTER_INFO: always with unquoted ids, as Java's. */
export function getBrokerClusterInfo({ routes }: NamesrvContext): RemotingResponse {
  const clusterAddrTable = new Map([...routes.clusterAddrTable].map(([cluster, names]) => [cluster, [...names]]));
  return {
    code: ResponseCode.SUCCESS,
    body: stringifyFastjson({ brokerAddrTable: routes.brokerAddrTable, clusterAddrTable }),
  };
}

/** WIPE_WRITE_PERM_OF_BROKER: until the broker registers changed topics. */
export function wipeWritePerm(
  { routes, logger }: NamesrvContext,
  { ext }: RemotingCommand,
  peer: string,
): RemotingResponse {
  const brokerName = requireString(ext, "brokerName");
  const wipeTopicCount = routes.changePerm(brokerName, (perm) => perm & ~PERM_WRITE);
  logger.info("write permission wiped", { broker: brokerName, topics: wipeTopicCount, peer });
  return { code: ResponseCode.SUCCESS, ext: { wipeTopicCount } };
}

/** ADD_WRITE_PERM_OF_BROKER: all topics can be read and written. */
export function addWritePerm(
  { routes, logger }: NamesrvContext,
  { ext }: RemotingCommand,
  peer: string,
): RemotingResponse {
  const brokerName = requireString(ext, "brokerName");
  const addTopicCount = routes.changePerm(brokerName, () => PERM_READ | PERM_WRITE);
  logger.info("write permission added", { broker: brokerName, topics: addTopicCount, peer });
  return { code: ResponseCode.SUCCESS, ext: { addTopicCount } };
}

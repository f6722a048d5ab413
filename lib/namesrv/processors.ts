import { RequestCode } from "../remoting/codes.ts";
import type { Connection, ProcessorTable, RemotingCommand, RemotingResponse } from "../remoting/types.ts";
import type { NamesrvContext } from "./namesrv-context.ts";
import {
  brokerHeartbeat,
  getBrokerMemberGroup,
  queryDataVersion,
  registerBroker,
  unregisterBroker,
} from "./processor/broker.ts";
import { addWritePerm, getBrokerClusterInfo, wipeWritePerm } from "./processor/cluster.ts";
import { getNamesrvConfig, updateNamesrvConfig } from "./processor/config.ts";
import { deleteKvConfig, getKvConfig, getKvListByNamespace, putKvConfig } from "./processor/kv-config.ts";
import { getRouteInfoByTopic } from "./processor/route.ts";
import {
  deleteTopic,
  getAllTopicList,
  getHasUnitSubTopicList,
  getHasUnitSubUnUnitTopicList,
  getSystemTopicList,
  getTopicsByCluster,
  getUnitTopicList,
  registerTopic,
} from "./processor/topic.ts";

type NamesrvProcessor = (
  context: NamesrvContext,
  request: RemotingCommand,
  connection: Connection,
) => RemotingResponse | Promise<RemotingResponse>;

/** Every request a name server answers; all others get REQUEST_CODE_NOT_SUPPORTED from the server. */
const TABLE: readonly (readonly [code: number, processor: NamesrvProcessor])[] = [
  [RequestCode.REGISTER_BROKER, registerBroker],
  [RequestCode.UNREGISTER_BROKER, unregisterBroker],
  [RequestCode.BROKER_HEARTBEAT, brokerHeartbeat],
  [RequestCode.QUERY_DATA_VERSION, queryDataVersion],
  [RequestCode.GET_BROKER_MEMBER_GROUP, getBrokerMemberGroup],
  [RequestCode.GET_ROUTEINFO_BY_TOPIC, getRouteInfoByTopic],
  [RequestCode.GET_BROKER_CLUSTER_INFO, getBrokerClusterInfo],
  [
    RequestCode.WIPE_WRITE_PERM_OF_BROKER,
    (context, request, from) => wipeWritePerm(context, request, from.remoteAddress),
  ],
  [
    RequestCode.ADD_WRITE_PERM_OF_BROKER,
    (context, request, from) => addWritePerm(context, request, from.remoteAddress),
  ],
  [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, getAllTopicList],
  [RequestCode.GET_TOPICS_BY_CLUSTER, getTopicsByCluster],
  [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, getSystemTopicList],
  [RequestCode.GET_UNIT_TOPIC_LIST, getUnitTopicList],
  [RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, getHasUnitSubTopicList],
  [RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, getHasUnitSubUnUnitTopicList],
  [RequestCode.DELETE_TOPIC_IN_NAMESRV, (context, request, from) => deleteTopic(context, request, from.remoteAddress)],
  [RequestCode.REGISTER_TOPIC_IN_NAMESRV, registerTopic],
  [RequestCode.PUT_KV_CONFIG, putKvConfig],
  [RequestCode.GET_KV_CONFIG, getKvConfig],
  [RequestCode.DELETE_KV_CONFIG, deleteKvConfig],
  [RequestCode.GET_KVLIST_BY_NAMESPACE, getKvListByNamespace],
  [
    RequestCode.UPDATE_NAMESRV_CONFIG,
    (context, request, from) => updateNamesrvConfig(context, request, from.remoteAddress),
  ],
  [RequestCode.GET_NAMESRV_CONFIG, getNamesrvConfig],
];

/** The table bound to one name server. */
export function namesrvProcessors(context: NamesrvContext): ProcessorTable {
  return new Map(
    TABLE.map(([code, processor]) => [
      code,
      { processor: (request: RemotingCommand, connection: Connection) => processor(context, request, connection) },
    ]),
  );
}

import * as v from "valibot";
import { flag, integer, mapOf, parseBody, text } from "./tolerant.ts";

/** [QueueData] How many queues of a topic one broker has. */
export interface QueueData {
  brokerName: string;
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  topicSysFlag: number;
}

/** [BrokerData] One broker name and the addresses of its members; id 0 is the master. */
export interface BrokerData {
  cluster: string;
  brokerName: string;
  brokerAddrs: Map<number, string>;
  enableActingMaster: boolean;
  zoneName: string | undefined;
}

/** [TopicRouteData] Body of GET_ROUTEINFO_BY_TOPIC. */
export interface TopicRouteData {
  /** `broker-a:4;broker-b:4` for ordered topics. */
  orderTopicConf: string | undefined;
  queueDatas: QueueData[];
  brokerDatas: BrokerData[];
}

/** Broker id to address; entries whose key is no id are dropped. */
const brokerAddrs = v.pipe(
  mapOf(text),
  v.transform((map) => {
    const addresses = new Map<number, string>();
    for (const [id, address] of map) if (/^\d+$/.test(id)) addresses.set(Number(id), address);
    return addresses;
  }),
);

export const brokerDataSchema = v.pipe(
  v.object({
    cluster: v.nullish(text, ""),
    brokerName: text,
    brokerAddrs: v.optional(brokerAddrs, () => ({})),
    enableActingMaster: v.nullish(flag, false),
    zoneName: v.nullish(text),
  }),
  v.transform((broker): BrokerData => ({ ...broker, zoneName: broker.zoneName ?? undefined })),
);

const queueDataSchema = v.object({
  brokerName: text,
  readQueueNums: integer,
  writeQueueNums: integer,
  perm: integer,
  topicSysFlag: v.nullish(integer, 0),
});

const topicRouteDataSchema = v.pipe(
  v.object({
    orderTopicConf: v.nullish(text),
    queueDatas: v.nullish(v.array(queueDataSchema), () => []),
    brokerDatas: v.nullish(v.array(brokerDataSchema), () => []),
  }),
  v.transform((route): TopicRouteData => ({ ...route, orderTopicConf: route.orderTopicConf ?? undefined })),
);

/** Reads both renderings: quoted and unquoted broker ids. */
export function decodeTopicRouteData(body: Uint8Array | undefined): TopicRouteData {
  return parseBody(topicRouteDataSchema, body, "the route of a topic");
}

import { stringifyFastjson } from "../base/fastjson.ts";
import type { BrokerData, QueueData } from "../protocol/body/topic-route-data.ts";
import { PERM_WRITE, type RouteInfoManager } from "./route-info-manager.ts";

const MASTER_ID = 0;
const SYNC_BROKER_MEMBER_GROUP_PREFIX = "rmq_sys_SYNC_BROKER_MEMBER_";
const FAQ = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/** [TopicRouteData] as it is encoded. */
interface Route {
  brokerDatas: BrokerData[];
  filterServerTable: Record<string, string[]>;
  orderTopicConf: string | undefined;
  queueDatas: QueueData[];
  topicQueueMappingByBroker: Map<string, Record<string, unknown>> | undefined;
}

interface Rendered {
  /** Standard JSON in ASCII, for clients from 4.9.4 on. */
  standard?: Buffer;
  /** fastjson's own, with broker ids unquoted, for older ones. */
  plain?: Buffer;
}

export interface TopicRouteOptions {
  routes: RouteInfoManager;
  supportActingMaster: () => boolean;
  /** Order configuration of a topic, where orderMessageEnable adds it. */
  orderTopicConf: (topic: string) => string | undefined;
}

/** Routes as clients get them: encoded once per topic, form and change. */
export class TopicRoutes {
  /** As many entries as there are topics at most. */
  private readonly rendered = new Map<string, Rendered>();

  constructor(private readonly options: TopicRouteOptions) {}

  /** Forgets what was encoded, of one topic or of all. */
  changed(topic?: string): void {
    if (topic === undefined) this.rendered.clear();
    else this.rendered.delete(topic);
  }

  /** The encoded route; undefined when nobody serves the topic. */
  encoded(topic: string, standard: boolean): Buffer | undefined {
    const known = this.rendered.get(topic) ?? {};
    const done = standard ? known.standard : known.plain;
    if (done !== undefined) return done;
    const route = this.pickup(topic);
    if (route === undefined) return undefined;
    const body = encodeRoute(route, standard);
    this.rendered.set(topic, standard ? { ...known, standard: body } : { ...known, plain: body });
    return body;
  }

  /** The route for a client in `zoneName`: its zone's brokers, and those without a master. Always in the plain form, as Java's hook. */
  encodedForZone(topic: string, zoneName: string): Buffer | undefined {
    const route = this.pickup(topic);
    if (route === undefined) return undefined;
    const removed = new Set<string>();
    for (const broker of route.brokerDatas) {
      const elsewhere = broker.zoneName?.toLowerCase() !== zoneName.toLowerCase();
      if (elsewhere && broker.brokerAddrs.has(MASTER_ID)) removed.add(broker.brokerName);
    }
    const kept = ({ brokerName }: { brokerName: string }): boolean => !removed.has(brokerName);
    return encodeRoute(
      { ...route, brokerDatas: route.brokerDatas.filter(kept), queueDatas: route.queueDatas.filter(kept) },
      false,
    );
  }

  /** RocketMQ's remark for a topic without a route, and which of the cases it is. */
  missing(topic: string): string {
    const { brokerAddrTable, lostTopics } = this.options.routes;
    const lost = lostTopics.get(topic);
    let cause = `none of the ${brokerAddrTable.size} registered brokers has the topic: create it, or check its name`;
    if (lost !== undefined)
      cause = `the topic is known, but its broker ${lost.brokerName} left at ${new Date(lost.since).toISOString()}`;
    else if (brokerAddrTable.size === 0)
      cause = "no broker is registered with this name server: start one, or check its namesrvAddr";
    return `No topic route info in name server for the topic: ${topic}${FAQ} Cause: ${cause}`;
  }

  private pickup(topic: string): Route | undefined {
    const { routes } = this.options;
    const queues = routes.topicQueueTable.get(topic);
    if (queues === undefined) return undefined;
    const brokerDatas: BrokerData[] = [];
    for (const brokerName of queues.keys()) {
      const broker = routes.brokerAddrTable.get(brokerName);
      if (broker !== undefined) brokerDatas.push({ ...broker, brokerAddrs: new Map(broker.brokerAddrs) });
    }
    if (brokerDatas.length === 0) return undefined;
    const route: Route = {
      brokerDatas,
      filterServerTable: this.filterServers(brokerDatas),
      orderTopicConf: this.options.orderTopicConf(topic),
      queueDatas: [...queues.values()],
      topicQueueMappingByBroker: routes.mappingTable.get(topic),
    };
    if (this.options.supportActingMaster() && !topic.startsWith(SYNC_BROKER_MEMBER_GROUP_PREFIX)) actMasters(route);
    return route;
  }

  private filterServers(brokers: readonly BrokerData[]): Record<string, string[]> {
    const table: Record<string, string[]> = {};
    for (const info of this.options.routes.brokerLiveTable.values()) {
      if (info.filterServers.length === 0) continue;
      if (brokers.some(({ brokerName }) => brokerName === info.brokerName)) table[info.brokerAddr] = info.filterServers;
    }
    return table;
  }
}

/** Where a group without a master may only be read, its smallest id is shown as the master. */
function actMasters(route: Route): void {
  for (const { brokerName, brokerAddrs, enableActingMaster } of route.brokerDatas) {
    if (brokerAddrs.size === 0 || brokerAddrs.has(MASTER_ID) || !enableActingMaster) continue;
    const queue = route.queueDatas.find((item) => item.brokerName === brokerName);
    if (queue === undefined || (queue.perm & PERM_WRITE) !== 0) continue;
    const smallest = Math.min(...brokerAddrs.keys());
    const address = brokerAddrs.get(smallest);
    brokerAddrs.delete(smallest);
    if (address !== undefined) brokerAddrs.set(MASTER_ID, address);
  }
}

function encodeRoute(route: Route, standard: boolean): Buffer {
  for (const broker of route.brokerDatas) broker.brokerAddrs = sorted(broker.brokerAddrs);
  return Buffer.from(stringifyFastjson(route, { unicodeEscape: standard }));
}

function sorted(addresses: ReadonlyMap<number, string>): Map<number, string> {
  return new Map([...addresses].sort(([a], [b]) => a - b));
}

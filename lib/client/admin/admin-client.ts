import { parseBody } from "../../protocol/body/tolerant.ts";
import { decodeTopicRouteData, type TopicRouteData } from "../../protocol/body/topic-route-data.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { RemotingClient, RemotingCommand, RemotingRequest } from "../../remoting/types.ts";
import { BrokerApi } from "../broker-api.ts";
import { BrokerError, ClientError } from "../broker-error.ts";
import { DEFAULT_NAMESRV_ADDR } from "../client-options.ts";
import { type Credentials, clientRemoting } from "../credentials.ts";
import { compareMessageQueues, type MessageQueue } from "../message-queue.ts";
import { NameServers } from "../name-servers.ts";
import {
  type AdminTopicConfig,
  type ClusterInfo,
  clusterInfoSchema,
  topicConfigSchema,
  topicListSchema,
  topicStatsSchema,
} from "./topic-bodies.ts";

/** [DefaultMQAdminExtImpl#timeoutMillis] */
const TIMEOUT_MS = 5_000;
/** Where name servers keep the queue order of order topics [NamesrvUtil#NAMESPACE_ORDER_TOPIC_CONFIG]. */
const ORDER_TOPIC_NAMESPACE = "ORDER_TOPIC_CONFIG";
const DEFAULT_TOPIC = "TBW102";

/** One queue of a topic and what it holds. */
export interface QueueStatus {
  queue: MessageQueue;
  minOffset: number;
  maxOffset: number;
  /** ms since the epoch when its last message was stored; 0 when it holds none. */
  lastUpdateTimestamp: number;
}

/** A master and the broker and cluster it belongs to. */
export interface Master {
  brokerName: string;
  cluster: string;
  address: string;
}

/** [DefaultMQAdminExt] What the topic commands ask of name servers and brokers. `close` ends its connections. */
export class AdminClient {
  readonly #remoting: RemotingClient;
  readonly #api: BrokerApi;
  readonly nameServers: NameServers;

  constructor(options: { namesrvAddr?: string | undefined; credentials?: Credentials | undefined } = {}) {
    this.#remoting = clientRemoting(options.credentials);
    this.#api = new BrokerApi(this.#remoting, TIMEOUT_MS);
    const namesrvAddr = options.namesrvAddr ?? process.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV_ADDR;
    this.nameServers = new NameServers(this.#remoting, namesrvAddr);
  }

  close(): Promise<void> {
    return this.#remoting.close();
  }

  /** Asks one broker. Throws BrokerError, naming the action, for any answer but success. */
  call(address: string, request: RemotingRequest, action: string): Promise<RemotingCommand> {
    return this.#api.call(address, request, action);
  }

  async #ask(request: RemotingRequest, action: string): Promise<RemotingCommand> {
    const { response, address } = await this.nameServers.invoke(request, TIMEOUT_MS);
    if (response.code !== ResponseCode.SUCCESS) throw new BrokerError(action, address, response.code, response.remark);
    return response;
  }

  /** Every topic that some broker registered, or those of one cluster; sorted. */
  async topicList(cluster?: string): Promise<string[]> {
    const request =
      cluster === undefined
        ? { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER }
        : { code: RequestCode.GET_TOPICS_BY_CLUSTER, ext: { cluster } };
    const response = await this.#ask(request, "list the topics");
    return parseBody(topicListSchema, response.body, "the list of topics").topicList.sort();
  }

  /** Topics that RocketMQ made for itself, cluster and broker names among them. */
  async systemTopicList(): Promise<Set<string>> {
    const response = await this.#ask({ code: RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS }, "list the system topics");
    return new Set(parseBody(topicListSchema, response.body, "the list of system topics").topicList);
  }

  async clusterInfo(): Promise<ClusterInfo> {
    const response = await this.#ask({ code: RequestCode.GET_BROKER_CLUSTER_INFO }, "ask for the cluster");
    return parseBody(clusterInfoSchema, response.body, "the cluster");
  }

  /** Masters of one cluster, or of all. Throws ClientError that names the clusters there are. */
  async masters(cluster?: string): Promise<Master[]> {
    const info = await this.clusterInfo();
    if (cluster !== undefined && !info.clusterAddrTable.has(cluster)) {
      const known = [...info.clusterAddrTable.keys()].join(", ");
      throw new ClientError(
        `find cluster "${cluster}": ${this.nameServers.addresses.join(";")} knows ${known === "" ? "no cluster" : known}`,
      );
    }
    const masters: Master[] = [];
    for (const [name, brokerNames] of info.clusterAddrTable) {
      if (cluster !== undefined && name !== cluster) continue;
      for (const brokerName of brokerNames) {
        const address = info.brokerAddrTable.get(brokerName)?.brokerAddrs.get(0);
        if (address !== undefined) masters.push({ brokerName, cluster: name, address });
      }
    }
    return masters.sort((a, b) => (a.brokerName < b.brokerName ? -1 : 1));
  }

  /** undefined when no name server knows the topic. */
  async topicRoute(topic: string): Promise<TopicRouteData | undefined> {
    const request = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic, acceptStandardJsonOnly: true } };
    const { response, address } = await this.nameServers.invoke(request, TIMEOUT_MS);
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
    if (response.code !== ResponseCode.SUCCESS) {
      throw new BrokerError(`query the route of topic "${topic}"`, address, response.code, response.remark);
    }
    return decodeTopicRouteData(response.body);
  }

  /** undefined when that broker does not have the topic. */
  async topicConfig(address: string, topic: string): Promise<AdminTopicConfig | undefined> {
    const request = { code: RequestCode.GET_TOPIC_CONFIG, ext: { topic } };
    const response = await this.#remoting.invoke(address, request, TIMEOUT_MS);
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) return undefined;
    if (response.code !== ResponseCode.SUCCESS) {
      throw new BrokerError(`ask for the configuration of topic "${topic}"`, address, response.code, response.remark);
    }
    return parseBody(topicConfigSchema, response.body, `the configuration of topic "${topic}"`);
  }

  /** [UPDATE_AND_CREATE_TOPIC] on one broker. */
  async createTopic(address: string, config: Omit<AdminTopicConfig, "attributes">, attributes = ""): Promise<void> {
    const ext = {
      topic: config.topicName,
      defaultTopic: DEFAULT_TOPIC,
      readQueueNums: config.readQueueNums,
      writeQueueNums: config.writeQueueNums,
      perm: config.perm,
      topicFilterType: config.topicFilterType,
      topicSysFlag: config.topicSysFlag,
      order: config.order,
      attributes,
    };
    await this.#api.call(
      address,
      { code: RequestCode.UPDATE_AND_CREATE_TOPIC, ext },
      `create topic "${config.topicName}"`,
    );
  }

  /** Tells every name server how many queues each broker of an order topic has. */
  async putOrderConf(topic: string, orderConf: string): Promise<void> {
    const ext = { namespace: ORDER_TOPIC_NAMESPACE, key: topic, value: orderConf };
    for (const address of this.nameServers.addresses) {
      await this.#api.call(
        address,
        { code: RequestCode.PUT_KV_CONFIG, ext },
        `set the queue order of topic "${topic}"`,
      );
    }
  }

  /** undefined when the topic has none. */
  async orderConf(topic: string): Promise<string | undefined> {
    const request = { code: RequestCode.GET_KV_CONFIG, ext: { namespace: ORDER_TOPIC_NAMESPACE, key: topic } };
    const { response } = await this.nameServers.invoke(request, TIMEOUT_MS);
    return response.code === ResponseCode.SUCCESS ? response.ext.value : undefined;
  }

  async deleteTopicInBroker(address: string, topic: string): Promise<void> {
    await this.#api.call(
      address,
      { code: RequestCode.DELETE_TOPIC_IN_BROKER, ext: { topic } },
      `delete topic "${topic}"`,
    );
  }

  /** In every name server, for one cluster's brokers only; and its queue order with it. */
  async deleteTopicInNameServers(topic: string, clusterName: string): Promise<void> {
    for (const address of this.nameServers.addresses) {
      const ext = { topic, clusterName };
      await this.#api.call(address, { code: RequestCode.DELETE_TOPIC_IN_NAMESRV, ext }, `delete topic "${topic}"`);
    }
  }

  /** Offsets of every queue at the masters in the topic's route, in RocketMQ's order. Throws ClientError for an unknown topic. */
  async topicStatus(topic: string): Promise<{ queues: QueueStatus[]; putTps: number }> {
    const route = await this.topicRoute(topic);
    if (route === undefined) throw this.noRoute(topic);
    const queues: QueueStatus[] = [];
    let putTps = 0;
    for (const broker of route.brokerDatas) {
      const address = broker.brokerAddrs.get(0) ?? broker.brokerAddrs.values().next().value;
      if (address === undefined) continue;
      const request = { code: RequestCode.GET_TOPIC_STATS_INFO, ext: { topic } };
      const response = await this.#api.call(address, request, `ask for the offsets of topic "${topic}"`);
      const stats = parseBody(topicStatsSchema, response.body, `the offsets of topic "${topic}"`);
      putTps += stats.topicPutTps;
      for (const [queue, offsets] of stats.offsetTable) queues.push({ queue, ...offsets });
    }
    queues.sort((a, b) => compareMessageQueues(a.queue, b.queue));
    return { queues, putTps };
  }

  noRoute(topic: string): ClientError {
    return new ClientError(
      `find topic "${topic}": no broker that ${this.nameServers.addresses.join(";")} knows has it; create it with: mq topic create --topic ${topic}`,
    );
  }
}

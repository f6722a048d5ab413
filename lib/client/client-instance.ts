import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { type ConsumerData, encodeHeartbeatData } from "../protocol/body/heartbeat-data.ts";
import { decodeTopicRouteData, type TopicRouteData } from "../protocol/body/topic-route-data.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import type { RemotingClient } from "../remoting/types.ts";
import { BrokerApi } from "./broker-api.ts";
import { BrokerError, ClientError } from "./broker-error.ts";
import type { ResolvedClientOptions } from "./client-options.ts";
import { clientProcessors } from "./client-processors.ts";
import { clientRemoting } from "./credentials.ts";
import type { MessageExt } from "./message.ts";
import type { MessageQueue } from "./message-queue.ts";
import { NameServers } from "./name-servers.ts";
import { MASTER_ID } from "./names.ts";
import { lendDefaultRoute, publishQueues, routeFingerprint, subscribeQueues } from "./route.ts";

/** Topic whose route is lent to topics that do not exist yet [TopicValidator.AUTO_CREATE_TOPIC_KEY_TOPIC]. */
export const AUTO_CREATE_TOPIC_KEY = "TBW102";
const REBALANCE_WAIT_INTERVAL_MS = 20_000;
const REBALANCE_MIN_INTERVAL_MS = 1_000;
/** First heartbeat, route poll and offset commit after the start. */
const FIRST_HEARTBEAT_MS = 1_000;
const FIRST_PERSIST_MS = 10_000;
const DOUBT_PERIOD_MS = 1_000;
/** Beyond it all doubts before are forgotten. */
const DOUBTS_MAX = 1_000;

/** What a broker asks about a half message [CheckTransactionStateRequestHeader]. */
export interface TransactionCheck {
  address: string;
  message: MessageExt;
  header: Record<string, string>;
}

/** A producer as its instance sees it. */
export interface ProducerInner {
  readonly group: string;
  /** Topics whose routes are kept fresh. */
  publishTopics(): Iterable<string>;
  setPublishQueues(topic: string, queues: MessageQueue[], ordered: boolean): void;
  checkTransactionState?(check: TransactionCheck): void;
}

/** A consumer as its instance sees it. */
export interface ConsumerInner {
  readonly group: string;
  consumerData(): ConsumerData;
  subscribeTopics(): Iterable<string>;
  setSubscribeQueues(topic: string, queues: MessageQueue[]): void;
  /** False when another round is needed soon. */
  doRebalance(): Promise<boolean>;
  persistOffsets(): Promise<void>;
  resetOffset(topic: string, offsets: readonly (readonly [MessageQueue, number])[]): Promise<void>;
  /** Offset by queue of what was consumed of the topic. */
  consumerStatus(topic: string): Map<MessageQueue, number>;
  /** JSON of ConsumerRunningInfo. */
  runningInfo(): string;
  /** JSON of ConsumeMessageDirectlyResult. */
  consumeMessageDirectly(message: MessageExt, brokerName: string): Promise<string>;
}

/**
 * [MQClientInstance] What the producers and consumers of one client id share: connections, routes, heartbeats, timers.
 */
export class ClientInstance {
  readonly clientId: string;
  readonly options: ResolvedClientOptions;
  readonly remoting: RemotingClient;
  readonly api: BrokerApi;
  readonly nameServers: NameServers;
  readonly logger: Logger;
  readonly #producers = new Map<string, ProducerInner>();
  readonly #consumers = new Map<string, ConsumerInner>();
  readonly #routes = new Map<string, TopicRouteData>();
  readonly #routeFetches = new Map<string, Promise<TopicRouteData | undefined>>();
  /** Broker name to broker id to address. */
  readonly #brokers = new Map<string, Map<number, string>>();
  /** Topic → when its route was last doubted, ms since the epoch. */
  readonly #doubts = new Map<string, number>();
  readonly #timers = new Set<Timer>();
  /** Brokers whose last heartbeat failed: said once when it starts and once when it ends. */
  readonly #silentBrokers = new Set<string>();
  /** Addresses a connection was opened to; as many as the routes have brokers. */
  readonly #opened = new Set<string>();
  #started = false;
  #heartbeat: Promise<void> | undefined;
  #heartbeatAgain = false;
  #rebalancing = false;
  #rebalanceAgain = false;
  #rebalanceTimer: Timer | undefined;
  #lastRebalance = 0;

  constructor(options: ResolvedClientOptions) {
    this.options = options;
    this.clientId = options.clientId;
    this.logger = options.logger;
    this.remoting = clientRemoting(options.credentials, {
      processors: clientProcessors(this),
      onOpen: (_, address) => this.#connected(address),
    });
    this.api = new BrokerApi(this.remoting, options.mqClientApiTimeout);
    this.nameServers = new NameServers(this.remoting, options.namesrvAddr);
  }

  consumer(group: string): ConsumerInner | undefined {
    return this.#consumers.get(group);
  }

  producer(group: string): ProducerInner | undefined {
    return this.#producers.get(group);
  }

  get consumers(): Iterable<ConsumerInner> {
    return this.#consumers.values();
  }

  registerProducer(producer: ProducerInner): void {
    if (this.#producers.has(producer.group))
      throw new ClientError(alreadyThere("producer", producer.group, this.clientId));
    this.#producers.set(producer.group, producer);
    this.#start();
  }

  registerConsumer(consumer: ConsumerInner): void {
    if (this.#consumers.has(consumer.group))
      throw new ClientError(alreadyThere("consumer", consumer.group, this.clientId));
    this.#consumers.set(consumer.group, consumer);
    this.#start();
  }

  async unregisterProducer(group: string): Promise<void> {
    if (this.#producers.delete(group)) await this.#unregister({ producerGroup: group });
    await this.#stopWhenUnused();
  }

  async unregisterConsumer(group: string): Promise<void> {
    if (this.#consumers.delete(group)) await this.#unregister({ consumerGroup: group });
    await this.#stopWhenUnused();
  }

  #start(): void {
    if (this.#started) return;
    this.#started = true;
    const { pollNameServerInterval, heartbeatBrokerInterval, persistConsumerOffsetInterval } = this.options;
    this.#every(pollNameServerInterval, pollNameServerInterval, () => this.updateRoutes());
    this.#every(FIRST_HEARTBEAT_MS, heartbeatBrokerInterval, () => {
      this.#cleanOfflineBrokers();
      return this.sendHeartbeatToAllBrokers();
    });
    this.#every(FIRST_PERSIST_MS, persistConsumerOffsetInterval, async () => {
      for (const consumer of this.#consumers.values()) await consumer.persistOffsets();
    });
  }

  async #stopWhenUnused(): Promise<void> {
    if (this.#producers.size > 0 || this.#consumers.size > 0) return;
    this.#started = false;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    clearTimeout(this.#rebalanceTimer);
    forgetInstance(this);
    await this.remoting.close();
  }

  /** Runs `task` after `firstMs` and then `periodMs` after each end. */
  #every(firstMs: number, periodMs: number, task: () => Promise<void>): void {
    const schedule = (delayMs: number) => {
      const timer = setTimeout(async () => {
        this.#timers.delete(timer);
        await task().catch((error) => this.logger.warn(`client task failed: ${errorText(error)}`));
        if (this.#started) schedule(periodMs);
      }, delayMs);
      this.#timers.add(timer);
    };
    schedule(firstMs);
  }

  // Routes

  /** Refreshes the routes of all topics in use; a failure is said by the next one who needs the route. */
  async updateRoutes(): Promise<void> {
    const topics = new Set<string>();
    for (const producer of this.#producers.values()) for (const topic of producer.publishTopics()) topics.add(topic);
    for (const consumer of this.#consumers.values()) for (const topic of consumer.subscribeTopics()) topics.add(topic);
    for (const topic of topics) {
      await this.updateRoute(topic).catch((error) =>
        this.logger.warn(`refresh the route of ${topic}: ${errorText(error)}`),
      );
    }
  }

  /**
   * The topic's route from a name server, told to everyone who uses the topic; undefined when no name server knows the topic.
   * `lendQueueNums` takes the default topic's route instead, with at most that many queues per broker.
   */
  updateRoute(topic: string, lendQueueNums?: number): Promise<TopicRouteData | undefined> {
    const key = lendQueueNums === undefined ? topic : `${topic}\0lent`;
    let fetch = this.#routeFetches.get(key);
    if (fetch === undefined) {
      fetch = this.#fetchRoute(topic, lendQueueNums).finally(() => this.#routeFetches.delete(key));
      this.#routeFetches.set(key, fetch);
    }
    return fetch;
  }

  /** A broker of the topic cannot be reached: the name servers know already when it is gone. At most once a second and topic. */
  routeInDoubt(topic: string): void {
    const now = Date.now();
    if (!this.#routes.has(topic) || now - (this.#doubts.get(topic) ?? 0) < DOUBT_PERIOD_MS) return;
    if (this.#doubts.size >= DOUBTS_MAX) this.#doubts.clear();
    this.#doubts.set(topic, now);
    // The next poll says what is wrong with the name servers.
    void this.updateRoute(topic).catch(() => undefined);
  }

  async #fetchRoute(topic: string, lendQueueNums: number | undefined): Promise<TopicRouteData | undefined> {
    let route = await this.queryRoute(lendQueueNums === undefined ? topic : AUTO_CREATE_TOPIC_KEY);
    if (route === undefined) return undefined;
    if (lendQueueNums !== undefined) route = lendDefaultRoute(route, lendQueueNums);
    const known = this.#routes.get(topic);
    if (known !== undefined && routeFingerprint(known) === routeFingerprint(route)) return route;
    this.#useRoute(topic, route);
    return route;
  }

  /** Asks a name server for a topic's route and changes nothing; undefined for TOPIC_NOT_EXIST. */
  async queryRoute(topic: string): Promise<TopicRouteData | undefined> {
    const { response, address } = await this.nameServers.invoke(
      { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic, acceptStandardJsonOnly: true } },
      this.options.mqClientApiTimeout,
    );
    if (response.code === ResponseCode.TOPIC_NOT_EXIST) {
      this.lastNoRoute = `name server ${address}: ${response.remark ?? ""}`;
      return undefined;
    }
    if (response.code !== ResponseCode.SUCCESS) {
      throw new BrokerError(`query the route of topic "${topic}"`, address, response.code, response.remark);
    }
    return decodeTopicRouteData(response.body);
  }

  /** What the last name server that knew no route said, for the error message. */
  lastNoRoute = "";

  #useRoute(topic: string, route: TopicRouteData): void {
    this.#routes.set(topic, route);
    let strangers = false;
    for (const { brokerName, brokerAddrs } of route.brokerDatas) {
      const known = new Set(this.#brokers.get(brokerName)?.values());
      strangers ||= [...brokerAddrs.values()].some((address) => !known.has(address));
      this.#brokers.set(brokerName, brokerAddrs);
    }
    const publish = publishQueues(topic, route);
    for (const producer of this.#producers.values()) producer.setPublishQueues(topic, publish.queues, publish.ordered);
    for (const consumer of this.#consumers.values()) consumer.setSubscribeQueues(topic, subscribeQueues(topic, route));
    // A broker met for the first time must not wait for the next period: it gives no queue to members it does not know.
    if (strangers) void this.sendHeartbeatToAllBrokers();
  }

  /** Tells one producer the route that is known already. */
  tellRoute(topic: string, producer: ProducerInner): void {
    const route = this.#routes.get(topic);
    if (route === undefined) return;
    const { queues, ordered } = publishQueues(topic, route);
    producer.setPublishQueues(topic, queues, ordered);
  }

  /** Tells one consumer the route that is known already. */
  tellConsumerRoute(topic: string, group: string): void {
    const route = this.#routes.get(topic);
    if (route !== undefined) this.#consumers.get(group)?.setSubscribeQueues(topic, subscribeQueues(topic, route));
  }

  route(topic: string): TopicRouteData | undefined {
    return this.#routes.get(topic);
  }

  /** Forgets addresses that stand in no route any more. */
  #cleanOfflineBrokers(): void {
    const online = new Map<string, Set<string>>();
    for (const route of this.#routes.values()) {
      for (const { brokerName, brokerAddrs } of route.brokerDatas) {
        const addresses = online.get(brokerName) ?? new Set();
        for (const address of brokerAddrs.values()) addresses.add(address);
        online.set(brokerName, addresses);
      }
    }
    for (const [brokerName, addresses] of this.#brokers) {
      for (const [id, address] of addresses) {
        if (online.get(brokerName)?.has(address)) continue;
        addresses.delete(id);
        this.#opened.delete(address);
        this.#silentBrokers.delete(address);
        this.remoting.closeAddress(address, "the broker is in no route any more");
        this.logger.info("broker dropped: it is in no route any more", { broker: brokerName, address });
      }
      if (addresses.size === 0) this.#brokers.delete(brokerName);
    }
  }

  /** Address of the master, the only one that takes messages. */
  findBrokerAddressInPublish(brokerName: string): string | undefined {
    return this.#brokers.get(brokerName)?.get(MASTER_ID);
  }

  /** [MQClientInstance#findBrokerAddressInSubscribe] The wanted member, a slave's successor, or with `onlyThis` false anyone. */
  findBrokerAddressInSubscribe(
    brokerName: string,
    brokerId: number,
    onlyThis: boolean,
  ): { address: string; slave: boolean } | undefined {
    const addresses = this.#brokers.get(brokerName);
    if (addresses === undefined || addresses.size === 0) return undefined;
    let id = brokerId;
    let address = addresses.get(id);
    if (address === undefined && brokerId !== MASTER_ID) {
      id = brokerId + 1;
      address = addresses.get(id);
    }
    if (address === undefined && !onlyThis) {
      const any = addresses.entries().next().value;
      if (any !== undefined) [id, address] = any;
    }
    return address === undefined ? undefined : { address, slave: id !== MASTER_ID };
  }

  /** As above, asking a name server once when the broker is not known. */
  async needBroker(
    queue: MessageQueue,
    brokerId = MASTER_ID,
    onlyThis = false,
  ): Promise<{ address: string; slave: boolean }> {
    const found = this.findBrokerAddressInSubscribe(queue.brokerName, brokerId, onlyThis);
    if (found !== undefined) return found;
    await this.updateRoute(queue.topic);
    const again = this.findBrokerAddressInSubscribe(queue.brokerName, brokerId, onlyThis);
    if (again !== undefined) return again;
    throw new ClientError(`find broker ${queue.brokerName} for topic "${queue.topic}": it stands in no route`);
  }

  /** Members of the group as one of the topic's brokers knows them. */
  async findConsumerIdList(topic: string, group: string): Promise<string[]> {
    const pick = () => {
      const brokers = this.#routes.get(topic)?.brokerDatas ?? [];
      const broker = brokers[Math.floor(Math.random() * brokers.length)];
      return broker?.brokerAddrs.get(MASTER_ID) ?? broker?.brokerAddrs.values().next().value;
    };
    let address = pick();
    if (address === undefined) {
      await this.updateRoute(topic);
      address = pick();
    }
    return address === undefined ? [] : this.api.consumerIds(address, group);
  }

  // Heartbeats

  /** To every master; to slaves too when there are consumers. Calls made meanwhile share one more round. */
  sendHeartbeatToAllBrokers(): Promise<void> {
    if (this.#heartbeat !== undefined) {
      this.#heartbeatAgain = true;
      return this.#heartbeat;
    }
    this.#heartbeat = this.#heartbeatRounds().finally(() => {
      this.#heartbeat = undefined;
    });
    return this.#heartbeat;
  }

  async #heartbeatRounds(): Promise<void> {
    do {
      this.#heartbeatAgain = false;
      await this.#heartbeatRound();
    } while (this.#heartbeatAgain);
  }

  async #heartbeatRound(): Promise<void> {
    if (this.#producers.size === 0 && this.#consumers.size === 0) return;
    const body = encodeHeartbeatData({
      clientID: this.clientId,
      producerGroups: [...this.#producers.keys()],
      consumers: [...this.#consumers.values()].map((consumer) => consumer.consumerData()),
    });
    const sends: Promise<void>[] = [];
    for (const addresses of this.#brokers.values()) {
      for (const [id, address] of addresses) {
        if (id === MASTER_ID || this.#consumers.size > 0) sends.push(this.#heartbeatTo(address, body));
      }
    }
    await Promise.all(sends);
  }

  async #heartbeatTo(address: string, body: string): Promise<void> {
    try {
      await this.api.heartbeat(address, body);
      if (this.#silentBrokers.delete(address)) this.logger.warn("heartbeats reach the broker again", { address });
    } catch (error) {
      if (!this.#started || this.#silentBrokers.has(address)) return;
      this.#silentBrokers.add(address);
      this.logger.warn(`heartbeat failed: ${errorText(error)}`, { address });
    }
  }

  /** A broker reached again may have been started anew, and knows nobody. */
  #connected(address: string): void {
    if (!this.#opened.has(address)) this.#opened.add(address);
    else if (!this.nameServers.addresses.includes(address)) void this.sendHeartbeatToAllBrokers();
  }

  async #unregister(groups: { producerGroup?: string; consumerGroup?: string }): Promise<void> {
    const calls: Promise<void>[] = [];
    for (const addresses of this.#brokers.values()) {
      for (const address of addresses.values()) {
        calls.push(
          this.api
            .unregisterClient(address, this.clientId, groups)
            .catch((error) => this.logger.warn(`unregister from a broker: ${errorText(error)}`, { address })),
        );
      }
    }
    await Promise.all(calls);
  }

  // Rebalance

  /** Soon, once: also when a round is running now. */
  rebalanceImmediately(): void {
    this.#rebalanceIn(0);
  }

  rebalanceLater(delayMs: number): void {
    setTimeout(() => this.rebalanceImmediately(), delayMs).unref();
  }

  #rebalanceIn(delayMs: number): void {
    if (this.#consumers.size === 0) return;
    if (this.#rebalancing) {
      this.#rebalanceAgain ||= delayMs === 0;
      return;
    }
    clearTimeout(this.#rebalanceTimer);
    this.#rebalanceTimer = setTimeout(() => this.#rebalance(), delayMs);
  }

  async #rebalance(): Promise<void> {
    this.#rebalancing = true;
    this.#rebalanceAgain = false;
    this.#lastRebalance = Date.now();
    let balanced = true;
    for (const consumer of this.#consumers.values()) {
      const done = await consumer.doRebalance().catch((error) => {
        this.logger.warn(`rebalance failed: ${errorText(error)}`, { group: consumer.group });
        return false;
      });
      balanced &&= done;
    }
    this.#rebalancing = false;
    const wait = balanced && !this.#rebalanceAgain ? REBALANCE_WAIT_INTERVAL_MS : REBALANCE_MIN_INTERVAL_MS;
    this.#rebalanceIn(this.#rebalanceAgain ? 0 : Math.max(0, this.#lastRebalance + wait - Date.now()));
  }
}

function alreadyThere(kind: string, group: string, clientId: string): string {
  return `start ${kind} of group "${group}": client ${clientId} has one already; choose another group or instance name`;
}

const instances = new Map<string, ClientInstance>();

/** [MQClientManager] The instance of that client id and name servers; made when there is none. */
export function acquireInstance(options: ResolvedClientOptions): ClientInstance {
  const key = instanceKey(options);
  let instance = instances.get(key);
  if (instance === undefined) {
    instance = new ClientInstance(options);
    instances.set(key, instance);
  }
  return instance;
}

function forgetInstance(instance: ClientInstance): void {
  instances.delete(instanceKey(instance.options));
}

function instanceKey(options: ResolvedClientOptions): string {
  return `${options.clientId}\0${options.namesrvAddr}\0${options.credentials?.accessKey ?? ""}`;
}

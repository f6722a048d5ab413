import { now } from "../base/clock.ts";
import { ConfigError, errorText } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { watchTurn } from "../base/turn-watch.ts";
import { type BrokerConfig, FAST_PORT_DISTANCE } from "../config/broker-config.ts";
import { brokerRefusal } from "../config/refusals.ts";
import { createHaService } from "../ha/ha-service.ts";
import type { HaService } from "../ha/types.ts";
import { freePort } from "../os/free-port.ts";
import { formatAddress, hostBytes } from "../remoting/address.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import { createRemotingServer } from "../remoting/server.ts";
import type { Connection, RemotingResponse, RemotingServer } from "../remoting/types.ts";
import { createMessageStore } from "../store/message-store.ts";
import type { MessageStore } from "../store/types.ts";
import { type AdvertisedAddress, chooseAdvertisedAddress, isLoopback } from "./advertised-address.ts";
import type { BrokerContext, BrokerLoad } from "./broker-context.ts";
import { ClientManager } from "./client/client-manager.ts";
import { SubscriptionGroupManager } from "./client/subscription-group-manager.ts";
import { HeldPulls, LONG_POLLING_CHECK_PERIOD_MS } from "./longpolling/pull-request-hold-service.ts";
import { addressServerUrl, NameServerList } from "./name-server-list.ts";
import { ConsumerOffsetManager } from "./offset/consumer-offset-manager.ts";
import { groupsBehind } from "./offset/groups-behind.ts";
import { BrokerOutApi, type MasterPlace, TOPICS_PER_REGISTRATION } from "./out-api.ts";
import { PullMessageProcessor, type PullRequest } from "./processor/pull-message.ts";
import { brokerProcessors, fastProcessors } from "./processors.ts";
import { RuntimeWatch } from "./runtime-watch.ts";
import { ScheduleMessageService } from "./schedule/schedule-message-service.ts";
import { ActingMaster, type ActingMasterHooks } from "./slave/acting-master.ts";
import { compareLog } from "./slave/compare-log.ts";
import { EscapeBridge } from "./slave/escape-bridge.ts";
import { KeptState } from "./slave/kept-state.ts";
import { SlaveSynchronize } from "./slave/slave-synchronize.ts";
import { syncMetadataReverse } from "./slave/sync-metadata-reverse.ts";
import { BrokerStats } from "./stats/broker-stats.ts";
import { TopicConfigManager } from "./topic/topic-config-manager.ts";
import { TransactionalMessageService } from "./transaction/transactional-message-service.ts";
import {
  MASTER_ID,
  PERM_READ,
  PERM_WRITE,
  RETRY_GROUP_TOPIC_PREFIX,
  SCHEDULE_TOPIC,
  type TopicConfig,
} from "./types.ts";

const CLOSE_GRACE_MS = 3_000;
const UNIT_SUB_FLAG = 2;

export interface BrokerOptions {
  logger?: Logger;
  /** Entry file of the helper Worker (`Bun.main` of the command); without it files are prepared on the event loop. */
  workerEntry?: string;
  /** Something that must not happen did: the broker has begun to stop in order; the command waits for `stop()` and exits 70. */
  onFatal?: (error: unknown) => void;
}

export interface Broker {
  /** Recovers the store, listens and begins to register; resolves when requests are served. */
  start(): Promise<void>;
  /** Stops in order; the same promise however often it is called. */
  stop(): Promise<void>;
  readonly listenPort: number;
  /** 0 when the fast port is off or was taken. */
  readonly fastListenPort: number;
  /** What clients are told. */
  readonly brokerAddress: string;
  /** Where the advertised address comes from and what speaks against it. */
  readonly advertised: AdvertisedAddress | undefined;
  /** Resolves at the first registration that a name server took. */
  readonly registered: Promise<void>;
  /** For tests and embedding. */
  readonly context: BrokerContext;
  /** A slave's copying of its master's tables; undefined on a master. */
  readonly slaveSync: SlaveSynchronize | undefined;
}

/** The broker with all its parts, wired in one place. Throws ConfigError for keys this build cannot honour. */
export function createBroker(config: BrokerConfig, options: BrokerOptions = {}): Broker {
  const refusal = brokerRefusal(config);
  if (refusal !== undefined) throw new ConfigError(refusal);
  return new BrokerController(config, options);
}

class BrokerController implements Broker, BrokerContext {
  readonly logger: Logger;
  readonly load: BrokerLoad = { waitingSends: 0, memoryShort: "" };
  readonly stats: BrokerStats;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly clients: ClientManager;
  readonly schedule: ScheduleMessageService;
  readonly transactions: TransactionalMessageService;
  readonly holdService: HeldPulls<PullRequest>;
  readonly kept: KeptState;
  /** Of a slave only. */
  readonly slaveSync: SlaveSynchronize | undefined;
  readonly escapeBridge: EscapeBridge | undefined;
  readonly actingMaster: ActingMaster | undefined;
  initMaxOffset = 0;
  /** Made by `start`, when the address that records carry is known. */
  store!: MessageStore;
  ha!: HaService;
  advertised: AdvertisedAddress | undefined;
  brokerAddress = "";
  haServerAddress = "";
  private haPort = 0;
  storeHost: Buffer = Buffer.alloc(8);
  startedAt = 0;
  stopping = false;
  private recovering = true;
  private specialService = false;
  /** Whom a slave followed last: where its log may come from, also while no name server knows a master. */
  private lastMaster: string | undefined;

  private readonly nameServerList: NameServerList;
  private readonly outApi: BrokerOutApi;
  private pulls: PullMessageProcessor | undefined;
  private server: RemotingServer | undefined;
  private fastServer: RemotingServer | undefined;
  private runtime: RuntimeWatch | undefined;
  private offsetTimer: ReturnType<typeof setInterval> | undefined;
  private stopPromise: Promise<void> | undefined;

  constructor(
    readonly config: BrokerConfig,
    private readonly options: BrokerOptions,
  ) {
    this.logger = options.logger ?? createLogger("broker");
    this.stats = new BrokerStats(config);
    this.topics = new TopicConfigManager(config, this.logger);
    this.groups = new SubscriptionGroupManager(config, this.logger);
    this.offsets = new ConsumerOffsetManager(config, this.logger);
    this.holdService = new HeldPulls<PullRequest>({
      wake: (pull) => this.pulls?.wake(pull),
      maxOffset: (topic, queueId) => this.store.getMaxOffsetInQueue(topic, queueId),
      now,
      checkPeriodMs: config.longPollingEnable ? LONG_POLLING_CHECK_PERIOD_MS : config.shortPollingTimeMills,
    });
    this.clients = new ClientManager(this.clientRules(), this.logger);
    this.schedule = new ScheduleMessageService(this);
    this.transactions = new TransactionalMessageService(this);
    this.kept = new KeptState(config.storePathRootDir, this.logger);
    this.escapeBridge = this.createEscapeBridge();
    this.actingMaster = config.enableSlaveActingMaster ? this.createActingMaster() : undefined;
    this.slaveSync = config.brokerRole === "SLAVE" ? this.createSlaveSynchronize() : undefined;
    this.nameServerList = this.createNameServerList();
    this.outApi = this.createOutApi();
    this.topics.onChange = (changed) => this.registerBroker(changed);
  }

  get producers(): ClientManager["producers"] {
    return this.clients.producers;
  }

  get consumers(): ClientManager["consumers"] {
    return this.clients.consumers;
  }

  get locks(): ClientManager["locks"] {
    return this.clients.locks;
  }

  get context(): BrokerContext {
    return this;
  }

  get listenPort(): number {
    return this.server?.port ?? 0;
  }

  get fastListenPort(): number {
    return this.fastServer?.port ?? 0;
  }

  get registered(): Promise<void> {
    return this.outApi.registered;
  }

  async start(): Promise<void> {
    this.startedAt = Date.now();
    const port = this.config.listenPort === 0 ? freePort() : this.config.listenPort;
    await this.advertise(port);
    this.store = this.createStore();
    this.ha = createHaService({
      config: this.config,
      port: this.haPort,
      log: this.store.replication,
      logger: this.logger,
      compare: async (record) => (this.lastMaster === undefined ? undefined : compareLog(this.lastMaster, record)),
    });
    try {
      // Who looks for a living process finds one while the store recovers; the gate refuses all else until then.
      await this.listen(port);
      await this.store.load();
      // Under the store's lock: a broker that is stopping still writes them.
      this.topics.load();
      this.groups.load();
      this.offsets.load();
      this.schedule.load();
      this.kept.load();
      // A slave's queues may be behind the offsets that it has from its master.
      if (this.config.brokerRole !== "SLAVE")
        this.offsets.clampToQueueMax((topic, queueId) => this.store.getMaxOffsetInQueue(topic, queueId));
      await this.startServices();
      this.recovering = false;
    } catch (error) {
      await this.stop();
      throw error;
    }
    await this.nameServerList.start();
    if (this.stopping) return;
    this.slaveSync?.start();
    this.actingMaster?.start();
    if (this.actingMaster?.isolated !== true) this.outApi.start();
  }

  stop(): Promise<void> {
    this.stopPromise ??= this.shutdown();
    return this.stopPromise;
  }

  registerBroker(changed?: readonly TopicConfig[]): void {
    if (this.server === undefined || this.recovering || this.stopping || this.actingMaster?.isolated === true) return;
    if (changed === undefined) this.outApi.registerAll();
    else this.outApi.topicsChanged(changed);
  }

  routesPublished(): Promise<void> {
    return this.outApi.published();
  }

  nameServers(): string[] {
    return this.nameServerList.addresses;
  }

  get masterAlive(): boolean {
    return this.slaveSync?.masterAlive ?? true;
  }

  /** What one broker of a group does for all: delivery of delayed messages, checking of transactions. */
  private changeSpecialServiceStatus(on: boolean): void {
    const slave = this.config.brokerRole === "SLAVE";
    if (slave && on !== this.specialService)
      this.logger.info(on ? "this slave acts as master from now on" : "this slave no longer acts as master", {
        delayAndTransactions:
          this.escapeBridge === undefined ? "wait for the master: enableRemoteEscape=false" : undefined,
      });
    this.specialService = on;
    if (on && (!slave || this.escapeBridge !== undefined)) {
      this.schedule.start();
      this.transactions.start();
    } else if (!on) {
      void this.schedule.pause();
      void this.transactions.pause();
    }
  }

  /** A name server answered a slave's registration. While the slave acts as master, none is followed. */
  private masterKnown(master: MasterPlace | undefined): void {
    if (this.actingMaster?.acting !== true) this.followMaster(master?.masterAddr, master?.haServerAddr);
  }

  private followMaster(masterAddr: string | undefined, haServerAddr: string | undefined): void {
    this.slaveSync?.setMasterAddr(masterAddr);
    this.followLog(haServerAddr, masterAddr);
  }

  followLog(haServerAddr: string | undefined, masterAddr?: string): void {
    if (masterAddr !== undefined && masterAddr !== this.brokerAddress) this.lastMaster = masterAddr;
    if (this.config.haMasterAddress === "") this.ha.updateHaMasterAddress(haServerAddr);
  }

  forgetTopic(topic: string): void {
    this.holdService.wakeTopic(topic);
  }

  fatal(error: unknown): void {
    if (this.stopping) return;
    this.logger.error("broker stops: something happened that must not", {
      error: error instanceof Error ? (error.stack ?? error.message) : errorText(error),
    });
    this.options.onFatal?.(error);
    void this.stop();
  }

  private async advertise(port: number): Promise<void> {
    const { config } = this;
    const advertised = await chooseAdvertisedAddress(config.brokerIP1, config.bindAddress);
    const advertisedPort = config.mqAdvertisedPort > 0 ? config.mqAdvertisedPort : port;
    this.advertised = advertised;
    this.brokerAddress = formatAddress(advertised.host, advertisedPort);
    this.storeHost = hostBytes(advertised.ip, advertisedPort);
    const haHost = config.brokerIP2 === undefined || config.brokerIP2 === "" ? advertised.host : config.brokerIP2;
    this.haPort = config.haListenPort;
    if (this.haPort === 0) this.haPort = config.listenPort === 0 ? freePort() : port + 1;
    const haPort = config.mqAdvertisedHaPort > 0 ? config.mqAdvertisedHaPort : this.haPort;
    this.haServerAddress = formatAddress(haHost, haPort);
    this.logger.info(`clients will be told: ${this.brokerAddress}`, {
      slaves: this.haServerAddress,
      source: advertised.reason,
    });
    const remote = this.nameServerList.addresses.find((address) => !isLoopback(address));
    if (advertised.weakness !== undefined && remote !== undefined) {
      this.logger.warn(
        `clients on other machines cannot reach ${this.brokerAddress} (${advertised.weakness}): set brokerIP1 to an address or name they can reach`,
        { nameServer: remote },
      );
    }
    if (advertised.equals.length > 0 && remote !== undefined) {
      this.logger.warn(`the advertised address ${this.brokerAddress} is a guess among equals: set brokerIP1`, {
        others: advertised.equals.join(", "),
      });
    }
  }

  private async listen(port: number): Promise<void> {
    const { config } = this;
    this.pulls = new PullMessageProcessor(this, this.holdService);
    const processors = brokerProcessors(this, this.pulls);
    const hostname = config.bindAddress;
    const shared = {
      hostname,
      gate: (code: number) => this.gate(code),
      // While the broker closes its connections nobody is told of the others that go with them.
      onClose: (connection: Connection) => {
        if (!this.stopping) this.clients.connectionClosed(connection);
      },
      onFatal: (error: unknown) => this.fatal(error),
      idleSeconds: config.serverChannelMaxIdleTimeSeconds,
    };
    this.server = await createRemotingServer({ ...shared, port, processors });
    const fastPort = port - FAST_PORT_DISTANCE;
    if (fastPort < 1) return;
    try {
      this.fastServer = await createRemotingServer({
        ...shared,
        port: fastPort,
        processors: fastProcessors(processors),
      });
    } catch (error) {
      this.logger.warn(`fast port off: ${errorText(error)}; only clients with vipChannelEnabled=true use it`, {
        listenPort: port,
      });
    }
  }

  private async startServices(): Promise<void> {
    const { config } = this;
    this.store.start();
    this.runtime = new RuntimeWatch(config, this.load, () => [this.server, this.fastServer], this.logger);
    this.runtime.start();
    await this.startReplication();
    this.stats.start();
    this.clients.start();
    this.holdService.start();
    this.initMaxOffset = this.store.maxPhyOffset;
    if (this.actingMaster?.isolated !== true) this.changeSpecialServiceStatus(config.brokerId === MASTER_ID);
    this.offsetTimer = setInterval(
      () => void watchTurn("write consumer offsets", () => this.offsets.persist()),
      config.flushConsumerOffsetInterval,
    );
  }

  private async startReplication(): Promise<void> {
    const { config, ha } = this;
    await ha.start();
    this.logger.info(`replication: ${ha.policy}`, { haListenPort: ha.port });
    if (config.haMasterAddress !== "") ha.updateHaMasterAddress(config.haMasterAddress);
  }

  /** Nothing is served before the store is recovered; while the broker stops, what lets clients leave. */
  private gate(code: number): RemotingResponse | undefined {
    if (!this.recovering && !this.stopping) return undefined;
    if (!this.recovering && SERVED_WHILE_STOPPING.has(code)) return undefined;
    const state = this.stopping ? "is shutting down" : "is recovering its store";
    return {
      code: ResponseCode.SERVICE_NOT_AVAILABLE,
      remark: `service not available now: broker ${this.config.brokerName} ${state}`,
    };
  }

  private async shutdown(): Promise<void> {
    const begun = Date.now();
    this.stopping = true;
    this.logger.info("broker stops: new work is refused");
    if (this.recovering) this.abandonTables();
    clearInterval(this.offsetTimer);
    this.nameServerList.shutdown();
    this.server?.stopListening();
    this.fastServer?.stopListening();
    const unregistered = this.outApi.shutdown();
    const synchronized = Promise.all([this.slaveSync?.shutdown(), this.actingMaster?.shutdown()]);
    this.holdService.shutdown();
    this.clients.shutdown();
    await attempt(this.logger, "stop transactions", () => this.transactions.shutdown());
    await attempt(this.logger, "stop schedule", () => this.schedule.shutdown());
    await this.escapeBridge?.shutdown();
    await attempt(this.logger, "stop replication", () => this.ha.stop());
    await attempt(this.logger, "stop store", () => this.store.shutdown({ keepLock: true }));
    await unregistered;
    await synchronized;
    await this.runtime?.stop();
    await Promise.all([this.server?.close(CLOSE_GRACE_MS), this.fastServer?.close(CLOSE_GRACE_MS)]);
    await attempt(this.logger, "write configs", async () => {
      const tables = [this.topics.stop(), this.groups.stop(), this.offsets.stop(), this.schedule.writeOffsets()];
      await Promise.all([...tables, this.kept.shutdown()]);
    });
    // Not before: who gets the store now reads the tables as they were left.
    this.store.release();
    this.stats.shutdown();
    this.logger.info("broker stopped", { ms: Date.now() - begun });
  }

  /** A start that failed, on a store that another process holds perhaps, leaves every file of it alone. */
  private abandonTables(): void {
    for (const table of [this.topics, this.groups, this.offsets, this.schedule.offsets]) table.abandon();
  }

  private clientRules(): ConstructorParameters<typeof ClientManager>[0] {
    return {
      expiredAfterMs: this.config.channelExpiredTimeout,
      rejectPullConsumer: this.config.rejectPullConsumerEnable,
      realTimeNotices: this.config.realTimeNotifyConsumerChange,
      now,
      prepareGroup: (group, unitMode, topics) => {
        const groupConfig = this.groups.findSubscriptionGroupConfig(group);
        if (groupConfig === undefined) return undefined;
        const { counter } = this.topics.dataVersion;
        this.topics.createTopicInSendMessageBackMethod(
          RETRY_GROUP_TOPIC_PREFIX + group,
          groupConfig.retryQueueNums,
          PERM_READ | PERM_WRITE,
          unitMode ? UNIT_SUB_FLAG : 0,
          topics.some((topic) => this.topics.isOrderTopic(topic)),
        );
        return {
          notify: groupConfig.notifyConsumerIdsChangedEnable,
          created: this.topics.dataVersion.counter !== counter,
        };
      },
      wantsNotices: (group) => this.groups.table.get(group)?.notifyConsumerIdsChangedEnable ?? true,
    };
  }

  private createStore(): MessageStore {
    return createMessageStore(
      this.config,
      {
        onArrive: (topic, queueId, maxOffset, tagsCode) => {
          if (topic === SCHEDULE_TOPIC) this.schedule.notifyArriving(queueId, tagsCode);
          this.holdService.notifyMessageArriving(topic, queueId, maxOffset, tagsCode);
        },
        // Hooks of the send path: a broker that waits for nobody has none.
        ...(this.config.brokerRole === "SYNC_MASTER" && {
          awaitReplication: (physicalEnd, done) => this.ha.awaitReplication(physicalEnd, done),
          replicaShortage: () => this.ha.shortage(),
        }),
        onAppended: () => this.ha.appended(),
        onFlushed: () => this.ha.flushed(),
        groupsBehind: (logEnd) => groupsBehind(this.offsets.offsetTable, this.store, logEnd),
        onFatal: (error) => this.fatal(error),
      },
      this.logger,
      { storeHost: this.storeHost, workerEntry: this.options.workerEntry },
    );
  }

  private createEscapeBridge(): EscapeBridge | undefined {
    const { brokerId, brokerName, brokerRole, enableRemoteEscape, enableSlaveActingMaster } = this.config;
    if (brokerRole !== "SLAVE" || !enableSlaveActingMaster || !enableRemoteEscape) return undefined;
    return new EscapeBridge({ brokerId, brokerName, nameServers: () => this.nameServers(), logger: this.logger });
  }

  private createActingMaster(): ActingMaster {
    const { kept, logger, offsets } = this;
    const hooks: ActingMasterHooks = {
      nameServers: () => this.nameServers(),
      brokerAddress: () => this.brokerAddress,
      haServerAddress: () => this.haServerAddress,
      brokerInitMaxOffset: () => this.initMaxOffset,
      onSpecialService: (on) => this.changeSpecialServiceStatus(on),
      onOnline: () => this.outApi.start(),
      onMasterOffline: () => this.followMaster(undefined, undefined),
      onMasterOnline: (masterAddr, haServerAddr) => this.followMaster(masterAddr, haServerAddr),
      haConnected: (host) => this.ha.isConnected(host),
      onMembers: (count) => {
        this.ha.aliveReplicaNumInGroup = count;
      },
      syncMetadataReverse: (address) =>
        syncMetadataReverse(address, { offsets, delayOffsets: this.schedule.offsets, kept }, logger),
    };
    return new ActingMaster(this.config, hooks, logger);
  }

  private createSlaveSynchronize(): SlaveSynchronize {
    const { groups, kept, offsets, topics } = this;
    return new SlaveSynchronize({
      tables: { topics, groups, offsets, delayOffsets: this.schedule.offsets, kept },
      logger: this.logger,
      brokerName: this.config.brokerName,
      ownAddress: () => this.brokerAddress,
      takesDelayOffsets: () => !this.schedule.running,
      timerWheelEnable: this.config.timerWheelEnable,
      onCopied: () =>
        offsets.forgetDeleted((topic, group) => topics.get(topic) !== undefined && groups.table.has(group)),
      onMaster: (alive) => {
        // Its pulls go on at the master, or are held here until it is back.
        if (alive) this.holdService.wakeAll();
      },
      onSearch: () => this.registerBroker(),
    });
  }

  private createNameServerList(): NameServerList {
    const { config } = this;
    const domain = config.rmqAddressServerDomain;
    const byAddressServer = config.fetchNamesrvAddrByAddressServer && domain !== "";
    return new NameServerList({
      namesrvAddr: config.namesrvAddr ?? "",
      byDnsLookup: config.fetchNameSrvAddrByDnsLookup,
      addressServerUrl: byAddressServer ? addressServerUrl(domain, config.rmqAddressServerSubGroup) : undefined,
      logger: this.logger,
      onChange: () => this.registerBroker(),
    });
  }

  private createOutApi(): BrokerOutApi {
    const { config } = this;
    return new BrokerOutApi(
      {
        identity: () => ({
          brokerName: config.brokerName,
          brokerAddr: this.brokerAddress,
          clusterName: config.brokerClusterName,
          haServerAddr: this.haServerAddress,
          brokerId: config.brokerId,
        }),
        periodMs: () => config.registerNameServerPeriod,
        timeoutMs: () => config.registerBrokerTimeoutMills,
        brokerPermission: () => config.brokerPermission,
        topics: () => this.topics.table.values(),
        topicsPerRegistration: () =>
          config.enableSplitRegistration ? config.splitRegistrationSize : TOPICS_PER_REGISTRATION,
        dataVersion: () => this.topics.dataVersion,
        nameServers: () => this.nameServerList.addresses,
        onOrderTopics: (topics) => this.topics.updateOrderTopicConfig(topics),
        heartbeatTimeoutMs: () => (config.enableSlaveActingMaster ? config.brokerNotActiveTimeoutMillis : undefined),
        enableActingMaster: () => config.enableSlaveActingMaster,
        onMaster: (master) => this.masterKnown(master),
      },
      this.logger,
    );
  }
}

const SERVED_WHILE_STOPPING: ReadonlySet<number> = new Set([
  RequestCode.UNREGISTER_CLIENT,
  RequestCode.UPDATE_CONSUMER_OFFSET,
  RequestCode.UNLOCK_BATCH_MQ,
]);

/** One part that fails to stop must not keep the others from it. */
async function attempt(logger: Logger, what: string, action: () => Promise<unknown> | undefined): Promise<void> {
  try {
    await action();
  } catch (error) {
    logger.error(`${what} failed`, { error: errorText(error) });
  }
}

import { crc32 } from "../base/crc32.ts";
import { errorText } from "../base/errors.ts";
import { parseFastjson, stringifyFastjson } from "../base/fastjson.ts";
import type { Logger } from "../base/log.ts";
import { createRemotingClient } from "../remoting/client.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import type { RemotingClient, RemotingCommand } from "../remoting/types.ts";
import { type DataVersion, MASTER_ID, type TopicConfig } from "./types.ts";

const UNREGISTER_TIMEOUT_MS = 3_000;
const PERIOD_MIN_MS = 10_000;
const PERIOD_MAX_MS = 60_000;
/** A name server that is away is asked again after this, then after twice as long each time. */
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 3_000;
const PUBLISH_WAIT_MS = 1_000;
/** Tells the parts' versions of one table from those of the next. */
const PARTS_MAX = 10_000;
/** About half of the largest frame; used where enableSplitRegistration is off. */
export const TOPICS_PER_REGISTRATION = 40_000;
const PERM_ALL_ACCESS = 6;

/** Who this broker is to name servers. */
export interface BrokerIdentity {
  brokerName: string;
  brokerAddr: string;
  clusterName: string;
  haServerAddr: string;
  brokerId: number;
}

/** Where a slave finds its master, as a name server answers to its registration. */
export interface MasterPlace {
  masterAddr: string;
  /** Address of the master's HA service. */
  haServerAddr: string | undefined;
}

export interface RegistrationSource {
  identity(): BrokerIdentity;
  /** ms after which name servers drop this broker; undefined: their own 120 s [brokerNotActiveTimeoutMillis]. */
  heartbeatTimeoutMs(): number | undefined;
  /** A slave may act as its master [enableSlaveActingMaster]. */
  enableActingMaster(): boolean;
  /** ms; clamped to 10 to 60 s. */
  periodMs(): number;
  timeoutMs(): number;
  /** brokerPermission: takes bits off every topic's perm unless it is read and write. */
  brokerPermission(): number;
  topics(): Iterable<TopicConfig>;
  /** Most topics that one registration carries; more are told in parts [splitRegistrationSize]. */
  topicsPerRegistration(): number;
  dataVersion(): DataVersion;
  nameServers(): string[];
  /** Topics that the name server lists in ORDER_TOPIC_CONFIG. */
  onOrderTopics(topics: string[]): void;
  /** For a slave, after every registration: its master, undefined when no name server that is up knows one. */
  onMaster(master: MasterPlace | undefined): void;
}

interface NameServer {
  readonly address: string;
  up: boolean | undefined;
  /** The last registration carried or left unchanged the whole table, and the connection held since. */
  synced: boolean;
  /** Version of the whole table that it took last, while synced. */
  fullKey: string;
  /** The master it named last. */
  master: MasterPlace | undefined;
  /** The registration on its way, with those that follow it at once. */
  sending: Promise<void> | undefined;
  /** Something changed while a registration was on its way. */
  again: boolean;
  retryMs: number;
  retryTimer: ReturnType<typeof setTimeout> | undefined;
}

/** Registration with every name server, each on its own: one that is slow or gone delays no other [BrokerOuterAPI]. */
export class BrokerOutApi {
  private readonly client: RemotingClient;
  private readonly servers = new Map<string, NameServer>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private changed = new Map<string, TopicConfig>();
  private flushScheduled = false;
  private publishing: Promise<unknown> = Promise.resolve();
  /** The whole table in one body, or in parts that each fit a frame. */
  private full: { key: string; bodies: Buffer[] } | undefined;
  private stopped = false;
  private nowhere = false;
  private markRegistered: () => void = () => {};
  /** Resolves at the first registration that some name server took. */
  readonly registered: Promise<void>;

  constructor(
    private readonly source: RegistrationSource,
    private readonly logger: Logger,
  ) {
    this.client = createRemotingClient({ onClose: (_connection, address) => this.disconnected(address) });
    this.registered = new Promise((resolve) => {
      this.markRegistered = resolve;
    });
  }

  /** Registers now and again after each period, which may change meanwhile. */
  start(): void {
    if (this.stopped) return;
    this.registerAll();
    const period = Math.min(PERIOD_MAX_MS, Math.max(PERIOD_MIN_MS, this.source.periodMs()));
    this.timer = setTimeout(() => this.start(), period);
  }

  /** Registers the whole table with every name server. */
  registerAll(): void {
    if (this.stopped) return;
    const addresses = this.source.nameServers();
    this.tellNowhere(addresses.length === 0);
    this.forgetOthers(addresses);
    for (const address of addresses) void this.register(this.server(address));
  }

  /** Tells topics that changed; many changes of one turn travel together. */
  topicsChanged(topics: readonly TopicConfig[]): void {
    if (topics.length === 0) {
      for (const server of this.servers.values()) server.synced = false;
    }
    for (const topic of topics) this.changed.set(topic.topicName, topic);
    if (this.flushScheduled || this.stopped) return;
    this.flushScheduled = true;
    this.publishing = Promise.resolve().then(() => this.publishChanges());
  }

  /**
   * Resolves when every name server that is up knows the changes made so far, or after a second: whoever is told that a topic
   * exists finds its route.
   */
  async published(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, PUBLISH_WAIT_MS);
    });
    await Promise.race([this.publishing, late]);
    clearTimeout(timer);
  }

  private async publishChanges(): Promise<void> {
    this.flushScheduled = false;
    const changed = [...this.changed.values()];
    this.changed = new Map();
    if (this.stopped) return;
    // Also where a registration is on its way, the first one perhaps: it may miss the change.
    const told = [...this.servers.values()].filter((server) => server.up === true || server.sending !== undefined);
    await Promise.all(told.map((server) => this.register(server, changed)));
  }

  /** Unregisters everywhere and closes the connections. */
  async shutdown(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    const { brokerName, brokerAddr, clusterName, brokerId } = this.source.identity();
    const ext = { brokerName, brokerAddr, clusterName, brokerId };
    const farewells = [...this.servers.values()].map(async (server) => {
      clearTimeout(server.retryTimer);
      if (server.up !== true) return;
      try {
        await this.client.invoke(server.address, { code: RequestCode.UNREGISTER_BROKER, ext }, UNREGISTER_TIMEOUT_MS);
      } catch (error) {
        this.logger.warn("unregister from name server failed", { nameServer: server.address, error: errorText(error) });
      }
    });
    await Promise.all(farewells);
    await this.client.close();
  }

  private server(address: string): NameServer {
    let server = this.servers.get(address);
    if (server === undefined) {
      server = {
        address,
        up: undefined,
        synced: false,
        fullKey: "",
        master: undefined,
        sending: undefined,
        again: false,
        retryMs: RETRY_FIRST_MS,
        retryTimer: undefined,
      };
      this.servers.set(address, server);
    }
    return server;
  }

  private forgetOthers(addresses: string[]): void {
    for (const [address, server] of this.servers) {
      if (addresses.includes(address)) continue;
      clearTimeout(server.retryTimer);
      this.servers.delete(address);
      this.client.closeAddress(address, "no longer in the name server list");
    }
  }

  /** `changed` travels alone when this name server has everything else. */
  private register(server: NameServer, changed?: readonly TopicConfig[]): Promise<void> {
    if (server.sending !== undefined) {
      // What is on its way may miss the change: the next one carries the whole table.
      server.again = true;
      server.synced = false;
      return server.sending;
    }
    clearTimeout(server.retryTimer);
    const partial = changed !== undefined && changed.length > 0 && server.synced ? changed : undefined;
    server.sending = this.send(server, partial).finally(() => {
      server.sending = undefined;
    });
    return server.sending;
  }

  private async send(server: NameServer, partial: readonly TopicConfig[] | undefined): Promise<void> {
    let bodies = partial === undefined ? this.bodiesFor(server) : [this.encode(partial, this.source.dataVersion())];
    do {
      server.again = false;
      try {
        for (const body of bodies) this.succeeded(server, await this.sendOne(server, body));
        if (bodies === this.full?.bodies) server.fullKey = this.full.key;
      } catch (error) {
        this.failed(server, error);
        return;
      }
      bodies = this.bodiesFor(server);
    } while (server.again && !this.stopped);
  }

  private async sendOne(server: NameServer, body: Buffer): Promise<RemotingCommand> {
    const ext = {
      ...this.source.identity(),
      heartbeatTimeoutMillis: this.source.heartbeatTimeoutMs(),
      enableActingMaster: this.source.enableActingMaster(),
      compressed: false,
      bodyCrc32: crc32(body),
    };
    const request = { code: RequestCode.REGISTER_BROKER, ext, body };
    const response = await this.client.invoke(server.address, request, this.source.timeoutMs());
    if (response.code !== ResponseCode.SUCCESS) throw new Error(`code ${response.code}: ${response.remark ?? ""}`);
    return response;
  }

  private succeeded(server: NameServer, response: RemotingCommand): void {
    if (this.stopped) return;
    if (server.up === false) this.logger.info("name server is back: registered", { nameServer: server.address });
    else if (server.up === undefined) this.logger.info("registered with name server", { nameServer: server.address });
    server.up = true;
    server.synced = true;
    server.retryMs = RETRY_FIRST_MS;
    this.markRegistered();
    const topics = orderTopics(response.body);
    if (topics.length > 0) this.source.onOrderTopics(topics);
    if (this.source.identity().brokerId !== MASTER_ID) this.takeMaster(server, response);
  }

  /** The first name server in the list that knows a master is believed, as all of them do in peace. */
  private takeMaster(server: NameServer, { ext }: RemotingCommand): void {
    const { masterAddr = "", haServerAddr = "" } = ext;
    server.master =
      masterAddr === "" ? undefined : { masterAddr, haServerAddr: haServerAddr === "" ? undefined : haServerAddr };
    const known = this.source
      .nameServers()
      .map((address) => this.servers.get(address))
      .find((other) => other?.up === true && other.master !== undefined);
    this.source.onMaster(known?.master);
  }

  private failed(server: NameServer, error: unknown): void {
    if (this.stopped) return;
    if (server.up !== false) {
      this.logger.error("register with name server failed: clients that ask it will not find this broker", {
        nameServer: server.address,
        error: errorText(error),
      });
    }
    server.up = false;
    server.synced = false;
    this.retryLater(server);
  }

  /** A name server that loses the connection drops the broker at once: register again as soon as it can be reached. */
  private disconnected(address: string): void {
    const server = this.servers.get(address);
    if (server === undefined || this.stopped) return;
    server.synced = false;
    if (server.sending !== undefined) return;
    if (server.up === true) {
      this.logger.warn("name server closed the connection", { nameServer: address });
      server.up = false;
    }
    this.retryLater(server);
  }

  private retryLater(server: NameServer): void {
    clearTimeout(server.retryTimer);
    server.retryTimer = setTimeout(() => {
      if (this.servers.get(server.address) === server) void this.register(server);
    }, server.retryMs);
    server.retryMs = Math.min(server.retryMs * 2, RETRY_MAX_MS);
  }

  private tellNowhere(nowhere: boolean): void {
    if (nowhere) this.logger.error("no name server is known: nobody finds this broker; set namesrvAddr");
    else if (this.nowhere) this.logger.info("name servers are known again");
    this.nowhere = nowhere;
  }

  /** The whole table, encoded once per change of topics or permission; of a table in parts that is known the last part alone. */
  private bodiesFor(server: NameServer): Buffer[] {
    const version = this.source.dataVersion();
    const key = `${version.stateVersion} ${version.timestamp} ${version.counter} ${this.source.brokerPermission()}`;
    if (this.full?.key !== key) this.full = { key, bodies: this.encodeAll(version) };
    const { bodies } = this.full;
    return server.synced && server.fullKey === key ? bodies.slice(-1) : bodies;
  }

  /**
   * A name server takes changed topics only from a body whose version it does not know: each part but the last carries a
   * version of its own [TopicConfigManager#buildSerializeWrapper].
   */
  private encodeAll(version: DataVersion): Buffer[] {
    const topics = [...this.source.topics()];
    const size = Math.max(1, this.source.topicsPerRegistration());
    const bodies: Buffer[] = [];
    for (let at = 0; at === 0 || at < topics.length; at += size) {
      const last = at + size >= topics.length;
      const own = last ? version : { ...version, counter: -(version.counter * PARTS_MAX + bodies.length + 1) };
      bodies.push(this.encode(topics.slice(at, at + size), own));
    }
    return bodies;
  }

  /** RegisterBrokerBody. */
  private encode(topics: Iterable<TopicConfig>, dataVersion: DataVersion): Buffer {
    const permission = this.source.brokerPermission();
    const topicConfigTable = new Map<string, TopicConfig>();
    for (const topic of topics) {
      const perm = (permission & PERM_ALL_ACCESS) === PERM_ALL_ACCESS ? topic.perm : topic.perm & permission;
      topicConfigTable.set(topic.topicName, perm === topic.perm ? topic : { ...topic, perm });
    }
    return Buffer.from(
      stringifyFastjson({
        filterServerList: [],
        topicConfigSerializeWrapper: {
          dataVersion,
          mappingDataVersion: { counter: 0, stateVersion: 0, timestamp: dataVersion.timestamp },
          topicConfigTable,
          topicQueueMappingDetailMap: {},
          topicQueueMappingInfoMap: {},
        },
      }),
      "utf8",
    );
  }
}

/** Keys of the KVTable that a registration answers with; anything else counts as none. */
function orderTopics(body: Buffer | undefined): string[] {
  if (body === undefined || body.length === 0) return [];
  try {
    const parsed = parseFastjson(body);
    const table = typeof parsed === "object" && parsed !== null && "table" in parsed ? parsed.table : undefined;
    if (table instanceof Map) return [...table.keys()].map(String);
    return typeof table === "object" && table !== null ? Object.keys(table) : [];
  } catch {
    return [];
  }
}

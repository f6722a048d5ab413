import { now } from "../base/clock.ts";
import { createLogger, type Logger } from "../base/log.ts";
import type { NamesrvConfig } from "../config/namesrv-config.ts";
import { createRemotingServer } from "../remoting/server.ts";
import type { RemotingServer } from "../remoting/types.ts";
import { KvConfigManager, NAMESPACE_ORDER_TOPIC_CONFIG } from "./kv-config-manager.ts";
import { MinBrokerIdNotifier } from "./min-broker-id-notifier.ts";
import type { NamesrvContext } from "./namesrv-context.ts";
import { namesrvProcessors } from "./processors.ts";
import { RouteInfoManager } from "./route-info-manager.ts";
import { TopicRoutes } from "./topic-routes.ts";

const CLOSE_GRACE_MS = 1_000;

export interface NamesrvOptions {
  logger?: Logger;
  /** Something that must not happen did; the command stops in order and exits 70. */
  onFatal?: (error: unknown) => void;
}

export interface Namesrv {
  /** Reads kvConfig.json and listens. Rejects with an MqError that names the file, or the port and who holds it. */
  start(): Promise<void>;
  /** Closes all connections and writes what is left; the same promise however often it is called. */
  stop(): Promise<void>;
  readonly port: number;
  /** For tests and embedding. */
  readonly context: NamesrvContext;
}

/** The name server with all its parts, wired in one place. Several know nothing of each other. */
export function createNamesrv(config: NamesrvConfig, options: NamesrvOptions = {}): Namesrv {
  return new NamesrvController(config, options);
}

class NamesrvController implements Namesrv, NamesrvContext {
  readonly logger: Logger;
  readonly routes: RouteInfoManager;
  readonly topicRoutes: TopicRoutes;
  readonly kvConfig: KvConfigManager;
  startedAt = 0;

  private readonly notifier: MinBrokerIdNotifier;
  private server: RemotingServer | undefined;
  private scanTimer: ReturnType<typeof setInterval> | undefined;
  private stopPromise: Promise<void> | undefined;

  constructor(
    readonly config: NamesrvConfig,
    private readonly options: NamesrvOptions,
  ) {
    this.logger = options.logger ?? createLogger("namesrv");
    this.routes = new RouteInfoManager(config, now, this.logger);
    this.kvConfig = new KvConfigManager(config.kvConfigPath, this.logger);
    this.topicRoutes = new TopicRoutes({
      routes: this.routes,
      supportActingMaster: () => config.supportActingMaster,
      orderTopicConf: (topic) =>
        config.orderMessageEnable ? this.kvConfig.get(NAMESPACE_ORDER_TOPIC_CONFIG, topic) : undefined,
    });
    this.notifier = new MinBrokerIdNotifier(
      // Brokers that lose their connection because this server stops have not left.
      () => config.notifyMinBrokerIdChanged && this.stopPromise === undefined,
      this.logger,
    );
    this.routes.onChange = (topic) => this.topicRoutes.changed(topic);
    this.routes.onMinBrokerIdChange = (change) => this.notifier.notify(change);
  }

  get context(): NamesrvContext {
    return this;
  }

  get port(): number {
    return this.server?.port ?? 0;
  }

  async start(): Promise<void> {
    const { config } = this;
    this.kvConfig.load();
    this.startedAt = Date.now();
    this.server = await createRemotingServer({
      hostname: config.bindAddress,
      port: config.listenPort,
      processors: namesrvProcessors(this),
      onClose: (connection, reason) => this.routes.connectionClosed(connection, reason),
      onFatal: (error) => this.options.onFatal?.(error),
      idleSeconds: config.serverChannelMaxIdleTimeSeconds,
      backlog: config.serverSocketBacklog,
    });
    this.scanTimer = setInterval(() => this.routes.scanNotActiveBroker(), config.scanNotActiveBrokerInterval);
  }

  stop(): Promise<void> {
    this.stopPromise ??= this.shutdown();
    return this.stopPromise;
  }

  private async shutdown(): Promise<void> {
    clearInterval(this.scanTimer);
    await this.server?.close(CLOSE_GRACE_MS);
    await this.notifier.shutdown();
    await this.kvConfig.shutdown();
  }
}

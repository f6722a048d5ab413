import type { Logger } from "../base/log.ts";
import type { BrokerConfig } from "../config/broker-config.ts";
import type { HaService } from "../ha/types.ts";
import type { Connection } from "../remoting/types.ts";
import type { MessageStore } from "../store/types.ts";
import type { ClientManager } from "./client/client-manager.ts";
import type { SubscriptionGroupManager } from "./client/subscription-group-manager.ts";
import type { ConsumerOffsetManager } from "./offset/consumer-offset-manager.ts";
import type { ScheduleMessageService } from "./schedule/schedule-message-service.ts";
import type { ActingMaster } from "./slave/acting-master.ts";
import type { EscapeBridge } from "./slave/escape-bridge.ts";
import type { KeptState } from "./slave/kept-state.ts";
import type { BrokerStats } from "./stats/broker-stats.ts";
import type { TopicConfigManager } from "./topic/topic-config-manager.ts";
import type { TransactionalMessageService } from "./transaction/transactional-message-service.ts";
import type { SubscriptionData, TopicConfig } from "./types.ts";

/** One client on one connection [ClientChannelInfo]. */
export interface ClientChannelInfo {
  readonly connection: Connection;
  clientId: string;
  /** Index into LANGUAGES; -1 when unknown. */
  language: number;
  version: number;
  /** ms since the epoch of the last heartbeat. */
  lastUpdateTimestamp: number;
}

export interface ProducerManager {
  /** Group → clients. Read only for everyone but the manager. */
  readonly groups: ReadonlyMap<string, ReadonlyMap<Connection, ClientChannelInfo>>;
  /** Any live client of the group, in turn; undefined when nobody is there. */
  availableChannel(group: string): Connection | undefined;
  /** The connection that a producer with this client id heartbeats on. */
  findChannel(clientId: string): Connection | undefined;
}

export type ConsumeType = "CONSUME_ACTIVELY" | "CONSUME_PASSIVELY" | "CONSUME_POP";
export type MessageModel = "BROADCASTING" | "CLUSTERING";

/** [ConsumerGroupInfo]: who is online and what the last heartbeat subscribed. */
export interface ConsumerGroupInfo {
  readonly groupName: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  readonly channels: ReadonlyMap<Connection, ClientChannelInfo>;
  readonly subscriptionTable: ReadonlyMap<string, SubscriptionData>;
  lastUpdateTimestamp: number;
}

export interface ConsumerManager {
  readonly groups: ReadonlyMap<string, ConsumerGroupInfo>;
  group(group: string): ConsumerGroupInfo | undefined;
  findChannel(group: string, clientId: string): ClientChannelInfo | undefined;
  findSubscriptionData(group: string, topic: string): SubscriptionData | undefined;
  /** Online groups that subscribe the topic. */
  queryTopicConsumeByWho(topic: string): string[];
  /** Ids of the group's online clients, in no order. */
  clientIds(group: string): string[];
}

export interface RebalanceLockManager {
  /** True when no queue of the group is locked just now [RebalanceLockManager#isLockAllExpired]. */
  isLockAllExpired(group: string): boolean;
}

export interface PullRequestHoldService {
  /** Pulls waiting for a message. */
  readonly waiting: number;
  /** A new entry is readable in the queue. */
  notifyMessageArriving(topic: string, queueId: number, maxOffset: number, tagsCode: number): void;
  /** Something else about the topic changed: its held pulls are looked at again now. */
  wakeTopic(topic: string): void;
}

/** Figures of the processors for code 28. */
export interface BrokerLoad {
  /** Senders whose answer waits for flush or slave. */
  waitingSends: number;
  /** Why memory is too short for sends; "" while it is not. */
  memoryShort: string;
}

/** Everything that a processor or service of the broker may use; built once by `broker.ts`. */
export interface BrokerContext {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  /** Replication; made by `start` with the store. */
  readonly ha: HaService;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  /** Takes heartbeats; the three below are its parts as everyone else may see them. */
  readonly clients: ClientManager;
  readonly producers: ProducerManager;
  readonly consumers: ConsumerManager;
  readonly locks: RebalanceLockManager;
  readonly holdService: PullRequestHoldService;
  readonly schedule: ScheduleMessageService;
  readonly transactions: TransactionalMessageService;
  readonly stats: BrokerStats;
  readonly logger: Logger;
  readonly load: BrokerLoad;

  /** Advertised `host:port`: what clients are told. */
  readonly brokerAddress: string;
  /** Advertised address of the replication port. */
  readonly haServerAddress: string;
  /** The advertised address as records carry it: 4 or 16 address bytes and the port as int32. */
  readonly storeHost: Buffer;
  /** ms since the epoch when `start` was called. */
  readonly startedAt: number;
  /** What this broker keeps for the Java brokers of its group. */
  readonly kept: KeptState;
  /** Where a slave that acts as master puts messages; undefined on a master, and where enableRemoteEscape is off. */
  readonly escapeBridge: EscapeBridge | undefined;
  /** Who acts as master; undefined without enableSlaveActingMaster. */
  readonly actingMaster: ActingMaster | undefined;
  /** End of the log when it was opened. */
  readonly initMaxOffset: number;
  /** A slave copies the log from here from now on, undefined where nobody knows; its master's address for clients is where logs are compared. */
  followLog(haServerAddr: string | undefined, masterAddr?: string): void;
  /** A slave's master answers; true on a master. */
  readonly masterAlive: boolean;
  /** Set once stop has begun: no new work is taken. */
  readonly stopping: boolean;

  /** Registers with all name servers now; with `changed`, only these topics travel [enableSplitRegistration, registerIncrementBrokerData]. */
  registerBroker(changed?: readonly TopicConfig[]): void;
  /**
   * Resolves when the name servers know the topic changes made so far, a second later at most: to be awaited before a peer is
   * told that a topic exists.
   */
  routesPublished(): Promise<void>;
  /** Addresses of the name servers known now, `host:port`. */
  nameServers(): string[];
  /** Cleans up after a deleted group's clients or a deleted topic's waiting pulls; safe to call for unknown names. */
  forgetTopic(topic: string): void;
  /** Something that must not happen: orderly stop, exit 70 by the command. */
  fatal(error: unknown): void;
}

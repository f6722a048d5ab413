import type { Logger } from "../../base/log.ts";
import type { Connection } from "../../remoting/types.ts";
import type { ClientChannelInfo } from "../broker-context.ts";
import { ChannelBook, GROUPS_PER_CONNECTION_MAX } from "./channel-book.ts";
import { ConsumerIdsChangedNotifier } from "./consumer-ids-changed.ts";
import { OnlineConsumers } from "./consumer-manager.ts";
import type { HeartbeatData } from "./heartbeat.ts";
import { OnlineProducers } from "./producer-manager.ts";
import { QueueLocks } from "./rebalance-lock-manager.ts";

const SCAN_PERIOD_MS = 10_000;

/** What the client manager asks of topics and groups. */
export interface ClientManagerRules {
  /** ms without a heartbeat after which a client is dropped [channelExpiredTimeout]. */
  expiredAfterMs: number;
  rejectPullConsumer: boolean;
  realTimeNotices: boolean;
  now(): number;
  /** Finds or creates the group and its retry topic; undefined when the group is unknown and may not be created. */
  prepareGroup(group: string, unitMode: boolean, topics: readonly string[]): PreparedGroup | undefined;
  /** Whether members of the group want notices. */
  wantsNotices(group: string): boolean;
}

export interface PreparedGroup {
  notify: boolean;
  /** Its retry topic is new: name servers must know it before members look for it. */
  created: boolean;
}

/** Result of a heartbeat: `refusal` names the first thing that could not be taken. */
export interface HeartbeatOutcome {
  subscriptionChanged: boolean;
  refusal: string | undefined;
}

/** RocketMQ's "client manager": who is online, what they subscribe, who holds which queue. */
export class ClientManager {
  readonly producers: OnlineProducers;
  readonly consumers: OnlineConsumers;
  readonly locks: QueueLocks;
  private readonly book = new ChannelBook();
  /** Group → fingerprint of the last V2 heartbeat; 0 for V1. */
  private readonly fingerprints = new Map<string, number>();
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly rules: ClientManagerRules,
    logger: Logger,
  ) {
    const notifier = new ConsumerIdsChangedNotifier(logger, rules.realTimeNotices);
    this.locks = new QueueLocks(rules.now);
    this.producers = new OnlineProducers(this.book, logger);
    this.consumers = new OnlineConsumers(
      this.book,
      {
        onIdsChanged: (group, connections) => notifier.notify(group, connections),
        onMemberGone: (group, clientId) => {
          this.locks.ownerGone(group, clientId);
          if (!this.consumers.groups.has(group)) this.fingerprints.delete(group);
        },
      },
      logger,
    );
  }

  start(): void {
    this.timer ??= setInterval(() => this.scan(), SCAN_PERIOD_MS);
  }

  shutdown(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** Makes the groups of a heartbeat known; true when a retry topic was created for one. */
  prepareGroups(data: HeartbeatData): boolean {
    let created = false;
    for (const consumer of data.consumerDataSet) {
      if (this.rules.rejectPullConsumer && consumer.consumeType === "CONSUME_ACTIVELY") continue;
      const topics = consumer.subscriptionDataSet.map((subscription) => subscription.topic);
      const prepared = this.rules.prepareGroup(consumer.groupName, consumer.unitMode, topics);
      created ||= prepared?.created === true;
    }
    return created;
  }

  /** Takes a heartbeat, V1 and V2 [ClientManageProcessor#heartBeat]. Groups that are refused do not hinder the others. */
  heartbeat(data: HeartbeatData, connection: Connection, language: number, version: number): HeartbeatOutcome {
    const brought = data.consumerDataSet.length + data.producerDataSet.length;
    if (brought > GROUPS_PER_CONNECTION_MAX || this.book.count(connection) > GROUPS_PER_CONNECTION_MAX) {
      return {
        subscriptionChanged: true,
        refusal: `heartbeat of ${data.clientID} names ${brought} groups on one connection, at most ${GROUPS_PER_CONNECTION_MAX} are taken`,
      };
    }
    const info: ClientChannelInfo = {
      connection,
      clientId: data.clientID,
      language,
      version,
      lastUpdateTimestamp: this.rules.now(),
    };
    const v2 = data.heartbeatFingerprint !== 0;
    let subscriptionChanged = !v2;
    let refusal: string | undefined;
    for (const consumer of data.consumerDataSet) {
      if (this.rules.rejectPullConsumer && consumer.consumeType === "CONSUME_ACTIVELY") continue;
      const known = this.fingerprints.get(consumer.groupName);
      if (v2 && known !== undefined && known !== data.heartbeatFingerprint) subscriptionChanged = true;
      const topics = consumer.subscriptionDataSet.map((subscription) => subscription.topic);
      const prepared = this.rules.prepareGroup(consumer.groupName, consumer.unitMode, topics);
      if (prepared === undefined) continue;
      const withoutSub = v2 && data.withoutSub;
      // A broker that restarted knows no subscriptions: the client must send them again.
      if (withoutSub && this.consumers.group(consumer.groupName) === undefined) subscriptionChanged = true;
      refusal ??= this.consumers.register(
        {
          group: consumer.groupName,
          consumeType: consumer.consumeType,
          messageModel: consumer.messageModel,
          consumeFromWhere: consumer.consumeFromWhere,
          subscriptions: withoutSub ? undefined : consumer.subscriptionDataSet,
          notify: prepared.notify,
        },
        info,
      );
      this.fingerprints.set(consumer.groupName, data.heartbeatFingerprint);
    }
    for (const producer of data.producerDataSet) refusal ??= this.producers.register(producer.groupName, info);
    return { subscriptionChanged, refusal };
  }

  unregister(connection: Connection, producerGroup: string | undefined, consumerGroup: string | undefined): void {
    if (producerGroup !== undefined) this.producers.unregister(producerGroup, connection);
    if (consumerGroup !== undefined) {
      this.consumers.unregister(consumerGroup, connection, this.rules.wantsNotices(consumerGroup));
    }
  }

  /** The connection is gone: whoever was on it is offline now, not after two minutes. */
  connectionClosed(connection: Connection): void {
    for (const group of this.book.of(connection, "producer")) this.producers.unregister(group, connection);
    this.consumers.closed(connection, (group) => this.rules.wantsNotices(group));
  }

  /** Drops clients without a heartbeat and locks that ran out. */
  scan(): void {
    const before = this.rules.now() - this.rules.expiredAfterMs;
    const expired = [
      ...this.producers.expire(before),
      ...this.consumers.expire(before, (group) => this.rules.wantsNotices(group)),
    ];
    for (const connection of expired) connection.close("no heartbeat");
    this.locks.sweep();
  }
}

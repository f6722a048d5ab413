import type { Logger } from "../../base/log.ts";
import type { Connection } from "../../remoting/types.ts";
import type {
  ClientChannelInfo,
  ConsumerGroupInfo,
  ConsumerManager,
  ConsumeType,
  MessageModel,
} from "../broker-context.ts";
import type { SubscriptionData } from "../types.ts";
import { type ChannelBook, GROUPS_ONLINE_MAX } from "./channel-book.ts";
import { sameExpression } from "./subscription.ts";
import { WarnOnce } from "./warn-once.ts";

/** One group as a heartbeat describes it. */
export interface ConsumerRegistration {
  group: string;
  consumeType: ConsumeType;
  messageModel: MessageModel;
  consumeFromWhere: string;
  /** Undefined for a heartbeat without subscriptions (V2): the known ones stay. */
  subscriptions: SubscriptionData[] | undefined;
  /** The group's notifyConsumerIdsChangedEnable. */
  notify: boolean;
}

class Group implements ConsumerGroupInfo {
  readonly channels = new Map<Connection, ClientChannelInfo>();
  readonly subscriptionTable = new Map<string, SubscriptionData>();
  /** Who brought the subscriptions last: two clients that bring different ones overwrite each other in turn. */
  lastSubscriber = "";
  lastUpdateTimestamp = 0;

  constructor(
    readonly groupName: string,
    public consumeType: ConsumeType,
    public messageModel: MessageModel,
    public consumeFromWhere: string,
  ) {}
}

export interface ConsumerEvents {
  /** Members or topics of the group changed: everyone in it rebalances. */
  onIdsChanged(group: string, connections: Iterable<Connection>): void;
  /** The client's connection left the group (closed, expired, unregistered). */
  onMemberGone(group: string, clientId: string): void;
}

/** Consumer groups, their clients and their subscriptions [ConsumerManager, ConsumerGroupInfo]. */
export class OnlineConsumers implements ConsumerManager {
  readonly groups = new Map<string, Group>();
  private readonly topicGroups = new Map<string, Set<string>>();
  private readonly warned = new WarnOnce();

  constructor(
    private readonly book: ChannelBook,
    private readonly events: ConsumerEvents,
    private readonly logger: Logger,
  ) {}

  group(group: string): Group | undefined {
    return this.groups.get(group);
  }

  findChannel(group: string, clientId: string): ClientChannelInfo | undefined {
    const channels = this.groups.get(group)?.channels;
    if (channels === undefined) return undefined;
    for (const info of channels.values()) if (info.clientId === clientId) return info;
    return undefined;
  }

  findSubscriptionData(group: string, topic: string): SubscriptionData | undefined {
    return this.groups.get(group)?.subscriptionTable.get(topic);
  }

  queryTopicConsumeByWho(topic: string): string[] {
    return [...(this.topicGroups.get(topic) ?? [])];
  }

  clientIds(group: string): string[] {
    const ids: string[] = [];
    for (const info of this.groups.get(group)?.channels.values() ?? []) ids.push(info.clientId);
    return ids;
  }

  /** Returns why the client cannot be taken, or undefined. */
  register(registration: ConsumerRegistration, info: ClientChannelInfo): string | undefined {
    let group = this.groups.get(registration.group);
    if (group === undefined) {
      if (this.groups.size >= GROUPS_ONLINE_MAX) {
        return `consumer group [${registration.group}] refused: ${this.groups.size} consumer groups are online, at most ${GROUPS_ONLINE_MAX} are taken`;
      }
      group = new Group(
        registration.group,
        registration.consumeType,
        registration.messageModel,
        registration.consumeFromWhere,
      );
      this.groups.set(registration.group, group);
    }
    const joined = this.updateChannel(group, registration, info);
    const subscribed =
      registration.subscriptions !== undefined &&
      this.updateSubscriptions(group, registration.subscriptions, info.clientId);
    group.lastUpdateTimestamp = info.lastUpdateTimestamp;
    if ((joined || subscribed) && registration.notify) this.notify(group);
    return undefined;
  }

  unregister(groupName: string, connection: Connection, notify: boolean): void {
    const group = this.groups.get(groupName);
    if (group !== undefined) this.removeMember(group, connection, notify, "unregistered");
  }

  /** The connection is gone: its groups learn it at once. `notify` tells whether a group wants notices. */
  closed(connection: Connection, notify: (group: string) => boolean): void {
    for (const name of this.book.of(connection, "consumer")) {
      const group = this.groups.get(name);
      if (group !== undefined) this.removeMember(group, connection, notify(name), "connection closed");
    }
  }

  /** Clients whose last heartbeat is older than `before`: dropped, and handed back so that their connections are closed. */
  expire(before: number, notify: (group: string) => boolean): Connection[] {
    const expired: Connection[] = [];
    for (const group of this.groups.values()) {
      for (const info of [...group.channels.values()]) {
        if (info.lastUpdateTimestamp >= before) continue;
        this.removeMember(group, info.connection, notify(group.groupName), "no heartbeat");
        expired.push(info.connection);
      }
    }
    return expired;
  }

  private updateChannel(group: Group, registration: ConsumerRegistration, info: ClientChannelInfo): boolean {
    group.consumeType = registration.consumeType;
    group.messageModel = registration.messageModel;
    group.consumeFromWhere = registration.consumeFromWhere;
    const found = group.channels.get(info.connection);
    if (found !== undefined && found.clientId === info.clientId) {
      found.lastUpdateTimestamp = info.lastUpdateTimestamp;
      return false;
    }
    if (found === undefined) this.warnDuplicateClientId(group, info);
    group.channels.set(info.connection, { ...info });
    this.book.join(info.connection, "consumer", group.groupName);
    this.logger.info("consumer connected", {
      group: group.groupName,
      clientId: info.clientId,
      address: info.connection.remoteAddress,
      messageModel: group.messageModel,
    });
    return found === undefined;
  }

  private warnDuplicateClientId(group: Group, info: ClientChannelInfo): void {
    for (const other of group.channels.values()) {
      if (other.clientId !== info.clientId || other.connection === info.connection || other.connection.closed) continue;
      if (!this.warned.first(`client ${group.groupName} ${info.clientId}`)) return;
      this.logger.warn(
        "two connections of one consumer group use the same client id: both get the same queues; give each process its own instance name",
        {
          group: group.groupName,
          clientId: info.clientId,
          one: other.connection.remoteAddress,
          other: info.connection.remoteAddress,
        },
      );
      return;
    }
  }

  private updateSubscriptions(group: Group, subscriptions: SubscriptionData[], clientId: string): boolean {
    let changed = false;
    let differs: string | undefined;
    const topics = new Set<string>();
    for (const data of subscriptions) {
      topics.add(data.topic);
      const known = group.subscriptionTable.get(data.topic);
      if (known === undefined) {
        if (group.subscriptionTable.size > 0) differs = data.topic;
        group.subscriptionTable.set(data.topic, data);
        this.addTopicGroup(data.topic, group.groupName);
        changed = true;
      } else {
        if (!sameExpression(known, data)) differs = data.topic;
        if (data.subVersion > known.subVersion) group.subscriptionTable.set(data.topic, data);
      }
    }
    for (const topic of [...group.subscriptionTable.keys()]) {
      if (topics.has(topic)) continue;
      group.subscriptionTable.delete(topic);
      this.removeTopicGroup(topic, group.groupName);
      differs = topic;
      changed = true;
    }
    if (differs !== undefined) this.warnDifferentSubscriptions(group, differs, clientId);
    group.lastSubscriber = clientId;
    return changed;
  }

  private warnDifferentSubscriptions(group: Group, topic: string, clientId: string): void {
    if (group.lastSubscriber === clientId || this.findChannel(group.groupName, group.lastSubscriber) === undefined)
      return;
    if (!this.warned.first(`subscription ${group.groupName} ${topic}`)) return;
    this.logger.warn(
      "members of one consumer group subscribe differently: each heartbeat overwrites the other's, so messages are missed or filtered wrongly; all members must subscribe alike",
      { group: group.groupName, topic, one: group.lastSubscriber, other: clientId },
    );
  }

  private removeMember(group: Group, connection: Connection, notify: boolean, reason: string): void {
    const info = group.channels.get(connection);
    if (info === undefined) return;
    group.channels.delete(connection);
    this.book.leave(connection, "consumer", group.groupName);
    this.logger.info("consumer gone", {
      group: group.groupName,
      clientId: info.clientId,
      address: connection.remoteAddress,
      reason,
    });
    if (group.channels.size === 0) {
      this.groups.delete(group.groupName);
      for (const topic of group.subscriptionTable.keys()) this.removeTopicGroup(topic, group.groupName);
    } else if (notify) this.notify(group);
    if (this.findChannel(group.groupName, info.clientId) === undefined)
      this.events.onMemberGone(group.groupName, info.clientId);
  }

  private notify(group: Group): void {
    if (group.messageModel === "BROADCASTING") return;
    this.events.onIdsChanged(group.groupName, group.channels.keys());
  }

  private addTopicGroup(topic: string, group: string): void {
    const groups = this.topicGroups.get(topic);
    if (groups === undefined) this.topicGroups.set(topic, new Set([group]));
    else groups.add(group);
  }

  private removeTopicGroup(topic: string, group: string): void {
    const groups = this.topicGroups.get(topic);
    if (groups?.delete(group) && groups.size === 0) this.topicGroups.delete(topic);
  }
}

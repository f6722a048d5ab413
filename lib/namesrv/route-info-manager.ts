import type { Logger } from "../base/log.ts";
import { LogLimit } from "../base/log-limit.ts";
import {
  type DataVersion,
  type RegisterBrokerBody,
  type RegisteredTopic,
  sameDataVersion,
} from "../protocol/body/register-broker-body.ts";
import type { BrokerData, QueueData } from "../protocol/body/topic-route-data.ts";
import { ResponseCode } from "../remoting/codes.ts";
import { ResponseError } from "../remoting/response-error.ts";
import type { Connection } from "../remoting/types.ts";

const HEARTBEAT_TIMEOUT_MS = 120_000;
const MASTER_ID = 0;
export const PERM_READ = 4;
export const PERM_WRITE = 2;
/** More is no cluster but a mistake or an attack: further registrations are refused. */
const BROKERS_MAX = 10_000;
const TOPICS_MAX = 1_000_000;
/** Topics whose brokers left, kept to say so; beyond it all before are forgotten. */
const LOST_TOPICS_MAX = 100_000;

/** Header of REGISTER_BROKER. */
export interface Registration {
  clusterName: string;
  brokerName: string;
  brokerId: number;
  brokerAddr: string;
  haServerAddr: string;
  zoneName: string | undefined;
  /** ms; undefined = 120 s. */
  heartbeatTimeoutMillis: number | undefined;
  /** undefined from brokers before 5.0. */
  enableActingMaster: boolean | undefined;
}

/** What a slave learns from its registration. */
export interface RegisterResult {
  masterAddr?: string;
  haServerAddr?: string;
}

/** One registered broker process [BrokerLiveInfo]. */
export interface BrokerLiveInfo extends Registration {
  connection: Connection;
  dataVersion: DataVersion;
  /** Identity of the last body: the same bytes are not read again. Empty = read the next one. */
  digest: string;
  filterServers: string[];
  lastUpdateTimestamp: number;
}

/** The lowest broker id of a name is another one now [NotifyMinBrokerIdChangeRequestHeader]. */
export interface MinBrokerIdChange {
  brokerName: string;
  minBrokerId: number;
  minBrokerAddr: string;
  /** The broker that left; undefined where one came. */
  offlineBrokerAddr: string | undefined;
  /** HA address of the broker that came. */
  haBrokerAddr: string | undefined;
  /** Who is to be told. */
  addresses: string[];
}

/** Warnings in ten seconds about requests that any peer can send as often as it likes. */
const PEER_FAULT_LINES_MAX = 20;

export interface RouteRules {
  deleteTopicWithBrokerRegistration: boolean;
}

/** Who is registered and which topics they have; in memory only [RouteInfoManager]. */
export class RouteInfoManager {
  /** Topic → broker name → queues. */
  readonly topicQueueTable = new Map<string, Map<string, QueueData>>();
  readonly brokerAddrTable = new Map<string, BrokerData>();
  /** Cluster → broker names. */
  readonly clusterAddrTable = new Map<string, Set<string>>();
  readonly brokerLiveTable = new Map<string, BrokerLiveInfo>();
  /** Topic → broker name → [TopicQueueMappingInfo] of static topics. */
  readonly mappingTable = new Map<string, Map<string, Record<string, unknown>>>();
  /** Topics that had a broker: why nobody serves them now. */
  readonly lostTopics = new Map<string, { brokerName: string; since: number }>();
  /** Called with a topic whose route changed, with nothing when any may have. */
  onChange: (topic?: string) => void = () => {};
  onMinBrokerIdChange: (change: MinBrokerIdChange) => void = () => {};

  private readonly conflicts = new Set<string>();
  private readonly peerFaults: LogLimit;

  constructor(
    private readonly rules: RouteRules,
    private readonly now: () => number,
    private readonly logger: Logger,
  ) {
    this.peerFaults = new LogLimit(PEER_FAULT_LINES_MAX, logger.warn);
  }

  /**
   * Takes a registration. `decode` is called unless this broker sent the same body (`digest`) last time. Returns undefined when it is
   * refused: one changed topic from a broker that has not told the others yet. Throws ResponseError beyond the bounds.
   */
  register(
    registration: Registration,
    connection: Connection,
    digest: string,
    decode: () => RegisterBrokerBody,
  ): RegisterResult | undefined {
    const key = liveKey(registration.clusterName, registration.brokerAddr);
    const known = this.brokerLiveTable.get(key);
    if (known !== undefined && known.digest === digest && this.isCurrent(known, registration)) {
      this.touch(known, registration, connection);
      return this.result(registration);
    }
    const body = decode();
    const broker = this.brokerAddrTable.get(registration.brokerName) ?? newBroker(registration);
    if (this.isOutdated(registration, broker, body.dataVersion)) {
      this.brokerLiveTable.delete(key);
      return {};
    }
    if (!broker.brokerAddrs.has(registration.brokerId) && body.topics.length === 1) return undefined;
    this.checkBounds(known === undefined, body);
    const minBefore = minBrokerId(broker);
    const first = this.enter(registration, broker);
    if (this.keepsTopics(registration, broker)) this.takeTopics(registration, broker, body, known, first);
    if (known === undefined) this.logRegistered(registration, body);
    this.brokerLiveTable.set(key, {
      ...registration,
      connection,
      dataVersion: body.dataVersion,
      digest,
      filterServers: body.filterServers ?? known?.filterServers ?? [],
      lastUpdateTimestamp: this.now(),
    });
    if (minBefore !== undefined && registration.brokerId < minBefore)
      this.tellMinBrokerId(broker, undefined, registration);
    return this.result(registration);
  }

  /** Takes a broker out at its own wish. What an older connection of it wants is ignored. */
  unregister(clusterName: string, brokerAddr: string, brokerName: string, connection: Connection): void {
    const info = this.brokerLiveTable.get(liveKey(clusterName, brokerAddr));
    if (info !== undefined && info.connection !== connection && !info.connection.closed) {
      this.peerFaults.write("ignore unregistering on an old connection: the broker registered again since", {
        broker: brokerName,
        address: brokerAddr,
        peer: connection.remoteAddress,
      });
      return;
    }
    this.remove(clusterName, brokerAddr, brokerName, "it unregistered");
  }

  /** Takes out every broker whose latest registration came over this connection. */
  connectionClosed(connection: Connection, reason: string): void {
    for (const info of this.brokerLiveTable.values())
      if (info.connection === connection)
        this.remove(info.clusterName, info.brokerAddr, info.brokerName, `connection closed: ${reason}`);
  }

  /** Takes out brokers that were silent for longer than their time-out. */
  scanNotActiveBroker(): void {
    const now = this.now();
    for (const info of this.brokerLiveTable.values()) {
      const timeoutMs = info.heartbeatTimeoutMillis ?? HEARTBEAT_TIMEOUT_MS;
      if (info.lastUpdateTimestamp + timeoutMs >= now) continue;
      this.remove(info.clusterName, info.brokerAddr, info.brokerName, `silent for more than ${timeoutMs} ms`);
      info.connection.close("broker expired");
    }
  }

  /** A sign of life without a registration. False when the broker is unknown. */
  heartbeat(clusterName: string, brokerAddr: string): boolean {
    const info = this.brokerLiveTable.get(liveKey(clusterName, brokerAddr));
    if (info !== undefined) info.lastUpdateTimestamp = this.now();
    return info !== undefined;
  }

  dataVersion(clusterName: string, brokerAddr: string): DataVersion | undefined {
    return this.brokerLiveTable.get(liveKey(clusterName, brokerAddr))?.dataVersion;
  }

  /** Sets queues of a topic; false when one of the brokers is not registered: nothing is changed then. */
  registerTopic(topic: string, queues: readonly QueueData[]): boolean {
    const unknown = queues.find(({ brokerName }) => !this.brokerAddrTable.has(brokerName));
    if (unknown !== undefined) {
      this.peerFaults.write("ignore topic registration: its broker is not registered", {
        topic,
        broker: unknown.brokerName,
      });
      return false;
    }
    for (const queue of queues) this.setQueueData(topic, { ...queue });
    return true;
  }

  /** Deletes a topic, of one cluster or altogether. A broker that still has it brings it back with its next registration. */
  deleteTopic(topic: string, clusterName?: string): void {
    const queues = this.topicQueueTable.get(topic);
    if (queues === undefined) return;
    if (clusterName === undefined) queues.clear();
    else for (const brokerName of this.clusterAddrTable.get(clusterName) ?? []) queues.delete(brokerName);
    if (queues.size === 0) {
      this.topicQueueTable.delete(topic);
      this.mappingTable.delete(topic);
    }
    this.lostTopics.delete(topic);
    for (const info of this.brokerLiveTable.values()) info.digest = "";
    this.onChange(topic);
  }

  /** Changes the permission of all topics of a broker; returns how many. */
  changePerm(brokerName: string, change: (perm: number) => number): number {
    let count = 0;
    for (const queues of this.topicQueueTable.values()) {
      const queue = queues.get(brokerName);
      if (queue === undefined) continue;
      queue.perm = change(queue.perm);
      count++;
    }
    this.onChange();
    return count;
  }

  private checkBounds(isNew: boolean, body: RegisterBrokerBody): void {
    if (isNew && this.brokerLiveTable.size >= BROKERS_MAX)
      throw new ResponseError(
        ResponseCode.SYSTEM_ERROR,
        `register broker failed: ${BROKERS_MAX} brokers are registered`,
      );
    const topics = this.topicQueueTable.size;
    if (topics + body.topics.length <= TOPICS_MAX) return;
    const added = body.topics.reduce((sum, { topicName }) => sum + (this.topicQueueTable.has(topicName) ? 0 : 1), 0);
    if (topics + added > TOPICS_MAX)
      throw new ResponseError(
        ResponseCode.SYSTEM_ERROR,
        `register broker failed: ${topics} topics are registered, ${added} more are too many`,
      );
  }

  private isCurrent(known: BrokerLiveInfo, registration: Registration): boolean {
    const broker = this.brokerAddrTable.get(registration.brokerName);
    return broker !== undefined && known.brokerName === registration.brokerName && holds(broker, registration);
  }

  /** The same broker with the same topics: only what its header says may differ. */
  private touch(known: BrokerLiveInfo, registration: Registration, connection: Connection): void {
    Object.assign(known, registration, { connection, lastUpdateTimestamp: this.now() });
    const broker = this.brokerAddrTable.get(registration.brokerName);
    if (broker !== undefined) this.describe(broker, registration);
  }

  private describe(broker: BrokerData, { enableActingMaster = false, zoneName }: Registration): void {
    if (broker.enableActingMaster === enableActingMaster && broker.zoneName === zoneName) return;
    broker.enableActingMaster = enableActingMaster;
    broker.zoneName = zoneName;
    this.onChange();
  }

  /** Another address holds this id with a newer state: the registration is answered and ignored, as a switched role wants it. */
  private isOutdated(registration: Registration, broker: BrokerData, version: DataVersion): boolean {
    const { clusterName, brokerName, brokerId, brokerAddr } = registration;
    const holder = broker.brokerAddrs.get(brokerId);
    if (holder === undefined || holder === brokerAddr) return false;
    const info = this.brokerLiveTable.get(liveKey(clusterName, holder));
    if (info === undefined) return false;
    if (info.dataVersion.stateVersion > version.stateVersion) {
      this.peerFaults.write("ignore registration: another address holds this broker id with a newer state", {
        broker: brokerName,
        brokerId,
        address: brokerAddr,
        holder,
      });
      return true;
    }
    const conflict = `${brokerName} ${brokerId}`;
    if (!info.connection.closed && !this.conflicts.has(conflict)) {
      this.conflicts.add(conflict);
      this.logger.error(
        `two brokers claim brokerName=${brokerName} brokerId=${brokerId}: ${holder} and ${brokerAddr}; clients see one or the other in turn: give one of them another name or id`,
        { cluster: clusterName },
      );
    }
    return false;
  }

  /** Puts the address into the tables; true when the broker's id had none before. */
  private enter(registration: Registration, broker: BrokerData): boolean {
    const { clusterName, brokerName, brokerId, brokerAddr } = registration;
    this.brokerAddrTable.set(brokerName, broker);
    const names = this.clusterAddrTable.get(clusterName) ?? new Set();
    this.clusterAddrTable.set(clusterName, names.add(brokerName));
    this.describe(broker, registration);
    // A slave that became master keeps its address: one address has one id only.
    for (const [id, address] of broker.brokerAddrs)
      if (address === brokerAddr && id !== brokerId) broker.brokerAddrs.delete(id);
    const before = broker.brokerAddrs.get(brokerId);
    broker.brokerAddrs.set(brokerId, brokerAddr);
    if (before !== brokerAddr) this.onChange();
    return before === undefined;
  }

  /** Masters tell the topics; without one the slave with the smallest id does, from 5.0 on. */
  private keepsTopics({ brokerId, enableActingMaster }: Registration, broker: BrokerData): boolean {
    if (brokerId === MASTER_ID) return true;
    return enableActingMaster !== undefined && brokerId === minBrokerId(broker);
  }

  private takeTopics(
    registration: Registration,
    broker: BrokerData,
    body: RegisterBrokerBody,
    known: BrokerLiveInfo | undefined,
    first: boolean,
  ): void {
    const { brokerName, brokerId } = registration;
    if (this.rules.deleteTopicWithBrokerRegistration && body.mappings.size === 0)
      this.dropTopicsWithout(brokerName, body.topics);
    const changed = first || known === undefined || !sameDataVersion(known.dataVersion, body.dataVersion);
    const readOnly = brokerId !== MASTER_ID && broker.enableActingMaster;
    for (const { topicName, readQueueNums, writeQueueNums, perm, topicSysFlag } of body.topics) {
      if (!changed && this.topicQueueTable.get(topicName)?.has(brokerName) === true) continue;
      this.setQueueData(topicName, {
        brokerName,
        readQueueNums,
        writeQueueNums,
        perm: readOnly ? perm & ~PERM_WRITE : perm,
        topicSysFlag,
      });
    }
    if (changed) this.takeMappings(body, brokerName);
  }

  private takeMappings(body: RegisterBrokerBody, brokerName: string): void {
    for (const [topic, info] of body.mappings) {
      const mappings = this.mappingTable.get(topic) ?? new Map<string, Record<string, unknown>>();
      this.mappingTable.set(topic, mappings.set(typeof info.bname === "string" ? info.bname : brokerName, info));
      this.onChange(topic);
    }
  }

  private dropTopicsWithout(brokerName: string, topics: readonly RegisteredTopic[]): void {
    const kept = new Set(topics.map(({ topicName }) => topicName));
    for (const [topic, queues] of this.topicQueueTable) {
      if (kept.has(topic) || !queues.delete(brokerName)) continue;
      if (queues.size === 0) this.topicQueueTable.delete(topic);
      this.onChange(topic);
    }
  }

  private setQueueData(topic: string, queue: QueueData): void {
    let queues = this.topicQueueTable.get(topic);
    if (queues === undefined) {
      queues = new Map();
      this.topicQueueTable.set(topic, queues);
      this.lostTopics.delete(topic);
    }
    const before = queues.get(queue.brokerName);
    if (before !== undefined && sameQueueData(before, queue)) return;
    queues.set(queue.brokerName, queue);
    this.onChange(topic);
  }

  private remove(clusterName: string, brokerAddr: string, brokerName: string, why: string): void {
    const known = this.brokerLiveTable.delete(liveKey(clusterName, brokerAddr));
    const broker = this.brokerAddrTable.get(brokerName);
    if (broker === undefined) return;
    const minBefore = minBrokerId(broker);
    for (const [id, address] of broker.brokerAddrs) {
      if (address !== brokerAddr) continue;
      broker.brokerAddrs.delete(id);
      this.endConflict(brokerName, id, brokerAddr);
    }
    if (known)
      this.logger.info(`broker left: ${why}`, { broker: brokerName, address: brokerAddr, cluster: clusterName });
    if (broker.brokerAddrs.size === 0) this.removeBroker(clusterName, brokerName);
    else if (broker.enableActingMaster && !broker.brokerAddrs.has(MASTER_ID))
      this.changePerm(brokerName, (perm) => perm & ~PERM_WRITE);
    if (broker.enableActingMaster && minBrokerId(broker) !== minBefore) this.tellMinBrokerId(broker, brokerAddr);
    this.onChange();
  }

  /** Those left are told of one that left, those before of one that came [RouteInfoManager#chooseBrokerAddrsToNotify]. */
  private tellMinBrokerId(broker: BrokerData, offlineBrokerAddr: string | undefined, came?: Registration): void {
    const min = minBrokerId(broker);
    if (min === undefined) return;
    const all = [...broker.brokerAddrs];
    const told = offlineBrokerAddr !== undefined || all.length === 1 ? all : all.filter(([id]) => id !== min);
    this.onMinBrokerIdChange({
      brokerName: broker.brokerName,
      minBrokerId: min,
      minBrokerAddr: broker.brokerAddrs.get(min)!,
      offlineBrokerAddr,
      haBrokerAddr: came?.haServerAddr,
      addresses: told.map(([, address]) => address),
    });
  }

  private endConflict(brokerName: string, brokerId: number, brokerAddr: string): void {
    if (!this.conflicts.delete(`${brokerName} ${brokerId}`)) return;
    this.logger.info(`brokerName=${brokerName} brokerId=${brokerId} is claimed once again: ${brokerAddr} left`);
  }

  private removeBroker(clusterName: string, brokerName: string): void {
    this.brokerAddrTable.delete(brokerName);
    const names = this.clusterAddrTable.get(clusterName);
    names?.delete(brokerName);
    if (names?.size === 0) this.clusterAddrTable.delete(clusterName);
    for (const [topic, queues] of this.topicQueueTable) {
      if (!queues.delete(brokerName) || queues.size > 0) continue;
      this.topicQueueTable.delete(topic);
      this.rememberLost(topic, brokerName);
    }
    for (const [topic, mappings] of this.mappingTable)
      if (mappings.delete(brokerName) && mappings.size === 0) this.mappingTable.delete(topic);
  }

  private rememberLost(topic: string, brokerName: string): void {
    // Dropping the oldest one by one would walk over the places of those dropped before.
    if (this.lostTopics.size >= LOST_TOPICS_MAX) this.lostTopics.clear();
    this.lostTopics.set(topic, { brokerName, since: this.now() });
  }

  /** A slave is told its master. */
  private result({ clusterName, brokerName, brokerId }: Registration): RegisterResult {
    if (brokerId === MASTER_ID) return {};
    const masterAddr = this.brokerAddrTable.get(brokerName)?.brokerAddrs.get(MASTER_ID);
    const master = masterAddr === undefined ? undefined : this.brokerLiveTable.get(liveKey(clusterName, masterAddr));
    if (masterAddr === undefined || master === undefined) return {};
    return { masterAddr, haServerAddr: master.haServerAddr };
  }

  private logRegistered(registration: Registration, body: RegisterBrokerBody): void {
    const { clusterName, brokerName, brokerId, brokerAddr, haServerAddr } = registration;
    const fields = { broker: brokerName, brokerId, address: brokerAddr, ha: haServerAddr, cluster: clusterName };
    this.logger.info("broker registered", { ...fields, topics: body.topics.length });
  }
}

/** One broker process is one address in one cluster. */
function liveKey(clusterName: string, brokerAddr: string): string {
  return `${clusterName}\n${brokerAddr}`;
}

function minBrokerId({ brokerAddrs }: BrokerData): number | undefined {
  return brokerAddrs.size === 0 ? undefined : Math.min(...brokerAddrs.keys());
}

function newBroker({ clusterName, brokerName, zoneName }: Registration): BrokerData {
  return { cluster: clusterName, brokerName, brokerAddrs: new Map(), enableActingMaster: false, zoneName };
}

function holds(broker: BrokerData, { brokerId, brokerAddr }: Registration): boolean {
  return broker.brokerAddrs.get(brokerId) === brokerAddr;
}

function sameQueueData(a: QueueData, b: QueueData): boolean {
  return (
    a.readQueueNums === b.readQueueNums &&
    a.writeQueueNums === b.writeQueueNums &&
    a.perm === b.perm &&
    a.topicSysFlag === b.topicSysFlag
  );
}

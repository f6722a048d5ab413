import { createLogger } from "../../base/log.ts";
import { isSystemTopic } from "../topic/topic-validator.ts";
import type { StatsItem } from "./stats-item.ts";
import { STATS_KEYS_MAX, StatsItemSet } from "./stats-item-set.ts";
import { javaDouble, TpsWindow } from "./tps-window.ts";
import { Traffic } from "./traffic.ts";

/** Names that code 315 can ask for [Stats, BrokerStatsManager]. */
export const STATS_NAMES = [
  "TOPIC_PUT_NUMS",
  "TOPIC_PUT_SIZE",
  "GROUP_GET_NUMS",
  "GROUP_GET_SIZE",
  "SNDBCK_PUT_NUMS",
  "BROKER_PUT_NUMS",
  "BROKER_GET_NUMS",
  "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC",
  "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC",
  "TOPIC_PUT_LATENCY",
  "GROUP_GET_LATENCY",
  "DLQ_PUT_NUMS",
  "QUEUE_PUT_NUMS",
  "QUEUE_PUT_SIZE",
  "QUEUE_GET_NUMS",
  "QUEUE_GET_SIZE",
] as const;

export type StatsName = (typeof STATS_NAMES)[number];

/** What is counted of one topic, or of one group and topic: looked up once a message, so all of it hangs on one object. */
interface Flow {
  traffic: Traffic;
  /** By queue id. */
  queues: (Traffic | undefined)[];
  system: boolean;
}

/** Queues above this id are counted by key. */
const CACHED_QUEUES_MAX = 1024;

export interface BrokerStatsOptions {
  brokerClusterName: string;
  /** Whether the QUEUE_ statistics are kept. */
  enableDetailStat?: boolean;
}

/**
 * Counters of the broker with RocketMQ's names, keys and windows [BrokerStatsManager, BrokerStats]. Counting costs one map
 * look-up and some additions; everything else happens on one timer a second.
 */
export class BrokerStats {
  private readonly logger = createLogger("stats");
  private readonly sets = new Map<string, StatsItemSet>();
  private readonly topics = new Map<string, Flow>();
  private readonly groups = new Map<string, Map<string, Flow>>();
  private readonly brokerPut: StatsItem;
  private readonly brokerGet: StatsItem;
  private readonly userPut: StatsItem;
  private readonly userGet: StatsItem;

  private readonly putTps = new TpsWindow();
  private readonly foundTps = new TpsWindow();
  private readonly missTps = new TpsWindow();
  private readonly totalTps = new TpsWindow();
  private readonly transferredTps = new TpsWindow();
  private putTimes = 0;
  private putSize = 0;
  private getFoundTimes = 0;
  private getMissTimes = 0;

  private putTotalYesterdayMorning = 0;
  private putTotalTodayMorning = 0;
  private getTotalYesterdayMorning = 0;
  private getTotalTodayMorning = 0;

  private timer: ReturnType<typeof setInterval> | undefined;
  private seconds = 0;
  private day = new Date().getDate();

  constructor(private readonly options: BrokerStatsOptions) {
    for (const name of STATS_NAMES) this.sets.set(name, new StatsItemSet(name));
    const cluster = options.brokerClusterName;
    this.brokerPut = this.set("BROKER_PUT_NUMS").getOrCreate(cluster);
    this.brokerGet = this.set("BROKER_GET_NUMS").getOrCreate(cluster);
    this.userPut = this.set("BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC").getOrCreate(cluster);
    this.userGet = this.set("BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC").getOrCreate(cluster);
  }

  start(): void {
    this.timer ??= setInterval(() => this.tick(), 1000);
  }

  shutdown(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** `count` messages of `bytes` together were stored in a topic (one call a send). */
  incTopicPutNums(topic: string, count: number, bytes: number, queueId = -1): void {
    const flow = this.topics.get(topic) ?? this.addTopic(topic);
    flow.traffic.add(count, bytes);
    this.putTimes += count;
    this.putSize += bytes;
    if (queueId >= 0 && this.options.enableDetailStat !== false)
      (flow.queues[queueId] ?? this.addQueue(flow, "QUEUE_PUT", `${topic}@${queueId}`, queueId)).add(count, bytes);
  }

  /** `count` messages of `bytes` together were handed to a group (one call a pull). */
  incGroupGetNums(group: string, topic: string, count: number, bytes: number, queueId = -1): void {
    const flow = this.groups.get(group)?.get(topic) ?? this.addGroup(group, topic);
    flow.traffic.add(count, bytes);
    if (queueId >= 0 && this.options.enableDetailStat !== false)
      (flow.queues[queueId] ?? this.addQueue(flow, "QUEUE_GET", `${topic}@${queueId}@${group}`, queueId)).add(
        count,
        bytes,
      );
  }

  incBrokerPutNums(topic: string, count: number): void {
    this.brokerPut.add(count, 0);
    const flow = this.topics.get(topic) ?? this.addTopic(topic);
    if (!flow.system) this.userPut.add(count, 0);
  }

  incBrokerGetNums(topic: string, count: number): void {
    this.brokerGet.add(count, 0);
    const flow = this.topics.get(topic) ?? this.addTopic(topic);
    if (!flow.system) this.userGet.add(count, 0);
  }

  /** A pull that found messages, or none. */
  incGetMessage(found: boolean): void {
    if (found) this.getFoundTimes++;
    else this.getMissTimes++;
  }

  /** A message came back from a consumer. `topic` is the one it was first sent to. */
  incSendBack(group: string, topic: string): void {
    this.set("SNDBCK_PUT_NUMS").getOrCreate(`${topic}@${group}`).add(1, 1);
  }

  /** A message went to the dead-letter topic of a group. */
  incDlqPut(group: string, topic: string): void {
    this.set("DLQ_PUT_NUMS").getOrCreate(`${topic}@${group}`).add(1, 1);
  }

  incTopicPutLatency(topic: string, queueId: number, ms: number): void {
    this.set("TOPIC_PUT_LATENCY").getOrCreate(`${queueId}@${topic}`).add(ms, 1);
  }

  incGroupGetLatency(group: string, topic: string, queueId: number, ms: number): void {
    const key = this.options.enableDetailStat === false ? `${topic}@${group}` : `${queueId}@${topic}@${group}`;
    this.set("GROUP_GET_LATENCY").getOrCreate(key).add(ms, 1);
  }

  /** The counter of code 315, undefined when nothing was counted under that name and key. */
  item(statsName: string, statsKey: string): StatsItem | undefined {
    return this.sets.get(statsName)?.get(statsKey);
  }

  /** Messages a second into a topic over the last minute. */
  tpsTopicPutNums(topic: string): number {
    return this.set("TOPIC_PUT_NUMS").inMinute(topic).tps;
  }

  /** Messages a second of a topic to a group over the last minute. */
  tpsGroupGetNums(group: string, topic: string): number {
    return this.set("GROUP_GET_NUMS").inMinute(`${topic}@${group}`).tps;
  }

  onTopicDeleted(topic: string): void {
    const prefix = `${topic}@`;
    const suffix = `@${topic}`;
    const infix = `@${topic}@`;
    for (const [name, set] of this.sets) {
      if (name.startsWith("BROKER_")) continue;
      set.remove((key) => key === topic || key.startsWith(prefix) || key.endsWith(suffix) || key.includes(infix));
    }
    this.forgetFlows();
  }

  onGroupDeleted(group: string): void {
    const suffix = `@${group}`;
    for (const name of ["GROUP_GET_NUMS", "GROUP_GET_SIZE", "SNDBCK_PUT_NUMS", "GROUP_GET_LATENCY", "DLQ_PUT_NUMS"]) {
      this.sets.get(name)?.remove((key) => key.endsWith(suffix));
    }
    for (const name of ["QUEUE_GET_NUMS", "QUEUE_GET_SIZE"]) this.sets.get(name)?.remove((key) => key.endsWith(suffix));
    this.forgetFlows();
  }

  /** The keys of code 28 that counters give. */
  runtimeInfo(): Record<string, string> {
    return {
      putMessageTimesTotal: String(this.putTimes),
      putMessageSizeTotal: String(this.putSize),
      putMessageAverageSize: javaDouble(this.putTimes === 0 ? 0 : this.putSize / this.putTimes),
      putTps: this.putTps.text(),
      getFoundTps: this.foundTps.text(),
      getMissTps: this.missTps.text(),
      getTotalTps: this.totalTps.text(),
      getTransferredTps: this.transferredTps.text(),
      msgPutTotalYesterdayMorning: String(this.putTotalYesterdayMorning),
      msgPutTotalTodayMorning: String(this.putTotalTodayMorning),
      msgPutTotalTodayNow: String(this.userPut.value),
      msgGetTotalYesterdayMorning: String(this.getTotalYesterdayMorning),
      msgGetTotalTodayMorning: String(this.getTotalTodayMorning),
      msgGetTotalTodayNow: String(this.userGet.value),
    };
  }

  /** One second has passed. Called by the timer; tests call it themselves. */
  tick(now = Date.now()): void {
    this.putTps.sample(this.brokerPut.value);
    this.transferredTps.sample(this.brokerGet.value);
    this.foundTps.sample(this.getFoundTimes);
    this.missTps.sample(this.getMissTimes);
    this.totalTps.sample(this.getFoundTimes + this.getMissTimes);
    if (this.seconds % 10 === 0) for (const set of this.sets.values()) set.sampleSeconds(now);
    if (this.seconds % 600 === 0) for (const set of this.sets.values()) set.sampleMinutes(now);
    if (this.seconds % 3600 === 0) for (const set of this.sets.values()) set.sampleHours(now);
    this.seconds++;
    const day = new Date(now).getDate();
    if (day !== this.day) this.beginDay(day);
  }

  private beginDay(day: number): void {
    this.day = day;
    this.putTotalYesterdayMorning = this.putTotalTodayMorning;
    this.getTotalYesterdayMorning = this.getTotalTodayMorning;
    this.putTotalTodayMorning = this.userPut.value;
    this.getTotalTodayMorning = this.userGet.value;
    let removed = 0;
    for (const [name, set] of this.sets) if (!name.startsWith("BROKER_")) removed += set.removeIdle();
    this.forgetFlows();
    this.logger.info("day ended", {
      put: this.putTotalTodayMorning - this.putTotalYesterdayMorning,
      get: this.getTotalTodayMorning - this.getTotalYesterdayMorning,
      idleStatsRemoved: removed,
    });
  }

  private set(name: StatsName): StatsItemSet {
    return this.sets.get(name)!;
  }

  private addTopic(topic: string): Flow {
    const traffic = this.followed("TOPIC_PUT", topic);
    const flow: Flow = { traffic, queues: [], system: isSystemTopic(topic) };
    if (this.topics.size >= STATS_KEYS_MAX) this.topics.clear();
    this.topics.set(topic, flow);
    return flow;
  }

  private addGroup(group: string, topic: string): Flow {
    const traffic = this.followed("GROUP_GET", `${topic}@${group}`);
    const flow: Flow = { traffic, queues: [], system: false };
    let flows = this.groups.get(group);
    if (flows === undefined) {
      if (this.groups.size >= STATS_KEYS_MAX) this.groups.clear();
      flows = new Map();
      this.groups.set(group, flows);
    }
    flows.set(topic, flow);
    return flow;
  }

  private addQueue(flow: Flow, statistic: "QUEUE_PUT" | "QUEUE_GET", key: string, queueId: number): Traffic {
    const traffic = this.followed(statistic, key);
    if (queueId >= CACHED_QUEUES_MAX) return traffic;
    while (flow.queues.length < queueId) flow.queues.push(undefined);
    flow.queues[queueId] = traffic;
    return traffic;
  }

  /** Traffic that the two items of `key` count. */
  private followed(statistic: "TOPIC_PUT" | "GROUP_GET" | "QUEUE_PUT" | "QUEUE_GET", key: string): Traffic {
    const traffic = new Traffic();
    this.set(`${statistic}_NUMS`).follow(key, traffic, "nums");
    this.set(`${statistic}_SIZE`).follow(key, traffic, "size");
    return traffic;
  }

  /** Items were dropped: the caches must not count into them. */
  private forgetFlows(): void {
    this.topics.clear();
    this.groups.clear();
  }
}

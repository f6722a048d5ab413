import { join } from "node:path";
import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { ConfigManager } from "../config-manager.ts";
import {
  jsonObject,
  member,
  newDataVersion,
  nextVersion,
  parseDataVersion,
  sameDataVersion,
  unknownMembers,
} from "../config-schema.ts";
import { encodeSliced } from "../sliced-json.ts";
import {
  type DataVersion,
  PERM_INHERIT,
  PERM_READ,
  PERM_WRITE,
  type TopicConfig,
  TRANS_CHECK_MAX_TIME_TOPIC,
} from "../types.ts";
import { type BuiltInTopicSettings, builtInTopics } from "./built-in-topics.ts";
import { alterAttributes, TOPIC_ATTRIBUTES } from "./topic-attributes.ts";
import { newTopicConfig, parseTopicConfig, unknownTopicFields } from "./topic-config.ts";
import { AUTO_CREATE_TOPIC_KEY_TOPIC, isSystemTopic } from "./topic-validator.ts";

export interface TopicConfigSettings extends BuiltInTopicSettings {
  storePathRootDir: string;
}

/** Automatic creation stops here: a client with generated topic names must not fill memory and name servers. */
const TOPICS_MAX = 200_000;
/** Refused names remembered so that each is logged once, not once a message. */
const REFUSED_MAX = 1000;

const TABLE_MEMBERS: ReadonlySet<string> = new Set(["dataVersion", "topicConfigTable"]);

/** Topics of this broker and `config/topics.json` [TopicConfigManager]. */
export class TopicConfigManager extends ConfigManager {
  readonly table = new Map<string, TopicConfig>();
  readonly dataVersion: DataVersion = newDataVersion();
  /** Topics that differ since the last call; empty after a deletion, which only a full registration carries. */
  onChange?: (changed: TopicConfig[]) => void;

  readonly #settings: TopicConfigSettings;
  readonly #ownSystemTopics = new Set<string>();
  readonly #refused = new Set<string>();
  #unknown: Record<string, unknown> = {};
  #unknownOfTopic = new Map<string, Record<string, unknown>>();

  constructor(settings: TopicConfigSettings, logger: Logger) {
    super(join(settings.storePathRootDir, "config", "topics.json"), logger);
    this.#settings = settings;
    for (const topic of builtInTopics(settings)) {
      this.table.set(topic.topicName, topic);
      this.#ownSystemTopics.add(topic.topicName);
    }
  }

  get(topic: string): TopicConfig | undefined {
    return this.table.get(topic);
  }

  isSystemTopic(topic: string): boolean {
    return this.#ownSystemTopics.has(topic) || isSystemTopic(topic);
  }

  isOrderTopic(topic: string): boolean {
    return this.table.get(topic)?.order ?? false;
  }

  /**
   * Creates a topic on its first message [TopicConfigManager#createTopicInSendMessageMethod]: queues are the smaller of
   * the client's wish and the default topic's, permission is the default topic's without INHERIT. Undefined when the
   * default topic does not allow it; why is logged once per topic.
   */
  createTopicInSendMessageMethod(
    topic: string,
    defaultTopic: string,
    remoteAddress: string,
    clientDefaultTopicQueueNums: number,
    topicSysFlag: number,
  ): TopicConfig | undefined {
    const existing = this.table.get(topic);
    if (existing !== undefined) return existing;
    const pattern = this.table.get(defaultTopic);
    if (pattern === undefined)
      return this.#refuse(topic, `the default topic ${defaultTopic} does not exist`, remoteAddress);
    this.#closeAutoCreation();
    if ((pattern.perm & PERM_INHERIT) === 0)
      return this.#refuse(topic, `the default topic ${defaultTopic} has permission ${pattern.perm}`, remoteAddress);
    if (this.table.size >= TOPICS_MAX)
      return this.#refuse(
        topic,
        `the broker has ${this.table.size} topics, wanted fewer than ${TOPICS_MAX}`,
        remoteAddress,
      );
    const queueNums = Math.max(0, Math.min(clientDefaultTopicQueueNums, pattern.writeQueueNums));
    const created = newTopicConfig(topic, {
      readQueueNums: queueNums,
      writeQueueNums: queueNums,
      perm: pattern.perm & ~PERM_INHERIT,
      topicSysFlag,
      topicFilterType: pattern.topicFilterType,
    });
    this.#add(created, `by ${remoteAddress} from ${defaultTopic}`);
    return created;
  }

  /** Creates a retry, DLQ or other internal topic [TopicConfigManager#createTopicInSendMessageBackMethod]. */
  createTopicInSendMessageBackMethod(
    topic: string,
    queueNums: number,
    perm: number,
    topicSysFlag: number,
    order = false,
  ): TopicConfig {
    const existing = this.table.get(topic);
    if (existing !== undefined) {
      if (existing.order !== order) {
        existing.order = order;
        this.#changed([existing]);
      }
      return existing;
    }
    const created = newTopicConfig(topic, {
      readQueueNums: queueNums,
      writeQueueNums: queueNums,
      perm,
      topicSysFlag,
      order,
    });
    this.#add(created, "by the broker");
    return created;
  }

  /** Where half messages go that were checked too often [TopicConfigManager#createTopicOfTranCheckMaxTime]. */
  createTopicOfTranCheckMaxTime(queueNums: number, perm: number): TopicConfig {
    return this.createTopicInSendMessageBackMethod(TRANS_CHECK_MAX_TIME_TOPIC, queueNums, perm, 0);
  }

  /**
   * Creates or replaces a topic. Keys of `config.attributes` carry `+` or `-` and change what the topic has.
   * Resolves as `persist` does. Throws Error in RocketMQ's words for an attribute that cannot be.
   */
  updateTopicConfig(config: TopicConfig): Promise<boolean> {
    return this.updateTopicConfigList([config]);
  }

  /** updateTopicConfig for several topics: one DataVersion step each, one file, one registration; all or nothing. */
  updateTopicConfigList(configs: readonly TopicConfig[]): Promise<boolean> {
    const updated = configs.map((config) => {
      const current = this.table.get(config.topicName);
      const attributes = alterAttributes(
        current === undefined,
        TOPIC_ATTRIBUTES,
        current?.attributes ?? {},
        config.attributes,
      );
      if ("+reserve.time" in config.attributes) throw new Error("Update topic reserveTime not supported");
      return { ...config, attributes };
    });
    for (const config of updated) {
      this.logger.info(`${this.table.has(config.topicName) ? "update" : "create"} topic ${describe(config)}`);
      this.table.set(config.topicName, config);
      this.#refused.delete(config.topicName);
      nextVersion(this.dataVersion);
    }
    const written = this.persist();
    this.onChange?.(updated);
    return written;
  }

  /** Sets or clears the unit (1) and unit-sub (2) bits of topicSysFlag. */
  updateTopicSysFlag(topic: string, bits: number, on: boolean): void {
    const config = this.table.get(topic);
    if (config === undefined) return;
    const flag = on ? config.topicSysFlag | bits : config.topicSysFlag & ~bits;
    if (flag === config.topicSysFlag) return;
    config.topicSysFlag = flag;
    this.#changed([config]);
  }

  /** Marks the topics that the name server's ORDER_TOPIC_CONFIG lists [TopicConfigManager#updateOrderTopicConfig]. */
  updateOrderTopicConfig(orderTopics: Iterable<string>): void {
    const changed: TopicConfig[] = [];
    for (const topic of orderTopics) {
      const config = this.table.get(topic);
      if (config === undefined || config.order) continue;
      config.order = true;
      changed.push(config);
    }
    if (changed.length > 0) this.#changed(changed);
  }

  /** Forgets a topic; its queues and offsets are the caller's. Resolves as `persist` does. */
  deleteTopicConfig(topic: string): Promise<boolean> {
    const config = this.table.get(topic);
    if (config === undefined) return Promise.resolve(true);
    this.table.delete(topic);
    this.#unknownOfTopic.delete(topic);
    this.logger.info(`delete topic ${describe(config)}`);
    nextVersion(this.dataVersion);
    const written = this.persist();
    this.onChange?.([]);
    return written;
  }

  override encode(pretty = false): string {
    const topicConfigTable = new Map(this.#entries());
    return stringifyFastjson({ ...this.#unknown, dataVersion: this.dataVersion, topicConfigTable }, { pretty });
  }

  protected override encodeForFile(): Promise<string> {
    return encodeSliced({ ...this.#unknown, dataVersion: this.dataVersion }, [["topicConfigTable", this.#entries()]]);
  }

  *#entries(): Generator<[string, unknown]> {
    for (const [topic, config] of this.table) {
      const unknown = this.#unknownOfTopic.get(topic);
      yield [topic, unknown === undefined ? config : { ...unknown, ...config }];
    }
  }

  protected override decode(value: unknown): void {
    const loaded = v.parse(jsonObject, member(value, "topicConfigTable"));
    const configs = new Map<string, TopicConfig>();
    const unknownOfTopic = new Map<string, Record<string, unknown>>();
    for (const [topic, item] of loaded) {
      const config = parseTopicConfig(item);
      configs.set(topic, config);
      const unknown = unknownTopicFields(item);
      if (Object.keys(unknown).length > 0) unknownOfTopic.set(topic, unknown);
    }
    const version = parseDataVersion(member(value, "dataVersion"));
    const unknown = unknownMembers(value, TABLE_MEMBERS);
    for (const [topic, config] of configs) this.table.set(topic, config);
    Object.assign(this.dataVersion, version);
    this.#unknown = unknown;
    this.#unknownOfTopic = unknownOfTopic;
    this.#closeAutoCreation();
  }

  override takeOver(value: unknown): boolean {
    if (sameDataVersion(parseDataVersion(member(value, "dataVersion")), this.dataVersion)) return false;
    const topicConfigTable = member(value, "topicConfigTable");
    const kept = new Set(v.parse(jsonObject, topicConfigTable).map(([topic]) => topic));
    this.decode({ dataVersion: member(value, "dataVersion"), topicConfigTable });
    for (const topic of [...this.table.keys()]) if (!kept.has(topic)) this.table.delete(topic);
    this.#refused.clear();
    void this.persist();
    this.onChange?.([]);
    return true;
  }

  /** With autoCreateTopicEnable=false a TBW102 of earlier times, or one made by hand, gives nothing on. */
  #closeAutoCreation(): void {
    const pattern = this.table.get(AUTO_CREATE_TOPIC_KEY_TOPIC);
    if (pattern !== undefined && !this.#settings.autoCreateTopicEnable) pattern.perm = PERM_READ | PERM_WRITE;
  }

  #add(config: TopicConfig, creator: string): void {
    this.table.set(config.topicName, config);
    this.#refused.delete(config.topicName);
    this.logger.info(`create topic ${describe(config)} ${creator}`);
    this.#changed([config]);
  }

  #changed(configs: TopicConfig[]): void {
    nextVersion(this.dataVersion);
    void this.persist();
    this.onChange?.(configs);
  }

  #refuse(topic: string, reason: string, remoteAddress: string): undefined {
    if (this.#refused.has(topic)) return undefined;
    if (this.#refused.size >= REFUSED_MAX) this.#refused.clear();
    this.#refused.add(topic);
    this.logger.warn(`topic ${topic} is not created for ${remoteAddress}: ${reason}`);
    return undefined;
  }
}

function describe(config: TopicConfig): string {
  return `${config.topicName} (read ${config.readQueueNums}, write ${config.writeQueueNums}, perm ${config.perm}${config.order ? ", order" : ""})`;
}

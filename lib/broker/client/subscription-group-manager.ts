import { join } from "node:path";
import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { ConfigManager } from "../config-manager.ts";
import {
  javaInt,
  jsonObject,
  member,
  newDataVersion,
  nextVersion,
  parseDataVersion,
  sameDataVersion,
  unknownMembers,
} from "../config-schema.ts";
import { encodeSliced } from "../sliced-json.ts";
import { alterAttributes, GROUP_ATTRIBUTES } from "../topic/topic-attributes.ts";
import { groupNameFault } from "../topic/topic-validator.ts";
import type { DataVersion, SubscriptionGroupConfig } from "../types.ts";
import {
  newSubscriptionGroupConfig,
  parseSubscriptionGroupConfig,
  subscriptionGroupJson,
} from "./subscription-group-config.ts";

export interface SubscriptionGroupSettings {
  storePathRootDir: string;
  autoCreateSubscriptionGroup: boolean;
  enableCreateSysGroup: boolean;
}

export const TOOLS_CONSUMER_GROUP = "TOOLS_CONSUMER";
export const SYSTEM_GROUP_PREFIX = "CID_RMQ_SYS_";
export const TRANSACTION_GROUP = "CID_RMQ_SYS_TRANS";

/** Groups that every broker has from its start [SubscriptionGroupManager#init]. */
export const BUILT_IN_GROUPS: readonly string[] = [
  TOOLS_CONSUMER_GROUP,
  "FILTERSRV_CONSUMER",
  "SELF_TEST_C_GROUP",
  "CID_ONS-HTTP-PROXY",
  "CID_ONSAPI_PULL",
  "CID_ONSAPI_PERMISSION",
  "CID_ONSAPI_OWNER",
  TRANSACTION_GROUP,
];

/** Automatic creation stops here. */
const GROUPS_MAX = 200_000;

const TABLE_MEMBERS: ReadonlySet<string> = new Set(["dataVersion", "forbiddenTable", "subscriptionGroupTable"]);

type ForbiddenTable = Map<string, Map<string, number>>;

/** Consumer groups of this broker and `config/subscriptionGroup.json` [SubscriptionGroupManager]. */
export class SubscriptionGroupManager extends ConfigManager {
  readonly table = new Map<string, SubscriptionGroupConfig>();
  readonly dataVersion: DataVersion = newDataVersion();
  /** Group → topic → bits that forbid consuming. */
  readonly forbiddenTable: ForbiddenTable = new Map();

  readonly #settings: SubscriptionGroupSettings;
  #unknown: Record<string, unknown> = {};

  constructor(settings: SubscriptionGroupSettings, logger: Logger) {
    super(join(settings.storePathRootDir, "config", "subscriptionGroup.json"), logger);
    this.#settings = settings;
    for (const group of BUILT_IN_GROUPS) this.table.set(group, newSubscriptionGroupConfig(group));
  }

  /** The group, created with defaults where the configuration allows it; undefined otherwise (code 26). */
  findSubscriptionGroupConfig(group: string): SubscriptionGroupConfig | undefined {
    const existing = this.table.get(group);
    if (existing !== undefined) return existing;
    const { autoCreateSubscriptionGroup, enableCreateSysGroup } = this.#settings;
    const system = enableCreateSysGroup && group.startsWith(SYSTEM_GROUP_PREFIX);
    if (!autoCreateSubscriptionGroup && !system) return undefined;
    if (groupNameFault(group) !== undefined || this.table.size >= GROUPS_MAX) return undefined;
    const created = newSubscriptionGroupConfig(group);
    this.table.set(group, created);
    this.logger.info(`create group ${group} on its first use`);
    nextVersion(this.dataVersion);
    void this.persist();
    return created;
  }

  containsSubscriptionGroup(group: string): boolean {
    return this.table.has(group);
  }

  /** Creates or replaces a group. Keys of `config.attributes` carry `+` or `-`. Resolves as `persist` does; throws Error for an unknown attribute. */
  updateSubscriptionGroupConfig(config: SubscriptionGroupConfig): Promise<boolean> {
    return this.updateSubscriptionGroupConfigList([config]);
  }

  updateSubscriptionGroupConfigList(configs: readonly SubscriptionGroupConfig[]): Promise<boolean> {
    const updated = configs.map((config) => {
      const current = this.table.get(config.groupName);
      const attributes = alterAttributes(
        current === undefined,
        GROUP_ATTRIBUTES,
        current?.attributes ?? {},
        config.attributes,
      );
      return { ...config, attributes };
    });
    for (const config of updated) {
      this.logger.info(`${this.table.has(config.groupName) ? "update" : "create"} group ${config.groupName}`);
      this.table.set(config.groupName, config);
      nextVersion(this.dataVersion);
    }
    return this.persist();
  }

  /** Stops a group from consuming until it is updated [SubscriptionGroupManager#disableConsume]. */
  disableConsume(group: string): void {
    const config = this.table.get(group);
    if (config === undefined) return;
    config.consumeEnable = false;
    nextVersion(this.dataVersion);
  }

  /** Resolves as `persist` does; offsets of the group are the caller's. */
  deleteSubscriptionGroupConfig(group: string): Promise<boolean> {
    this.forbiddenTable.delete(group);
    if (!this.table.delete(group)) return Promise.resolve(true);
    this.logger.info(`delete group ${group}`);
    nextVersion(this.dataVersion);
    return this.persist();
  }

  /** Bits forbidding the group to consume the topic, 0 when there are none. */
  forbidden(group: string, topic: string): number {
    return Math.max(0, this.forbiddenTable.get(group)?.get(topic) ?? 0);
  }

  isForbidden(group: string, topic: string, bit: number): boolean {
    return (this.forbidden(group, topic) & (1 << bit)) !== 0;
  }

  /** Replaces the bits of one group and topic; 0 removes them (RocketMQ would drop the group's other topics too). */
  updateForbidden(group: string, topic: string, bits: number): Promise<boolean> {
    const topics = this.forbiddenTable.get(group) ?? new Map<string, number>();
    if (bits > 0) topics.set(topic, bits);
    else topics.delete(topic);
    if (topics.size > 0) this.forbiddenTable.set(group, topics);
    else this.forbiddenTable.delete(group);
    this.logger.info(`group ${group}, topic ${topic}: forbidden bits ${bits}`);
    nextVersion(this.dataVersion);
    return this.persist();
  }

  override takeOver(value: unknown): boolean {
    if (sameDataVersion(parseDataVersion(member(value, "dataVersion")), this.dataVersion)) return false;
    const kept = new Set(v.parse(jsonObject, member(value, "subscriptionGroupTable")).map(([group]) => group));
    const forbidden = new Set(parseForbidden(member(value, "forbiddenTable")).keys());
    this.decode(value);
    for (const group of [...this.table.keys()]) if (!kept.has(group)) this.table.delete(group);
    for (const group of [...this.forbiddenTable.keys()]) if (!forbidden.has(group)) this.forbiddenTable.delete(group);
    void this.persist();
    return true;
  }

  override encode(pretty = false): string {
    return stringifyFastjson({ ...this.#head(), subscriptionGroupTable: new Map(this.#entries()) }, { pretty });
  }

  protected override encodeForFile(): Promise<string> {
    return encodeSliced(this.#head(), [["subscriptionGroupTable", this.#entries()]]);
  }

  #head(): Record<string, unknown> {
    return { ...this.#unknown, dataVersion: this.dataVersion, forbiddenTable: this.forbiddenTable };
  }

  *#entries(): Generator<[string, unknown]> {
    for (const [group, config] of this.table) yield [group, subscriptionGroupJson(config)];
  }

  protected override decode(value: unknown): void {
    const configs = new Map<string, SubscriptionGroupConfig>();
    for (const [group, item] of v.parse(jsonObject, member(value, "subscriptionGroupTable")))
      configs.set(group, parseSubscriptionGroupConfig(item));
    const forbidden = parseForbidden(member(value, "forbiddenTable"));
    const version = parseDataVersion(member(value, "dataVersion"));
    const unknown = unknownMembers(value, TABLE_MEMBERS);
    for (const [group, config] of configs) this.table.set(group, config);
    for (const [group, topics] of forbidden) this.forbiddenTable.set(group, topics);
    Object.assign(this.dataVersion, version);
    this.#unknown = unknown;
  }
}

function parseForbidden(value: unknown): ForbiddenTable {
  const table: ForbiddenTable = new Map();
  if (value === undefined || value === null) return table;
  for (const [group, topics] of v.parse(jsonObject, value))
    table.set(
      group,
      new Map(v.parse(jsonObject, topics).map(([topic, bits]): [string, number] => [topic, v.parse(javaInt, bits)])),
    );
  return table;
}

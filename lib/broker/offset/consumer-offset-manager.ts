import { join } from "node:path";
import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { ConfigManager } from "../config-manager.ts";
import {
  javaLong,
  jsonObject,
  member,
  newDataVersion,
  nextVersion,
  parseDataVersion,
  unknownMembers,
} from "../config-schema.ts";
import { encodeSliced } from "../sliced-json.ts";
import type { DataVersion } from "../types.ts";

export interface ConsumerOffsetSettings {
  storePathRootDir: string;
  /** Commits between two steps of the DataVersion. */
  consumerOffsetUpdateVersionStep: number;
  useServerSideResetOffset: boolean;
}

type QueueOffsets = Map<number, number>;

const SEPARATOR = "@";
const QUEUE_ID_MAX = 2147483647;
/** Lines about offsets that went back, per period; the rest is counted. */
const LOWER_LINES_MAX = 100;
const LOWER_PERIOD_MS = 10_000;
/** Lines of a clamping at start; the rest is counted. */
const CLAMP_LINES_MAX = 50;

const TABLE_MEMBERS: ReadonlySet<string> = new Set(["dataVersion", "groupTopicMap", "offsetTable"]);

/** How far each group has consumed each queue, and `config/consumerOffset.json` [ConsumerOffsetManager]. */
export class ConsumerOffsetManager extends ConfigManager {
  /** `topic@group` → queue → next offset to consume. */
  readonly offsetTable = new Map<string, QueueOffsets>();
  readonly dataVersion: DataVersion = newDataVersion();

  readonly #settings: ConsumerOffsetSettings;
  /** Resets that the group's client has not yet been told; not kept over a restart. */
  readonly #resetTable = new Map<string, QueueOffsets>();
  readonly #pullTable = new Map<string, QueueOffsets>();
  /** Keys of the table that was taken over last. */
  #taken: ReadonlySet<string> = new Set();
  #unknown: Record<string, unknown> = {};
  #commits = 0;
  #dirty = false;
  #lowerLines = 0;
  #lowerPeriod = 0;

  constructor(settings: ConsumerOffsetSettings, logger: Logger) {
    super(join(settings.storePathRootDir, "config", "consumerOffset.json"), logger);
    this.#settings = settings;
  }

  /** Takes the offset as it comes: a lower one than before is accepted and logged. */
  commitOffset(clientHost: string, group: string, topic: string, queueId: number, offset: number): void {
    const key = topic + SEPARATOR + group;
    let queues = this.offsetTable.get(key);
    if (queues === undefined) {
      queues = new Map();
      this.offsetTable.set(key, queues);
    }
    const before = queues.get(queueId);
    queues.set(queueId, offset);
    if (before !== offset) this.#dirty = true;
    if (before !== undefined && offset < before) this.#lower(clientHost, key, queueId, before, offset);
    this.#commits++;
    if (this.#commits % Math.max(1, this.#settings.consumerOffsetUpdateVersionStep) === 0)
      nextVersion(this.dataVersion);
  }

  #lower(clientHost: string, key: string, queueId: number, before: number, offset: number): void {
    const period = Math.floor(Date.now() / LOWER_PERIOD_MS);
    if (period !== this.#lowerPeriod) {
      if (this.#lowerLines > LOWER_LINES_MAX)
        this.logger.warn(`${this.#lowerLines - LOWER_LINES_MAX} more commits below the stored offset`);
      this.#lowerPeriod = period;
      this.#lowerLines = 0;
    }
    this.#lowerLines++;
    if (this.#lowerLines <= LOWER_LINES_MAX)
      this.logger.warn(
        `${clientHost} commits offset ${offset} for ${key} queue ${queueId}, below the stored ${before}`,
      );
  }

  /** A reset that waits for the client comes first; -1 when nothing is known. */
  queryOffset(group: string, topic: string, queueId: number): number {
    const key = topic + SEPARATOR + group;
    if (this.#settings.useServerSideResetOffset) {
      const reset = this.#resetTable.get(key)?.get(queueId);
      if (reset !== undefined) return reset;
    }
    return this.offsetTable.get(key)?.get(queueId) ?? -1;
  }

  /** All queues of a group and topic. */
  queryOffsets(group: string, topic: string): ReadonlyMap<number, number> | undefined {
    return this.offsetTable.get(topic + SEPARATOR + group);
  }

  /** How far the group has pulled, for statistics; in memory only. */
  commitPullOffset(_clientHost: string, group: string, topic: string, queueId: number, offset: number): void {
    const key = topic + SEPARATOR + group;
    let queues = this.#pullTable.get(key);
    if (queues === undefined) {
      queues = new Map();
      this.#pullTable.set(key, queues);
    }
    queues.set(queueId, offset);
  }

  queryPullOffset(group: string, topic: string, queueId: number): number {
    return this.#pullTable.get(topic + SEPARATOR + group)?.get(queueId) ?? this.queryOffset(group, topic, queueId);
  }

  clearPullOffset(group: string, topic: string): void {
    this.#pullTable.delete(topic + SEPARATOR + group);
  }

  /** Moves a queue and marks it, so that the next pull tells the client and commits until then are ignored. */
  assignResetOffset(topic: string, group: string, queueId: number, offset: number): void {
    if (topic === "" || group === "" || queueId < 0 || offset < 0) {
      this.logger.warn(
        `reset of ${topic}@${group} queue ${queueId} to ${offset} is ignored, wanted names and no negative number`,
      );
      return;
    }
    const key = topic + SEPARATOR + group;
    for (const table of [this.#resetTable, this.offsetTable]) {
      const queues = table.get(key) ?? new Map<number, number>();
      queues.set(queueId, offset);
      table.set(key, queues);
    }
    this.#dirty = true;
  }

  hasOffsetReset(topic: string, group: string, queueId: number): boolean {
    return this.#resetTable.size > 0 && (this.#resetTable.get(topic + SEPARATOR + group)?.has(queueId) ?? false);
  }

  queryThenEraseResetOffset(topic: string, group: string, queueId: number): number | undefined {
    if (this.#resetTable.size === 0) return undefined;
    const key = topic + SEPARATOR + group;
    const queues = this.#resetTable.get(key);
    const offset = queues?.get(queueId);
    queues?.delete(queueId);
    if (queues?.size === 0) this.#resetTable.delete(key);
    return offset;
  }

  whichTopicByConsumer(group: string): Set<string> {
    const topics = new Set<string>();
    for (const key of this.offsetTable.keys()) {
      const parts = split(key);
      if (parts?.group === group) topics.add(parts.topic);
    }
    return topics;
  }

  whichGroupByTopic(topic: string): Set<string> {
    const groups = new Set<string>();
    for (const key of this.offsetTable.keys()) {
      const parts = split(key);
      if (parts?.topic === topic) groups.add(parts.group);
    }
    return groups;
  }

  cloneOffset(sourceGroup: string, targetGroup: string, topic: string): void {
    const queues = this.offsetTable.get(topic + SEPARATOR + sourceGroup);
    if (queues === undefined) return;
    this.offsetTable.set(topic + SEPARATOR + targetGroup, new Map(queues));
    this.#dirty = true;
  }

  /** Forgets all offsets of a group. */
  removeOffset(group: string): void {
    this.#removeWhere((parts) => parts.group === group, `group ${group}`);
  }

  /** Forgets all offsets of a topic. */
  cleanOffsetByTopic(topic: string): void {
    this.#removeWhere((parts) => parts.topic === topic, `topic ${topic}`);
  }

  /** Forgets what the broker whose table was taken over last does not have, of topics and groups that are no more: it deleted them. */
  forgetDeleted(exists: (topic: string, group: string) => boolean): void {
    const deleted = (topic: string, group: string) =>
      !this.#taken.has(topic + SEPARATOR + group) && !exists(topic, group);
    this.#removeWhere(({ topic, group }) => deleted(topic, group), "topics and groups that the master deleted");
  }

  #removeWhere(matches: (parts: { topic: string; group: string }) => boolean, what: string): void {
    let removed = 0;
    for (const table of [this.offsetTable, this.#resetTable, this.#pullTable])
      for (const key of [...table.keys()]) {
        const parts = split(key);
        if (parts === undefined || !matches(parts)) continue;
        table.delete(key);
        if (table === this.offsetTable) removed++;
      }
    if (removed === 0) return;
    this.#dirty = true;
    this.logger.info(`removed the offsets of ${what}: ${removed} entries`);
  }

  /** The lowest offset of any group per queue, of those not below the queue's minimum [queryMinOffsetInAllGroup]. */
  queryMinOffsetInAllGroup(
    topic: string,
    ignoredGroups: ReadonlySet<string>,
    minOffsetInQueue: (queueId: number) => number,
  ): Map<number, number> {
    const lowest = new Map<number, number>();
    for (const [key, queues] of this.offsetTable) {
      const parts = split(key);
      if (parts?.topic !== topic || ignoredGroups.has(parts.group)) continue;
      for (const [queueId, offset] of queues)
        if (offset >= minOffsetInQueue(queueId)) lowest.set(queueId, Math.min(offset, lowest.get(queueId) ?? offset));
    }
    return lowest;
  }

  /**
   * Lowers offsets that lie beyond their queue's end, as they are after a log was cut in a crash: otherwise the messages
   * that take those places would never be consumed. To be called once after recovery; logs each. Returns how many.
   * @param maxOffset next offset to be written of a queue, undefined when the store does not know the queue: left alone.
   */
  clampToQueueMax(maxOffset: (topic: string, queueId: number) => number | undefined): number {
    let clamped = 0;
    for (const [key, queues] of this.offsetTable) {
      const parts = split(key);
      if (parts === undefined) continue;
      for (const [queueId, offset] of queues) {
        const max = maxOffset(parts.topic, queueId);
        if (max === undefined || offset <= max) continue;
        queues.set(queueId, max);
        clamped++;
        if (clamped <= CLAMP_LINES_MAX)
          this.logger.warn(
            `offset of ${key} queue ${queueId} was ${offset}, beyond the queue's end ${max}: set to ${max}`,
          );
      }
    }
    if (clamped > CLAMP_LINES_MAX)
      this.logger.warn(`${clamped - CLAMP_LINES_MAX} more offsets were beyond their queue's end`);
    if (clamped > 0) this.#dirty = true;
    return clamped;
  }

  /** Writes only when something changed since the last write. */
  override async persist(): Promise<boolean> {
    if (!this.#dirty) return true;
    const written = await super.persist();
    if (!written) this.#dirty = true;
    return written;
  }

  protected override encodeForFile(): Promise<string> {
    this.#dirty = false;
    return this.encodeInSlices();
  }

  /** The table as JSON, made without holding up the loop. */
  encodeInSlices(): Promise<string> {
    return encodeSliced({ ...this.#unknown, dataVersion: this.dataVersion }, [
      ["groupTopicMap", this.#groupTopicMap()],
      ["offsetTable", this.offsetTable],
    ]);
  }

  override encode(pretty = false): string {
    return stringifyFastjson(
      {
        ...this.#unknown,
        dataVersion: this.dataVersion,
        groupTopicMap: this.#groupTopicMap(),
        offsetTable: this.offsetTable,
      },
      { pretty },
    );
  }

  /** Derived from the offsets; written because RocketMQ writes it, never read. */
  #groupTopicMap(): Map<string, Set<string>> {
    const groupTopicMap = new Map<string, Set<string>>();
    for (const key of this.offsetTable.keys()) {
      const parts = split(key);
      if (parts === undefined) continue;
      const topics = groupTopicMap.get(parts.group);
      if (topics === undefined) groupTopicMap.set(parts.group, new Set([parts.topic]));
      else topics.add(parts.topic);
    }
    return groupTopicMap;
  }

  /** Groups that the other broker does not know keep their offsets: they may consume from this one alone. */
  override takeOver(value: unknown): boolean {
    const taken = parseOffsetTable(value);
    this.#taken = new Set(taken.keys());
    Object.assign(this.dataVersion, parseDataVersion(member(value, "dataVersion")));
    let changed = false;
    for (const [key, queues] of taken) {
      if (sameOffsets(this.offsetTable.get(key), queues)) continue;
      this.offsetTable.set(key, queues);
      changed = true;
    }
    if (changed) this.#dirty = true;
    void this.persist();
    return changed;
  }

  /** Takes from another broker's table what lies ahead of this one; returns how many queues moved. Throws when it is no such table. */
  advance(value: unknown): number {
    let moved = 0;
    for (const [key, queues] of parseOffsetTable(value)) {
      const own = this.offsetTable.get(key) ?? new Map<number, number>();
      for (const [queueId, offset] of queues) {
        if (offset <= (own.get(queueId) ?? -1)) continue;
        own.set(queueId, offset);
        moved++;
      }
      if (own.size > 0) this.offsetTable.set(key, own);
    }
    if (moved === 0) return 0;
    nextVersion(this.dataVersion);
    this.#dirty = true;
    void this.persist();
    return moved;
  }

  protected override decode(value: unknown): void {
    const loaded = parseOffsetTable(value);
    const version = parseDataVersion(member(value, "dataVersion"));
    const unknown = unknownMembers(value, TABLE_MEMBERS);
    this.offsetTable.clear();
    for (const [key, queues] of loaded) this.offsetTable.set(key, queues);
    Object.assign(this.dataVersion, version);
    this.#unknown = unknown;
  }
}

function parseOffsetTable(value: unknown): Map<string, QueueOffsets> {
  const table = new Map<string, QueueOffsets>();
  for (const [key, queues] of v.parse(jsonObject, member(value, "offsetTable")))
    table.set(
      key,
      new Map(v.parse(jsonObject, queues).map(([id, offset]) => [queueIdOf(id), v.parse(javaLong, offset)])),
    );
  return table;
}

function sameOffsets(a: ReadonlyMap<number, number> | undefined, b: ReadonlyMap<number, number>): boolean {
  if (a?.size !== b.size) return false;
  for (const [queueId, offset] of b) if (a.get(queueId) !== offset) return false;
  return true;
}

/** Keys with more than one `@` belong to no group, as in RocketMQ. */
function split(key: string): { topic: string; group: string } | undefined {
  const at = key.indexOf(SEPARATOR);
  if (at < 0 || at !== key.lastIndexOf(SEPARATOR)) return undefined;
  return { topic: key.slice(0, at), group: key.slice(at + 1) };
}

function queueIdOf(text: string): number {
  const queueId = Number(text);
  if (!Number.isInteger(queueId) || queueId < 0 || queueId > QUEUE_ID_MAX)
    throw new Error(`queue id is ${text}, wanted 0 to ${QUEUE_ID_MAX}`);
  return queueId;
}

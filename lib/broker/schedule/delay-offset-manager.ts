import { join } from "node:path";
import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { ConfigManager } from "../config-manager.ts";
import { javaLong, jsonObject, member, newDataVersion, nextVersion, parseDataVersion } from "../config-schema.ts";
import type { DataVersion } from "../types.ts";

export interface DelayOffsetSettings {
  storePathRootDir: string;
  /** Offset changes between two steps of the DataVersion. */
  delayOffsetUpdateVersionStep: number;
}

/** Where the log stands: which delivered copies would survive a power cut. */
export interface LogPosition {
  readonly maxPhyOffset: number;
  readonly flushedWhere: number;
}

/**
 * How far each delay level has been delivered, and `config/delayOffset.json`. The file lags behind: an offset is written only
 * once the log is flushed past the copies delivered up to it, or a power cut would lose them.
 */
export class DelayOffsetManager extends ConfigManager {
  /** Level → next offset of its queue. */
  readonly offsetTable = new Map<number, number>();
  readonly dataVersion: DataVersion = newDataVersion();

  readonly #step: number;
  #updates = 0;
  #durable = new Map<number, number>();
  #candidate = new Map<number, number>();
  #candidatePhyOffset = 0;
  #dirty = false;

  constructor(settings: DelayOffsetSettings, logger: Logger) {
    super(join(settings.storePathRootDir, "config", "delayOffset.json"), logger);
    this.#step = Math.max(1, settings.delayOffsetUpdateVersionStep);
  }

  update(level: number, offset: number): void {
    this.offsetTable.set(level, offset);
    this.#updates++;
    if (this.#updates % this.#step === 0) nextVersion(this.dataVersion);
  }

  /** Has the newest offsets that are safe written, when they changed. */
  async persistFlushed(log: LogPosition): Promise<boolean> {
    if (log.flushedWhere >= this.#candidatePhyOffset) this.#promote(this.#candidate);
    this.#candidate = new Map(this.offsetTable);
    this.#candidatePhyOffset = log.maxPhyOffset;
    if (log.flushedWhere >= this.#candidatePhyOffset) this.#promote(this.#candidate);
    if (!this.#dirty) return true;
    const written = await this.persist();
    if (!written) this.#dirty = true;
    return written;
  }

  /** Writes the offsets as they stand when the log is closed: those of copies that are not on the disk fall back. */
  async stopFlushed(flushed: boolean): Promise<void> {
    if (flushed) this.#promote(this.offsetTable);
    else {
      this.offsetTable.clear();
      for (const [level, offset] of this.#durable) this.offsetTable.set(level, offset);
    }
    await super.stop();
  }

  #promote(table: ReadonlyMap<number, number>): void {
    for (const [level, offset] of table) {
      if (this.#durable.get(level) === offset) continue;
      this.#durable.set(level, offset);
      this.#dirty = true;
    }
  }

  override encode(pretty = false): string {
    return this.#encodeTable(this.offsetTable, pretty);
  }

  protected override encodeForFile(): string {
    this.#dirty = false;
    return this.#encodeTable(this.#durable, true);
  }

  #encodeTable(table: ReadonlyMap<number, number>, pretty: boolean): string {
    const offsetTable = new Map([...table].sort(([a], [b]) => a - b));
    return stringifyFastjson({ dataVersion: this.dataVersion, offsetTable }, { pretty });
  }

  override takeOver(value: unknown): boolean {
    const before = this.encode();
    this.decode(value);
    if (this.encode() === before) return false;
    void this.persist();
    return true;
  }

  /** Takes from another broker's table what lies ahead of this one; returns how many levels moved. Throws when it is no such table. */
  advance(value: unknown): number {
    let moved = 0;
    for (const [level, offset] of parseOffsets(value)) {
      if (offset <= (this.offsetTable.get(level) ?? -1)) continue;
      this.offsetTable.set(level, offset);
      this.#durable.set(level, offset);
      this.#candidate.set(level, offset);
      moved++;
    }
    if (moved === 0) return 0;
    nextVersion(this.dataVersion);
    void this.persist();
    return moved;
  }

  protected override decode(value: unknown): void {
    const loaded = parseOffsets(value);
    const version = parseDataVersion(member(value, "dataVersion"));
    this.offsetTable.clear();
    for (const [level, offset] of loaded) this.offsetTable.set(level, offset);
    this.#durable = new Map(this.offsetTable);
    this.#candidate = new Map(this.offsetTable);
    Object.assign(this.dataVersion, version);
  }
}

function parseOffsets(value: unknown): [number, number][] {
  return v
    .parse(jsonObject, member(value, "offsetTable") ?? {})
    .map(([level, offset]): [number, number] => [levelOf(level), v.parse(javaLong, offset)]);
}

function levelOf(text: string): number {
  const level = Number(text);
  if (!Number.isInteger(level) || level < 1) throw new Error(`delay level is ${text}, wanted a number from 1 on`);
  return level;
}

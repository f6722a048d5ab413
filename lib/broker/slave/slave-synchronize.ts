import { errorText } from "../../base/errors.ts";
import { parseFastjson, stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { RemotingClient } from "../../remoting/types.ts";
import type { ConfigManager } from "../config-manager.ts";
import { member, sameDataVersion } from "../config-schema.ts";
import type { DataVersion } from "../types.ts";
import type { KeptState } from "./kept-state.ts";

const TIMEOUT_MS = 3_000;
/** Between two looks at the master: the timer's place moves with every message. */
const TICK_MS = 3_000;
/** Ticks between two copies of all tables: 9 s, and up to RocketMQ's 60 s where reading them holds up the loop for longer. */
const COPY_TICKS_MIN = 3;
const COPY_TICKS_MAX = 20;
const COPY_MS_PER_TICK = 5;
/** A master that is away is asked again after this, then after twice as long each time. */
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 3_000;
/** Between two questions to the name servers where the master is, while it is away. */
const SEARCH_MS = 3_000;

const TIMER_CODES: ReadonlySet<number> = new Set([RequestCode.GET_TIMER_METRICS, RequestCode.GET_TIMER_CHECK_POINT]);

type VersionedTable = ConfigManager & { readonly dataVersion: DataVersion };

export interface SlaveTables {
  readonly topics: VersionedTable;
  readonly groups: VersionedTable;
  readonly offsets: ConfigManager;
  readonly delayOffsets: ConfigManager;
  readonly kept: KeptState;
}

export interface SlaveSynchronizeOptions {
  readonly tables: SlaveTables;
  readonly logger: Logger;
  readonly brokerName: string;
  /** This broker's own address: a registration may name it as the master's for a moment when roles change. */
  readonly ownAddress: () => string;
  /** False while this broker acts as the master: its delay offsets are the newer ones. */
  readonly takesDelayOffsets: () => boolean;
  readonly timerWheelEnable: boolean;
  /** Topics, groups and offsets were taken over. */
  readonly onCopied: () => void;
  /** The master can be asked again, or can no longer be. */
  readonly onMaster: (alive: boolean) => void;
  /** The master is still away: it may be somewhere else by now. */
  readonly onSearch: () => void;
}

/**
 * A slave's copy of its master's tables [SlaveSynchronize]: topics, groups, consumer and delay offsets, request modes, timer state; at
 * once when the master is learned, then every 9 s or, with large tables, up to 60 s; the timer's place every tick. It also knows whether the master is alive.
 */
export class SlaveSynchronize {
  readonly #options: SlaveSynchronizeOptions;
  readonly #client: RemotingClient;
  #masterAddr: string | undefined;
  /** A master was found once, or it was said that none is. */
  #known = false;
  #alive = false;
  /** What was said last about this master; undefined before the first answer or failure. */
  #told: boolean | undefined;
  #ticks = 0;
  #copyTicks = COPY_TICKS_MIN;
  /** ms that this copy held up the loop. */
  #copyMs = 0;
  #retryMs = RETRY_FIRST_MS;
  #search: ReturnType<typeof setInterval> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  /** Codes that this master does not know, an older one perhaps: not asked again. */
  readonly #unknownCodes = new Set<number>();
  /** What a table was made from last, and its version then: the same bytes are not read again. */
  readonly #copied = new Map<VersionedTable, { body: Buffer; version: DataVersion }>();
  /** Tables that could not be taken over: said once each. */
  readonly #refused = new Set<string>();

  constructor(options: SlaveSynchronizeOptions) {
    this.#options = options;
    this.#client = createRemotingClient({
      onClose: (_connection, address) => {
        if (address === this.#masterAddr && !this.#stopped) this.#again(0);
      },
    });
  }

  get masterAddr(): string | undefined {
    return this.#masterAddr;
  }

  /** The master answered the last request. */
  get masterAlive(): boolean {
    return this.#alive;
  }

  /** Follows the master to another address; undefined when no name server knows one. */
  setMasterAddr(address: string | undefined): void {
    const next = address === this.#options.ownAddress() ? undefined : address;
    if (next === this.#masterAddr || this.#stopped) return;
    const before = this.#masterAddr;
    this.#options.logger.info(next === undefined ? "master is not registered any more" : "master found", {
      master: next ?? before,
      before: next === undefined ? undefined : before,
    });
    this.#known ||= next !== undefined;
    this.#masterAddr = next;
    this.#told = undefined;
    this.#unknownCodes.clear();
    this.#copied.clear();
    if (before !== undefined) this.#client.closeAddress(before, "master moved");
    if (next === undefined) this.#setAlive(false);
    else this.#again(0);
  }

  /** Begins to look for a master. */
  start(): void {
    this.#search = setInterval(() => {
      if (this.#alive) return;
      this.#sayWhenAlone();
      this.#options.onSearch();
    }, SEARCH_MS);
  }

  /** A misspelt brokerName pairs with nobody. */
  #sayWhenAlone(): void {
    if (this.#known || this.#masterAddr !== undefined) return;
    this.#known = true;
    const { brokerName, logger } = this.#options;
    logger.warn("no name server knows a master of this brokerName: nothing is copied until one is registered", {
      brokerName,
    });
  }

  /** Copies everything now; resolves true when all of it was taken over. For tests and role changes. */
  async syncAll(): Promise<boolean> {
    await this.#running;
    this.#ticks = 0;
    await this.#run();
    return this.#alive && this.#refused.size === 0;
  }

  async shutdown(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#search);
    await this.#client.close();
    await this.#running;
  }

  #again(ms: number): void {
    if (this.#stopped || this.#masterAddr === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), ms);
  }

  #run(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #round(): Promise<void> {
    const master = this.#masterAddr;
    if (master === undefined) return;
    try {
      if (this.#ticks >= this.#copyTicks || this.#ticks === 0 || !this.#alive) await this.#copy(master);
      await this.#copyTimerCheckpoint(master);
      if (master !== this.#masterAddr) return this.#again(0);
      this.#ticks++;
      this.#retryMs = RETRY_FIRST_MS;
      this.#setAlive(true);
      this.#again(TICK_MS);
    } catch (error) {
      if (this.#stopped || master !== this.#masterAddr) return this.#again(0);
      this.#failed(master, error);
    }
  }

  #setAlive(alive: boolean): void {
    const { logger, onMaster } = this.#options;
    const changed = this.#alive !== alive;
    this.#alive = alive;
    if (alive && this.#told !== true) {
      logger.info(this.#told === false ? "master is back: its tables are copied again" : "master's tables are copied", {
        master: this.#masterAddr,
      });
      this.#told = true;
    }
    if (changed) onMaster(alive);
  }

  #failed(master: string, error: unknown): void {
    if (this.#told !== false)
      this.#options.logger.error("master cannot be asked: this slave serves what it has until it is back", {
        master,
        error: errorText(error),
      });
    this.#told = false;
    this.#ticks = 0;
    this.#unknownCodes.clear();
    this.#setAlive(false);
    this.#again(this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  async #copy(master: string): Promise<void> {
    const { tables, takesDelayOffsets, timerWheelEnable } = this.#options;
    this.#copyMs = 0;
    this.#ticks = 0;
    await this.#take(master, RequestCode.GET_ALL_TOPIC_CONFIG, "topics", (body) =>
      this.#replace(tables.topics, body, (value) => this.#takeMappings(value)),
    );
    await this.#take(master, RequestCode.GET_ALL_CONSUMER_OFFSET, "consumer offsets", (body) =>
      tables.offsets.takeOver(parseFastjson(body)),
    );
    if (takesDelayOffsets())
      await this.#take(master, RequestCode.GET_ALL_DELAY_OFFSET, "delay offsets", (body) =>
        tables.delayOffsets.takeOver(parseFastjson(body)),
      );
    await this.#take(master, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, "groups", (body) =>
      this.#replace(tables.groups, body),
    );
    await this.#take(master, RequestCode.GET_ALL_MESSAGE_REQUEST_MODE, "message request modes", (body) =>
      tables.kept.takeRequestModes(body),
    );
    if (timerWheelEnable)
      await this.#take(master, RequestCode.GET_TIMER_METRICS, "timer metrics", (body) =>
        tables.kept.takeTimerMetrics(body),
      );
    const refused = ["topics", "groups", "consumer offsets"].some((what) => this.#refused.has(what));
    if (!refused && master === this.#masterAddr && !this.#stopped) this.#options.onCopied();
    this.#copyTicks = Math.min(COPY_TICKS_MAX, Math.max(COPY_TICKS_MIN, Math.ceil(this.#copyMs / COPY_MS_PER_TICK)));
  }

  /** Takes over a table unless both sides are as they were at the last copy. */
  #replace(table: VersionedTable, body: Buffer, more?: (value: unknown) => void): void {
    const copied = this.#copied.get(table);
    if (copied?.body.equals(body) && sameDataVersion(copied.version, table.dataVersion)) return;
    const value = parseFastjson(body);
    table.takeOver(value);
    more?.(value);
    this.#copied.set(table, { body: Buffer.from(body), version: { ...table.dataVersion } });
  }

  async #copyTimerCheckpoint(master: string): Promise<void> {
    const { tables, timerWheelEnable } = this.#options;
    // Without a timer to ask for, its cheapest neighbour tells whether the master is there.
    const code = timerWheelEnable ? RequestCode.GET_TIMER_CHECK_POINT : RequestCode.GET_ALL_MESSAGE_REQUEST_MODE;
    if (this.#unknownCodes.has(code)) await this.#client.invoke(master, { code }, TIMEOUT_MS);
    else if (timerWheelEnable)
      await this.#take(master, code, "timer checkpoint", (body) => tables.kept.takeTimerCheckpoint(body));
    else await this.#take(master, code, "message request modes", (body) => tables.kept.takeRequestModes(body));
  }

  /** Throws when the master cannot be asked; a body that is not what it should be is said once and left. */
  async #take(master: string, code: number, what: string, take: (body: Buffer) => unknown): Promise<void> {
    if (this.#unknownCodes.has(code)) return;
    const response = await this.#client.invoke(master, { code }, TIMEOUT_MS);
    if (this.#stopped || master !== this.#masterAddr) return;
    // A Java master with timerWheelEnable=false has no timer state to tell.
    const noTimer = response.code === ResponseCode.SYSTEM_ERROR && TIMER_CODES.has(code);
    if (noTimer || response.code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED) {
      this.#unknownCodes.add(code);
      return;
    }
    if (response.code === ResponseCode.SERVICE_NOT_AVAILABLE)
      throw new Error(response.remark ?? `code ${response.code}`);
    try {
      if (response.code !== ResponseCode.SUCCESS) throw new Error(`code ${response.code}: ${response.remark ?? ""}`);
      const begin = performance.now();
      if (response.body !== undefined && response.body.length > 0) take(response.body);
      this.#copyMs += performance.now() - begin;
      this.#refused.delete(what);
    } catch (error) {
      if (this.#refused.has(what)) return;
      this.#refused.add(what);
      this.#options.logger.error(`the master's ${what} are not taken over`, { master, error: errorText(error) });
    }
  }

  #takeMappings(value: unknown): void {
    const details = member(value, "topicQueueMappingDetailMap");
    if (details === undefined || details === null || Object.keys(details).length === 0) return;
    const dataVersion = member(value, "mappingDataVersion");
    this.#options.tables.kept.takeMappings(stringifyFastjson({ dataVersion, topicQueueMappingInfoMap: details }));
  }
}

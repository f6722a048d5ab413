import { NOTHING, StatsItem, type StatsSnapshot } from "./stats-item.ts";
import type { Traffic } from "./traffic.ts";

/** Keys of one statistic; past it new keys share one item that nobody can ask for. About 1.5 KiB each once a day old. */
export const STATS_KEYS_MAX = 5000;

/** All counters of one statistic, `TOPIC_PUT_NUMS` for one, by key [StatsItemSet]. */
export class StatsItemSet {
  private readonly items = new Map<string, StatsItem>();
  private readonly overflow = new StatsItem();

  constructor(readonly statsName: string) {}

  get size(): number {
    return this.items.size;
  }

  get(key: string): StatsItem | undefined {
    return this.items.get(key);
  }

  /** Has the item of `key` count what `traffic` counts; one too many counts nothing. */
  follow(key: string, traffic: Traffic, figure: "nums" | "size"): void {
    const item = this.getOrCreate(key);
    if (item !== this.overflow) item.follow(traffic, figure);
  }

  getOrCreate(key: string): StatsItem {
    const found = this.items.get(key);
    if (found !== undefined) return found;
    if (this.items.size >= STATS_KEYS_MAX) return this.overflow;
    const created = new StatsItem();
    this.items.set(key, created);
    return created;
  }

  inMinute(key: string): StatsSnapshot {
    return this.items.get(key)?.inMinute() ?? NOTHING;
  }

  sampleSeconds(now: number): void {
    for (const item of this.items.values()) item.sampleSeconds(now);
  }

  sampleMinutes(now: number): void {
    for (const item of this.items.values()) item.sampleMinutes(now);
  }

  sampleHours(now: number): void {
    for (const item of this.items.values()) item.sampleHours(now);
  }

  /** Drops the keys that `test` names. */
  remove(test: (key: string) => boolean): void {
    for (const key of this.items.keys()) if (test(key)) this.items.delete(key);
  }

  /** Drops what did not count since the last call; returns how many. */
  removeIdle(): number {
    let removed = 0;
    for (const [key, item] of this.items) {
      if (item.value !== item.lastSeenValue) item.lastSeenValue = item.value;
      else if (this.items.delete(key)) removed++;
    }
    return removed;
  }
}

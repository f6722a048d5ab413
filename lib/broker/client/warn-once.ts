import { now } from "../../base/clock.ts";

const KEYS_MAX = 10_000;

/** Remembers what has been said, so that a standing fault is one line and not one a heartbeat. Forgets all when full. */
export class WarnOnce {
  private readonly said = new Set<string>();

  /** True the first time for `key`. */
  first(key: string): boolean {
    if (this.said.has(key)) return false;
    if (this.said.size >= KEYS_MAX) this.said.clear();
    this.said.add(key);
    return true;
  }

  /** The fault is over: it may be said again. True when it had been said. */
  over(key: string): boolean {
    return this.said.delete(key);
  }
}

/** Lines about something that may happen with every request: so many a period, the rest is dropped. */
export class LineBudget {
  private used = 0;
  private periodEnd = 0;

  constructor(
    private readonly linesMax: number,
    private readonly periodMs: number,
  ) {}

  take(): boolean {
    const time = now();
    if (time >= this.periodEnd) {
      this.periodEnd = time + this.periodMs;
      this.used = 0;
    }
    return ++this.used <= this.linesMax;
  }
}

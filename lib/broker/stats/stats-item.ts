import type { Traffic } from "./traffic.ts";

/** Sum, rate a second and value per call over a window [StatsSnapshot]. */
export interface StatsSnapshot {
  sum: number;
  tps: number;
  avgpt: number;
}

const FIELDS = 3;
export const NOTHING: StatsSnapshot = { sum: 0, tps: 0, avgpt: 0 };

/** The last samples of one counter: `time, value, times` each; the window is the difference of the newest and the oldest. */
class SampleWindow {
  private readonly samples: number[] = [];

  constructor(
    private readonly samplesMax: number,
    private readonly periodMs: number,
  ) {}

  /** A counter that was not there at the last tick began at zero then [StatsItem#samplingInSeconds]. */
  add(now: number, value: number, times: number): void {
    if (this.samples.length === 0) this.samples.push(now - this.periodMs, 0, 0);
    this.samples.push(now, value, times);
    if (this.samples.length > this.samplesMax * FIELDS) this.samples.splice(0, FIELDS);
  }

  snapshot(): StatsSnapshot {
    const last = this.samples.length - FIELDS;
    if (last < 0) return { sum: 0, tps: 0, avgpt: 0 };
    const elapsedMs = this.samples[last]! - this.samples[0]!;
    const sum = this.samples[last + 1]! - this.samples[1]!;
    const times = this.samples[last + 2]! - this.samples[2]!;
    return { sum, tps: elapsedMs > 0 ? (sum * 1000) / elapsedMs : 0, avgpt: times > 0 ? sum / times : 0 };
  }
}

/** One counter with its minute, hour and day windows [StatsItem]. Counting is two additions; windows move on the set's timers. */
export class StatsItem {
  /** Counted here, and where the item follows traffic what that had before taken off. */
  private ownValue = 0;
  private ownTimes = 0;
  private followed: Traffic | undefined;
  private figure: "nums" | "size" = "nums";
  /** `value` at the last day sample: an item that did not move for a whole period may be dropped. */
  lastSeenValue = 0;

  // Made with their first sample: thousands of queues that appear in one second must not make them all at once.
  private minute: SampleWindow | undefined;
  private hour: SampleWindow | undefined;
  private day: SampleWindow | undefined;

  get value(): number {
    return this.followed === undefined ? this.ownValue : this.ownValue + this.followed[this.figure];
  }

  get times(): number {
    return this.followed === undefined ? this.ownTimes : this.ownTimes + this.followed.times;
  }

  add(value: number, times: number): void {
    this.ownValue += value;
    this.ownTimes += times;
  }

  /** Counts what `traffic` counts from now on. */
  follow(traffic: Traffic, figure: "nums" | "size"): void {
    const { value, times } = this;
    this.followed = traffic;
    this.figure = figure;
    this.ownValue = value - traffic[figure];
    this.ownTimes = times - traffic.times;
  }

  sampleSeconds(now: number): void {
    this.minute ??= new SampleWindow(7, 10_000);
    this.minute.add(now, this.value, this.times);
  }

  sampleMinutes(now: number): void {
    this.hour ??= new SampleWindow(7, 600_000);
    this.hour.add(now, this.value, this.times);
  }

  sampleHours(now: number): void {
    this.day ??= new SampleWindow(25, 3_600_000);
    this.day.add(now, this.value, this.times);
  }

  inMinute(): StatsSnapshot {
    return this.minute?.snapshot() ?? NOTHING;
  }

  inHour(): StatsSnapshot {
    return this.hour?.snapshot() ?? NOTHING;
  }

  inDay(): StatsSnapshot {
    return this.day?.snapshot() ?? NOTHING;
  }
}

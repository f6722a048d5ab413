/** Sum, rate a second and value per call over a window [StatsSnapshot]. */
export interface StatsSnapshot {
  sum: number;
  tps: number;
  avgpt: number;
}

const FIELDS = 3;

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
  value = 0;
  times = 0;
  /** `value` at the last day sample: an item that did not move for a whole period may be dropped. */
  lastSeenValue = 0;

  private readonly minute = new SampleWindow(7, 10_000);
  private readonly hour = new SampleWindow(7, 600_000);
  private readonly day = new SampleWindow(25, 3_600_000);

  add(value: number, times: number): void {
    this.value += value;
    this.times += times;
  }

  sampleSeconds(now: number): void {
    this.minute.add(now, this.value, this.times);
  }

  sampleMinutes(now: number): void {
    this.hour.add(now, this.value, this.times);
  }

  sampleHours(now: number): void {
    this.day.add(now, this.value, this.times);
  }

  inMinute(): StatsSnapshot {
    return this.minute.snapshot();
  }

  inHour(): StatsSnapshot {
    return this.hour.snapshot();
  }

  inDay(): StatsSnapshot {
    return this.day.snapshot();
  }
}

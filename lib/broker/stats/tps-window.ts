const SECONDS_MAX = 600;

/** A total sampled once a second, for rates over 10, 60 and 600 seconds [StoreStatsService]. */
export class TpsWindow {
  private readonly totals = new Float64Array(SECONDS_MAX + 1);
  private samples = 0;

  /** Adds the total as it stands now; to be called once a second. */
  sample(total: number): void {
    this.totals[this.samples % this.totals.length] = total;
    this.samples++;
  }

  /** Per second over the last `seconds` (or as many as there are). */
  rate(seconds: number): number {
    const span = Math.min(seconds, this.samples - 1);
    if (span <= 0) return 0;
    const newest = this.totals[(this.samples - 1) % this.totals.length]!;
    const oldest = this.totals[(this.samples - 1 - span) % this.totals.length]!;
    return (newest - oldest) / span;
  }

  /** The three rates as code 28 gives them: `10s 1m 10m`. */
  text(): string {
    return `${javaDouble(this.rate(10))} ${javaDouble(this.rate(60))} ${javaDouble(this.rate(SECONDS_MAX))}`;
  }
}

/** A number as Java prints a double: `0.0`, never `0`. */
export function javaDouble(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

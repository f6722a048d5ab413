import { BUCKETS, type Histogram, highestAt, SUB_BUCKETS } from "../histogram.ts";

const TICKS_PER_HALF_DISTANCE = 5;
const US_PER_MS = 1000;

/** One row of a percentile table: `us` is the highest value up to which `fraction` of the `count` values lie. */
export interface PercentileRow {
  us: number;
  fraction: number;
  count: number;
}

/**
 * HdrHistogram's steps towards 100 %: five per halving of the distance, so that the tail is as finely drawn as the
 * middle [PercentileIterator]. Ends with a row for fraction 1.
 */
export function percentileRows(histogram: Histogram, ticks = TICKS_PER_HALF_DISTANCE): PercentileRow[] {
  const total = histogram.count;
  const rows: PercentileRow[] = [];
  if (total === 0) return rows;
  let level = 0;
  let seen = 0;
  let us = 0;
  histogram.forEach((index, count) => {
    seen += count;
    us = highestAt(index);
    while ((100 * seen) / total >= level) {
      rows.push({ us, fraction: level / 100, count: seen });
      level += 100 / (ticks * 2 ** (Math.floor(Math.log2(100 / (100 - level))) + 1));
      // The value that completes the distribution gets one step and the closing row.
      if (seen === total) break;
    }
  });
  rows.push({ us, fraction: 1, count: total });
  return rows;
}

/** The text that HdrHistogram's plotter reads (`.hgrm`), values in milliseconds [AbstractHistogram#outputPercentileDistribution]. */
export function percentileText(histogram: Histogram): string {
  const lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""];
  for (const { us, fraction, count } of percentileRows(histogram)) {
    const row = `${(us / US_PER_MS).toFixed(3).padStart(12)} ${exactHalf(fraction).toFixed(12)} ${String(count).padStart(10)}`;
    lines.push(fraction === 1 ? row : `${row} ${(1 / (1 - fraction)).toFixed(2).padStart(14)}`);
  }
  const text = (value: number) => value.toFixed(3).padStart(12);
  const whole = (value: number) => String(value).padStart(12);
  lines.push(
    `#[Mean    = ${text(histogram.mean / US_PER_MS)}, StdDeviation   = ${text(histogram.stddev / US_PER_MS)}]`,
  );
  lines.push(`#[Max     = ${text(histogram.max / US_PER_MS)}, Total count    = ${whole(histogram.count)}]`);
  lines.push(`#[Buckets = ${whole(BUCKETS)}, SubBuckets     = ${whole(SUB_BUCKETS)}]`);
  if (histogram.nonPositive > 0) lines.push(`#[Zero or less = ${histogram.nonPositive}]`);
  return `${lines.join("\n")}\n`;
}

/** Twelve digits with halves rounded up as Java does: `toFixed` of this runtime rounds some of them down. */
function exactHalf(fraction: number): number {
  return Math.round(fraction * 1e12) / 1e12;
}

import { Histogram, type HistogramSnapshot } from "../histogram.ts";
import { encodeBase64 } from "./encoding.ts";

const US_PER_MS = 1000;

/** One interval of one kind of latency: times in seconds since `startMs`. */
export interface LogInterval {
  tag: string;
  startSeconds: number;
  lengthSeconds: number;
  histogram: Histogram | HistogramSnapshot;
}

/**
 * HdrHistogram's interval log, version 1.3: what its log processor and analyser read. Values are microseconds (give
 * those tools `-outputValueUnitRatio 1000`); the maximum in the third column is milliseconds [HistogramLogWriter].
 * A tag must not hold a comma, a blank or a line break.
 */
export function intervalLog(startMs: number, intervals: Iterable<LogInterval>): string {
  const lines = [
    "#[Histogram log format version 1.3]",
    "#[Values are microseconds, Interval_Max is milliseconds]",
    `#[StartTime: ${(startMs / 1000).toFixed(3)} (seconds since epoch), ${new Date(startMs).toISOString()}]`,
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
  ];
  for (const { tag, startSeconds, lengthSeconds, histogram } of intervals) {
    const recorded = histogram instanceof Histogram ? histogram : Histogram.from(histogram);
    const max = (recorded.max / US_PER_MS).toFixed(3);
    lines.push(`Tag=${tag},${startSeconds.toFixed(3)},${lengthSeconds.toFixed(3)},${max},${encodeBase64(recorded)}`);
  }
  return `${lines.join("\n")}\n`;
}

import { quantile } from "../compare/statistics.ts";
import { messagesOf } from "../compare/units.ts";
import type { RunRecord } from "../result.ts";

const MIB = 1024 ** 2;

/** Microseconds as milliseconds with as many digits as matter. */
export function msText(us: number): string {
  const ms = us / 1000;
  return ms >= 1000 ? ms.toFixed(0) : ms >= 100 ? ms.toFixed(1) : ms >= 1 ? ms.toFixed(2) : ms.toFixed(3);
}

/** A whole number. */
export function countText(value: number): string {
  return Math.round(value).toString();
}

export function mibText(bytes: number): string {
  const mib = bytes / MIB;
  return mib >= 100 ? mib.toFixed(0) : mib.toFixed(1);
}

export function percentText(part: number): string {
  return `${(100 * part).toFixed(0)} %`;
}

/** `p50`, `p99.99`. */
export function fractionName(fraction: number): string {
  return `p${Number((100 * fraction).toPrecision(8))}`;
}

/** A ratio with three digits that matter: 0.123, 1.23, 12.3. */
export function ratioText(ratio: number): string {
  return Number.isFinite(ratio) ? ratio.toPrecision(3).replace(/e\+.*/, "") : "-";
}

/** A run's rate: messages and bytes a second, and how its whole seconds differ. */
export interface RateFigures {
  messagesPerSecond: number;
  bytesPerSecond: number;
  min: number;
  max: number;
  median: number;
  stddev: number;
}

export function rateFigures(run: RunRecord): RateFigures {
  const bySecond = secondRates(run);
  const sorted = [...bySecond].sort((a, b) => a - b);
  const mean = bySecond.reduce((sum, rate) => sum + rate, 0) / Math.max(1, bySecond.length);
  const variance = bySecond.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / Math.max(1, bySecond.length);
  const seconds = Math.max(run.seconds, 1e-9);
  const bytes = run.counts.acked > 0 ? run.counts.bytesSent : run.counts.bytesReceived;
  return {
    messagesPerSecond: messagesOf(run.counts) / seconds,
    bytesPerSecond: bytes / seconds,
    min: sorted[0] ?? 0,
    max: sorted.at(-1) ?? 0,
    median: quantile(sorted, 0.5),
    stddev: Math.sqrt(variance),
  };
}

/** Messages a second of every interval of at least half a second; a shorter last one says nothing. */
export function secondRates(run: RunRecord): number[] {
  let before = 0;
  const rates: number[] = [];
  for (const sample of run.samples) {
    const length = sample.second - before;
    before = sample.second;
    if (length >= 0.5) rates.push((run.counts.acked > 0 ? sample.acked : sample.received) / length);
  }
  return rates;
}

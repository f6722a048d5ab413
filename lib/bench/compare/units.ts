import { decodeBase64 } from "../hdr/encoding.ts";
import { type Histogram, highestAt, middleAt } from "../histogram.ts";
import { histogramOf, isSupported, type RunRecord } from "../result.ts";
import { type Side, UNITS_MIN } from "./statistics.ts";

/** What one run or one second contributes: messages, time, and its latencies of one kind as sparse buckets. */
interface Unit {
  messages: number;
  seconds: number;
  indexes: Int32Array;
  counts: Float64Array;
}

/** Percentiles that are compared, and the name of each. */
export const COMPARED: readonly (readonly [string, number])[] = [
  ["p50", 0.5],
  ["p90", 0.9],
  ["p99", 0.99],
  ["p99.9", 0.999],
  ["p99.99", 0.9999],
];

/** The kind that a run's headline latencies are of: from the intended time where there is one. */
export function mainKind(run: RunRecord): string | undefined {
  const order = run.loop === "open" ? ["response", "e2e", "service", "pull"] : ["service", "pull", "e2e", "response"];
  return order.find((kind) => (run.latencies[kind]?.count ?? 0) > 0) ?? Object.keys(run.latencies)[0];
}

/** Messages that count for a run's rate: those acknowledged, or those received where it only received. */
export function messagesOf(counts: { acked: number; received: number }): number {
  return counts.acked > 0 ? counts.acked : counts.received;
}

/** Names of the figures of a `Side`, in its order: rate first, then mean and percentiles that `count` values support. */
export function figureNames(count: number): string[] {
  const supported = COMPARED.filter(([, fraction]) => isSupported(fraction, count));
  return ["tps", ...(count > 0 ? ["mean"] : []), ...supported.map(([name]) => name)];
}

/**
 * The runs as a side of a comparison: their figures are those of `figureNames(count)`. With three runs and more on both
 * sides the runs are drawn, else their seconds.
 */
export function sideOf(
  runs: readonly RunRecord[],
  kind: string | undefined,
  by: "runs" | "seconds",
  count: number,
): Side {
  const units = by === "runs" ? runs.map((run) => runUnit(run, kind)) : runs.flatMap((run) => secondUnits(run, kind));
  const fractions = COMPARED.filter(([, fraction]) => isSupported(fraction, count)).map(([, fraction]) => fraction);
  const buckets = [...new Set(units.flatMap(({ indexes }) => [...indexes]))].sort((a, b) => a - b);
  const compact = new Map(buckets.map((index, i) => [index, i]));
  const places = units.map(({ indexes }) => indexes.map((index) => compact.get(index)!));
  const merged = new Float64Array(buckets.length);
  const figures = (weights: Float64Array) => {
    merged.fill(0);
    let messages = 0;
    let seconds = 0;
    units.forEach((unit, i) => {
      const weight = weights[i]!;
      if (weight === 0) return;
      messages += weight * unit.messages;
      seconds += weight * unit.seconds;
      const at = places[i]!;
      for (let k = 0; k < at.length; k++) merged[at[k]!]! += weight * unit.counts[k]!;
    });
    const rate = seconds > 0 ? messages / seconds : 0;
    return count > 0 ? [rate, ...distribution(merged, buckets, fractions)] : [rate];
  };
  return { units: units.length, figures };
}

/** Whether both have enough runs to draw from. */
export function basisFor(baseline: readonly RunRecord[], candidate: readonly RunRecord[]): "runs" | "seconds" {
  return Math.min(baseline.length, candidate.length) >= UNITS_MIN ? "runs" : "seconds";
}

/** Mean, then the value at each of the ascending fractions. */
function distribution(merged: Float64Array, buckets: readonly number[], fractions: readonly number[]): number[] {
  let total = 0;
  let sum = 0;
  for (let i = 0; i < merged.length; i++) {
    total += merged[i]!;
    sum += merged[i]! * middleAt(buckets[i]!);
  }
  const result = [total > 0 ? sum / total : 0];
  let seen = 0;
  let i = -1;
  for (const fraction of fractions) {
    while (i < merged.length - 1 && seen < fraction * total) seen += merged[++i]!;
    result.push(total > 0 ? highestAt(buckets[Math.max(0, i)]!) : 0);
  }
  return result;
}

function runUnit(run: RunRecord, kind: string | undefined): Unit {
  const record = kind === undefined ? undefined : run.latencies[kind];
  return {
    messages: messagesOf(run.counts),
    seconds: run.seconds,
    ...sparse(record === undefined ? undefined : histogramOf(record)),
  };
}

function secondUnits(run: RunRecord, kind: string | undefined): Unit[] {
  let before = 0;
  return run.samples.map((sample) => {
    const seconds = sample.second - before;
    before = sample.second;
    const encoded = kind === undefined ? undefined : sample.latencies[kind];
    return {
      messages: run.counts.acked > 0 ? sample.acked : sample.received,
      seconds,
      ...sparse(encoded === undefined ? undefined : decodeBase64(encoded)),
    };
  });
}

function sparse(histogram: Histogram | undefined): { indexes: Int32Array; counts: Float64Array } {
  const indexes: number[] = [];
  const counts: number[] = [];
  histogram?.forEach((index, count) => {
    indexes.push(index);
    counts.push(count);
  });
  return { indexes: Int32Array.from(indexes), counts: Float64Array.from(counts) };
}

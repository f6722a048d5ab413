import { UsageError } from "../../base/errors.ts";
import type { Comparison } from "./compare.ts";

/** A limit to how much worse a figure may get: `p99:+10%` or `tps:-5%`. */
export interface Threshold {
  text: string;
  /** Kind of latency; "" for the first one that a work has. */
  kind: string;
  name: string;
  /** Limit of candidate / baseline. */
  ratio: number;
}

const PART = /^(?:([a-z0-9]+)\.)?(tps|mean|p\d+(?:\.\d+)?):([+-]\d+(?:\.\d+)?)%$/;

/** Reads `p99:+10%,tps:-5%,e2e.p99.9:+20%`. Throws UsageError with what was found. */
export function parseThresholds(text: string): Threshold[] {
  return text.split(",").map((part) => {
    const match = PART.exec(part.trim());
    if (match === null)
      throw new UsageError(`--threshold is "${part}", want FIGURE:+N% or FIGURE:-N%, as in p99:+10%,tps:-5%`);
    const [, kind = "", name = "", percent = ""] = match;
    return { text: part.trim(), kind, name, ratio: 1 + Number(percent) / 100 };
  });
}

/** One line for each limit that the comparison is beyond, or that names a figure which is not there. */
export function missedThresholds(comparison: Comparison, thresholds: readonly Threshold[]): string[] {
  const missed: string[] = [];
  for (const { text, kind, name, ratio } of thresholds) {
    const works = new Map<string, Comparison["metrics"][number]>();
    for (const metric of comparison.metrics)
      if (metric.name === name && (kind === "" || metric.kind === kind) && !works.has(metric.work))
        works.set(metric.work, metric);
    if (works.size === 0) missed.push(`${text}: no such figure in ${comparison.candidate}`);
    for (const metric of works.values()) {
      const beyond = ratio >= 1 ? metric.ratio > ratio : metric.ratio < ratio;
      if (beyond)
        missed.push(
          `${text}: ${metric.work} has ${(100 * (metric.ratio - 1)).toFixed(1).replace(/^(?=\d)/, "+")} % in ${comparison.candidate}${metric.verdict === "same" ? " (no significant difference)" : ""}`,
        );
    }
  }
  return missed;
}

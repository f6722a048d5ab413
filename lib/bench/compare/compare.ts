import type { BenchResult, RunRecord } from "../result.ts";
import { differences } from "./differences.ts";
import { BLOCK_SECONDS, type Interval, ratioIntervals } from "./statistics.ts";
import { basisFor, figureNames, mainKind, sideOf } from "./units.ts";

/** One figure of both sides. Rates are messages a second, latencies microseconds. */
export interface ComparedMetric {
  work: string;
  /** Kind of latency; "" for the rate. */
  kind: string;
  name: string;
  better: "higher" | "lower";
  baseline: number;
  candidate: number;
  /** candidate / baseline. */
  ratio: number;
  /** 95 % of it; undefined where there is too little to draw from. */
  interval: Interval | undefined;
  verdict: "better" | "worse" | "same" | "unknown";
}

export interface Comparison {
  baseline: string;
  candidate: string;
  /** What was drawn for the intervals. Seconds of one run say nothing about the next run. */
  basis: "runs" | "seconds";
  metrics: ComparedMetric[];
  /** What differs besides the figures, and flags that make a side doubtful. */
  warnings: string[];
}

/** A file, or several that repeat the same. */
export interface NamedResults {
  name: string;
  results: readonly BenchResult[];
}

/**
 * Compares every work that both sides have. A difference counts where the bootstrap interval of the ratio leaves out 1.
 */
export function compareResults(baseline: NamedResults, candidate: NamedResults): Comparison {
  const runsA = byWork(baseline);
  const runsB = byWork(candidate);
  const works = [...runsA.keys()].filter((work) => runsB.has(work));
  const warnings = differences(baseline, candidate, works);
  for (const work of [...runsA.keys(), ...runsB.keys()])
    if (!works.includes(work)) warnings.push(`only ${runsA.has(work) ? baseline.name : candidate.name} has "${work}"`);
  if (works.length === 0) warnings.push("the two have no work in common: nothing is compared");
  const bases = works.map((work) => basisFor(runsA.get(work)!, runsB.get(work)!));
  return {
    baseline: baseline.name,
    candidate: candidate.name,
    basis: bases.every((basis) => basis === "runs") && works.length > 0 ? "runs" : "seconds",
    metrics: works.flatMap((work) => compareRuns(work, runsA.get(work)!, runsB.get(work)!)),
    warnings,
  };
}

/** The figures of runs of one work: the rate, then every kind of latency that both sides have. */
export function compareRuns(
  work: string,
  baseline: readonly RunRecord[],
  candidate: readonly RunRecord[],
): ComparedMetric[] {
  const metrics: ComparedMetric[] = [];
  const kinds = commonKinds(baseline, candidate);
  for (const kind of kinds.length === 0 ? [undefined] : kinds) {
    const count = Math.min(samplesOf(baseline, kind), samplesOf(candidate, kind));
    const basis = basisFor(baseline, candidate);
    const sideA = sideOf(baseline, kind, basis, count);
    const sideB = sideOf(candidate, kind, basis, count);
    const intervals = ratioIntervals(sideA, sideB, basis === "runs" ? 1 : BLOCK_SECONDS);
    // The figures themselves come from all that was recorded, which is more than whole seconds.
    const whole = [baseline, candidate].map((runs) => {
      const side = sideOf(runs, kind, "runs", count);
      return side.figures(new Float64Array(side.units).fill(1));
    });
    figureNames(count).forEach((name, i) => {
      if (name === "tps" && metrics.length > 0) return;
      const [a = 0, b = 0] = [whole[0]![i], whole[1]![i]];
      const better = name === "tps" ? "higher" : "lower";
      const interval = intervals[i];
      metrics.push({
        work,
        kind: name === "tps" ? "" : (kind ?? ""),
        name,
        better,
        baseline: a,
        candidate: b,
        ratio: b / a,
        interval,
        verdict: verdictOf(interval, better),
      });
    });
  }
  return metrics;
}

function verdictOf(interval: Interval | undefined, better: "higher" | "lower"): ComparedMetric["verdict"] {
  if (interval === undefined) return "unknown";
  if (interval.low <= 1 && interval.high >= 1) return "same";
  return interval.low > 1 === (better === "higher") ? "better" : "worse";
}

function byWork({ results }: NamedResults): Map<string, RunRecord[]> {
  const works = new Map<string, RunRecord[]>();
  for (const { runs } of results) for (const run of runs) works.set(run.work, [...(works.get(run.work) ?? []), run]);
  return works;
}

/** Kinds that every run has values of, the one of the headline first. */
function commonKinds(baseline: readonly RunRecord[], candidate: readonly RunRecord[]): string[] {
  const all = [...baseline, ...candidate];
  const first = all[0];
  if (first === undefined) return [];
  const kinds = Object.keys(first.latencies).filter((kind) =>
    all.every(({ latencies }) => (latencies[kind]?.count ?? 0) > 0),
  );
  const main = mainKind(first);
  return kinds.sort((a, b) => Number(b === main) - Number(a === main));
}

function samplesOf(runs: readonly RunRecord[], kind: string | undefined): number {
  return kind === undefined ? 0 : runs.reduce((sum, { latencies }) => sum + (latencies[kind]?.count ?? 0), 0);
}

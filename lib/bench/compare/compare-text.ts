import { countText, msText, ratioText } from "../report/figures.ts";
import type { ComparedMetric, Comparison } from "./compare.ts";

/** The comparison for people: warnings first, then a line per figure with what its ratio means. */
export function compareText(comparison: Comparison): string {
  const { baseline, candidate, basis, metrics, warnings } = comparison;
  const lines = [`${candidate} against ${baseline}`, ...warnings.map((warning) => `! ${warning}`)];
  const rows = metrics.map((metric) => [
    metric.work,
    metric.kind === "" ? metric.name : `${metric.kind} ${metric.name}`,
    valueText(metric, metric.baseline),
    valueText(metric, metric.candidate),
    `${ratioText(metric.ratio)} x`,
    metric.interval === undefined ? "" : `${ratioText(metric.interval.low)} to ${ratioText(metric.interval.high)}`,
    verdictText(metric),
  ]);
  if (rows.length > 0) {
    lines.push(...columns([["WORK", "FIGURE", baseline, candidate, "RATIO", "95 % OF IT", "MEANS"], ...rows]));
    lines.push(
      basis === "runs"
        ? "intervals from repeated runs"
        : "intervals from the seconds of the runs: what differs from one run to the next is not in them (three runs of each say that)",
    );
  }
  return lines.join("\n");
}

function valueText({ name }: ComparedMetric, value: number): string {
  return name === "tps" ? `${countText(value)}/s` : `${msText(value)} ms`;
}

function verdictText({ verdict }: ComparedMetric): string {
  if (verdict === "same") return "no significant difference";
  return verdict === "unknown" ? "too little to tell" : verdict;
}

/** Cells padded to their column's widest, two blanks apart. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

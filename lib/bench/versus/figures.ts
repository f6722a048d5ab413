import { median } from "../compare/statistics.ts";
import { COMPARED, mainKind, messagesOf } from "../compare/units.ts";
import { brokerUse } from "../report/summary.ts";
import { histogramOf, isSupported, type RunRecord, type VersusFigure } from "../result.ts";

/** Figures of one run by name. Latencies in microseconds, CPU in cores, memory in bytes. */
export function runFigures(run: RunRecord): Map<string, number> {
  const figures = new Map<string, number>();
  const kind = mainKind(run);
  const record = kind === undefined ? undefined : run.latencies[kind];
  const messages = messagesOf(run.counts);
  if (messages > 0) figures.set("tps", messages / Math.max(run.seconds, 1e-9));
  if (record !== undefined && record.count > 0) {
    const histogram = histogramOf(record);
    figures.set("mean", record.mean);
    for (const [name, fraction] of COMPARED)
      if (isSupported(fraction, record.count)) figures.set(name, histogram.percentile(fraction));
    figures.set("max", record.max);
  }
  const uses = [...brokerUse(run).values()];
  if (uses.length > 0) {
    figures.set(
      "cpu",
      uses.reduce((sum, { cpu }) => sum + cpu, 0),
    );
    figures.set(
      "anonymous",
      uses.reduce((sum, { anonymousBytes }) => sum + anonymousBytes, 0),
    );
  }
  for (const [name, value] of Object.entries(run.figures ?? {})) figures.set(name, value);
  return figures;
}

/** Figures of which more is better; of all others less is. */
export const HIGHER_IS_BETTER: ReadonlySet<string> = new Set(["tps"]);

/**
 * What runs of several targets in several rounds amount to: for every work and figure that all have, the medians, and the
 * ratio of each target to the first one, taken round by round so that what slows the machine down slows both.
 */
export function versusFigures(runs: readonly RunRecord[]): VersusFigure[] {
  const targets = [...new Set(runs.map(({ target }) => target))];
  const result: VersusFigure[] = [];
  for (const work of new Set(runs.map((run) => run.work))) {
    const own = runs.filter((run) => run.work === work);
    // A round that was cut short says nothing.
    const whole = (round: number) =>
      targets.every((target) => own.some((run) => run.target === target && run.round === round));
    const rounds = targets.map((target) =>
      own
        .filter((run) => run.target === target && whole(run.round))
        .sort((a, b) => a.round - b.round)
        .map(runFigures),
    );
    const all = rounds.flat();
    if (all.length === 0) continue;
    for (const name of all[0]!.keys()) {
      if (!all.every((figures) => figures.has(name))) continue;
      const values = rounds.map((own) => own.map((figures) => figures.get(name)!));
      result.push({
        work,
        name,
        targets: targets.map((target, i) => ({
          target,
          median: median(values[i]!),
          rounds: values[i]!,
          ...ratios(values[0]!, values[i]!),
        })),
      });
    }
  }
  return result;
}

/** Median and extremes of value / base, round by round; nothing where the base is zero in some round. */
function ratios(
  base: readonly number[],
  values: readonly number[],
): { ratio?: number; lowest?: number; highest?: number } {
  if (base.some((value) => value <= 0)) return {};
  const paired = values.map((value, i) => value / base[i]!);
  return { ratio: median(paired), lowest: Math.min(...paired), highest: Math.max(...paired) };
}

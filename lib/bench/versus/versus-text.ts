import { columns } from "../compare/compare-text.ts";
import { countText, mibText, msText, percentText, ratioText } from "../report/figures.ts";
import type { VersusFigure } from "../result.ts";

/** Names of figures in microseconds; what is not named here, in `bytes` or in `cpu` is a plain number. */
const LATENCY = /^(?:mean|p\d+(?:\.\d+)?|max)$/;

/** A figure with its unit. */
export function figureText(name: string, value: number): string {
  if (name === "tps") return `${countText(value)}/s`;
  if (LATENCY.test(name)) return `${msText(value)} ms`;
  if (name === "cpu") return percentText(value);
  if (name === "anonymous" || name.endsWith("Bytes")) return `${mibText(value)} MiB`;
  return name.endsWith("Ms") ? `${value.toFixed(1)} ms` : String(Number(value.toPrecision(4)));
}

/** Medians of all targets, and the ratio of each to the first with the lowest and highest of its rounds. */
export function versusText(figures: readonly VersusFigure[]): string {
  const targets = figures[0]?.targets.map(({ target }) => target) ?? [];
  const others = targets.slice(1);
  const header = ["WORK", "FIGURE", ...targets, ...others.flatMap((other) => [`${other} / ${targets[0]}`, "ROUNDS"])];
  const rows = figures.map((figure) => [
    figure.work,
    figure.name,
    ...figure.targets.map(({ median }) => figureText(figure.name, median)),
    ...figure.targets
      .slice(1)
      .flatMap(({ ratio, lowest, highest }) =>
        ratio === undefined || lowest === undefined || highest === undefined
          ? ["-", ""]
          : [`${ratioText(ratio)} x`, `${ratioText(lowest)} to ${ratioText(highest)}`],
      ),
  ]);
  const rounds = figures[0]?.targets[0]?.rounds.length ?? 0;
  return [
    ...columns([header, ...rows]),
    `medians of ${rounds} rounds in turns; ratios round by round, then the lowest and the highest of them`,
  ].join("\n");
}

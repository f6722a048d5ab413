import { UsageError } from "../base/errors.ts";
import { messagesOf } from "./compare/units.ts";
import { histogramOf, type RunRecord } from "./result.ts";

/** A limit that a run must keep: `p99<10ms`, `tps>=12000`, `e2e.p99.9<50ms`, `errors=0`. */
interface Limit {
  text: string;
  kind: string;
  name: string;
  operator: string;
  /** us for times, else as it stands. */
  value: number;
}

/** What RocketMQ's own CI asks of its broker [tieredstore-benchmark]. */
const PRESETS: Readonly<Record<string, string>> = {
  "rocketmq-ci": "tps>=12000,mean<=10ms,max<=500ms",
};
const PART = /^(?:([a-z0-9]+)\.)?(tps|errors|lost|mean|max|p\d+(?:\.\d+)?)(<=|>=|<|>|=)(\d+(?:\.\d+)?)(us|ms|s)?$/;
const UNIT_US: Readonly<Record<string, number>> = { us: 1, ms: 1000, s: 1_000_000 };
const COUNTS: ReadonlySet<string> = new Set(["tps", "errors", "lost"]);
/** Which latency is meant without a name: what a sender or else a reader waits for. */
export const MAIN_KINDS = ["response", "service", "s2c", "e2e"] as const;

/** Reads `p99<10ms,tps>=12000` or the name of a preset. Throws UsageError with what was found. */
export function parseGate(text: string): Limit[] {
  return (PRESETS[text] ?? text).split(",").map((part) => {
    const match = PART.exec(part.trim());
    if (match === null)
      throw new UsageError(
        `--gate is ${JSON.stringify(part)}, want a limit such as p99<10ms, tps>=12000 or errors=0, or ${Object.keys(PRESETS).join(", ")}`,
      );
    const [, kind = "", name = "", operator = "", number = "", unit] = match;
    const value = Number(number) * (COUNTS.has(name) ? 1 : UNIT_US[unit ?? "ms"]!);
    return { text: part.trim(), kind, name, operator, value };
  });
}

/** One line for each limit that the run does not keep. */
export function missedLimits(run: RunRecord, limits: readonly Limit[]): string[] {
  return limits.flatMap((limit) => {
    const found = figureOf(run, limit);
    if (found === undefined) return [`${limit.text}: ${run.work} has no such figure`];
    if (keeps(found, limit)) return [];
    const shown = COUNTS.has(limit.name) ? found.toFixed(0) : `${(found / 1000).toFixed(3)} ms`;
    return [`${limit.text}: ${run.work} has ${shown}`];
  });
}

function figureOf(run: RunRecord, { kind, name }: Limit): number | undefined {
  if (name === "tps") return messagesOf(run.counts) / Math.max(run.seconds, 1e-9);
  if (name === "errors") return run.errors.reduce((sum, { count }) => sum + count, 0);
  if (name === "lost") return run.ledger?.lost;
  const record =
    run.latencies[kind === "" ? (MAIN_KINDS.find((main) => run.latencies[main] !== undefined) ?? "") : kind];
  if (record === undefined || record.count === 0) return undefined;
  if (name === "mean") return record.mean;
  if (name === "max") return record.max;
  return histogramOf(record).percentile(Number(name.slice(1)) / 100);
}

function keeps(found: number, { operator, value }: Limit): boolean {
  if (operator === "<") return found < value;
  if (operator === "<=") return found <= value;
  if (operator === ">") return found > value;
  if (operator === ">=") return found >= value;
  return found === value;
}

import type { BenchResult } from "../result.ts";
import type { NamedResults } from "./compare.ts";

/** Keys of a broker that decide what a figure means. */
const DECIDING_KEYS = [
  "flushDiskType",
  "brokerRole",
  "inSyncReplicas",
  "transientStorePoolEnable",
  "mappedFileSizeCommitLog",
  "flushIntervalCommitLog",
] as const;

/** Options that name things and do not change the load. */
const NAMING_OPTIONS = new Set(["namesrv", "topic", "group", "store", "json", "hdr", "html", "out", "name", "seed"]);

/** Flags of a run that say the run measured something else than the broker. */
const DOUBTFUL_FLAGS = new Set([
  "CLIENT-BOUND",
  "SATURATED",
  "STOLEN",
  "SKEW",
  "SHORT-RUN",
  "NOT-TUNED",
  "UNREACHED",
  "ABORTED",
]);

/**
 * What differs between two sides besides their figures (machine, settings of the brokers, the load), and what makes either
 * doubtful; one line each, the side's name in it. `works` are those that both have.
 */
export function differences(baseline: NamedResults, candidate: NamedResults, works: readonly string[]): string[] {
  const facts = [facing(baseline.results, works), facing(candidate.results, works)] as const;
  const lines: string[] = [];
  for (const what of new Set([...facts[0].keys(), ...facts[1].keys()])) {
    const [a, b] = [facts[0].get(what) ?? "unknown", facts[1].get(what) ?? "unknown"];
    if (a !== b) lines.push(`${what} differs: ${a} in ${baseline.name}, ${b} in ${candidate.name}`);
  }
  for (const side of [baseline, candidate]) lines.push(...doubts(side));
  return lines;
}

/** Everything that ought to be the same, as text; of runs only the works that are compared. */
function facing(results: readonly BenchResult[], works: readonly string[]): Map<string, string> {
  const facts = new Map<string, Set<string>>();
  const add = (what: string, value: unknown) => {
    if (value === undefined || value === null) return;
    facts.set(what, (facts.get(what) ?? new Set()).add(String(value)));
  };
  for (const { machine, brokers, runs, tune } of results) {
    add("machine", machine.hostname);
    add("kernel", machine.kernel);
    add("CPU", machine.cpu);
    add("number of cores", machine.cores);
    add("memory", `${Math.round(machine.memoryBytes / 2 ** 30)} GiB`);
    for (const broker of brokers) {
      add("file system", broker.fileSystem);
      for (const key of DECIDING_KEYS) add(key, broker.config[key]);
    }
    for (const run of runs) {
      if (!works.includes(run.work)) continue;
      add(`loop of ${run.work}`, run.loop);
      for (const [name, value] of Object.entries(run.options))
        if (!NAMING_OPTIONS.has(name)) add(`${name} of ${run.work}`, value);
    }
    add("report of mq tune", tune === undefined ? undefined : tuneDigest(tune));
  }
  return new Map([...facts].map(([what, values]) => [what, [...values].sort().join(" and ")]));
}

/** The states of the checks, which is what a figure may depend on; not the time it was asked. */
function tuneDigest(tune: unknown): string {
  const checks = typeof tune === "object" && tune !== null && "checks" in tune ? tune.checks : undefined;
  if (!Array.isArray(checks)) return "of another form";
  const failing = checks.filter((check): check is { id: string; status: string } => check?.status === "FAIL");
  return failing.length === 0 ? "nothing failing" : `failing ${failing.map(({ id }) => id).join(", ")}`;
}

function doubts({ name, results }: NamedResults): string[] {
  const lines = new Set<string>();
  for (const { runs } of results)
    for (const { flags, work, ledger, interrupted } of runs) {
      for (const { id, text } of flags) if (DOUBTFUL_FLAGS.has(id)) lines.add(`${name}: ${work} is ${id}: ${text}`);
      if (ledger !== undefined && ledger.lost + ledger.corrupt > 0)
        lines.add(`${name}: ${work} lost ${ledger.lost} messages and got ${ledger.corrupt} corrupt`);
      if (interrupted === true) lines.add(`${name}: ${work} was interrupted`);
    }
  return [...lines];
}

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { checkExportPaths, exportResult } from "../lib/bench/report/export.ts";
import { countText, mibText, msText } from "../lib/bench/report/figures.ts";
import { setTable } from "../lib/bench/report/summary.ts";
import { fileSystemName, machineFacts } from "../lib/bench/resources/machine.ts";
import { type BenchResult, histogramOf, RESULT_SCHEMA, type RunRecord } from "../lib/bench/result.ts";
import { runStandardSet, type SetOutcome, setWorks } from "../lib/bench/set/standard-set.ts";
import { runFigures } from "../lib/bench/versus/figures.ts";
import { exportArgs, exportEntries } from "./bench-report.ts";
import { BenchExit } from "./bench-run.ts";
import { addTune } from "./bench-tuned.ts";
import { duration, namesrvAddr, parseFlags } from "./client-flags.ts";
import { credentialArgs, credentialEntries, credentialsOf, shownCommand } from "./credential-flags.ts";
import { print, printTable, say, warn } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

const RUN_BYTES = 12;
const EXIT_INTERRUPTED = 130;
const COMPILED_ROOT = "/$bunfs/";

const flagsSchema = v.object({
  namesrv: namesrvAddr,
  store: v.optional(v.pipe(v.string(), v.nonEmpty("a folder"))),
  duration: v.optional(duration, "5s"),
  warmup: v.optional(duration, "1s"),
  keep: v.optional(v.boolean(), false),
  quiet: v.optional(v.boolean(), false),
  ...credentialEntries,
  ...exportEntries,
});

export const benchSetArgs = {
  namesrv: {
    type: "string",
    alias: "n",
    description: "Name server of the cluster to measure (default: a broker of its own, started and removed)",
    valueHint: "addr",
  },
  store: {
    type: "string",
    description: "Folder on the disk that the own broker's store is to lie on (default: the system's temporary folder)",
    valueHint: "folder",
  },
  duration: { type: "string", description: "Measured part of each work", default: "5s", valueHint: "time" },
  warmup: { type: "string", description: "What comes before it", default: "1s", valueHint: "time" },
  keep: { type: "boolean", description: "Leave the topics that were made" },
  quiet: { type: "boolean", description: "The table only, no line while it runs" },
  ...credentialArgs,
  ...exportArgs,
} as const;

/** `mq bench` alone: the standard set. */
export async function benchSet(args: Record<string, unknown>, rawArgs: readonly string[]): Promise<void> {
  const flags = parseFlags(flagsSchema, args);
  if (flags.namesrv !== undefined && flags.store !== undefined)
    throw new UsageError("--store is for the broker that mq bench starts itself: found --namesrv as well, want one");
  const folder = resolve(flags.store ?? tmpdir());
  const own = flags.namesrv === undefined;
  if (own && !existsSync(folder)) throw new UsageError(`--store is ${folder}, want a folder that exists`);
  checkExportPaths(flags);
  const startedAt = Date.now();
  const times = { warmupSeconds: flags.warmup / 1000, seconds: Math.max(1, Math.round(flags.duration / 1000)) };
  let kill: (() => void) | undefined;
  const interrupt = onInterrupt(() => kill?.());
  const works = setWorks(own);
  const tell = flags.quiet ? () => {} : say;
  tell(
    own
      ? `a broker of its own, store in ${folder} (${fileSystemName(folder) ?? "unknown file system"}), ${works.length} works of ${times.warmupSeconds + times.seconds} s`
      : `${flags.namesrv}: ${works.length} works of ${times.warmupSeconds + times.seconds} s; sync flush only where the cluster is set so`,
  );
  let done = 0;
  try {
    const outcome = await runStandardSet({
      target: flags.namesrv === undefined ? { command: ownCommand(), folder } : { namesrvAddr: flags.namesrv },
      times,
      run: randomBytes(RUN_BYTES).toString("hex"),
      keep: flags.keep,
      credentials: credentialsOf(flags),
      stopped: interrupt.stopped,
      onWork: (name, about) => tell(`${++done}/${works.length} ${name}: ${about}`),
      onRun: (record) => tell(`    ${lineOf(record)}`),
      onBroker: (next) => {
        kill = next;
      },
    });
    const result: BenchResult = {
      schema: RESULT_SCHEMA,
      mq: MQ_VERSION,
      command: shownCommand("mq bench", rawArgs),
      startedAt,
      machine: machineFacts(),
      brokers: outcome.brokers.map(({ host: _, port: __, ...rest }) => rest),
      runs: outcome.runs,
    };
    addTune(result, outcome.brokers);
    printOutcome(result, outcome);
    if (interrupt.stopped()) for (const run of result.runs.slice(-1)) run.interrupted = true;
    const written = await exportResult(result, flags);
    if (written.length > 0) say(`saved ${written.join(" ")}`);
    const bad = outcome.runs.some(({ ledger }) => (ledger?.lost ?? 0) + (ledger?.corrupt ?? 0) > 0);
    if (interrupt.stopped()) process.exitCode = EXIT_INTERRUPTED;
    else if (bad) process.exitCode = BenchExit.lost;
  } finally {
    interrupt.end();
  }
}

function printOutcome({ machine, brokers, runs }: BenchResult, { figures, left }: SetOutcome): void {
  const { header, rows } = setTable(runs);
  printTable(header, rows);
  if (figures.startMs !== undefined)
    print(`start-up ${figures.startMs.toFixed(0)} ms from process start to the first message taken`);
  for (const { work, ledger, latencies } of runs) {
    if (latencies.e2e !== undefined) {
      const [p50 = 0, p99 = 0, p999 = 0] = histogramOf(latencies.e2e).percentiles([0.5, 0.99, 0.999]);
      print(
        `e2e      from the intended time until consumed: p50 ${msText(p50)}, p99 ${msText(p99)}, p99.9 ${msText(p999)}, max ${msText(latencies.e2e.max)} ms`,
      );
    }
    if (ledger !== undefined)
      print(
        `ledger   ${work}: acked ${ledger.acked}, received ${ledger.received}, LOST ${ledger.lost}, DUP ${ledger.duplicates}, CORRUPT ${ledger.corrupt}, REORDER ${ledger.reordered}`,
      );
  }
  const { memoryIdleBytes = 0, memoryAfterBytes = 0 } = figures;
  if (memoryAfterBytes > 0)
    print(`memory   ${mibText(memoryIdleBytes)} MiB idle, ${mibText(memoryAfterBytes)} MiB after the runs (anonymous)`);
  const versions = new Set(brokers.map(({ version }) => version ?? "unknown version"));
  const kinds = new Set(
    brokers.map(({ config }) => [config.flushDiskType, config.brokerRole].filter(Boolean).join(" ")),
  );
  print(
    `brokers  ${brokers.length}: ${[...versions].join(", ")}, ${[...kinds].join(" | ")}; ${machine.cores} cores, ${machine.cpu}, ${machine.kernel}`,
  );
  for (const run of runs) {
    for (const { id, text } of run.flags)
      if (id !== "SAME-HOST" && id !== "NOT-TUNED") warn(`${run.work} is ${id}: ${text}`);
    for (const { name, count } of run.errors) warn(`${run.work}: ${name}, ${count} times`);
  }
  const untuned = runs.flatMap(({ flags }) => flags).find(({ id }) => id === "NOT-TUNED");
  if (untuned !== undefined) warn(`NOT-TUNED: ${untuned.text}`);
  if (left.length > 0) warn(`the cluster still has ${left.length} topics of this run, ${left[0]} first`);
}

function lineOf(record: RunRecord): string {
  const figures = runFigures(record);
  const tps = figures.get("tps");
  const p99 = figures.get("p99");
  const rate = tps === undefined ? "nothing" : `${countText(tps)}/s`;
  return p99 === undefined ? rate : `${rate}, p99 ${msText(p99)} ms`;
}

/** How this very program is started again: the executable alone, or the runtime with its entry file. */
export function ownCommand(): string[] {
  return Bun.main.startsWith(COMPILED_ROOT) ? [process.execPath] : [process.execPath, Bun.main];
}

/** The first Ctrl-C ends the current work and prints what there is; a second one ends at once, with what was started. */
function onInterrupt(kill: () => void): { stopped: () => boolean; end: () => void } {
  let asked = false;
  const onSignal = () => {
    if (asked) {
      kill();
      process.exit(EXIT_INTERRUPTED);
    }
    asked = true;
    say("ending; once more ends at once");
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  return { stopped: () => asked, end: () => void process.off("SIGINT", onSignal).off("SIGTERM", onSignal) };
}

import { randomBytes } from "node:crypto";
import { defineCommand } from "citty";
import * as v from "valibot";
import { ExitCode, errorText, UsageError } from "../lib/base/errors.ts";
import { nearest } from "../lib/base/suggest.ts";
import { checkExportPaths, exportResult } from "../lib/bench/report/export.ts";
import { countText, msText } from "../lib/bench/report/figures.ts";
import { machineFacts } from "../lib/bench/resources/machine.ts";
import { type BenchResult, RESULT_SCHEMA } from "../lib/bench/result.ts";
import { runFigures, versusFigures } from "../lib/bench/versus/figures.ts";
import { type InterleaveOptions, interleave } from "../lib/bench/versus/versus.ts";
import { VersusCluster } from "../lib/bench/versus/versus-cluster.ts";
import { versusText } from "../lib/bench/versus/versus-text.ts";
import { DEFAULT_WORKS, WORKS, type Work } from "../lib/bench/versus/works.ts";
import { parseNamesrvAddr } from "../lib/client/client-options.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "./bench-interrupt.ts";
import { exportArgs, exportEntries } from "./bench-report.ts";
import { addTune } from "./bench-tuned.ts";
import { duration, parseFlags, wholeNumber } from "./client-flags.ts";
import { credentialArgs, credentialEntries, credentialsOf, shownCommand } from "./credential-flags.ts";
import { REPEATED } from "./flags.ts";
import { print, say, warn } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

/** Turns that are refused because nobody would wait for them. */
const ROUNDS_MAX = 1000;
const RUN_BYTES = 12;
const WORKERS_MAX = 256;
/** A name is part of the topics' names, which have room for this much. */
const NAME_LENGTH_MAX = 40;

const flagsSchema = v.object({
  works: v.optional(v.string(), DEFAULT_WORKS.join(",")),
  rounds: v.optional(wholeNumber(1, ROUNDS_MAX), "5"),
  duration: v.optional(duration, "8s"),
  warmup: v.optional(duration, "2s"),
  workers: v.optional(wholeNumber(1, WORKERS_MAX), "1"),
  keep: v.optional(v.boolean(), false),
  ...credentialEntries,
  ...exportEntries,
});

export const benchVersusCommand = defineCommand({
  meta: { name: "versus", description: "Clusters in turns (A B A B): medians, and ratios round by round" },
  args: {
    clusters: {
      type: "positional",
      required: true,
      valueHint: REPEATED,
      description: "NAME=host:port of each cluster's name server; ratios are to the first",
    },
    works: {
      type: "string",
      description: `What to do, in order: ${WORKS.map(({ name }) => name).join(", ")}`,
      default: DEFAULT_WORKS.join(","),
      valueHint: "list",
    },
    rounds: { type: "string", description: "Turns of each cluster per work", default: "5", valueHint: "n" },
    duration: { type: "string", description: "Measured part of a turn", default: "8s", valueHint: "time" },
    warmup: { type: "string", description: "What comes before it in every turn", default: "2s", valueHint: "time" },
    workers: {
      type: "string",
      description: "Threads of the generator, as far as a work has connections for them",
      default: "1",
      valueHint: "n",
    },
    keep: { type: "boolean", description: "Leave the topics that were made" },
    ...credentialArgs,
    ...exportArgs,
  },
  async run({ args, rawArgs }) {
    const flags = parseFlags(flagsSchema, args);
    const works = chosenWorks(flags.works);
    const targets = args._.map((text) => clusterOf(String(text)));
    if (new Set(targets.map(({ name }) => name)).size < targets.length)
      throw new UsageError("mq bench versus got a name twice, want another name for every cluster");
    const credentials = credentialsOf(flags);
    checkExportPaths(flags);
    const run = randomBytes(RUN_BYTES).toString("hex");
    const startedAt = Date.now();
    const threads = { workers: flags.workers, entry: Bun.main };
    const clusters = new Map<string, VersusCluster>();
    for (const { name, address } of targets)
      clusters.set(name, await VersusCluster.open(name, address, run, credentials, threads));
    const interrupt = onInterrupt();
    let failed = false;
    const onFailure = ({ target, work }: { target: string; work: string }, error: unknown) => {
      failed = true;
      warn(`${work} of ${target}: ${errorText(error)}; ended with what there is`);
    };
    try {
      const result: BenchResult = {
        schema: RESULT_SCHEMA,
        mq: MQ_VERSION,
        command: shownCommand("mq bench versus", rawArgs),
        startedAt,
        machine: machineFacts(),
        brokers: [...clusters.values()].flatMap(({ brokers }) => brokers.map(({ host: _, port: __, ...rest }) => rest)),
        runs: await playAll(clusters, works, flags, { stopped: interrupt.stopped, onFailure }),
      };
      addTune(
        result,
        [...clusters.values()].flatMap(({ brokers }) => brokers),
      );
      result.versus = versusFigures(result.runs);
      if (result.versus.length > 0) print(versusText(result.versus));
      else say("no round was done by all");
      for (const line of doubts(result)) warn(line);
      const written = await exportResult(result, flags);
      if (written.length > 0) say(`saved ${written.join(" ")}`);
      if (interrupt.stopped()) process.exitCode = EXIT_INTERRUPTED;
      else if (failed) process.exitCode = ExitCode.failure;
    } finally {
      interrupt.end();
      if (!flags.keep)
        for (const cluster of clusters.values()) {
          const left = await cluster.cleanUp();
          if (left.length > 0) warn(`${cluster.name} still has ${left.length} topics of this run, ${left[0]} first`);
        }
    }
  },
});

function playAll(
  clusters: ReadonlyMap<string, VersusCluster>,
  works: readonly Work[],
  flags: v.InferOutput<typeof flagsSchema>,
  { stopped, onFailure }: Pick<InterleaveOptions, "onFailure"> & { stopped: () => boolean },
) {
  const byName = new Map(works.map((work) => [work.name, work]));
  const times = { warmupSeconds: flags.warmup / 1000, seconds: Math.max(1, Math.round(flags.duration / 1000)) };
  let round = 0;
  return interleave(
    {
      targets: [...clusters.keys()],
      works: works.map(({ name }) => name),
      rounds: flags.rounds,
      stopped,
      onFailure,
      onTurn: (turn) => {
        round = turn.round;
      },
    },
    async (target, work) => {
      const record = await clusters.get(target)!.turn(byName.get(work)!, times, stopped);
      const figures = runFigures(record);
      const tps = figures.get("tps");
      const p99 = figures.get("p99");
      say(
        `${work} ${round < 0 ? "warm-up" : `round ${round + 1}/${flags.rounds}`} ${target}: ${tps === undefined ? "nothing" : `${countText(tps)}/s`}${p99 === undefined ? "" : `, p99 ${msText(p99)} ms`}`,
      );
      return record;
    },
  );
}

/** What makes a figure doubtful, each once. */
function doubts({ runs }: BenchResult): Set<string> {
  const lines = new Set<string>();
  for (const { work, target, flags, errors } of runs) {
    for (const { id, text } of flags)
      if (id !== "SAME-HOST" && id !== "NOT-TUNED") lines.add(`${work} of ${target} is ${id}: ${text}`);
    for (const { name, count } of errors) lines.add(`${work} of ${target}: ${name}, ${count} times`);
  }
  return lines;
}

function chosenWorks(text: string): Work[] {
  return text.split(",").map((name) => {
    const found = WORKS.find((work) => work.name === name);
    if (found !== undefined) return found;
    const known = WORKS.map((work) => work.name);
    const close = nearest(name, known);
    throw new UsageError(
      `--works has "${name}", want ${known.join(", ")}${close === undefined ? "" : `; did you mean ${close}?`}`,
    );
  });
}

function clusterOf(text: string): { name: string; address: string } {
  const [, name = "", address = ""] = /^([A-Za-z0-9._-]+)=(.+)$/.exec(text) ?? [];
  try {
    if (name !== "" && name.length <= NAME_LENGTH_MAX && parseNamesrvAddr(address).length > 0) return { name, address };
  } catch {
    // Said below with what was found.
  }
  throw new UsageError(
    `mq bench versus got "${text}", want NAME=host:port of a name server, the name ${NAME_LENGTH_MAX} long at most`,
  );
}

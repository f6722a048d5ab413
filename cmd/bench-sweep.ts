import { defineCommand } from "citty";
import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { missedLimits, parseGate } from "../lib/bench/gate.ts";
import { LoadTopic } from "../lib/bench/load/load-topic.ts";
import { checkExportPaths, exportResult } from "../lib/bench/report/export.ts";
import { countText } from "../lib/bench/report/figures.ts";
import { setTable } from "../lib/bench/report/summary.ts";
import { machineFacts } from "../lib/bench/resources/machine.ts";
import { type BenchResult, RESULT_SCHEMA, type RunRecord } from "../lib/bench/result.ts";
import { findMaxRate, type SweepOptions, type SweepStep, sweepRates } from "../lib/bench/sweep/sweep.ts";
import { DEFAULT_NAMESRV_ADDR } from "../lib/client/client-options.ts";
import { type LoadFlags, loadArgs, loadEntries, planOf, runName } from "./bench-flags.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "./bench-interrupt.ts";
import { BenchExit, measured } from "./bench-run.ts";
import { addTune } from "./bench-tuned.ts";
import { parseFlags, positiveNumber } from "./client-flags.ts";
import { credentialsOf, shownCommand } from "./credential-flags.ts";
import { print, printTable, say, warn } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

const RATES_MAX = 200;
const FIRST_RATE = 1000;
const RATE_MAX = 10_000_000;
/** The search ends when the highest rate that held and the lowest that did not are this near. */
const WITHIN = 0.05;
const SLO_DEFAULT = "p99<10ms,errors=0";

const { rate: _rate, count: _count, gate: _gate, repeat: _repeat, ...sharedArgs } = loadArgs;
const { rate: _rateEntry, count: _countEntry, gate: _gateEntry, repeat: _repeatEntry, ...sharedEntries } = loadEntries;

const flagsSchema = v.object({
  ...sharedEntries,
  rates: v.optional(v.string()),
  "find-max": v.optional(v.boolean(), false),
  from: v.optional(positiveNumber),
  "up-to": v.optional(positiveNumber),
  slo: v.optional(v.string(), SLO_DEFAULT),
  consume: v.optional(v.boolean(), false),
});

export const benchSweepCommand = defineCommand({
  meta: { name: "sweep", description: "The latency at several rates, or the highest rate that keeps a limit" },
  args: {
    ...sharedArgs,
    rates: { type: "string", description: "Messages a second, one step each: 1k,2k,5k,10k", valueHint: "list" },
    "find-max": { type: "boolean", description: "Search the highest rate that keeps --slo, twice" },
    from: { type: "string", description: "Where the search begins (default: 1000)", valueHint: "n" },
    "up-to": { type: "string", description: "Where it ends at the latest", valueHint: "n" },
    slo: {
      type: "string",
      description: "What a step must keep, besides its rate",
      default: SLO_DEFAULT,
      valueHint: "limits",
    },
    consume: { type: "boolean", description: "Receive and check the messages as well" },
  },
  async run({ args, rawArgs }) {
    const flags = parseFlags(flagsSchema, args);
    if ((flags.rates !== undefined) === flags["find-max"])
      throw new UsageError("mq bench sweep wants either --rates or --find-max");
    const rates = flags.rates === undefined ? [] : ratesOf(flags.rates);
    const limits = parseGate(flags.slo);
    checkExportPaths(flags);
    const startedAt = Date.now();
    const loadFlags: LoadFlags = { ...flags, rate: undefined, count: undefined, gate: undefined, repeat: 1 };
    const sends = { kind: "plain", sends: true, receives: flags.consume } as const;
    const interrupt = onInterrupt();
    const where = {
      namesrvAddr: flags.namesrv ?? process.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV_ADDR,
      topic: flags.topic,
      cluster: flags.cluster,
      queues: flags.queues,
      from: "last",
      readOnly: false,
      force: flags.force,
      run: runName(),
      credentials: credentialsOf(flags),
    } as const;
    const topic = await LoadTopic.open(where);
    try {
      const options: SweepOptions<RunRecord> = {
        stopped: interrupt.stopped,
        step: async (rate) => {
          const plan = {
            ...planOf({ ...loadFlags, rate }, sends),
            topic: topic.name,
            queues: topic.queues,
            delayMs: 0,
          };
          const run = await measured(plan, topic, `${countText(rate)}/s`, flags, interrupt.stopped);
          const doubts = run.flags.filter(({ id }) => id === "SATURATED" || id === "CLIENT-BOUND");
          const missed = [...doubts.map(({ id, text }) => `${id}: ${text}`), ...missedLimits(run, limits)];
          say(`${countText(rate)}/s ${missed.length === 0 ? "holds" : `does not hold: ${missed.join("; ")}`}`);
          return { run, missed };
        },
      };
      const search = { from: flags.from ?? FIRST_RATE, upTo: flags["up-to"] ?? RATE_MAX, within: WITHIN };
      const { steps, best } = flags["find-max"] ? await findMaxRate(search, options) : await sweepRates(rates, options);
      printSteps(steps);
      print(
        best === undefined
          ? `no rate held ${flags.slo} twice`
          : `${countText(best)}/s is the highest rate that held ${flags.slo} twice`,
      );
      const result: BenchResult = {
        schema: RESULT_SCHEMA,
        mq: MQ_VERSION,
        command: shownCommand("mq bench sweep", rawArgs),
        startedAt,
        machine: machineFacts(),
        brokers: topic.brokers.map(({ host: _, port: __, ...rest }) => rest),
        runs: steps.map(({ run }) => run),
      };
      addTune(result, topic.brokers);
      const written = await exportResult(result, flags);
      if (written.length > 0) say(`saved ${written.join(" ")}`);
      if (steps.some(({ run }) => (run.ledger?.lost ?? 0) + (run.ledger?.corrupt ?? 0) > 0))
        process.exitCode = BenchExit.lost;
      else if (interrupt.stopped()) process.exitCode = EXIT_INTERRUPTED;
      else if (best === undefined) process.exitCode = BenchExit.missed;
    } finally {
      interrupt.end();
      const left = await topic.close(flags.keep);
      if (left !== undefined) warn(`topic ${left} is left: it could not be deleted`);
    }
  },
});

function printSteps(steps: readonly SweepStep<RunRecord>[]): void {
  const { header, rows } = setTable(steps.map(({ run }) => run));
  printTable(
    ["RATE", ...header.slice(1, -1), "HOLDS"],
    [...rows.map((row, i) => [...row.slice(0, -1), steps[i]!.missed.length === 0 ? "yes" : "no"])],
  );
}

/** `1k,2500,10k`. Throws UsageError. */
function ratesOf(text: string): number[] {
  const rates = text.split(",").map((part) => {
    const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(k|m)?$/i.exec(part.trim()) ?? [];
    return Number(number || Number.NaN) * ({ k: 1000, m: 1_000_000 }[unit.toLowerCase()] ?? 1);
  });
  if (rates.length > RATES_MAX || rates.some((rate) => !(rate > 0 && rate <= RATE_MAX)))
    throw new UsageError(`--rates is ${JSON.stringify(text)}, want messages a second with commas between: 1k,2k,5k`);
  return rates;
}

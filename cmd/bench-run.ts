import { ExitCode, errorText } from "../lib/base/errors.ts";
import { type BrokerFacts, brokerRuntime } from "../lib/bench/cluster-facts.ts";
import { MAIN_KINDS, missedLimits, parseGate } from "../lib/bench/gate.ts";
import { Histogram } from "../lib/bench/histogram.ts";
import { checksOf, delayOf } from "../lib/bench/load/broker-times.ts";
import { ClockWatch } from "../lib/bench/load/clock-watch.ts";
import { DiskGuard } from "../lib/bench/load/disk-guard.ts";
import { mergeLedgers } from "../lib/bench/load/ledger.ts";
import { LoadTopic } from "../lib/bench/load/load-topic.ts";
import type { LedgerPart, LoadOutcome, LoadPlan, LoadSecond } from "../lib/bench/load/plan.ts";
import { runLoad } from "../lib/bench/load/run-load.ts";
import { SATURATED_SECONDS, Saturation } from "../lib/bench/load/saturation.ts";
import { groupNames } from "../lib/bench/load/send-back.ts";
import { loadRecord } from "../lib/bench/load/to-record.ts";
import { checkExportPaths, exportResult } from "../lib/bench/report/export.ts";
import { countText, mibText, msText } from "../lib/bench/report/figures.ts";
import { summaryText } from "../lib/bench/report/summary.ts";
import { machineFacts } from "../lib/bench/resources/machine.ts";
import { ResourceSampler } from "../lib/bench/resources/sampler.ts";
import { type BenchResult, RESULT_SCHEMA, type RunRecord } from "../lib/bench/result.ts";
import { DEFAULT_NAMESRV_ADDR } from "../lib/client/client-options.ts";
import { type LoadFlags, planOf, runName, type VerbOptions } from "./bench-flags.ts";
import { EXIT_INTERRUPTED, onInterrupt } from "./bench-interrupt.ts";
import { addTune } from "./bench-tuned.ts";
import { print, say, warn } from "./out.ts";
import { ProgressLine } from "./progress-line.ts";
import { MQ_VERSION } from "./version.ts";

/** [mq bench] A limit was missed; messages were lost or corrupt (wins over it); the run says nothing (--strict). */
export const BenchExit = { missed: 2, lost: 3, invalid: 4 } as const;

/** Of several runs the first of these counts. */
const EXIT_ORDER = [BenchExit.lost, EXIT_INTERRUPTED, BenchExit.missed, BenchExit.invalid, ExitCode.failure];

export interface BenchRun {
  verb: string;
  options: VerbOptions;
  flags: LoadFlags;
  command: string;
  from: "first" | "last";
}

/** One verb from flags to exit code: finds or makes the topic, runs the load as often as it is wanted, prints, writes what was asked for. */
export async function runVerb(bench: BenchRun): Promise<void> {
  const { flags, command } = bench;
  const limits = flags.gate === undefined ? [] : parseGate(flags.gate);
  checkExportPaths(flags);
  const startedAt = Date.now();
  const runs: RunRecord[] = [];
  const codes: number[] = [];
  let result: BenchResult | undefined;
  const interrupt = onInterrupt();
  try {
    while (runs.length < flags.repeat && !interrupt.stopped()) {
      if (flags.repeat > 1) say(`run ${runs.length + 1} of ${flags.repeat}`);
      const found = await once(bench, interrupt.stopped).catch((error: unknown) => {
        if (result === undefined) throw error;
        warn(`run ${runs.length + 1} ended: ${errorText(error)}; what was found before is kept`);
      });
      if (found === undefined) {
        codes.push(ExitCode.failure);
        break;
      }
      const { run, brokers } = found;
      run.round = runs.length;
      runs.push(run);
      const missed = missedLimits(run, limits);
      if (flags.gate !== undefined) run.gate = { text: flags.gate, missed };
      result ??= {
        schema: RESULT_SCHEMA,
        mq: MQ_VERSION,
        command,
        startedAt,
        machine: machineFacts(),
        brokers: brokers.map(({ host: _, port: __, ...rest }) => rest),
        runs,
      };
      if (runs.length === 1) addTune(result, brokers);
      print(summaryText(result, run));
      for (const line of missed) say(`missed ${line}`);
      codes.push(exitCode(run, missed, flags.strict));
    }
  } finally {
    interrupt.end();
  }
  const written = result === undefined ? [] : await exportResult(result, flags);
  if (written.length > 0) say(`saved ${written.join(" ")}`);
  process.exitCode = EXIT_ORDER.find((code) => codes.includes(code)) ?? ExitCode.ok;
}

/** One run on a topic that is looked up for it: what an earlier run left there is none of its messages. */
async function once(
  { verb, options, flags, from }: BenchRun,
  stopped: () => boolean,
): Promise<{ run: RunRecord; brokers: readonly BrokerFacts[] }> {
  const namesrvAddr = flags.namesrv ?? process.env.NAMESRV_ADDR ?? DEFAULT_NAMESRV_ADDR;
  const partial = planOf(flags, options);
  const topic = await LoadTopic.open({
    namesrvAddr,
    topic: flags.topic,
    cluster: flags.cluster,
    queues: flags.queues,
    from,
    readOnly: !options.sends,
    force: flags.force,
    run: runName(),
    credentials: partial.credentials,
  });
  const { credentials } = partial;
  // One process alone has one clock.
  const watch =
    options.sends === options.receives
      ? undefined
      : await ClockWatch.begin(topic, { namesrvAddr, run: runName(), credentials });
  try {
    const delayMs = partial.delayLevel === 0 ? 0 : delayOf(topic.brokers[0]!.config, partial.delayLevel);
    const plan: LoadPlan = {
      ...partial,
      topic: topic.name,
      queues: topic.queues,
      delayMs,
      drainMs: partial.drainMs + delayMs,
      checks: partial.unknownRate > 0 ? checksOf(topic.brokers.map(({ config }) => config)) : undefined,
      traceNamesrvAddr: flags.msgTraceEnable ? namesrvAddr : undefined,
      clock: watch?.clock,
    };
    const run = await measured(plan, topic, verb, flags, stopped);
    const moved = stopped() ? undefined : await watch?.end();
    if (moved !== undefined) run.flags.push(moved);
    run.interrupted = stopped();
    return { run, brokers: topic.brokers };
  } finally {
    const left = [await watch?.close(), await topic.close(flags.keep, options.receives ? groupNames(partial) : [])];
    for (const name of left) if (name !== undefined) warn(`topic ${name} is left: it could not be deleted`);
  }
}

export interface MeasuredOptions {
  /** What an earlier part of the same load sent, and this one receives. */
  before?: LedgerPart | undefined;
  onSecond?: (second: LoadSecond) => void;
  onOutcome?: (outcome: LoadOutcome) => void;
}

/** Runs the plan with its line, the brokers' resources and what they say of themselves afterwards. */
export async function measured(
  plan: LoadPlan,
  topic: LoadTopic,
  verb: string,
  flags: { workers?: number | undefined; quiet: boolean; "abort-on-saturation": boolean },
  stopped: () => boolean,
  { before, onSecond, onOutcome }: MeasuredOptions = {},
): Promise<RunRecord> {
  const pids = topic.brokers.flatMap(({ brokerName, pid }) => (pid === undefined ? [] : [[brokerName, pid] as const]));
  const guard = new DiskGuard(topic.brokers);
  guard.check(plan);
  let full: string | undefined;
  const sampler = new ResourceSampler(Object.fromEntries(pids));
  const line = new ProgressLine();
  const { workers, quiet } = flags;
  const saturation = new Saturation(plan);
  let warm = false;
  const begin = setTimeout(() => {
    sampler.sample();
    warm = true;
  }, plan.warmupSeconds * 1000);
  const startedAt = Date.now();
  const found = await runLoad(plan, {
    workers,
    workerEntry: Bun.main,
    stopped: () => stopped() || full !== undefined || (flags["abort-on-saturation"] && saturation.reached),
    onChecks: (ms) => {
      line.clear();
      if (!quiet)
        say(
          `all is sent; the broker's checks of unknown transactions are waited for, ${(ms / 1000).toFixed(0)} s at most (Ctrl-C ends it)`,
        );
    },
    onSecond: (second) => {
      sampler.sample();
      full ??= guard.full();
      saturation.add(second.counts.acked);
      onSecond?.(second);
      if (second.notes !== undefined) line.clear();
      for (const note of second.notes ?? []) warn(note);
      if (quiet) return;
      if (line.on) line.show(liveText(plan, second));
      else say(liveText(plan, second));
    },
  });
  clearTimeout(begin);
  line.clear();
  onOutcome?.(found);
  const outcome = before === undefined ? found : { ...found, ledger: mergeLedgers([before, found.ledger]) };
  if (full !== undefined) warn(full);
  const resources = sampler.samples.slice(warm && plan.warmupSeconds > 0 ? 1 : 0);
  const run = loadRecord(plan, outcome, { work: verb, verb, startedAt, resources, sameHost: pids.length > 0 });
  const runtime: [string, Record<string, string>][] = [];
  for (const { brokerName, address } of topic.brokers)
    runtime.push([brokerName, await brokerRuntime(address, plan.credentials)]);
  if (flags["abort-on-saturation"] && saturation.reached)
    run.flags.push({ id: "ABORTED", text: `the rate was missed for ${SATURATED_SECONDS} s: ended` });
  run.runtime = Object.fromEntries(runtime.filter(([, info]) => Object.keys(info).length > 0));
  return run;
}

function liveText(
  plan: LoadPlan,
  { second, counts, latencies, inFlight, cpu, loopDelayMs, errors }: LoadSecond,
): string {
  const kind = MAIN_KINDS.find((name) => latencies[name] !== undefined);
  const parts = [`${second.toFixed(0).padStart(4)} s`];
  if (plan.producers > 0)
    parts.push(
      `${countText(counts.acked)} msg/s${plan.rate === undefined ? "" : ` of ${countText(plan.rate)}`}`,
      `${mibText(counts.bytesSent)} MiB/s`,
    );
  if (plan.consumers > 0) parts.push(`received ${countText(counts.received)}/s`);
  if (kind !== undefined) {
    const histogram = Histogram.from(latencies[kind]!);
    const [p50 = 0, p99 = 0] = histogram.percentiles([0.5, 0.99]);
    parts.push(`${kind} p50 ${msText(p50)} p99 ${msText(p99)} max ${msText(histogram.max)} ms`);
  }
  if (plan.producers > 0) parts.push(`in flight ${inFlight}`);
  if (counts.failed > 0) parts.push(`failed ${counts.failed}`);
  for (const [name, count] of Object.entries(errors ?? {})) parts.push(`${name} x ${count}`);
  parts.push(`client ${(100 * cpu).toFixed(0)} % loop ${loopDelayMs.toFixed(1)} ms`);
  return parts.join("  ");
}

/** Lost or corrupt messages win over everything, then the interrupt, a missed limit, and doubts where `strict`. */
export function exitCode(run: RunRecord, missed: readonly string[], strict: boolean): number {
  const { ledger, figures } = run;
  if ((ledger?.lost ?? 0) > 0 || (ledger?.corrupt ?? 0) > 0 || (figures?.rolledBackDelivered ?? 0) > 0)
    return BenchExit.lost;
  if (run.interrupted === true) return EXIT_INTERRUPTED;
  if (missed.length > 0) return BenchExit.missed;
  if (run.flags.some(({ id }) => id === "ABORTED")) return BenchExit.invalid;
  if (strict && run.flags.some(({ id }) => id === "CLIENT-BOUND" || id === "SATURATED")) return BenchExit.invalid;
  if (run.flags.some(({ id }) => id === "UNREACHED")) return ExitCode.failure;
  if (run.counts.acked === 0 && run.counts.received === 0) return ExitCode.failure;
  return ExitCode.ok;
}

import { encodeBase64 } from "../hdr/encoding.ts";
import { Histogram } from "../histogram.ts";
import { type ResourceSample, usedOf } from "../resources/sampler.ts";
import { stolenFlag } from "../resources/stolen.ts";
import {
  type ClockRecord,
  type FlagRecord,
  type LedgerRecord,
  latencyRecord,
  type RunRecord,
  type SecondRecord,
} from "../result.ts";
import type { OwnClock, SeenClock } from "./clock.ts";
import { verdict } from "./ledger.ts";
import { isFilteredBySql, LATENCIES, type LoadCounts, type LoadOutcome, type LoadPlan, noCounts } from "./plan.ts";
import { SATURATED_PART } from "./saturation.ts";

/** Above this part of a core the generator may be what is measured. */
const CLIENT_BOUND_CPU = 0.85;
/** So does a loop that is later than this and makes up this part of the response times' p99: late alone is no harm. */
const CLIENT_BOUND_DELAY_MS = 5;
const CLIENT_BOUND_DELAY_PART = 0.25;
const SHORT_SECONDS = 5;
/** Clocks differ by more than this when a message arrives before it was stored. */
const SKEW_PART = 0.01;

/** The outcome of a plan as a run of a result. `resources` are samples taken at the end of the same seconds. */
export function loadRecord(
  plan: LoadPlan,
  outcome: LoadOutcome,
  run: { work: string; verb: string; startedAt: number; resources: readonly ResourceSample[]; sameHost: boolean },
): RunRecord {
  const total = noCounts();
  const whole = Object.fromEntries(LATENCIES.map((kind) => [kind, new Histogram()]));
  const samples = outcome.seconds.map((second, i): SecondRecord => {
    for (const name of Object.keys(total) as (keyof LoadCounts)[]) total[name] += second.counts[name];
    const latencies: Record<string, string> = {};
    for (const kind of LATENCIES) {
      const snapshot = second.latencies[kind];
      if (snapshot === undefined) continue;
      const own = Histogram.from(snapshot);
      whole[kind]!.merge(own);
      latencies[kind] = encodeBase64(own);
    }
    const resource = run.resources[i];
    return {
      second: second.second,
      ...second.counts,
      inFlight: second.inFlight,
      latencies,
      clientCpu: second.cpu,
      clientLoopDelayP99Ms: second.loopDelayMs,
      ...(resource === undefined ? {} : usedOf(resource)),
    };
  });
  const seconds = outcome.seconds.at(-1)?.second ?? 0;
  const { ledger, rolledBack, undecided } = verdict(outcome.ledger);
  if (ledger.lost > 0 && isFilteredBySql(plan)) notClaimed(ledger, "filtered");
  else if (ledger.lost > 0 && (outcome.unreached.length > 0 || outcome.cutShort)) notClaimed(ledger, "unreached");
  const client = {
    cpu: samples.reduce((sum, { clientCpu = 0 }) => sum + clientCpu, 0) / Math.max(1, samples.length),
    loopDelayP99Ms: median(samples.map(({ clientLoopDelayP99Ms = 0 }) => clientLoopDelayP99Ms)),
    workers: outcome.workers,
  };
  const kept = LATENCIES.filter((kind) => whole[kind]!.count > 0 || whole[kind]!.nonPositive > 0);
  const record: RunRecord = {
    work: run.work,
    target: "",
    round: 0,
    verb: run.verb,
    loop: plan.rate === undefined ? "closed" : "open",
    options: optionsOf(plan),
    startedAt: run.startedAt,
    warmupSeconds: plan.warmupSeconds,
    seconds,
    counts: total,
    latencies: Object.fromEntries(kept.map((kind) => [kind, latencyRecord(whole[kind]!)])),
    errors: Object.entries(outcome.errors).map(([name, count]) => ({ name, count })),
    samples,
    client,
    figures: {
      ...(outcome.drainSeconds === undefined ? {} : { drainSeconds: outcome.drainSeconds }),
      ...(plan.failRate > 0 ? { retried: outcome.retried } : {}),
      ...(plan.kind === "transaction" ? { rolledBackDelivered: rolledBack } : {}),
      ...(plan.unknownRate > 0 ? { ...outcome.checks, undecided } : {}),
    },
    flags: [],
  };
  if (plan.producers > 0 && plan.consumers > 0) record.ledger = ledger;
  // Who only receives cannot say what is lost, but what is corrupt.
  else if (ledger.corrupt > 0) record.ledger = { ...ledger, received: total.received };
  if (plan.clock !== undefined) record.clock = clockRecord(plan.clock, outcome.clocks);
  record.flags = flagsOf(plan, record, run.sameHost);
  if (outcome.unreached.length > 0)
    record.flags.unshift({ id: "UNREACHED", text: `gone at the end: ${outcome.unreached.join(", ")}` });
  return record;
}

/** Nobody can say of messages that they are lost while the broker that has them is gone, or when they were not waited for. */
function notClaimed(ledger: LedgerRecord, what: "unreached" | "filtered"): void {
  ledger[what] = ledger.lost;
  ledger.lost = 0;
  ledger.examples = ledger.examples.filter((text) => !text.startsWith("lost:"));
}

function clockRecord({ reference, reading, reason }: OwnClock, seen: readonly SeenClock[]): ClockRecord {
  return {
    reference,
    ...(reading === undefined ? {} : { own: reading }),
    ...(reason === undefined ? {} : { reason }),
    producers: seen.map(({ reading: clock, ...rest }) => (clock === undefined ? rest : { clock, ...rest })),
  };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

function optionsOf(plan: LoadPlan): RunRecord["options"] {
  return {
    kind: plan.kind,
    topic: plan.topic,
    connections: plan.producers || plan.consumers,
    consumers: plan.consumers,
    inFlight: plan.producers > 0 ? plan.inFlight : null,
    size: plan.producers > 0 ? plan.bodyBytes : null,
    sizes: plan.bodySizes === undefined ? null : [...plan.bodySizes].sort((a, b) => a - b).join(" "),
    compress:
      plan.compress === undefined
        ? null
        : `${plan.compress.type}:${plan.compress.level} from ${plan.compress.overBytes} bytes on`,
    tags: plan.tags,
    tagCount: plan.tagCount,
    batch: plan.kind === "batch" ? plan.batch : 1,
    queues: plan.queues.length,
    header: plan.header,
    rate: plan.rate ?? null,
    arrival: plan.arrival,
    delayLevel: plan.delayLevel,
    rollbackRate: plan.rollbackRate,
    unknownRate: plan.unknownRate,
    checkRollbackRate: plan.checkRollbackRate,
    checkUnknownRate: plan.checkUnknownRate,
    expression: plan.expression,
    trace: plan.traceNamesrvAddr !== undefined,
    groups: plan.groups,
    consumeDelayMs: plan.consumeDelayMs,
    failRate: plan.failRate,
    signed: plan.credentials !== undefined,
  };
}

function flagsOf(plan: LoadPlan, run: RunRecord, sameHost: boolean): FlagRecord[] {
  const flags: FlagRecord[] = [];
  const { cpu, loopDelayP99Ms } = run.client;
  const p99Ms = (new Map(run.latencies.response?.quantiles).get(0.99) ?? 0) / 1000;
  if (cpu > CLIENT_BOUND_CPU && run.seconds >= 1)
    flags.push({
      id: "CLIENT-BOUND",
      text: `the generator's busiest thread was busy ${(100 * cpu).toFixed(0)} % of the time: more --workers, or another machine`,
    });
  else if (loopDelayP99Ms > CLIENT_BOUND_DELAY_MS && loopDelayP99Ms > CLIENT_BOUND_DELAY_PART * p99Ms && p99Ms > 0)
    flags.push({
      id: "CLIENT-BOUND",
      text: `the generator's loop was ${loopDelayP99Ms.toFixed(1)} ms late (p99), a good part of the response times' p99 of ${p99Ms.toFixed(1)} ms: more --workers, or another machine`,
    });
  const achieved = run.counts.acked / Math.max(run.seconds, 1e-9);
  if (plan.rate !== undefined && run.seconds > 0 && achieved < SATURATED_PART * plan.rate)
    flags.push({
      id: "SATURATED",
      text: `${achieved.toFixed(0)} of ${plan.rate} messages a second: response times measure the queue in front of the broker`,
    });
  const skewed = (run.latencies.s2c?.nonPositive ?? 0) / Math.max(1, run.counts.received);
  if (skewed > SKEW_PART && !sameHost)
    flags.push({
      id: "SKEW",
      text: `${(100 * skewed).toFixed(0)} % of the messages came before they were stored: the clocks differ`,
    });
  const undecided = run.figures?.undecided ?? 0;
  if (undecided > 0)
    flags.push({
      id: "UNDECIDED",
      text: `${undecided} transactions: the broker has not asked for them in time, or asks no more (transactionCheckMax), or was told each time that nothing is known yet (--check-unknown-rate)`,
    });
  flags.push(...stolenFlag(run.samples));
  if (sameHost) flags.push({ id: "SAME-HOST", text: "client and broker share this machine" });
  if (run.seconds < SHORT_SECONDS && plan.count === undefined)
    flags.push({ id: "SHORT-RUN", text: `${run.seconds.toFixed(1)} s` });
  return flags;
}

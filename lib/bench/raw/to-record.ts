import { encodeBase64 } from "../hdr/encoding.ts";
import { Histogram } from "../histogram.ts";
import { type ResourceSample, usedOf } from "../resources/sampler.ts";
import { stolenFlag } from "../resources/stolen.ts";
import { latencyRecord, type RunRecord, type SecondRecord } from "../result.ts";
import { noCounts, type RawCounts, type RawOutcome, type RawPlan } from "./plan.ts";

/** Above this part of a core the generator may be what is measured. */
const CLIENT_BOUND_CPU = 0.85;
/** Achieved less than this part of the rate that was asked for. */
const SATURATED_PART = 0.98;
const SHORT_SECONDS = 4;

/** The outcome of a plan as a run of a result. `resources` are the samples taken at the end of the same seconds. */
export function rawRecord(
  plan: RawPlan,
  outcome: RawOutcome,
  resources: readonly ResourceSample[],
  startedAt: number,
): RunRecord {
  const total = noCounts();
  const whole = new Histogram();
  const kind = plan.rate !== undefined ? "response" : plan.kind === "pull" ? "pull" : "service";
  const samples = outcome.seconds.map((second, i): SecondRecord => {
    for (const name of Object.keys(total) as (keyof RawCounts)[]) total[name] += second.counts[name];
    const own = Histogram.from(second.latencies);
    whole.merge(own);
    const resource = resources[i];
    return {
      second: second.second,
      ...second.counts,
      latencies: { [kind]: encodeBase64(own) },
      clientCpu: second.client.cpu,
      clientLoopDelayP99Ms: second.client.loopDelayP99Ms,
      ...(resource === undefined ? {} : usedOf(resource)),
    };
  });
  const seconds = outcome.seconds.at(-1)?.second ?? 0;
  const cpu = samples.reduce((sum, { clientCpu = 0 }) => sum + clientCpu, 0) / Math.max(1, samples.length);
  return {
    work: "",
    target: "",
    round: 0,
    verb: "versus",
    loop: plan.rate === undefined ? "closed" : "open",
    options: optionsOf(plan),
    startedAt,
    warmupSeconds: plan.warmupSeconds,
    seconds,
    counts: total,
    latencies: { [kind]: latencyRecord(whole) },
    errors: Object.entries(outcome.errors).map(([name, count]) => ({ name, count })),
    samples,
    client: {
      cpu,
      loopDelayP99Ms: samples.reduce((most, { clientLoopDelayP99Ms = 0 }) => Math.max(most, clientLoopDelayP99Ms), 0),
      workers: outcome.workers,
    },
    flags: [...flagsOf(plan, total, seconds, cpu), ...stolenFlag(samples)],
  };
}

function optionsOf(plan: RawPlan): RunRecord["options"] {
  return {
    kind: plan.kind,
    connections: plan.connections,
    inFlight: plan.inFlight,
    size: plan.bodyBytes,
    batch: plan.batch,
    queues: plan.queues.length,
    header: plan.header,
    rate: plan.rate ?? null,
  };
}

function flagsOf(plan: RawPlan, total: RawCounts, seconds: number, cpu: number): RunRecord["flags"] {
  const flags: RunRecord["flags"] = [];
  if (cpu > CLIENT_BOUND_CPU)
    flags.push({
      id: "CLIENT-BOUND",
      text: `the generator's busiest thread was busy ${(100 * cpu).toFixed(0)} % of the time: more --workers, or another machine`,
    });
  const achieved = (total.acked + total.received) / Math.max(seconds, 1e-9);
  if (plan.rate !== undefined && achieved < SATURATED_PART * plan.rate)
    flags.push({ id: "SATURATED", text: `${achieved.toFixed(0)} of ${plan.rate} messages a second` });
  if (seconds < SHORT_SECONDS) flags.push({ id: "SHORT-RUN", text: `${seconds.toFixed(0)} s` });
  return flags;
}

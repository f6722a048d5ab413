import { type Credentials, environmentCredentials } from "../../client/credentials.ts";
import { LoadTopic } from "../load/load-topic.ts";
import type { LoadPlan } from "../load/plan.ts";
import { runLoad } from "../load/run-load.ts";
import { loadRecord } from "../load/to-record.ts";
import { ResourceSampler } from "../resources/sampler.ts";
import type { RunRecord } from "../result.ts";
import type { TurnTimes } from "../versus/versus-cluster.ts";

const RATE = 20_000;
const QUEUES = 8;
const DRAIN_MS = 10_000;

export const E2E_ABOUT =
  "20,000 messages of 1 KiB a second, from the intended time until they are consumed, each accounted for";

/** Sends at a fixed rate and receives: the set's latency to the consumer, and whether every message came once and whole. */
export async function runE2e(
  namesrvAddr: string,
  options: {
    times: TurnTimes;
    run: string;
    keep: boolean;
    credentials?: Credentials | undefined;
    stopped: () => boolean;
  },
): Promise<RunRecord> {
  const { times, run, keep, stopped } = options;
  const credentials = options.credentials ?? environmentCredentials();
  const topic = await LoadTopic.open({
    credentials,
    namesrvAddr,
    topic: undefined,
    cluster: undefined,
    queues: QUEUES,
    from: "last",
    readOnly: false,
    force: false,
    run: `${run}e2e`,
  });
  try {
    const plan = { ...planOn(topic, times, run), credentials };
    const pids = topic.brokers.flatMap(({ brokerName, pid }) =>
      pid === undefined ? [] : [[brokerName, pid] as const],
    );
    const sampler = new ResourceSampler(Object.fromEntries(pids));
    let warm = 0;
    // The warm-up's use is not the run's.
    const begin = setTimeout(() => {
      sampler.sample();
      warm = 1;
    }, times.warmupSeconds * 1000);
    const startedAt = Date.now();
    const outcome = await runLoad(plan, { stopped, onSecond: () => void sampler.sample() });
    clearTimeout(begin);
    const resources = sampler.samples.slice(warm);
    return loadRecord(plan, outcome, { work: "e2e", verb: "e2e", startedAt, resources, sameHost: pids.length > 0 });
  } finally {
    await topic.close(keep);
  }
}

function planOn(topic: LoadTopic, times: TurnTimes, run: string): LoadPlan {
  return {
    topic: topic.name,
    queues: topic.queues,
    kind: "plain",
    producers: 4,
    consumers: 4,
    inFlight: 64,
    rate: RATE,
    arrival: "uniform",
    rampSeconds: 0,
    bodyBytes: 1024,
    payload: new Uint8Array(),
    batch: 1,
    header: "rocketmq",
    tags: "",
    tagCount: 0,
    properties: [],
    keyCardinality: 0,
    delayLevel: 0,
    delayMs: 0,
    rollbackRate: 0,
    unknownRate: 0,
    checkRollbackRate: 0,
    checkUnknownRate: 0,
    expressionType: "TAG",
    expression: "*",
    group: "mq-bench",
    groups: 1,
    consumeDelayMs: 0,
    failRate: 0,
    pullBatch: 32,
    ...times,
    drainMs: DRAIN_MS,
    run: Number.parseInt(run.slice(-8), 16),
  };
}

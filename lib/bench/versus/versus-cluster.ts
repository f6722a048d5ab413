import { MqError } from "../../base/errors.ts";
import { AdminClient } from "../../client/admin/admin-client.ts";
import { type Credentials, environmentCredentials } from "../../client/credentials.ts";
import { type BrokerFacts, brokerRuntime, describeBrokers } from "../cluster-facts.ts";
import type { QueueTarget, RawOutcome, RawPlan } from "../raw/plan.ts";
import { type RawThreads, runRawPlan } from "../raw/raw-threads.ts";
import { rawRecord } from "../raw/to-record.ts";
import { ResourceSampler } from "../resources/sampler.ts";
import type { RunRecord } from "../result.ts";
import { topicNames, type Work, workQueues } from "./works.ts";

/** Topics created or deleted at once. */
const LANES = 16;
const FILL_SECONDS_MAX = 120;
const READ_WRITE = 6;
const POLLED = "polled";

export interface TurnTimes {
  warmupSeconds: number;
  seconds: number;
}

/** One side of a comparison: its first master takes the load, on topics that only this run has. */
export class VersusCluster {
  readonly name: string;
  readonly brokers: readonly BrokerFacts[];
  readonly #namesrvAddr: string;
  readonly #prefix: string;
  readonly #run: string;
  readonly #credentials: Credentials | undefined;
  readonly #threads: RawThreads | undefined;
  /** Topics made, and for reading works filled. */
  readonly #prepared = new Map<string, readonly string[]>();

  private constructor(
    name: string,
    namesrvAddr: string,
    brokers: readonly BrokerFacts[],
    run: string,
    credentials: Credentials | undefined,
    threads: RawThreads | undefined,
  ) {
    this.name = name;
    this.#namesrvAddr = namesrvAddr;
    this.brokers = brokers;
    this.#run = run;
    this.#credentials = credentials;
    this.#threads = threads;
    this.#prefix = `mq-bench-${run.slice(-8)}-${name.replace(/[^A-Za-z0-9_-]/g, "_")}`;
  }

  /** Finds the brokers behind the name servers. `run` makes topics and message ids unique: 24 hex digits; without `threads` this one does all. */
  static async open(
    name: string,
    namesrvAddr: string,
    run: string,
    credentials: Credentials | undefined = environmentCredentials(),
    threads?: RawThreads | undefined,
  ): Promise<VersusCluster> {
    const brokers = await describeBrokers(name, namesrvAddr, undefined, credentials);
    if (brokers.length === 0) throw new MqError(`find a broker of ${name}: ${namesrvAddr} knows no master`);
    return new VersusCluster(name, namesrvAddr, brokers, run, credentials, threads);
  }

  /** One turn of the work. The record's work and round are the caller's to set. */
  async turn(work: Work, times: TurnTimes, stopped: () => boolean): Promise<RunRecord> {
    if (!this.#prepared.has(work.name)) await this.#prepare(work);
    const queues = workQueues(work, this.#prefix);
    const plan = { ...this.#plan(work, queues), ...times };
    const pids = this.brokers.flatMap(({ brokerName, pid }) => (pid === undefined ? [] : [[brokerName, pid] as const]));
    const sampler = new ResourceSampler(Object.fromEntries(pids));
    let warm = false;
    const pollers = this.#startPollers(work, times);
    const startedAt = Date.now();
    const begin = setTimeout(() => {
      // The warm-up's use is not the run's.
      sampler.sample();
      warm = true;
    }, times.warmupSeconds * 1000);
    const outcome = await runRawPlan(plan, this.#threads, () => sampler.sample(), stopped);
    clearTimeout(begin);
    await pollers;
    const record = rawRecord(plan, outcome, sampler.samples.slice(warm ? 1 : 0), startedAt);
    record.target = this.name;
    const { brokerName, address } = this.brokers[0]!;
    record.runtime = { [brokerName]: await brokerRuntime(address, this.#credentials) };
    if (pids.length > 0) record.flags.push({ id: "SAME-HOST", text: "client and broker share this machine" });
    return record;
  }

  /** Deletes the topics of this run; what cannot be deleted is left and returned. */
  async cleanUp(): Promise<string[]> {
    const left: string[] = [];
    const admin = new AdminClient({ namesrvAddr: this.#namesrvAddr, credentials: this.#credentials });
    try {
      const { address, cluster } = this.brokers[0]!;
      await inLanes([...this.#prepared.values()].flat(), async (topic) => {
        try {
          await admin.deleteTopicInBroker(address, topic);
          await admin.deleteTopicInNameServers(topic, cluster);
        } catch {
          left.push(topic);
        }
      });
    } finally {
      await admin.close();
    }
    return left;
  }

  #plan(work: Work, queues: readonly QueueTarget[]): RawPlan {
    const { host, port } = this.brokers[0]!;
    return {
      ...work.plan,
      host,
      port,
      queues,
      group: `${this.#prefix}-`,
      run: this.#run,
      credentials: this.#credentials,
      warmupSeconds: 0,
      seconds: 1,
    };
  }

  async #prepare(work: Work): Promise<void> {
    const topics = topicNames(work, this.#prefix);
    if (work.pollers !== undefined) topics.push(`${this.#prefix}-${POLLED}`);
    this.#prepared.set(work.name, topics);
    const admin = new AdminClient({ namesrvAddr: this.#namesrvAddr, credentials: this.#credentials });
    try {
      const { address } = this.brokers[0]!;
      await inLanes(topics, (topicName) =>
        admin.createTopic(address, {
          topicName,
          readQueueNums: work.queuesPerTopic,
          writeQueueNums: work.queuesPerTopic,
          perm: READ_WRITE,
          topicFilterType: "SINGLE_TAG",
          topicSysFlag: 0,
          order: false,
        }),
      );
    } finally {
      await admin.close();
    }
    if (work.fill !== undefined) await this.#fill(work, work.fill);
  }

  async #fill(work: Work, messages: number): Promise<void> {
    const queues = workQueues(work, this.#prefix);
    const plan: RawPlan = { ...this.#plan(work, queues), kind: "send", inFlight: 64, seconds: FILL_SECONDS_MAX };
    let sent = 0;
    let failed = 0;
    const outcome = await runRawPlan(
      plan,
      this.#threads,
      ({ counts }) => {
        sent += counts.acked;
        failed += counts.failed;
      },
      () => sent >= messages || (sent === 0 && failed > 0),
    );
    if (sent < messages) {
      const errors = Object.entries(outcome.errors).map(([what, count]) => `${what} ${count} times`);
      throw new MqError(`fill ${this.name}: ${sent} messages, want ${messages}: ${errors.join(", ") || "too slow"}`);
    }
  }

  /** Groups that wait for messages, and the messages they get, for as long as the turn takes. */
  async #startPollers(work: Work, times: TurnTimes): Promise<RawOutcome[]> {
    if (work.pollers === undefined) return [];
    const topic = `${this.#prefix}-${POLLED}`;
    const queues = Array.from({ length: work.queuesPerTopic }, (_, queueId) => ({ topic, queueId }));
    const base = { ...this.#plan(work, queues), warmupSeconds: 0, seconds: times.warmupSeconds + times.seconds };
    const { groups, rate } = work.pollers;
    const poll: RawPlan = { ...base, kind: "poll", connections: groups, inFlight: queues.length, batch: 32 };
    const trickle: RawPlan = { ...base, connections: 1, rate };
    return Promise.all([poll, trickle].map((plan) => runRawPlan(plan, undefined, () => {})));
  }
}

async function inLanes<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(LANES, queue.length) }, lane));
}

import { availableParallelism } from "node:os";
import { Histogram } from "../histogram.ts";
import { Threads } from "../threads.ts";
import { mergeSeenClocks } from "./clock.ts";
import { Drain } from "./drain.ts";
import { mergeLedgers } from "./ledger.ts";
import type { WorkerNews, WorkerOrder } from "./load-worker.ts";
import {
  type CheckCounts,
  LATENCIES,
  type LedgerPart,
  type LoadCounts,
  type LoadOutcome,
  type LoadPlan,
  type LoadSecond,
  type LoadShare,
  noChecks,
  noCounts,
} from "./plan.ts";
import { drainAlone, runShare } from "./run-share.ts";

/** With less than so many cores for each, threads of the load take from the broker what they give. */
const CORES_PER_WORKER = 4;
const DRAIN_LOOK_MS = 200;

export interface RunLoadOptions {
  /** Threads; undefined: one for every four cores, as far as there are connections for them. */
  workers?: number | undefined;
  /** Entry file whose Worker branch runs `runLoadWorker`; undefined: this thread alone. */
  workerEntry?: string | undefined;
  /** Sees every measured second of all threads together. */
  onSecond?: (second: LoadSecond) => void;
  /** Asked many times a second; true ends the load early. */
  stopped?: () => boolean;
  /** Told once where the broker's checks are waited for at the end, and for how long at most. */
  onChecks?: (ms: number) => void;
}

/** Does the plan, on this thread or on several. Throws when a broker cannot be reached. */
export async function runLoad(plan: LoadPlan, options: RunLoadOptions = {}): Promise<LoadOutcome> {
  const { onSecond = () => {}, stopped = () => false, onChecks = () => {}, workerEntry } = options;
  const useful = Math.max(plan.producers, plan.consumers);
  const wanted = options.workers ?? Math.floor(availableParallelism() / CORES_PER_WORKER);
  // A count of received messages is one thread's to keep.
  const isCountedReading = plan.producers === 0 && plan.count !== undefined;
  const workers = workerEntry === undefined || isCountedReading ? 1 : Math.max(1, Math.min(wanted, useful));
  if (workers === 1)
    return runShare(sharesOf(plan, 1)[0]!, onSecond, stopped, (ledger, settle, gone) =>
      drainAlone(plan, ledger, { stopped: () => stopped() || gone(), settle, onChecks }),
    );
  return new ThreadedLoad(plan, workers, workerEntry!, { onSecond, stopped, onChecks }).run();
}

/** The plan dealt out to threads. */
export function sharesOf(plan: LoadPlan, workers: number): LoadShare[] {
  const part = (total: number, i: number) => Math.floor(total / workers) + (i < total % workers ? 1 : 0);
  let firstProducer = plan.firstProducer ?? 0;
  return Array.from({ length: workers }, (_, i) => {
    const producers = part(plan.producers, i);
    const portion = plan.producers === 0 ? 0 : producers / plan.producers;
    const share = {
      plan,
      firstProducer,
      producers,
      consumers: plan.consumers === 0 ? 0 : Math.max(1, part(plan.consumers, i)),
      queues: plan.queues.filter((_, n) => n % workers === i),
      rate: plan.rate === undefined ? undefined : plan.rate * portion,
      count: plan.count === undefined ? undefined : Math.round(plan.count * portion),
    };
    firstProducer += producers;
    return share;
  });
}

type LoadUse = Required<Pick<RunLoadOptions, "onSecond" | "stopped" | "onChecks">>;

class ThreadedLoad {
  readonly #plan: LoadPlan;
  readonly #workers: number;
  readonly #threads: Threads<LoadOutcome, WorkerNews, WorkerOrder>;
  readonly #use: LoadUse;
  readonly #seconds: LoadSecond[][] = [];
  readonly #parts = new Map<number, LedgerPart>();
  /** Threads without any connection. */
  readonly #gone = new Set<number>();
  #draining = 0;
  #drain: Drain | undefined;
  #settled = false;
  #told = 0;

  constructor(plan: LoadPlan, workers: number, entry: string, use: LoadUse) {
    this.#plan = plan;
    this.#workers = workers;
    this.#use = use;
    this.#threads = new Threads(entry, "bench", sharesOf(plan, workers), (i, news) => this.#news(i, news));
  }

  /** Throws when a thread fails; none of the others sends any more then. */
  async run(): Promise<LoadOutcome> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    this.#threads.outcomes.then(end, end);
    let asked = false;
    while (!ended) {
      if (!asked && this.#use.stopped()) {
        asked = true;
        this.#threads.order({ kind: "stop" });
      }
      if (this.#draining === this.#workers) this.#look();
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
    }
    return this.#merged(await this.#threads.outcomes);
  }

  /** Looks at what all threads together have, and asks them for news. */
  #look(): void {
    this.#drain ??= new Drain(this.#plan, {
      ...this.#use,
      stopped: () => this.#use.stopped() || this.#gone.size === this.#workers,
      settle: () => this.#settle(),
    });
    const isKnown = this.#parts.size === this.#workers;
    const end = isKnown ? this.#drain.look(mergeLedgers([...this.#parts.values()])) : undefined;
    this.#threads.order(end === undefined ? { kind: "part" } : { kind: "drained", ...end });
  }

  /** What a thread told before it heard of it may lack its last answers. */
  #settle(): void {
    this.#settled = true;
    this.#parts.clear();
    this.#threads.order({ kind: "settle" });
  }

  #news(worker: number, news: WorkerNews): void {
    if (news.kind === "second") this.#second(worker, news.second);
    else if (news.kind === "draining") this.#draining++;
    else {
      if (news.gone) this.#gone.add(worker);
      else this.#gone.delete(worker);
      if (news.settled === this.#settled) this.#parts.set(worker, news.part);
    }
  }

  #second(worker: number, second: LoadSecond): void {
    this.#seconds[worker] ??= [];
    this.#seconds[worker]!.push(second);
    const ready = Math.min(...Array.from({ length: this.#workers }, (_, i) => this.#seconds[i]?.length ?? 0));
    while (this.#told < ready) {
      const n = this.#told++;
      this.#use.onSecond(mergeSeconds(this.#seconds.map((own) => own[n]!)));
    }
  }

  #merged(outcomes: readonly LoadOutcome[]): LoadOutcome {
    const errors: Record<string, number> = {};
    for (const outcome of outcomes)
      for (const [name, count] of Object.entries(outcome.errors)) errors[name] = (errors[name] ?? 0) + count;
    const most = Math.max(...outcomes.map(({ seconds }) => seconds.length));
    return {
      seconds: Array.from({ length: most }, (_, n) =>
        mergeSeconds(outcomes.flatMap(({ seconds }) => seconds[n] ?? [])),
      ),
      errors,
      ledger: mergeLedgers(outcomes.map(({ ledger }) => ledger)),
      clocks: mergeSeenClocks(outcomes.flatMap(({ clocks }) => clocks)),
      checks: sumOfChecks(outcomes.map(({ checks }) => checks)),
      retried: outcomes.reduce((sum, { retried }) => sum + retried, 0),
      cutShort: outcomes.some(({ cutShort }) => cutShort),
      unreached: [...new Set(outcomes.flatMap(({ unreached }) => unreached))],
      drainSeconds: outcomes.find(({ drainSeconds }) => drainSeconds !== undefined)?.drainSeconds,
      workers: this.#workers,
    };
  }
}

function sumOfChecks(parts: readonly CheckCounts[]): CheckCounts {
  const sum = noChecks();
  for (const part of parts) for (const name of Object.keys(sum) as (keyof CheckCounts)[]) sum[name] += part[name];
  return sum;
}

/** The same second of several threads; the busiest thread's CPU and delay, since it is what bounds the load. */
function mergeSeconds(parts: readonly LoadSecond[]): LoadSecond {
  const counts = noCounts();
  const merged: LoadSecond = { second: 0, counts, latencies: {}, inFlight: 0, cpu: 0, loopDelayMs: 0 };
  for (const part of parts) {
    for (const name of Object.keys(counts) as (keyof LoadCounts)[]) counts[name] += part.counts[name];
    merged.second = Math.max(merged.second, part.second);
    merged.inFlight += part.inFlight;
    merged.cpu = Math.max(merged.cpu, part.cpu);
    merged.loopDelayMs = Math.max(merged.loopDelayMs, part.loopDelayMs);
    for (const [name, count] of Object.entries(part.errors ?? {}))
      merged.errors = { ...merged.errors, [name]: (merged.errors?.[name] ?? 0) + count };
    if (part.checks !== undefined) merged.checks = sumOfChecks([merged.checks ?? noChecks(), part.checks]);
    if (part.notes !== undefined) merged.notes = [...(merged.notes ?? []), ...part.notes];
  }
  for (const kind of LATENCIES) {
    const own = parts.flatMap(({ latencies }) => latencies[kind] ?? []);
    if (own.length === 0) continue;
    const whole = new Histogram();
    for (const snapshot of own) whole.merge(snapshot);
    merged.latencies[kind] = whole.snapshot();
  }
  return merged;
}

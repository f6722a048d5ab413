import { Histogram } from "../histogram.ts";
import { Threads } from "../threads.ts";
import { noCounts, type RawCounts, type RawOutcome, type RawPlan, type RawSecond, type RawShare } from "./plan.ts";
import { runRawLoad } from "./raw-load.ts";
import type { RawNews } from "./raw-worker.ts";

/** Threads of a generator: this one alone, or `workers` of `entry`, whose Worker branch runs `runRawWorker`. */
export interface RawThreads {
  workers: number;
  entry: string;
}

/** The plan's connections dealt out, their numbers kept. */
export function rawShares(plan: RawPlan, workers: number): RawShare[] {
  let firstConnection = 0;
  return Array.from({ length: workers }, (_, i) => {
    const connections = Math.floor(plan.connections / workers) + (i < plan.connections % workers ? 1 : 0);
    const rate = plan.rate === undefined ? undefined : (plan.rate * connections) / plan.connections;
    const share = { plan, firstConnection, connections, rate };
    firstConnection += connections;
    return share;
  });
}

/**
 * Does the plan on as many threads as are wanted and have a connection each. `onSecond` sees every measured interval of all together;
 * `stopped` is asked at each and ends the load early. Throws when a connection cannot be opened, or a thread ends without its outcome;
 * nothing is sent any more then.
 */
export async function runRawPlan(
  plan: RawPlan,
  threads: RawThreads | undefined,
  onSecond: (second: RawSecond) => void,
  stopped: () => boolean = () => false,
): Promise<RawOutcome> {
  const workers = Math.min(threads?.workers ?? 1, plan.connections);
  const shares = rawShares(plan, workers);
  if (threads === undefined || workers === 1) return runRawLoad(shares[0]!, onSecond, stopped);
  const seconds: RawSecond[][] = shares.map(() => []);
  let told = 0;
  const all = new Threads<RawOutcome, RawNews, "stop">(threads.entry, "bench-raw", shares, (i, { second }) => {
    seconds[i]!.push(second);
    for (; seconds.every((own) => own.length > told); told++) {
      onSecond(mergeSeconds(seconds.map((own) => own[told]!)));
      if (stopped()) all.order("stop");
    }
  });
  return merged(await all.outcomes);
}

function merged(outcomes: readonly RawOutcome[]): RawOutcome {
  const errors: Record<string, number> = {};
  for (const outcome of outcomes)
    for (const [name, count] of Object.entries(outcome.errors)) errors[name] = (errors[name] ?? 0) + count;
  const most = Math.max(...outcomes.map(({ seconds }) => seconds.length));
  const seconds = Array.from({ length: most }, (_, n) =>
    mergeSeconds(outcomes.flatMap((outcome) => outcome.seconds[n] ?? [])),
  );
  return { seconds, errors, workers: outcomes.length };
}

/** The same interval of several threads; of CPU and delay those of the busiest, since it is what bounds the load. */
function mergeSeconds(parts: readonly RawSecond[]): RawSecond {
  const counts = noCounts();
  const latencies = new Histogram();
  const client = { cpu: 0, loopDelayP99Ms: 0, loopDelayMaxMs: 0 };
  for (const part of parts) {
    for (const name of Object.keys(counts) as (keyof RawCounts)[]) counts[name] += part.counts[name];
    for (const name of Object.keys(client) as (keyof typeof client)[])
      client[name] = Math.max(client[name], part.client[name]);
    latencies.merge(part.latencies);
  }
  return { second: Math.max(...parts.map(({ second }) => second)), counts, latencies: latencies.snapshot(), client };
}

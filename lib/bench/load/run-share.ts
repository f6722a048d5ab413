import { monitorEventLoopDelay } from "node:perf_hooks";
import { readText } from "../resources/machine.ts";
import { processCpuSeconds } from "../resources/proc.ts";
import { ClockCorrection } from "./clock.ts";
import { Drain, type DrainUse } from "./drain.ts";
import { Ledger } from "./ledger.ts";
import { Schedule, startPace } from "./pace.ts";
import { type LoadOutcome, type LoadPlan, type LoadQueue, type LoadSecond, type LoadShare, noCounts } from "./plan.ts";
import { ReceiveConnection, type ReceiveOptions } from "./receive-connection.ts";
import { Recorder } from "./recorder.ts";
import { SendConnection } from "./send-connection.ts";
import { LoadTracing } from "./tracing.ts";

const SECOND_MS = 1000;
const NS_PER_MS = 1e6;
/** How long answers are waited for when the sending has ended. */
const ANSWERS_MS = 10_000;
const LOOK_MS = 20;
const QUIET_MS = 1_000;
/** The load ends when no broker has been there for so long. */
const GONE_MS_MAX = 30_000;
/** With a count and no duration, the load ends when all is sent; this is for one that cannot. */
const SECONDS_MAX = 86_400;

/**
 * Does one thread's share of a plan. `onSecond` sees every measured second when it ends; `stopped` ends the load early.
 * `drain` is asked to wait at the end: with several threads only all of them together know what is missing. It may call `settle`:
 * checks of transactions are not answered any more then; `gone` tells that no broker has been there for 30 s.
 * Throws when a connection cannot be opened.
 */
export async function runShare(
  share: LoadShare,
  onSecond: (second: LoadSecond) => void,
  stopped: () => boolean,
  drain: (own: Ledger, settle: () => void, gone: () => boolean) => Promise<number | undefined>,
): Promise<LoadOutcome> {
  const { plan } = share;
  const recorder = new Recorder();
  const ledger = new Ledger();
  const tracing =
    plan.traceNamesrvAddr === undefined ? undefined : new LoadTracing(plan, plan.traceNamesrvAddr, recorder);
  const clocks = plan.producers > 0 || plan.clock === undefined ? undefined : new ClockCorrection(plan.clock);
  const consumers = makeConsumers(share, recorder, ledger, { tracing, clocks });
  const producers = makeProducers(share, recorder, ledger, tracing);
  try {
    await Promise.all([...consumers, ...producers].map((connection) => connection.connect()));
    let late = false;
    const pace = begin(share, producers, () => {
      late = true;
    });
    // Where nothing is sent, the count is of messages received.
    const finished = () =>
      producers.length > 0
        ? producers.every((producer) => producer.finished)
        : plan.count !== undefined && recorder.received >= plan.count;
    const links = producers.length > 0 ? producers : consumers;
    const gone = () =>
      links.every(({ downSince = Number.POSITIVE_INFINITY }) => downSince < performance.now() - GONE_MS_MAX);
    const ends = () => stopped() || late || finished() || gone();
    await sleepUntil(performance.now() + plan.warmupSeconds * SECOND_MS, ends);
    if (plan.warmupSeconds > 0) recorder.take();
    const seconds = await measure(plan, recorder, producers, consumers, onSecond, ends);
    pace?.stop();
    for (const producer of producers) producer.stop();
    await sleepUntil(performance.now() + ANSWERS_MS, () => producers.every(({ inFlight }) => inFlight === 0));
    for (const producer of producers)
      if (producer.inFlight > 0)
        recorder.errors.set("no answer", (recorder.errors.get("no answer") ?? 0) + producer.inFlight);
    if (late) recorder.count("the broker is a minute behind the rate: ended");
    else if (gone()) recorder.count(`no broker for ${GONE_MS_MAX / SECOND_MS} s: ended`);
    const settle = () => {
      for (const producer of producers) producer.settle();
    };
    const drainSeconds = producers.length > 0 && plan.consumers > 0 ? await drain(ledger, settle, gone) : undefined;
    await tracing?.end();
    addRest(seconds, recorder);
    const unreached = [...producers, ...consumers]
      .filter(({ downSince }) => downSince !== undefined)
      .map(({ address }) => address);
    const errors = Object.fromEntries(recorder.errors);
    // Consumers that still got some are slow, and what is missing is on its way.
    const quietMs = Math.min(plan.drainMs / 2, QUIET_MS + plan.pullBatch * plan.consumeDelayMs);
    const isComing = performance.now() - recorder.lastReceivedAt < quietMs;
    const cutShort = drainSeconds === undefined && (stopped() || isComing);
    return {
      seconds,
      errors,
      checks: recorder.checks,
      clocks: clocks?.seen ?? [],
      retried: recorder.retried,
      ledger: ledger.part(),
      drainSeconds,
      cutShort,
      unreached: [...new Set(unreached)],
      workers: 1,
    };
  } finally {
    for (const connection of [...consumers, ...producers]) connection.close();
    await tracing?.end();
  }
}

/** The drain of a load on one thread; gives the seconds that it took, where nothing is missing. */
export async function drainAlone(plan: LoadPlan, ledger: Ledger, use: DrainUse): Promise<number | undefined> {
  const drain = new Drain(plan, use);
  for (;;) {
    const end = drain.look(ledger.part());
    if (end !== undefined) return end.seconds;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function measure(
  plan: LoadPlan,
  recorder: Recorder,
  producers: readonly SendConnection[],
  consumers: readonly ReceiveConnection[],
  onSecond: (second: LoadSecond) => void,
  ends: () => boolean,
): Promise<LoadSecond[]> {
  const seconds: LoadSecond[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  let before = began;
  let cpuBefore = threadCpuSeconds();
  const most = plan.count === undefined ? plan.seconds : Math.min(plan.seconds, SECONDS_MAX);
  for (let n = 1; n <= most && !ends(); n++) {
    await sleepUntil(began + Math.min(n, most) * SECOND_MS, ends);
    const now = performance.now();
    const cpu = threadCpuSeconds();
    const second: LoadSecond = {
      second: (now - began) / SECOND_MS,
      ...recorder.take(),
      inFlight: producers.reduce((sum, { inFlight }) => sum + inFlight, 0),
      cpu: ((cpu - cpuBefore) * SECOND_MS) / Math.max(1, now - before),
      loopDelayMs: Math.max(0, delay.percentile(99) / NS_PER_MS),
    };
    const notes = recorder.takeNotes();
    if (notes.length > 0) second.notes = notes;
    if (plan.unknownRate > 0) second.checks = { ...recorder.checks };
    const errors = recorder.takeErrors();
    if (errors !== undefined) second.errors = errors;
    for (const connection of [...producers, ...consumers]) connection.check(now);
    delay.reset();
    before = now;
    cpuBefore = cpu;
    seconds.push(second);
    onSecond(second);
  }
  delay.disable();
  return seconds;
}

/** What came while answers and messages were waited for has its latencies counted, and belongs to no second's rate. */
function addRest(seconds: LoadSecond[], recorder: Recorder): void {
  const { counts, latencies } = recorder.take();
  const last = seconds.at(-1);
  if (last === undefined) return;
  seconds.push({ ...last, counts: { ...noCounts(), failed: counts.failed }, latencies, inFlight: 0 });
}

function begin(share: LoadShare, producers: readonly SendConnection[], onFull: () => void) {
  if (producers.length === 0) return undefined;
  if (share.rate === undefined) {
    for (const producer of producers) producer.begin();
    return undefined;
  }
  const { plan } = share;
  const schedule = new Schedule(share.rate, plan.arrival === "poisson", plan.rampSeconds, share.firstProducer + 7);
  return startPace(schedule, plan.kind === "batch" ? plan.batch : 1, producers, onFull);
}

/** Every group has consumers of its own; the one with a broker's first queue reads what the group failed there. */
function makeConsumers(
  share: LoadShare,
  recorder: Recorder,
  ledger: Ledger,
  shared: Pick<ReceiveOptions, "tracing" | "clocks">,
): ReceiveConnection[] {
  const { plan } = share;
  const firsts = new Set(byBroker(plan.queues).map(([first]) => first));
  return Array.from({ length: plan.groups }, (_, group) =>
    deal(share.queues, share.consumers).map((queues) => {
      const readsRetries = plan.failRate > 0 && queues.some((queue) => firsts.has(queue));
      return new ReceiveConnection(plan, queues, recorder, ledger, { group, readsRetries, ...shared });
    }),
  ).flat();
}

/** Every producer sends to one broker's queues; brokers in turn. */
function makeProducers(
  share: LoadShare,
  recorder: Recorder,
  ledger: Ledger,
  tracing: LoadTracing | undefined,
): SendConnection[] {
  const { plan, count } = share;
  const brokers = byBroker(plan.queues);
  return Array.from({ length: share.producers }, (_, i) => {
    const producer = share.firstProducer + i;
    const budget =
      count === undefined ? undefined : Math.floor(count / share.producers) + (i < count % share.producers ? 1 : 0);
    return new SendConnection(plan, producer, brokers[producer % brokers.length]!, budget, recorder, ledger, tracing);
  });
}

export function byBroker(queues: readonly LoadQueue[]): LoadQueue[][] {
  const brokers = new Map<string, LoadQueue[]>();
  for (const queue of queues) {
    const key = `${queue.host}:${queue.port}`;
    brokers.set(key, [...(brokers.get(key) ?? []), queue]);
  }
  return [...brokers.values()];
}

/** The queues of each consumer: one broker's only, since a consumer is one connection. */
function deal(queues: readonly LoadQueue[], consumers: number): LoadQueue[][] {
  if (consumers === 0 || queues.length === 0) return [];
  const brokers = byBroker(queues);
  const perBroker = Math.max(1, Math.ceil(consumers / brokers.length));
  return brokers.flatMap((own) =>
    Array.from({ length: Math.min(perBroker, own.length) }, (_, i) => own.filter((_, n) => n % perBroker === i)),
  );
}

/** CPU time of the calling thread; 0 where the system does not tell. */
function threadCpuSeconds(): number {
  const stat = readText("/proc/thread-self/stat");
  return stat === "" ? 0 : processCpuSeconds(stat);
}

async function sleepUntil(end: number, done: () => boolean): Promise<void> {
  while (!done()) {
    const left = end - performance.now();
    if (left <= 0) return;
    await new Promise((resolve) => setTimeout(resolve, Math.min(LOOK_MS, left)));
  }
}

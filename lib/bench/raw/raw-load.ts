import { performance } from "node:perf_hooks";
import { Histogram } from "../histogram.ts";
import { ClientMeter } from "../resources/client-meter.ts";
import { batchTemplate, type FrameTemplate, sendTemplate } from "./frames.ts";
import { noCounts, type QueueTarget, type RawOutcome, type RawPlan, type RawSecond, type RawShare } from "./plan.ts";
import { RawConnection, type RawRecorder } from "./raw-connection.ts";

const SECOND_MS = 1000;
/** With a rate, how often it is looked what is due. */
const TICK_MS = 1;
/** How long answers are waited for when the sending has ended. */
const DRAIN_MS = 5000;

/**
 * Does one thread's share of a plan. `onSecond` sees every measured interval when it ends; `stopped` is asked once a second and
 * ends the load early. Throws when no connection can be opened.
 */
export async function runRawLoad(
  share: RawShare,
  onSecond: (second: RawSecond) => void,
  stopped: () => boolean = () => false,
): Promise<RawOutcome> {
  const { plan, rate } = share;
  const recorder: RawRecorder = { latencies: new Histogram(), counts: noCounts(), errors: new Map() };
  const connections = makeConnections(share, recorder);
  try {
    await Promise.all(connections.map((connection) => connection.connect()));
  } catch (error) {
    for (const connection of connections) connection.close();
    throw error;
  }
  const pace = rate === undefined ? undefined : startPace(rate, plan.kind === "batch" ? plan.batch : 1, connections);
  if (pace === undefined) for (const connection of connections) connection.begin();
  const seconds: RawSecond[] = [];
  const meter = new ClientMeter();
  try {
    await sleep(plan.warmupSeconds * SECOND_MS);
    recorder.latencies.reset();
    recorder.counts = noCounts();
    meter.take();
    const began = performance.now();
    for (let n = 1; n <= plan.seconds && !stopped(); n++) {
      await sleep(began + n * SECOND_MS - performance.now());
      const second = {
        second: (performance.now() - began) / SECOND_MS,
        counts: recorder.counts,
        latencies: recorder.latencies.take(),
        client: meter.take(),
      };
      recorder.counts = noCounts();
      seconds.push(second);
      onSecond(second);
    }
  } finally {
    meter.stop();
    pace?.stop();
    for (const connection of connections) connection.stop();
    const end = performance.now() + DRAIN_MS;
    while (performance.now() < end && connections.some(({ inFlight }) => inFlight > 0)) await sleep(10);
    for (const connection of connections) connection.close();
  }
  return { seconds, errors: Object.fromEntries(recorder.errors), workers: 1 };
}

function makeConnections(share: RawShare, recorder: RawRecorder): RawConnection[] {
  const { plan } = share;
  const { kind, queues, connections } = plan;
  const numbers = Array.from({ length: share.connections }, (_, i) => share.firstConnection + i);
  if (kind === "pull" || kind === "poll")
    return numbers.map((number) => {
      const dealt = queues.filter((_, i) => i % connections === number);
      const own = kind === "poll" || dealt.length === 0 ? queues : dealt;
      return new RawConnection(plan, recorder, own, [], 0, number);
    });
  const templates = queues.map((queue) => templateOf(plan, queue));
  return numbers.map((number) => {
    const first = Math.floor((number * queues.length) / connections);
    return new RawConnection(plan, recorder, queues, templates, first, number);
  });
}

function templateOf(plan: RawPlan, { topic, queueId }: QueueTarget): FrameTemplate {
  const { bodyBytes, header, run, batch, credentials } = plan;
  return plan.kind === "batch"
    ? batchTemplate(topic, queueId, bodyBytes, batch, header, run, credentials)
    : sendTemplate(topic, queueId, bodyBytes, header, run, credentials);
}

/** Sends what is due on every tick, each message with the time it should have left at. */
function startPace(rate: number, perRequest: number, connections: readonly RawConnection[]): { stop(): void } {
  const stepMs = (SECOND_MS * perRequest) / rate;
  const began = performance.now();
  let issued = 0;
  let at = 0;
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - began) / stepMs) + 1 - issued;
    // In turn over the connections, in pieces, so that all carry the same.
    const piece = Math.max(1, Math.ceil(due / connections.length));
    for (let left = due; left > 0; ) {
      const count = Math.min(piece, left);
      connections[at]!.send(count, began + issued * stepMs, stepMs);
      at = (at + 1) % connections.length;
      issued += count;
      left -= count;
    }
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}

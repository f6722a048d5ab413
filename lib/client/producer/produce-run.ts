import { errorText } from "../../base/errors.ts";
import type { Message } from "../message.ts";
import { LatencyHistogram } from "./latency-histogram.ts";
import type { Producer, SendOptions } from "./producer.ts";
import type { SendResult, SendStatus } from "./send-result.ts";

/** Different failure texts kept; the rest is only counted. */
const FAILURES_MAX = 20;

/** One message and where it is to go. */
export interface ProduceItem {
  message: Message;
  options: SendOptions;
}

export interface ProducePlan {
  items: AsyncIterable<ProduceItem> | Iterable<ProduceItem>;
  /** Messages per request. */
  batch: number;
  /** Requests in flight at once. */
  concurrency: number;
  oneway: boolean;
  /** Messages a second; undefined: as fast as answers come. */
  rate: number | undefined;
}

/** What came of a run; it grows while the run is on. */
export class ProduceReport {
  sent = 0;
  failed = 0;
  readonly statuses = new Map<SendStatus, number>();
  /** ms from when a request was due to its answer. */
  readonly latency = new LatencyHistogram();
  /** How often by text. */
  readonly failures = new Map<string, number>();
  lastResult: SendResult | undefined;
  /** Why the source of messages ended early, when it did. */
  sourceFailure: unknown;
  readonly startedAt = performance.now();
  #endedAt: number | undefined;

  /** ms since the start, or from start to end. */
  get elapsedMs(): number {
    return (this.#endedAt ?? performance.now()) - this.startedAt;
  }

  get rate(): number {
    return this.elapsedMs === 0 ? 0 : (this.sent * 1000) / this.elapsedMs;
  }

  end(): void {
    this.#endedAt ??= performance.now();
  }

  noteSent(count: number, result: SendResult | undefined, latencyMs: number): void {
    this.sent += count;
    this.latency.record(latencyMs);
    if (result === undefined) return;
    this.lastResult = result;
    this.statuses.set(result.status, (this.statuses.get(result.status) ?? 0) + count);
  }

  noteFailed(count: number, error: unknown): void {
    this.failed += count;
    const text = errorText(error);
    if (this.failures.has(text) || this.failures.size < FAILURES_MAX) {
      this.failures.set(text, (this.failures.get(text) ?? 0) + count);
    }
  }
}

/** Sends what a plan holds. `stop()` ends it early: what is in flight is waited for, nothing more is sent. */
export class ProduceRun {
  readonly report = new ProduceReport();
  readonly #producer: Producer;
  readonly #plan: ProducePlan;
  readonly #stop = Promise.withResolvers<undefined>();
  #stopped = false;
  #inFlight = 0;
  #scheduled = 0;
  #wake: (() => void) | undefined;

  constructor(producer: Producer, plan: ProducePlan) {
    this.#producer = producer;
    this.#plan = plan;
  }

  stop(): void {
    this.#stopped = true;
    this.#stop.resolve(undefined);
    this.#wake?.();
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Resolves when everything is answered, also when the source of items fails: see `sourceFailure`. */
  async run(): Promise<ProduceReport> {
    try {
      let batch: ProduceItem[] = [];
      for await (const item of this.#untilStopped(this.#plan.items)) {
        if (this.#stopped) break;
        if (batch.length > 0 && item.message.topic !== batch[0]?.message.topic) {
          await this.#submit(batch);
          batch = [];
        }
        batch.push(item);
        if (batch.length < this.#plan.batch) continue;
        await this.#submit(batch);
        batch = [];
      }
      if (batch.length > 0 && !this.#stopped) await this.#submit(batch);
    } catch (error) {
      this.report.sourceFailure = error;
    }
    while (this.#inFlight > 0) await this.#change();
    this.report.end();
    return this.report;
  }

  /** Ends with the source or at `stop`, also while the source has nothing to give. */
  async *#untilStopped(items: ProducePlan["items"]): AsyncGenerator<ProduceItem> {
    if (Symbol.iterator in items) {
      yield* items;
      return;
    }
    const iterator = items[Symbol.asyncIterator]();
    for (;;) {
      const next = await Promise.race([iterator.next(), this.#stop.promise]);
      if (next === undefined || next.done === true) return;
      yield next.value;
    }
  }

  /** Waits for the request's turn and for a free place, then lets it go. */
  async #submit(batch: ProduceItem[]): Promise<void> {
    const { rate, concurrency } = this.#plan;
    let due = performance.now();
    if (rate !== undefined) {
      due = this.report.startedAt + (this.#scheduled * 1000) / rate;
      this.#scheduled += batch.length;
      const waitMs = due - performance.now();
      if (waitMs > 1) await this.#sleep(waitMs);
    }
    while (this.#inFlight >= concurrency) await this.#change();
    if (this.#stopped) return;
    this.#inFlight++;
    // Sent a little early it counts from now, sent late from when it was due: a stall is not left out.
    const sending = this.#send(batch, Math.min(due, performance.now()));
    if (concurrency === 1) await sending;
  }

  async #send(batch: ProduceItem[], due: number): Promise<void> {
    const first = batch[0] as ProduceItem;
    const what = batch.length === 1 ? first.message : batch.map((item) => item.message);
    try {
      const result = this.#plan.oneway
        ? await this.#producer.sendOneway(what, first.options)
        : await this.#producer.send(what, first.options);
      this.report.noteSent(batch.length, result ?? undefined, performance.now() - due);
    } catch (error) {
      this.report.noteFailed(batch.length, error);
    }
    this.#inFlight--;
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async #sleep(ms: number): Promise<void> {
    let timer: Timer | undefined;
    const slept = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms);
    });
    // A stop need not wait for the next slot of a slow rate.
    while (
      !this.#stopped &&
      (await Promise.race([slept.then(() => true), this.#change().then(() => false)])) === false
    );
    clearTimeout(timer);
  }
}

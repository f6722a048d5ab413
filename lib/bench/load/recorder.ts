import { ResponseCode } from "../../remoting/codes.ts";
import { Histogram } from "../histogram.ts";
import { LATENCIES, type Latency, type LoadCounts, noChecks, noCounts } from "./plan.ts";

const NAMES = new Map(Object.entries(ResponseCode).map(([name, code]) => [code as number, name]));
/** Kinds of error that are told apart. */
const ERRORS_MAX = 100;

/** Lines of a second. */
const NOTES_MAX = 20;

/** What all connections of a thread write to. While warming up, messages are counted for the ledger only. */
export class Recorder {
  readonly histograms = Object.fromEntries(LATENCIES.map((kind) => [kind, new Histogram()])) as Record<
    Latency,
    Histogram
  >;
  readonly errors = new Map<string, number>();
  counts: LoadCounts = noCounts();
  /** Messages received since the beginning. */
  received = 0;
  /** ms of performance.now(). */
  lastReceivedAt = 0;
  inFlight = 0;
  /** Messages that consumers gave back. */
  retried = 0;
  readonly checks = noChecks();
  /** Messages answered well or not, warm-up included. */
  answered = 0;

  /** Brokers that a connection was lost to: how many now, and since when. */
  readonly #down = new Map<string, { links: number; since: number }>();
  #notes: string[] = [];
  #fresh = new Map<string, number>();

  /** Errors by name since the last time they were asked for; undefined when there were none. */
  takeErrors(): Record<string, number> | undefined {
    if (this.#fresh.size === 0) return undefined;
    const errors = Object.fromEntries(this.#fresh);
    this.#fresh = new Map();
    return errors;
  }

  linkDown(address: string, why: string): void {
    const known = this.#down.get(address);
    if (known !== undefined) {
      known.links++;
      return;
    }
    this.#down.set(address, { links: 1, since: performance.now() });
    this.#note(`${address}: ${why}; trying again`);
  }

  linkUp(address: string): void {
    const known = this.#down.get(address);
    if (known === undefined || --known.links > 0) return;
    this.#down.delete(address);
    this.#note(`${address}: connected again after ${((performance.now() - known.since) / 1000).toFixed(1)} s`);
  }

  #note(text: string): void {
    if (this.#notes.length < NOTES_MAX) this.#notes.push(text);
  }

  /** What a person wants to know at once, since the last time it was asked. */
  takeNotes(): string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }

  count(error: string, times = 1): void {
    const key = this.errors.size >= ERRORS_MAX && !this.errors.has(error) ? "other" : error;
    this.errors.set(key, (this.errors.get(key) ?? 0) + times);
    this.#fresh.set(key, (this.#fresh.get(key) ?? 0) + times);
  }

  /** `remark` is asked for the first answer with this code: it is told once. */
  countCode(code: number, remark: () => string | undefined = () => undefined): void {
    const name = `${NAMES.get(code) ?? "code"} (${code})`;
    if (!this.errors.has(name)) {
      const text = remark();
      if (text !== undefined && text !== "") this.#note(`${name}: ${text.split("\n")[0]}`);
    }
    this.count(name);
  }

  /** Begins a new interval and gives the last one's. */
  take(): { counts: LoadCounts; latencies: Partial<Record<Latency, ReturnType<Histogram["take"]>>> } {
    const { counts } = this;
    this.counts = noCounts();
    const latencies: Partial<Record<Latency, ReturnType<Histogram["take"]>>> = {};
    for (const kind of LATENCIES) {
      const histogram = this.histograms[kind];
      if (histogram.count > 0 || histogram.nonPositive > 0) latencies[kind] = histogram.take();
    }
    return { counts, latencies };
  }
}

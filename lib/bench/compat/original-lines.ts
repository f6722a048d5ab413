import { type CheckCounts, noChecks } from "../load/plan.ts";
import type { OriginalFlags, OriginalTool } from "./original-flags.ts";

/** Snapshots that a line looks back on, one a second [Producer: snapshotList]. */
const SNAPSHOTS = 10;

/** What one second brought; times in ms. */
export interface OriginalSecond {
  /** Messages acknowledged, failed, received. */
  acked: number;
  failed: number;
  received: number;
  /** Answered requests and the sum and highest of their times. */
  answers: { count: number; sumMs: number; maxMs: number };
  /** Of received messages, from born and from store timestamp. */
  b2c: { sumMs: number; maxMs: number };
  s2c: { sumMs: number; maxMs: number };
  /** Since the beginning. */
  checks: CheckCounts;
}

interface Snapshot {
  at: number;
  requests: number;
  messages: number;
  failed: number;
  received: number;
  sumMs: number;
  b2cMs: number;
  s2cMs: number;
  checks: CheckCounts;
}

/**
 * The lines of RocketMQ's own programs, to the letter and with their habits: nothing before ten seconds, a window of ten
 * snapshots whatever the interval, a highest time that a producer never forgets.
 */
export class OriginalLines {
  readonly #flags: OriginalFlags;
  readonly #batch: number;
  readonly #intervalMs: number;
  readonly #snapshots: Snapshot[] = [];
  readonly #total: Snapshot = {
    at: 0,
    requests: 0,
    messages: 0,
    failed: 0,
    received: 0,
    sumMs: 0,
    b2cMs: 0,
    s2cMs: 0,
    checks: noChecks(),
  };
  readonly #began: number;
  #reports = 0;
  #maxMs = 0;
  #b2cMaxMs = 0;
  #s2cMaxMs = 0;

  /** `batch` is the messages of a request; `began` is ms since the epoch. */
  constructor(flags: OriginalFlags, batch: number, began: number) {
    this.#flags = flags;
    this.#batch = batch;
    this.#intervalMs = Math.max(1, flags.number("reportInterval"));
    this.#began = began;
  }

  /** Adds a second that ended at `at` (ms since the epoch); a line when it is time for one. */
  second(second: OriginalSecond, at: number): string | undefined {
    const total = this.#total;
    total.at = at;
    total.requests += second.answers.count;
    total.messages += second.acked;
    total.failed += second.failed;
    total.received += second.received;
    total.sumMs += second.answers.sumMs;
    total.b2cMs += second.b2c.sumMs;
    total.s2cMs += second.s2c.sumMs;
    total.checks = second.checks;
    this.#maxMs = Math.max(this.#maxMs, second.answers.maxMs);
    this.#b2cMaxMs = Math.max(this.#b2cMaxMs, second.b2c.maxMs);
    this.#s2cMaxMs = Math.max(this.#s2cMaxMs, second.s2c.maxMs);
    this.#snapshots.push({ ...total });
    if (this.#snapshots.length > SNAPSHOTS) this.#snapshots.shift();
    // A timer's tick and the second's end may be a little apart.
    const reports = Math.floor((at - this.#began + 50) / this.#intervalMs);
    if (reports <= this.#reports) return undefined;
    this.#reports = reports;
    return this.#snapshots.length < SNAPSHOTS ? undefined : this.#line(at);
  }

  /** What the producer prints when its quantity is sent. */
  complete(): string {
    const { requests, failed } = this.#total;
    if (this.#snapshots.length < 2)
      return `[Complete] Send Total: ${requests + failed} Send Failed: 0 Response Failed: ${failed}`;
    return `[Complete] Send Total: ${requests + failed} | ${this.#sent()} | Send Failed: 0 | Response Failed: ${failed}`;
  }

  #line(at: number): string {
    const time = `Current Time: ${humanTime(at)}`;
    const lines: Record<OriginalTool, () => string> = {
      producer: () => `${time} | ${this.#sent()} | Send Failed: 0 | Response Failed: ${this.#total.failed}`,
      batchproducer: () => `${time} | ${this.#batchSent()}`,
      tproducer: () => `${time} | ${this.#transactions()}`,
      consumer: () => `${time} | ${this.#consumed()}`,
    };
    return lines[this.#flags.tool]();
  }

  #window(): { begin: Snapshot; end: Snapshot; ms: number } {
    const begin = this.#snapshots[0]!;
    const end = this.#snapshots.at(-1)!;
    return { begin, end, ms: end.at - begin.at };
  }

  #sent(): string {
    const { begin, end, ms } = this.#window();
    const requests = end.requests - begin.requests;
    return `Send TPS: ${perSecond(requests, ms)} | Max RT(ms): ${Math.floor(this.#maxMs)} | Average RT(ms): ${fixed((end.sumMs - begin.sumMs) / requests, 3, 7)}`;
  }

  #batchSent(): string {
    const { begin, end, ms } = this.#window();
    const requests = end.requests - begin.requests;
    const messages = end.messages - begin.messages;
    const sumMs = end.sumMs - begin.sumMs;
    return [
      `Send TPS: ${perSecond(requests, ms)}`,
      `Send MPS: ${perSecond(messages, ms)}`,
      `Max RT(ms): ${Math.floor(this.#maxMs)}`,
      `Average RT(ms): ${fixed(sumMs / requests, 3, 7)}`,
      `Average Message RT(ms): ${fixed(sumMs / messages, 3, 7)}`,
      `Send Failed: ${Math.round(end.failed / this.#batch)}`,
      `Send Message Failed: ${end.failed}`,
    ].join(" | ");
  }

  #transactions(): string {
    const { begin, end, ms } = this.#window();
    const requests = end.requests - begin.requests;
    const maxMs = Math.floor(this.#maxMs);
    this.#maxMs = 0;
    return [
      `Send TPS: ${String(perSecond(requests, ms)).padStart(5)}`,
      `Max RT(ms): ${String(maxMs).padStart(5)}`,
      `AVG RT(ms): ${fixed((end.sumMs - begin.sumMs) / requests, 1, 3)}`,
      `Send Failed: ${end.failed - begin.failed}`,
      `Check: ${end.checks.checked - begin.checks.checked}`,
      `UnexpectedCheck: ${end.checks.unexpected - begin.checks.unexpected}`,
      `DuplicatedCheck: ${end.checks.duplicated - begin.checks.duplicated}`,
    ].join(" | ");
  }

  #consumed(): string {
    const { begin, end, ms } = this.#window();
    const received = end.received - begin.received;
    const line = [
      `Consume TPS: ${perSecond(received, ms)}`,
      `AVG(B2C) RT(ms): ${fixed((end.b2cMs - begin.b2cMs) / received, 3, 7)}`,
      `AVG(S2C) RT(ms): ${fixed((end.s2cMs - begin.s2cMs) / received, 3, 7)}`,
      `MAX(B2C) RT(ms): ${Math.floor(this.#b2cMaxMs)}`,
      `MAX(S2C) RT(ms): ${Math.floor(this.#s2cMaxMs)}`,
      "Consume Fail: 0",
    ].join(" | ");
    this.#b2cMaxMs = this.#s2cMaxMs = 0;
    return line;
  }
}

/** What the program says first: its settings. */
export function originalHeadline(flags: OriginalFlags, group: string): string {
  const { text, number, on } = flags;
  const filter = (name: string) => (text(name) === "" ? "null" : text(name));
  const common = `traceEnable: ${on("msgTraceEnable")}, aclEnable: ${on("aclEnable")}`;
  const interval = `reportInterval: ${number("reportInterval")}`;
  const sender = () =>
    `messageSize: ${number("messageSize")}, ${flags.tool === "batchproducer" ? `batchSize: ${number("batchSize")}, ` : ""}keyEnable: ${on("keyEnable")}, propertySize: ${number("propertySize")}, tagCount: ${number("tagCount")}, ${common}`;
  const compression = on("compressEnable")
    ? `\ncompressType: ${text("compressType")} compressLevel: ${text("compressLevel")}`
    : "";
  const threads = on("asyncEnable") ? 1 : number("threadCount");
  switch (flags.tool) {
    case "producer":
      return `topic: ${text("topic")}, threadCount: ${threads}, ${sender()}, messageQuantity: ${number("messageQuantity")}, delayEnable: ${on("delayEnable")}, delayLevel: ${number("delayLevel")}, asyncEnable: ${on("asyncEnable")}\n compressEnable: ${on("compressEnable")}, ${interval}${compression}`;
    case "batchproducer":
      return `topic: ${text("topic")}, threadCount: ${threads}, ${sender()}\n compressEnable: ${on("compressEnable")}, ${interval}${compression}`;
    case "consumer":
      return `topic: ${text("topic")}, threadCount ${threads}, group: ${group}, suffix: ${text("groupPrefixEnable")}, filterType: ${filter("filterType")}, expression: ${filter("expression")}, msgTraceEnable: ${on("msgTraceEnable")}, aclEnable: ${on("aclEnable")}, ${interval}`;
    case "tproducer":
      return "";
  }
}

/** Java's cast to long cuts the fraction off; nothing at all is 0. */
function perSecond(count: number, ms: number): number {
  return ms > 0 ? Math.floor((count / ms) * 1000) : 0;
}

/** `%7.3f`; Java prints NaN for 0/0 as well. */
function fixed(value: number, digits: number, width: number): string {
  return (Number.isNaN(value) ? "NaN" : value.toFixed(digits)).padStart(width);
}

/** Local time as `2026-11-23 12:00:00,000` [UtilAll#timeMillisToHumanString2]. */
export function humanTime(ms: number): string {
  const date = new Date(ms);
  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  return `${pad(date.getFullYear(), 4)}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())},${pad(date.getMilliseconds(), 3)}`;
}

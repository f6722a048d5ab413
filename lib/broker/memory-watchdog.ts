import type { Logger } from "../base/log.ts";
import type { MemoryBound } from "../os/memory.ts";

const MIB = 1024 * 1024;
const CHECK_MS = 100;
/** Share of the machine's or the control group's memory that is the limit without a key: the rest is for the page cache. */
const BOUND_SHARE = 0.8;
/** Share of the limit that unsent responses may have. */
const UNSENT_SHARE = 0.25;
/** Load (1 = the limit) at which sends are refused, and at which they are taken again. */
const REFUSE_AT = 0.85;
const ACCEPT_AT = 0.75;
/** Load at which connections are not read either, and at which they are again. */
const HOLD_AT = 0.95;
const READ_AT = 0.85;
/** While they are not read, connections are read for one check in so many: heartbeats and what frees memory get through. */
const CHECKS_PER_BREATH = 20;

export interface MemoryUse {
  /** Bytes of the process that no file backs. */
  anonymousBytes(): number;
  /** Bytes of responses that peers have not taken yet. */
  unsentBytes(): number;
}

export interface MemoryActions {
  /** Why sends are refused from now on; "" when they are taken. */
  refuseSends(reason: string): void;
  /** Connections are not read, or are again. */
  holdReading(hold: boolean): void;
  /** Memory may be given back: a collection is asked for. */
  collect(): void;
}

export interface MemoryBudget {
  bytes: number;
  /** Where it comes from, in words. */
  source: string;
  /** What is wrong with the key; "" when nothing is. */
  remark: string;
}

/** The limit that holds: the key's, or a share of what bounds the process; never more than that bound. */
export function memoryBudget(mqMemoryLimit: number, bound: MemoryBound): MemoryBudget {
  const derived = Math.floor(bound.bytes * BOUND_SHARE);
  const where = `${Math.floor(bound.bytes / MIB)} MiB of ${bound.source}`;
  if (mqMemoryLimit === 0) return { bytes: derived, source: `${BOUND_SHARE * 100} % of ${where}`, remark: "" };
  if (mqMemoryLimit <= bound.bytes) return { bytes: mqMemoryLimit, source: "mqMemoryLimit", remark: "" };
  const remark = `mqMemoryLimit=${mqMemoryLimit} is more than the ${where}, want at most ${bound.bytes}: ${derived} holds instead`;
  return { bytes: derived, source: `${BOUND_SHARE * 100} % of ${where}`, remark };
}

/**
 * Keeps the process below a limit that the runtime itself does not have: sends are refused (SYSTEM_BUSY) before it, connections are
 * not read shortly before it. Says once when either begins and once when all is over.
 */
export class MemoryWatchdog {
  private refusing = false;
  private holding = false;
  private breath = 0;
  private begunAt = 0;
  private peakBytes = 0;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly limitBytes: number,
    private readonly use: MemoryUse,
    private readonly actions: MemoryActions,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.timer ??= setInterval(() => this.check(), CHECK_MS);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    if (this.holding) this.actions.holdReading(false);
    this.holding = false;
  }

  /** One look; the timer's work. */
  check(): void {
    const anonymous = this.use.anonymousBytes();
    const unsent = this.use.unsentBytes();
    const load = Math.max(anonymous / this.limitBytes, unsent / (this.limitBytes * UNSENT_SHARE));
    if (anonymous > this.peakBytes) this.peakBytes = anonymous;
    if (!this.refusing && load >= REFUSE_AT) this.begin(anonymous, unsent);
    else if (this.refusing && load <= ACCEPT_AT) this.end(anonymous);
    if (!this.holding && load >= HOLD_AT) this.hold(anonymous, unsent);
    else if (this.holding && load <= READ_AT) this.readAgain();
    else if (this.holding) this.breathe();
  }

  private begin(anonymous: number, unsent: number): void {
    this.refusing = true;
    this.begunAt = Date.now();
    this.peakBytes = anonymous;
    const found = `${mib(anonymous)} MiB of own memory, ${mib(unsent)} MiB of it or of files unsent`;
    const wanted = `less than ${mib(this.limitBytes * REFUSE_AT)} MiB and ${mib(this.limitBytes * UNSENT_SHARE * REFUSE_AT)} MiB (mqMemoryLimit ${mib(this.limitBytes)} MiB)`;
    this.actions.refuseSends(`${found}, want ${wanted}`);
    this.actions.collect();
    this.logger.warn(`memory is short: sends are refused: ${found}, want ${wanted}`);
  }

  private end(anonymous: number): void {
    this.refusing = false;
    this.actions.refuseSends("");
    this.logger.warn("memory is enough again: sends are taken", {
      mib: mib(anonymous),
      peakMib: mib(this.peakBytes),
      seconds: Math.round((Date.now() - this.begunAt) / 1000),
    });
  }

  private hold(anonymous: number, unsent: number): void {
    this.holding = true;
    this.breath = 0;
    this.actions.holdReading(true);
    this.actions.collect();
    this.logger.warn("memory is nearly used up: connections are not read until there is room", {
      mib: mib(anonymous),
      unsentMib: mib(unsent),
      limitMib: mib(this.limitBytes),
    });
  }

  private readAgain(): void {
    this.holding = false;
    this.actions.holdReading(false);
    this.logger.warn("connections are read again");
  }

  /** Waiting for ever would be worse than a little more memory: what holds it may need a request to be freed. */
  private breathe(): void {
    this.breath = (this.breath + 1) % CHECKS_PER_BREATH;
    if (this.breath === 0) this.actions.holdReading(false);
    else if (this.breath === 1) this.actions.holdReading(true);
  }
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}

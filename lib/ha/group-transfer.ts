import { now } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { PutMessageStatus } from "../store/types.ts";

/** Senders that wait for slaves; more would only time out. */
const WAITERS_MAX = 262_144;
/** Rows to begin with; a power of two. */
const ROWS_MIN = 1024;
/** After so long without a timed-out send, sends are confirmed again. */
const AGAIN_MS = 10_000;

type Done = (status: PutMessageStatus) => void;

/**
 * Senders that wait until enough replicas hold their message [GroupTransferService]. All that one report of a slave covers are
 * answered together; who waits longer than `slaveTimeout` gets FLUSH_SLAVE_TIMEOUT: the message is stored all the same.
 */
export class GroupTransfer {
  /** Waiters in order of arrival: a ring of four columns, of a power of two of rows. */
  private ends = new Float64Array(ROWS_MIN);
  private deadlines = new Float64Array(ROWS_MIN);
  private needs = new Int32Array(ROWS_MIN);
  private dones: (Done | undefined)[] = new Array(ROWS_MIN).fill(undefined);
  private head = 0;
  private count = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Sends that timed out since that was said; 0 while they are confirmed. */
  private timedOut = 0;
  private timedOutAt = 0;

  /** `reached` tells up to where `need` replicas, the master among them, hold the log. */
  constructor(
    private readonly reached: (need: number) => number,
    private readonly timeoutMs: () => number,
    private readonly logger: Logger,
  ) {}

  get waiting(): number {
    return this.count;
  }

  wait(end: number, need: number, done: Done): void {
    if (this.count === 0 && this.reached(need) >= end) {
      done("PUT_OK");
      return;
    }
    if (this.count >= WAITERS_MAX) {
      done("FLUSH_SLAVE_TIMEOUT");
      return;
    }
    if (this.count === this.ends.length) this.grow();
    const row = (this.head + this.count) & (this.ends.length - 1);
    this.ends[row] = end;
    this.needs[row] = need;
    this.deadlines[row] = now() + this.timeoutMs();
    this.dones[row] = done;
    this.count++;
    if (this.timer === undefined) this.arm();
  }

  /** A slave has reported, came or went. */
  progress(): void {
    let need = Number.NaN;
    let where = 0;
    while (this.count > 0) {
      if (this.needs[this.head] !== need) {
        need = this.needs[this.head]!;
        where = this.reached(need);
      }
      if (this.ends[this.head]! > where) return;
      this.pop("PUT_OK");
      if (this.timedOut > 0) this.sayAgain();
    }
  }

  private sayAgain(): void {
    if (now() - this.timedOutAt < AGAIN_MS) return;
    this.logger.info("sends are confirmed in time again", { timedOut: this.timedOut });
    this.timedOut = 0;
  }

  /** Answers all that wait: replication ends. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.count > 0) this.pop("FLUSH_SLAVE_TIMEOUT");
  }

  private pop(status: PutMessageStatus): void {
    const done = this.dones[this.head];
    this.dones[this.head] = undefined;
    this.head = (this.head + 1) & (this.ends.length - 1);
    this.count--;
    try {
      done?.(status);
    } catch (error) {
      // One sender's answer must not keep the others waiting.
      this.logger.error("answering a sender after replication failed", { error: errorText(error) });
    }
  }

  /** Twice the rows, the first waiter in the first. */
  private grow(): void {
    const rows = this.ends.length * 2;
    this.ends = unrolled(this.ends, new Float64Array(rows), this.head);
    this.deadlines = unrolled(this.deadlines, new Float64Array(rows), this.head);
    this.needs = unrolled(this.needs, new Int32Array(rows), this.head);
    const order = [...this.dones.slice(this.head), ...this.dones.slice(0, this.head)];
    this.dones = order.concat(new Array(rows - order.length).fill(undefined));
    this.head = 0;
  }

  /** One timer for the waiter at the head: all wait equally long, so that deadlines are in order. */
  private arm(): void {
    if (this.count === 0) return;
    const delay = Math.max(1, this.deadlines[this.head]! - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.expire(Date.now());
      this.arm();
    }, delay);
  }

  private expire(time: number): void {
    let expired = 0;
    for (; this.count > 0 && this.deadlines[this.head]! <= time; expired++) this.pop("FLUSH_SLAVE_TIMEOUT");
    if (expired === 0) return;
    this.timedOutAt = time;
    if (this.timedOut === 0)
      this.logger.warn("sends are not confirmed by a slave in time and are answered FLUSH_SLAVE_TIMEOUT", {
        slaveTimeout: this.timeoutMs(),
      });
    this.timedOut += expired;
  }
}

function unrolled<T extends Float64Array | Int32Array>(from: T, to: T, head: number): T {
  to.set(from.subarray(head));
  to.set(from.subarray(0, head), from.length - head);
  return to;
}

import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { PutMessageStatus } from "../store/types.ts";

/** Senders that wait for slaves; more would only time out. */
const WAITERS_MAX = 200_000;
/** Answered waiters kept in front before the columns are cut. */
const HEAD_MAX = 4096;
/** Timed-out sends are said this often at most. */
const SAY_MS = 10_000;

type Done = (status: PutMessageStatus) => void;

/**
 * Senders that wait until enough replicas hold their message [GroupTransferService]. All that one report of a slave covers are
 * answered together; who waits longer than `slaveTimeout` gets FLUSH_SLAVE_TIMEOUT: the message is stored all the same.
 */
export class GroupTransfer {
  /** Waiters in order of arrival: columns and where the first is. */
  private ends: number[] = [];
  private needs: number[] = [];
  private deadlines: number[] = [];
  private dones: Done[] = [];
  private head = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private saidAt = 0;

  /** `reached` tells up to where `need` replicas, the master among them, hold the log. */
  constructor(
    private readonly reached: (need: number) => number,
    private readonly timeoutMs: () => number,
    private readonly logger: Logger,
  ) {}

  get waiting(): number {
    return this.dones.length - this.head;
  }

  wait(end: number, need: number, done: Done): void {
    if (this.waiting === 0 && this.reached(need) >= end) {
      done("PUT_OK");
      return;
    }
    if (this.waiting >= WAITERS_MAX) {
      done("FLUSH_SLAVE_TIMEOUT");
      return;
    }
    this.ends.push(end);
    this.needs.push(need);
    this.deadlines.push(Date.now() + this.timeoutMs());
    this.dones.push(done);
    if (this.timer === undefined) this.arm();
  }

  /** A slave has reported, came or went. */
  progress(): void {
    let need = Number.NaN;
    let where = 0;
    while (this.head < this.dones.length) {
      if (this.needs[this.head] !== need) {
        need = this.needs[this.head]!;
        where = this.reached(need);
      }
      if (this.ends[this.head]! > where) break;
      this.pop("PUT_OK");
    }
    this.compact();
  }

  /** Answers all that wait: replication ends. */
  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.waiting > 0) this.pop("FLUSH_SLAVE_TIMEOUT");
    this.compact();
  }

  private pop(status: PutMessageStatus): void {
    const done = this.dones[this.head]!;
    this.head++;
    try {
      done(status);
    } catch (error) {
      // One sender's answer must not keep the others waiting.
      this.logger.error("answering a sender after replication failed", { error: errorText(error) });
    }
  }

  private compact(): void {
    if (this.head < this.dones.length && this.head < HEAD_MAX) return;
    this.ends = this.ends.slice(this.head);
    this.needs = this.needs.slice(this.head);
    this.deadlines = this.deadlines.slice(this.head);
    this.dones = this.dones.slice(this.head);
    this.head = 0;
  }

  /** One timer for the waiter at the head: all wait equally long, so that deadlines are in order. */
  private arm(): void {
    if (this.waiting === 0) return;
    const delay = Math.max(1, this.deadlines[this.head]! - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.expire(Date.now());
      this.arm();
    }, delay);
  }

  private expire(time: number): void {
    let expired = 0;
    for (; this.waiting > 0 && this.deadlines[this.head]! <= time; expired++) this.pop("FLUSH_SLAVE_TIMEOUT");
    this.compact();
    if (expired === 0 || time - this.saidAt < SAY_MS) return;
    this.saidAt = time;
    this.logger.warn("sends were not confirmed by a slave in time and are answered FLUSH_SLAVE_TIMEOUT", {
      sends: expired,
      slaveTimeout: this.timeoutMs(),
    });
  }
}

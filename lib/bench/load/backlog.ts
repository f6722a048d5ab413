import type { LoadSecond } from "./plan.ts";

/** Follows how far consumers are behind, second by second. */
export class Backlog {
  readonly #groups: number;
  #left: number;
  #read = 0;
  #seconds = 0;
  /** Seconds until what was left was no more than a second's production; undefined while it is more. */
  caughtUpSeconds: number | undefined;

  /** `messages` wait for each of the groups. */
  constructor(messages: number, groups: number) {
    this.#left = messages;
    this.#groups = groups;
  }

  add({ second, counts }: Pick<LoadSecond, "second" | "counts">): void {
    if (this.caughtUpSeconds !== undefined) return;
    this.#left += counts.acked - counts.received / this.#groups;
    this.#read += counts.received;
    this.#seconds = second;
    if (this.#left <= counts.acked) this.caughtUpSeconds = second;
  }

  /** Messages that the groups have yet to get, on average. */
  get left(): number {
    return Math.max(0, Math.round(this.#left));
  }

  /** Messages read a second, all groups together. */
  get perSecond(): number {
    return this.#read / Math.max(1e-3, this.#seconds);
  }
}

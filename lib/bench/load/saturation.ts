import type { LoadPlan } from "./plan.ts";

/** Less than this part of the rate is not the rate. */
export const SATURATED_PART = 0.98;
/** Seconds in a row: one that is missed may be a pause that the next makes up for. */
export const SATURATED_SECONDS = 5;

/** Whether a load at a rate is behind for good: what is due piles up, and response times measure only that. */
export class Saturation {
  readonly #wanted: number | undefined;
  #from: number;
  #behind = 0;

  constructor({ rate, rampSeconds, warmupSeconds }: LoadPlan) {
    this.#wanted = rate;
    // While the rate grows it is not the whole one.
    this.#from = Math.ceil(Math.max(0, rampSeconds - warmupSeconds));
  }

  /** A second with so many messages acknowledged. */
  add(acked: number): void {
    if (this.#wanted === undefined || this.#from-- > 0) return;
    this.#behind = acked < SATURATED_PART * this.#wanted ? this.#behind + 1 : 0;
  }

  get reached(): boolean {
    return this.#behind >= SATURATED_SECONDS;
  }
}

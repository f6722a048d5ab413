import { now } from "../../base/clock.ts";

/** What is asked about in one go. */
const SPAN_BYTES = 512 * 1024;
/** How long the kernel's answer is good for: pages that were in memory a moment ago are not the ones it gives away first. */
const GOOD_FOR_MS = 100;

/** Which parts of a mapping are in memory, as the kernel said lately: readers that follow one another do not each ask. */
export class ResidentSpans {
  readonly #isResident: (start: number, end: number) => boolean;
  /** When the span was asked about, ms since the epoch; below zero where a part of it was not in memory. */
  readonly #asked: Float64Array;

  /** `isResident` asks the kernel about a part of the mapping of `length` bytes. */
  constructor(length: number, isResident: (start: number, end: number) => boolean) {
    this.#isResident = isResident;
    this.#asked = new Float64Array(Math.ceil(length / SPAN_BYTES));
  }

  /**
   * Whether the pages of [start, end) are in memory, or were within the last 100 ms. Behind `writtenEnd` a file may have no
   * pages: a span ends there, and what reaches beyond it is asked about exactly.
   */
  cover(start: number, end: number, writtenEnd: number): boolean {
    if (end > writtenEnd) return this.#isResident(start, end);
    const time = now();
    const endSpan = Math.ceil(end / SPAN_BYTES);
    for (let span = Math.floor(start / SPAN_BYTES); span < endSpan; span++) {
      const asked = this.#asked[span]!;
      const age = time - Math.abs(asked);
      let found = asked > 0;
      if (age < 0 || age >= GOOD_FOR_MS) {
        const from = span * SPAN_BYTES;
        found = this.#isResident(from, Math.min(from + SPAN_BYTES, writtenEnd));
        this.#asked[span] = found ? time : -time;
      }
      if (!found) return this.#isResident(start, end);
    }
    return true;
  }
}

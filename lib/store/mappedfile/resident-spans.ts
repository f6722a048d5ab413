import { now } from "../../base/clock.ts";

/** What is asked about in one go. */
const SPAN_BYTES = 512 * 1024;
/** How long the kernel's yes is good for: pages that were in memory a moment ago are not the ones it gives away first. */
const GOOD_FOR_MS = 100;

/** Which parts of a mapping are in memory, as the kernel said lately: readers that follow one another do not each ask. */
export class ResidentSpans {
  readonly #length: number;
  readonly #isResident: (start: number, end: number) => boolean;
  /** When the span was found in memory, ms since the epoch. */
  readonly #foundAt: Float64Array;

  /** `isResident` asks the kernel about a part of the mapping of `length` bytes. */
  constructor(length: number, isResident: (start: number, end: number) => boolean) {
    this.#length = length;
    this.#isResident = isResident;
    this.#foundAt = new Float64Array(Math.ceil(length / SPAN_BYTES));
  }

  /** Whether the pages of [start, end) are in memory, or were within the last 100 ms. */
  cover(start: number, end: number): boolean {
    const time = now();
    const endSpan = Math.ceil(end / SPAN_BYTES);
    for (let span = Math.floor(start / SPAN_BYTES); span < endSpan; span++) {
      const age = time - this.#foundAt[span]!;
      if (age >= 0 && age < GOOD_FOR_MS) continue;
      const from = span * SPAN_BYTES;
      if (!this.#isResident(from, Math.min(from + SPAN_BYTES, this.#length))) return this.#isResident(start, end);
      this.#foundAt[span] = time;
    }
    return true;
  }
}

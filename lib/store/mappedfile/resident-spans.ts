import { now } from "../../base/clock.ts";
import { isResident, type Mapping } from "../../os/mmap.ts";

/** What is asked about in one go. */
const SPAN_BYTES = 512 * 1024;
/** How long the kernel's yes is good for: pages that were in memory a moment ago are not the ones it gives away first. */
const GOOD_FOR_MS = 100;

/** Which parts of a mapping are in memory, as the kernel said lately: readers that follow one another do not each ask. */
export class ResidentSpans {
  readonly #mapping: Mapping;
  /** When the span was found in memory, ms since the epoch. */
  readonly #foundAt: Float64Array;

  constructor(mapping: Mapping) {
    this.#mapping = mapping;
    this.#foundAt = new Float64Array(Math.ceil(mapping.length / SPAN_BYTES));
  }

  /** Whether the pages of [start, end) are in memory, or were within the last 100 ms. */
  cover(start: number, end: number): boolean {
    const time = now();
    const endSpan = Math.ceil(end / SPAN_BYTES);
    for (let span = Math.floor(start / SPAN_BYTES); span < endSpan; span++) {
      const age = time - this.#foundAt[span]!;
      if (age >= 0 && age < GOOD_FOR_MS) continue;
      const from = span * SPAN_BYTES;
      if (!isResident(this.#mapping, from, Math.min(from + SPAN_BYTES, this.#mapping.length)))
        return isResident(this.#mapping, start, end);
      this.#foundAt[span] = time;
    }
    return true;
  }
}

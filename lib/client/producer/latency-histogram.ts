/** Buckets per doubling: an error of 3 % at most. */
const SUB_BUCKETS = 32;
const BUCKETS = 40 * SUB_BUCKETS;

/** Counts latencies in logarithmic buckets: fixed size, no allocation per value. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #max = 0;
  #sum = 0;

  record(ms: number): void {
    const us = Math.max(1, ms * 1000);
    this.#counts[Math.min(BUCKETS - 1, Math.floor(Math.log2(us) * SUB_BUCKETS))]!++;
    this.#count++;
    this.#sum += ms;
    if (ms > this.#max) this.#max = ms;
  }

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** ms that `fraction` of the values do not exceed; 0 without values. */
  percentile(fraction: number): number {
    if (this.#count === 0) return 0;
    const wanted = Math.ceil(fraction * this.#count);
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]!;
      if (seen >= wanted) return Math.min(this.#max, 2 ** ((i + 1) / SUB_BUCKETS) / 1000);
    }
    return this.#max;
  }
}

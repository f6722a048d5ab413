/**
 * Log-linear buckets in HdrHistogram's layout for 3 significant digits, lowest value 1, highest one hour, unit one
 * microsecond: values below 2048 have a bucket each, then every doubling is divided into 1024 [AbstractHistogram].
 */
export const SIGNIFICANT_DIGITS = 3;
export const HIGHEST_US = 3_600_000_000;
const SUB_BUCKETS_MAGNITUDE = 11;
export const SUB_BUCKETS = 1 << SUB_BUCKETS_MAGNITUDE;
const HALF_MAGNITUDE = SUB_BUCKETS_MAGNITUDE - 1;
const HALF = 1 << HALF_MAGNITUDE;
/** Doublings of 2048 until one hour fits. */
export const BUCKETS = 22;
export const COUNTS = (BUCKETS + 1) * HALF;
/** `Math.clz32` of the largest value of bucket 0. */
const LEADING_ZEROS = 32 - SUB_BUCKETS_MAGNITUDE;

/** Bucket of a whole number of microseconds from 0 to `HIGHEST_US`. */
export function indexOf(us: number): number {
  const bucket = LEADING_ZEROS - Math.clz32(us | (SUB_BUCKETS - 1));
  return ((bucket + 1) << HALF_MAGNITUDE) + ((us >>> bucket) - HALF);
}

/** Lowest value that falls into the bucket at `index`. */
export function lowestAt(index: number): number {
  const bucket = (index >>> HALF_MAGNITUDE) - 1;
  return bucket < 0 ? index : ((index & (HALF - 1)) + HALF) * 2 ** bucket;
}

/** Number of values that share the bucket at `index`. */
export function widthAt(index: number): number {
  return 2 ** Math.max(0, (index >>> HALF_MAGNITUDE) - 1);
}

/** Highest value that falls into the bucket at `index`. */
export function highestAt(index: number): number {
  return lowestAt(index) + widthAt(index) - 1;
}

/** Middle of the bucket at `index`, as HdrHistogram takes it for means. */
export function middleAt(index: number): number {
  return lowestAt(index) + Math.floor(widthAt(index) / 2);
}

/** A copy of a histogram's content for another thread: `counts.buffer` is its own and can be transferred. */
export interface HistogramSnapshot {
  /** Index of `counts[0]` in the whole array; buckets outside are empty. */
  readonly first: number;
  readonly counts: Float64Array<ArrayBuffer>;
  /** Exact, in microseconds; `min` is 0 when nothing was recorded. */
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  /** Values that were zero or less (or no number): clocks that disagree. Not part of the buckets. */
  readonly nonPositive: number;
  /** Values above one hour: counted in the last bucket, and here. */
  readonly overRange: number;
}

/** Latencies in microseconds. Fixed size (184 KiB), no allocation per value, merged by adding up. */
export class Histogram {
  readonly #counts = new Float64Array(COUNTS);
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #nonPositive = 0;
  #overRange = 0;

  static from(snapshot: HistogramSnapshot): Histogram {
    const histogram = new Histogram();
    histogram.merge(snapshot);
    return histogram;
  }

  /** Records one value in microseconds, fractions rounded. */
  record(us: number): void {
    if (!(us > 0)) {
      this.#nonPositive++;
      return;
    }
    let value = (us + 0.5) >>> 0;
    if (us > HIGHEST_US) {
      value = HIGHEST_US;
      this.#overRange++;
    }
    const bucket = LEADING_ZEROS - Math.clz32(value | (SUB_BUCKETS - 1));
    this.#counts[((bucket + 1) << HALF_MAGNITUDE) + ((value >>> bucket) - HALF)]!++;
    this.#count++;
    this.#sum += us;
    if (us > this.#max) this.#max = us;
    if (us < this.#min) this.#min = us;
  }

  /** Number of values in the buckets. */
  get count(): number {
    return this.#count;
  }

  /** Values that were zero or less; see `HistogramSnapshot`. */
  get nonPositive(): number {
    return this.#nonPositive;
  }

  /** Values above one hour. */
  get overRange(): number {
    return this.#overRange;
  }

  /** Sum of all values in microseconds, not rounded to buckets. */
  get sum(): number {
    return this.#sum;
  }

  /** Smallest and largest value as recorded; 0 without values. */
  get min(): number {
    return this.#count === 0 ? 0 : this.#min;
  }

  get max(): number {
    return this.#max;
  }

  /** Exact mean in microseconds; 0 without values. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  /** Standard deviation in microseconds around the exact mean, values taken at the middle of their buckets. */
  get stddev(): number {
    if (this.#count === 0) return 0;
    const mean = this.mean;
    let squares = 0;
    for (let i = 0; i < COUNTS; i++) {
      const n = this.#counts[i]!;
      if (n > 0) squares += n * (middleAt(i) - mean) ** 2;
    }
    return Math.sqrt(squares / this.#count);
  }

  /** Microseconds that `fraction` (0 to 1) of the values do not exceed, never above `max`; 0 without values. */
  percentile(fraction: number): number {
    return this.percentiles([fraction])[0]!;
  }

  /** As `percentile`, for an ascending list in one pass. */
  percentiles(fractions: readonly number[]): number[] {
    const result: number[] = [];
    let index = -1;
    let seen = 0;
    for (const fraction of fractions) {
      // As HdrHistogram: the nearest rank, and never less than the first value.
      const wanted = Math.max(1, Math.ceil(fraction * this.#count - 1e-9));
      while (seen < wanted && index < COUNTS - 1) seen += this.#counts[++index]!;
      result.push(this.#count === 0 ? 0 : Math.min(this.#max, highestAt(index)));
    }
    return result;
  }

  /** Calls `visit` for every bucket with values, from the lowest. */
  forEach(visit: (index: number, count: number) => void): void {
    for (let i = 0; i < COUNTS; i++) if (this.#counts[i]! > 0) visit(i, this.#counts[i]!);
  }

  /** Adds another histogram or a snapshot to this one. */
  merge(other: Histogram | HistogramSnapshot): void {
    const from = other instanceof Histogram ? other.snapshot() : other;
    let added = 0;
    for (let i = 0; i < from.counts.length; i++) {
      const n = from.counts[i]!;
      this.#counts[from.first + i]! += n;
      added += n;
    }
    this.#nonPositive += from.nonPositive;
    this.#overRange += from.overRange;
    if (added === 0) return;
    this.#count += added;
    this.#sum += from.sum;
    this.#min = Math.min(this.#min, from.min);
    this.#max = Math.max(this.#max, from.max);
  }

  /** A copy that holds only the buckets between the lowest and the highest value. */
  snapshot(): HistogramSnapshot {
    const empty = this.#count === 0;
    const first = empty ? 0 : this.#edge(0, 1);
    const end = empty ? 0 : this.#edge(COUNTS - 1, -1) + 1;
    return {
      first,
      counts: this.#counts.slice(first, end),
      sum: this.#sum,
      min: this.min,
      max: this.#max,
      nonPositive: this.#nonPositive,
      overRange: this.#overRange,
    };
  }

  /** Snapshot of what came since the last call, and empties the histogram. */
  take(): HistogramSnapshot {
    const snapshot = this.snapshot();
    this.reset();
    return snapshot;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = this.#sum = this.#max = this.#nonPositive = this.#overRange = 0;
    this.#min = Number.POSITIVE_INFINITY;
  }

  #edge(start: number, step: 1 | -1): number {
    let index = start;
    while (this.#counts[index] === 0) index += step;
    return index;
  }
}

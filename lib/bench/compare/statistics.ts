/** Plain statistics of few numbers, and the bootstrap that says whether a ratio means anything. */

const RESAMPLES = 2000;
/** Both ends of the interval are left out with this probability: 95 % lies between. */
const TAIL = 0.025;
/** Neighbouring seconds resemble each other: whole blocks of this many are drawn. */
export const BLOCK_SECONDS = 5;

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** Of an ascending list, between its neighbours where `fraction` falls between two; 0 of an empty one. */
export function quantile(sorted: readonly number[], fraction: number): number {
  if (sorted.length === 0) return 0;
  const at = fraction * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (sorted[Math.ceil(at)]! - low) * (at - Math.floor(at));
}

export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of a sample: divided by n - 1; 0 with fewer than two values. */
export function deviation(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** A generator with a fixed start, so that the same files give the same report [mulberry32]. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A ratio with the interval in which it lies in 95 of 100 repetitions. */
export interface Interval {
  low: number;
  high: number;
}

/** Draws `count` units with replacement, in blocks: how often each unit was drawn. */
function drawn(units: number, block: number, random: () => number, weights: Float64Array): void {
  weights.fill(0);
  for (let left = units; left > 0; ) {
    const start = Math.floor(random() * units);
    for (let i = 0; i < block && left > 0; i++, left--) weights[(start + i) % units]!++;
  }
}

/**
 * Bootstrap interval of candidate / baseline. Each side has `units` (runs, or seconds of runs) and a `figure` that says
 * what a draw with these weights per unit amounts to. undefined where a side has too few units to say anything, or where
 * figures of zero leave no ratio.
 */
export function ratioInterval(
  baseline: { units: number; figure: (weights: Float64Array) => number },
  candidate: { units: number; figure: (weights: Float64Array) => number },
  block: number,
): Interval | undefined {
  if (baseline.units < 3 || candidate.units < 3) return undefined;
  const random = seededRandom(0x5eed);
  const weightsA = new Float64Array(baseline.units);
  const weightsB = new Float64Array(candidate.units);
  const ratios: number[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    drawn(baseline.units, Math.min(block, Math.ceil(baseline.units / 3)), random, weightsA);
    drawn(candidate.units, Math.min(block, Math.ceil(candidate.units / 3)), random, weightsB);
    const below = baseline.figure(weightsA);
    if (below > 0) ratios.push(candidate.figure(weightsB) / below);
  }
  if (ratios.length < RESAMPLES / 2) return undefined;
  ratios.sort((a, b) => a - b);
  return { low: quantile(ratios, TAIL), high: quantile(ratios, 1 - TAIL) };
}

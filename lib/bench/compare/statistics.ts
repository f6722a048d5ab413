/** Plain statistics of few numbers, and the bootstrap that says whether a ratio means anything. */

const RESAMPLES = 2000;
/** Fewer runs or seconds than these say nothing about what else might have come out. */
export const UNITS_MIN = 3;
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

/** Draws as many units as there are, with replacement and in blocks: how often each was drawn. */
function drawn(units: number, block: number, random: () => number): Float64Array {
  const weights = new Float64Array(units);
  for (let left = units; left > 0; ) {
    const start = Math.floor(random() * units);
    for (let i = 0; i < block && left > 0; i++, left--) weights[(start + i) % units]!++;
  }
  return weights;
}

/** One side of a comparison: runs, or seconds of runs, and the figures that a draw with these weights per unit amounts to. */
export interface Side {
  units: number;
  figures: (weights: Float64Array) => readonly number[];
}

/**
 * Bootstrap intervals of candidate / baseline, one per figure. undefined where a side has too few units to say anything,
 * or where figures of zero leave no ratio.
 */
export function ratioIntervals(baseline: Side, candidate: Side, block: number): (Interval | undefined)[] {
  const evenly = (side: Side) => side.figures(new Float64Array(side.units).fill(1));
  const count = Math.min(evenly(baseline).length, evenly(candidate).length);
  const ratios = Array.from({ length: count }, (): number[] => []);
  if (baseline.units < UNITS_MIN || candidate.units < UNITS_MIN) return ratios.map(() => undefined);
  const random = seededRandom(0x5eed);
  const draw = (side: Side) => drawn(side.units, Math.min(block, Math.ceil(side.units / UNITS_MIN)), random);
  for (let i = 0; i < RESAMPLES; i++) {
    const below = baseline.figures(draw(baseline));
    const above = candidate.figures(draw(candidate));
    for (let k = 0; k < count; k++) if (below[k]! > 0) ratios[k]!.push(above[k]! / below[k]!);
  }
  return ratios.map((values) => {
    if (values.length < RESAMPLES / 2) return undefined;
    values.sort((a, b) => a - b);
    return { low: quantile(values, TAIL), high: quantile(values, 1 - TAIL) };
  });
}

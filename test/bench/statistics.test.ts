import { describe, expect, test } from "bun:test";
import {
  deviation,
  mean,
  median,
  quantile,
  ratioIntervals,
  type Side,
  seededRandom,
} from "../../lib/bench/compare/statistics.ts";

/** A side whose units are plain numbers and whose figure is their mean. */
function side(values: number[]): Side {
  return {
    units: values.length,
    figures: (weights) => [values.reduce((sum, value, i) => sum + value * weights[i]!, 0) / values.length],
  };
}

function ratioInterval(baseline: Side, candidate: Side, block: number) {
  return ratioIntervals(baseline, candidate, block)[0];
}

function noisy(seed: number, middle: number, count: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => middle * (0.9 + 0.2 * random()));
}

describe("statistics", () => {
  test("of few numbers", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, 0]);
    expect(quantile([0, 10], 0.25)).toBe(2.5);
    expect([mean([1, 2, 6]), deviation([1, 2, 6]), deviation([5])]).toEqual([3, Math.sqrt(7), 0]);
  });

  test("the interval holds the true ratio and shrinks with more values", () => {
    const few = ratioInterval(side(noisy(1, 100, 10)), side(noisy(2, 200, 10)), 1)!;
    const many = ratioInterval(side(noisy(3, 100, 400)), side(noisy(4, 200, 400)), 1)!;
    for (const { low, high } of [few, many]) {
      expect(low).toBeLessThan(2.05);
      expect(high).toBeGreaterThan(1.95);
    }
    expect(many.high - many.low).toBeLessThan(few.high - few.low);
  });

  test("the same twice is 1 within its interval, whatever the seed, nearly always", () => {
    let outside = 0;
    for (let i = 0; i < 40; i++) {
      const { low, high } = ratioInterval(side(noisy(2 * i, 50, 30)), side(noisy(2 * i + 1, 50, 30)), 1)!;
      if (low > 1 || high < 1) outside++;
    }
    expect(outside).toBeLessThanOrEqual(6);
  });

  test("says nothing of two values, or of zeros", () => {
    expect(ratioInterval(side([1, 2]), side([1, 2, 3]), 1)).toBeUndefined();
    expect(ratioInterval(side([0, 0, 0]), side([1, 2, 3]), 1)).toBeUndefined();
  });

  test("is the same every time", () => {
    const ask = () => ratioInterval(side(noisy(1, 10, 20)), side(noisy(2, 11, 20)), 5);
    expect(ask()).toEqual(ask()!);
  });
});

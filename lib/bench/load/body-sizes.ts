/** Sizes that a range is spread over, and the most that weights are dealt out to. */
const STEPS = 32;
/** Steps between neighbours in the order of sending: odd, so that each comes once, and small and large ones mix. */
const STRIDE = 13;

/** Bodies of several sizes, `[bytes, weight]`. */
export type SizeWeights = readonly (readonly [bytes: number, weight: number])[];

/** Sizes spread evenly from the smallest to the largest. */
export function sizesOfRange(from: number, to: number): number[] {
  const steps = Math.min(STEPS, to - from + 1);
  const sizes = Array.from({ length: steps }, (_, i) => Math.round(from + ((to - from) * i) / Math.max(1, steps - 1)));
  return mixed(sizes);
}

/** Sizes as often as their weights say, each once at least. */
export function sizesOfWeights(weights: SizeWeights): number[] {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  return mixed(
    weights.flatMap(([bytes, weight]) => {
      const times = Math.max(1, Math.round((STEPS * weight) / total));
      return Array.from({ length: times }, () => bytes);
    }),
  );
}

function mixed(sizes: readonly number[]): number[] {
  const left = [...sizes];
  const order: number[] = [];
  for (let at = 0; left.length > 0; at = (at + STRIDE) % Math.max(1, left.length))
    order.push(...left.splice(at % left.length, 1));
  return order;
}

/** What one step at one rate came to. */
export interface SweepStep<T> {
  rate: number;
  run: T;
  /** Limits that it missed; none when it held. */
  missed: readonly string[];
}

export interface SweepOptions<T> {
  /** Runs one step and judges it. */
  step: (rate: number) => Promise<{ run: T; missed: readonly string[] }>;
  /** Ends after the current step. */
  stopped: () => boolean;
}

export interface SweepOutcome<T> {
  /** In the order they ran, repetitions included. */
  steps: SweepStep<T>[];
  /** The highest rate that held twice; undefined when none did. */
  best: number | undefined;
}

/** Steps of a search: doublings and bisections together. */
const SEARCH_STEPS_MAX = 40;

/** Runs the rates as they are given, then the ones that held again from the highest on, until one has held twice. */
export async function sweepRates<T>(rates: readonly number[], options: SweepOptions<T>): Promise<SweepOutcome<T>> {
  const steps: SweepStep<T>[] = [];
  for (const rate of rates) {
    if (options.stopped()) break;
    steps.push(await one(rate, options));
  }
  return confirm(steps, options);
}

/**
 * Doubles the rate from `from` on until it does not hold, then halves the gap between the highest that held and the lowest
 * that did not until they are less than `within` (a part of the rate) apart; then repeats from the highest that held down.
 */
export async function findMaxRate<T>(
  { from, upTo, within }: { from: number; upTo: number; within: number },
  options: SweepOptions<T>,
): Promise<SweepOutcome<T>> {
  const steps: SweepStep<T>[] = [];
  let held = 0;
  let missed = Number.POSITIVE_INFINITY;
  let rate = Math.min(from, upTo);
  for (let n = 0; n < SEARCH_STEPS_MAX && !options.stopped(); n++) {
    const step = await one(rate, options);
    steps.push(step);
    if (step.missed.length === 0) held = rate;
    else missed = rate;
    if (held >= upTo) break;
    const next = missed === Number.POSITIVE_INFINITY ? Math.min(upTo, held * 2) : Math.round((held + missed) / 2);
    if (missed - held <= Math.max(1, within * held) || next < 1) break;
    rate = next;
  }
  return confirm(steps, options);
}

/** A rate that held once may have been lucky: the highest one must hold again, else the next below it. */
async function confirm<T>(steps: SweepStep<T>[], options: SweepOptions<T>): Promise<SweepOutcome<T>> {
  const held = [...new Set(steps.filter(({ missed }) => missed.length === 0).map(({ rate }) => rate))];
  for (const rate of held.sort((a, b) => b - a)) {
    if (steps.filter((step) => step.rate === rate && step.missed.length === 0).length > 1) return { steps, best: rate };
    if (options.stopped()) break;
    const again = await one(rate, options);
    steps.push(again);
    if (again.missed.length === 0) return { steps, best: rate };
  }
  return { steps, best: undefined };
}

async function one<T>(rate: number, options: SweepOptions<T>): Promise<SweepStep<T>> {
  return { rate, ...(await options.step(rate)) };
}

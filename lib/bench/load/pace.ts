import type { SendConnection } from "./send-connection.ts";

/** How often it is looked what is due. */
const TICK_MS = 1;
/** What is due and finds no room waits; more than this many seconds of it only makes the generator fall over. */
const LATE_SECONDS_MAX = 60;

/** Times at which messages are due, fixed in advance whatever is answered: uniform, exponential, and slower during a ramp. */
export class Schedule {
  readonly #stepMs: number;
  readonly #poisson: boolean;
  readonly #rampMs: number;
  #nextMs = 0;
  #state: number;

  constructor(ratePerSecond: number, poisson: boolean, rampSeconds: number, seed: number) {
    this.#stepMs = 1000 / ratePerSecond;
    this.#poisson = poisson;
    this.#rampMs = rampSeconds * 1000;
    this.#state = (seed | 1) >>> 0;
  }

  /** ms since the begin at which the next one is due. */
  get nextMs(): number {
    return this.#nextMs;
  }

  advance(): void {
    // During the ramp the rate grows from a tenth to the whole.
    const grown = this.#rampMs > 0 ? Math.min(1, Math.max(0.1, this.#nextMs / this.#rampMs)) : 1;
    const step = this.#stepMs / grown;
    this.#nextMs += this.#poisson ? -Math.log(1 - this.#random()) * step : step;
  }

  #random(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state / 2 ** 32;
  }
}

/**
 * Sends what is due on every tick, in turn over the connections. What finds no room stays due, and keeps its intended time: a broker that
 * stands still is seen by every message that should have left meanwhile.
 */
export function startPace(
  schedule: Schedule,
  perRequest: number,
  connections: readonly SendConnection[],
  onFull: () => void,
): { stop(): void } {
  const began = performance.now();
  let at = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const elapsed = now - began;
    let tried = 0;
    while (schedule.nextMs <= elapsed && tried < connections.length) {
      const connection = connections[at]!;
      at = at + 1 === connections.length ? 0 : at + 1;
      if (connection.room <= 0) {
        tried++;
        continue;
      }
      tried = 0;
      connection.issue(began + schedule.nextMs, now);
      for (let i = 0; i < perRequest; i++) schedule.advance();
    }
    if (elapsed - schedule.nextMs > LATE_SECONDS_MAX * 1000) onFull();
    for (const connection of connections) connection.flush();
  }, TICK_MS);
  return { stop: () => clearInterval(timer) };
}

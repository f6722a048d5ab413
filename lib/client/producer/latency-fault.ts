/** Elapsed ms of a send ... [MQFaultStrategy#latencyMax] */
export const LATENCY_MAX = [50, 100, 550, 1800, 3000, 5000, 15000] as const;
/** ... and how long its broker is then passed over, in ms [MQFaultStrategy#notAvailableDuration]. */
export const NOT_AVAILABLE_DURATION = [0, 0, 2000, 5000, 6000, 10000, 30000] as const;
/** A send that got no answer counts as this slow. */
const ISOLATION_LATENCY_MS = 10000;
/** Brokers remembered; the one longest in the table goes when it is full. */
const BROKERS_MAX = 1024;

/** How long a broker stays unavailable after a send of `latencyMs`, in ms. */
export function notAvailableDuration(latencyMs: number): number {
  for (let i = LATENCY_MAX.length - 1; i >= 0; i--) {
    if (latencyMs >= (LATENCY_MAX[i] ?? 0)) return NOT_AVAILABLE_DURATION[i] ?? 0;
  }
  return 0;
}

interface FaultItem {
  availableFrom: number;
  reachable: boolean;
  /** When the detector looks at it again. */
  checkFrom: number;
}

/** [LatencyFaultToleranceImpl] Which brokers to pass over because they were slow or silent. */
export class LatencyFault {
  readonly #items = new Map<string, FaultItem>();
  readonly #clock: () => number;

  constructor(clock: () => number = Date.now) {
    this.#clock = clock;
  }

  /** Records a send's `latencyMs`; `isolation` when no good answer came, `reachable` false to wait for the detector. */
  update(brokerName: string, latencyMs: number, isolation: boolean, reachable: boolean): void {
    const duration = notAvailableDuration(isolation ? ISOLATION_LATENCY_MS : latencyMs);
    let item = this.#items.get(brokerName);
    if (item === undefined) {
      if (this.#items.size >= BROKERS_MAX) {
        const oldest = this.#items.keys().next().value;
        if (oldest !== undefined) this.#items.delete(oldest);
      }
      item = { availableFrom: 0, reachable, checkFrom: 0 };
      this.#items.set(brokerName, item);
    }
    item.reachable = reachable;
    // A shorter punishment never ends a longer one early.
    if (duration > 0) item.availableFrom = Math.max(item.availableFrom, this.#clock() + duration);
  }

  isAvailable(brokerName: string): boolean {
    const item = this.#items.get(brokerName);
    return item === undefined || this.#clock() >= item.availableFrom;
  }

  isReachable(brokerName: string): boolean {
    return this.#items.get(brokerName)?.reachable ?? true;
  }

  /** Brokers whose reachability is due for a check; each is due again after `intervalMs`. */
  dueForCheck(intervalMs: number): string[] {
    const now = this.#clock();
    const due: string[] = [];
    for (const [brokerName, item] of this.#items) {
      if (now < item.checkFrom) continue;
      item.checkFrom = now + intervalMs;
      due.push(brokerName);
    }
    return due;
  }

  markReachable(brokerName: string): void {
    const item = this.#items.get(brokerName);
    if (item !== undefined) item.reachable = true;
  }

  remove(brokerName: string): void {
    this.#items.delete(brokerName);
  }
}

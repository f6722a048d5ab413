import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { readText } from "./machine.ts";
import { processCpuSeconds } from "./proc.ts";

const NS_PER_MS = 1e6;
const MS_PER_SECOND = 1000;

/** What a load generator's thread cost in one interval. */
export interface ClientUse {
  /** Part of the interval that the calling thread was busy; 0 where the system does not tell. */
  cpu: number;
  /** How late its loop came round, ms. */
  loopDelayP99Ms: number;
  loopDelayMaxMs: number;
}

/** Watches the thread that makes it: whether the generator is what is measured. */
export class ClientMeter {
  readonly #delay = monitorEventLoopDelay({ resolution: 1 });
  #cpuSeconds = threadCpuSeconds();
  #at = performance.now();

  constructor() {
    this.#delay.enable();
  }

  /** Since the last call, or since the start. */
  take(): ClientUse {
    const now = performance.now();
    const cpuSeconds = threadCpuSeconds();
    const use = {
      cpu: ((cpuSeconds - this.#cpuSeconds) * MS_PER_SECOND) / Math.max(1, now - this.#at),
      loopDelayP99Ms: Math.max(0, this.#delay.percentile(99) / NS_PER_MS),
      loopDelayMaxMs: Math.max(0, this.#delay.max / NS_PER_MS),
    };
    this.#delay.reset();
    this.#cpuSeconds = cpuSeconds;
    this.#at = now;
    return use;
  }

  stop(): void {
    this.#delay.disable();
  }
}

function threadCpuSeconds(): number {
  const stat = readText("/proc/thread-self/stat");
  return stat === "" ? 0 : processCpuSeconds(stat);
}

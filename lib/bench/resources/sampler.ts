import { performance } from "node:perf_hooks";
import { readText } from "./machine.ts";
import { machineCpuSeconds, processCpuSeconds, processIo, processMemory } from "./proc.ts";

/** What one process used in one interval. CPU: 1 is one core fully used. */
export interface ProcessSample {
  cpu: number;
  rssBytes: number;
  anonymousBytes: number;
  readBytesPerSecond: number;
  writtenBytesPerSecond: number;
}

/**
 * One interval: seconds since the sampler began, CPU of the machine (1 is all cores busy), CPU seconds in it that a virtual machine's
 * host gave to others while this one wanted them, and its processes by name.
 */
export interface ResourceSample {
  seconds: number;
  machineCpu: number;
  stolenSeconds: number;
  processes: Record<string, ProcessSample>;
}

interface Reading {
  cpuSeconds: number;
  readBytes: number;
  writtenBytes: number;
}

/** Samples kept: a day at one a second. Later ones replace nothing and are not taken. */
const SAMPLES_MAX = 86_400;

/**
 * Reads /proc of some local processes at every `sample()`, and the machine's CPU: about 0.1 ms per process. A process that
 * has ended, or a system without /proc, leaves its samples out.
 */
export class ResourceSampler {
  readonly #pids: Readonly<Record<string, number>>;
  readonly #began = performance.now();
  readonly samples: ResourceSample[] = [];
  #previousAt = this.#began;
  #machine = machineCpuSeconds(readText("/proc/stat"));
  readonly #processes = new Map<string, Reading>();

  /** `pids` by the name their samples shall have. */
  constructor(pids: Readonly<Record<string, number>>) {
    this.#pids = pids;
    for (const name of Object.keys(pids)) this.#read(name, 0);
  }

  /** Takes the sample of the interval since the last call (or since the constructor), keeps and returns it. */
  sample(): ResourceSample {
    const now = performance.now();
    const elapsed = Math.max(0.001, (now - this.#previousAt) / 1000);
    const machine = machineCpuSeconds(readText("/proc/stat"));
    const total = machine.total - this.#machine.total;
    const processes: Record<string, ProcessSample> = {};
    for (const name of Object.keys(this.#pids)) {
      const sample = this.#read(name, elapsed);
      if (sample !== undefined) processes[name] = sample;
    }
    const result = {
      seconds: (now - this.#began) / 1000,
      machineCpu: total > 0 ? Math.min(1, (machine.busy - this.#machine.busy) / total) : 0,
      stolenSeconds: Math.max(0, machine.stolen - this.#machine.stolen),
      processes,
    };
    this.#previousAt = now;
    this.#machine = machine;
    if (this.samples.length < SAMPLES_MAX) this.samples.push(result);
    return result;
  }

  #read(name: string, elapsed: number): ProcessSample | undefined {
    const folder = `/proc/${this.#pids[name]}`;
    const stat = readText(`${folder}/stat`);
    if (stat === "") return undefined;
    const reading = { cpuSeconds: processCpuSeconds(stat), ...processIo(readText(`${folder}/io`)) };
    const before = this.#processes.get(name) ?? reading;
    this.#processes.set(name, reading);
    const perSecond = (value: number) => (elapsed > 0 ? value / elapsed : 0);
    return {
      cpu: perSecond(reading.cpuSeconds - before.cpuSeconds),
      ...processMemory(readText(`${folder}/status`)),
      readBytesPerSecond: perSecond(reading.readBytes - before.readBytes),
      writtenBytesPerSecond: perSecond(reading.writtenBytes - before.writtenBytes),
    };
  }
}

/** What an interval of a result keeps of it. */
export function usedOf({ machineCpu, stolenSeconds, processes }: ResourceSample): Omit<ResourceSample, "seconds"> {
  return { machineCpu, stolenSeconds, processes };
}

/** The samples of one process, taken together. */
export interface ProcessUse {
  cpuMean: number;
  cpuMax: number;
  rssMaxBytes: number;
  anonymousMaxBytes: number;
  anonymousLastBytes: number;
  readBytesPerSecond: number;
  writtenBytesPerSecond: number;
}

/** Mean and maximum of what `name` used; undefined when it was never seen. */
export function processUse(samples: readonly ResourceSample[], name: string): ProcessUse | undefined {
  const own = samples.map(({ processes }) => processes[name]).filter((sample) => sample !== undefined);
  if (own.length === 0) return undefined;
  const mean = (of: (sample: ProcessSample) => number) => own.reduce((sum, one) => sum + of(one), 0) / own.length;
  const max = (of: (sample: ProcessSample) => number) => own.reduce((most, one) => Math.max(most, of(one)), 0);
  return {
    cpuMean: mean(({ cpu }) => cpu),
    cpuMax: max(({ cpu }) => cpu),
    rssMaxBytes: max(({ rssBytes }) => rssBytes),
    anonymousMaxBytes: max(({ anonymousBytes }) => anonymousBytes),
    anonymousLastBytes: own.at(-1)!.anonymousBytes,
    readBytesPerSecond: mean(({ readBytesPerSecond }) => readBytesPerSecond),
    writtenBytesPerSecond: mean(({ writtenBytesPerSecond }) => writtenBytesPerSecond),
  };
}

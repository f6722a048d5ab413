import { statfsSync } from "node:fs";
import { dirname } from "node:path";
import { ConfigError } from "../base/errors.ts";
import { memoryBudget } from "../broker/memory-watchdog.ts";
import { type BrokerConfig, loadBrokerConfig } from "../config/broker-config.ts";
import type { GivenKey } from "../config/load-config.ts";
import { decodeProperties } from "../config/properties.ts";
import type { TuneContext } from "./types.ts";

/** A broker's configuration as the items see it. */
export interface BrokerFile {
  config: BrokerConfig;
  /** What was set, by name. */
  given: ReadonlyMap<string, GivenKey>;
  /** Path of the properties file, for changes; undefined: flags only. */
  file: string | undefined;
  /** Why a broker would not start with the file as it is. */
  remarks?: readonly string[];
}

/** Gives an item its configuration, or why there is none. */
export type BrokerSource = (context: TuneContext) => BrokerFile | string;

const read = new WeakMap<object, BrokerFile | string>();

/** The file named by `--config`, read once a report. */
export const brokerFileOf: BrokerSource = (context) => {
  const { options } = context;
  const known = read.get(options);
  if (known !== undefined) return known;
  const found = readBrokerFile(context);
  read.set(options, found);
  return found;
};

function readBrokerFile({ machine, options }: TuneContext): BrokerFile | string {
  const { config: file } = options;
  if (file === undefined) return "no broker file given: -c FILE";
  const bytes = machine.bytes(file);
  if (bytes === undefined) return `cannot read ${file}`;
  try {
    const text = decodeProperties(bytes);
    const { config, given } = loadBrokerConfig({ text, lenient: true });
    const places = new Map(
      [...given].map(([key, { text, where }]) => [key, { text, where: where.replace("text", file) }]),
    );
    return { config, given: places, file, remarks: remarksOn(text, file) };
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replace(/^text:/gm, `${file}:`);
    throw error;
  }
}

const REMARKS_MAX = 5;

/** A key that nobody knows stops a broker, and says what it was meant to be; its other keys can be judged all the same. */
function remarksOn(text: string, file: string): string[] {
  try {
    loadBrokerConfig({ text });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const lines = error.message.split("\n").map((line) => line.replace(/^text:/, `${file}:`));
    const more = lines.length > REMARKS_MAX ? [`${file}: ${lines.length - REMARKS_MAX} more mistakes`] : [];
    const shown = lines.slice(0, REMARKS_MAX).map((line) => line.replace(/[^\x20-\x7e]/g, "?"));
    return [...shown, ...more].map((line) => `no broker starts with this file: ${line}`);
  }
}

/** Bytes of the machine's memory, or of the control group where that is less. */
export function memoryOf({ machine }: TuneContext): { bytes: number; source: string } | undefined {
  const total = machine.meminfo("MemTotal");
  const group = machine.memoryMax;
  if (group !== undefined && Number.isFinite(group) && (total === undefined || group < total))
    return { bytes: group, source: "the control group" };
  return total === undefined ? undefined : { bytes: total, source: "the machine" };
}

/** The memory limit that the broker would keep; undefined where the memory cannot be read. */
export function budgetOf(context: TuneContext, config: BrokerConfig): ReturnType<typeof memoryBudget> | undefined {
  const memory = memoryOf(context);
  return memory === undefined ? undefined : memoryBudget(config.mqMemoryLimit, memory);
}

export interface Disk {
  path: string;
  totalBytes: number;
  freeBytes: number;
  /** 0 where the file system does not count them. */
  inodes: number;
  inodesFree: number;
}

/** The file system below a directory, or below the nearest one above it that exists. */
export function diskOf({ machine }: TuneContext, directory: string): Disk | undefined {
  for (let path = directory; ; path = dirname(path)) {
    const real = machine.exists(path) ? machine.real(path) : undefined;
    if (real !== undefined) {
      try {
        const { blocks, bavail, bsize, files, ffree } = statfsSync(real);
        const bytes = { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
        return { path, ...bytes, inodes: files, inodesFree: ffree };
      } catch {
        return undefined;
      }
    }
    if (path === dirname(path)) return undefined;
  }
}

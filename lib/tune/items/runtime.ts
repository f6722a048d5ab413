import { dirname } from "node:path";
import { lockedBytes, usesPool } from "../../store/store-config.ts";
import { type BrokerSource, brokerFileOf, budgetOf, diskOf } from "../broker-file.ts";
import type { TuneContext, TuneItem } from "../types.ts";
import { amount, bytesText, pair } from "../values.ts";
import { type ConfigRow, configItem } from "./config-item.ts";

const MIB = 1024 ** 2;
/** What a busy broker has beside its pool. */
const OWN_BYTES = 256 * MIB;
/** Below this sends would be refused before anything is wrong. */
const LIMIT_BYTES_MIN = 160 * MIB;

const memoryLimit: ConfigRow = {
  id: "runtime.memory-limit",
  key: "mqMemoryLimit",
  title: "own memory before which sends are refused (-Xmx, MaxDirectMemorySize)",
  off: "WARN",
  cost: "the kernel ends the broker when memory runs out, instead of sends being refused",
  explain: {
    what: "mq looks at its anonymous memory and at what peers have not taken ten times a second; from 85 % of the limit on sends get SYSTEM_BUSY, from 95 % on connections are not read.",
    why: "The runtime has no hard heap cap. Without the key the limit is 80 % of memory.max (systemd's MemoryMax) or of the machine: the rest is for the page cache.",
    risk: "A limit below what the broker needs refuses sends for nothing: the store pool counts.",
    verify: "the line `memory:` at the broker's start; RssAnon in /proc/PID/status",
  },
  judge: ({ config }, context) => {
    const budget = budgetOf(context, config);
    if (budget === undefined) return { status: "UNKNOWN", note: "the machine's memory cannot be read" };
    const pool = usesPool(config) ? config.transientStorePoolSize * config.mappedFileSizeCommitLog : 0;
    const live = bytesText(budget.bytes);
    if (budget.remark !== "") return { live, status: "WARN", note: budget.remark };
    const needed = pool === 0 ? LIMIT_BYTES_MIN : pool + OWN_BYTES;
    return budget.bytes < needed
      ? { live, status: "FAIL", note: `${live} (${budget.source}), want ${bytesText(needed)} at least` }
      : { live, status: "OK", note: `${budget.source}` };
  },
};

const lockMemory: ConfigRow = {
  id: "runtime.lock-memory",
  key: "mqLockMemory",
  title: "pool and warm files stay in memory (mlock)",
  off: "WARN",
  cost: "pages that must not fault can be swapped or reclaimed",
  explain: {
    what: "The store pool, or the warm file in use, is touched and locked region by region by the helper thread.",
    why: "RocketMQ locks both and ignores a refusal. memlock is 8 MiB on most systems, 64 KiB on old ones: the limit has to hold what is locked.",
    risk: "mq never locks the whole process: that would fault in gigabytes of reservations.",
    verify: "VmLck in /proc/PID/status; the broker says once what was refused",
  },
  wanted: () => ({ classic: "true", modern: "true" }),
  judge: ({ config }, context) => {
    const bytes = lockedBytes(config);
    if (bytes === 0)
      return config.mqLockMemory
        ? { status: "OK", note: "nothing to lock: neither pool nor warm files are on" }
        : { status: "INFO", note: "pool and warm files are touched, not locked" };
    const limit = memlockOf(context);
    if (limit === undefined)
      return { status: "UNKNOWN", note: `wants ${bytesText(bytes)}; the memlock limit cannot be read` };
    return limit < bytes
      ? {
          status: "WARN",
          note: `memlock is ${bytesText(limit)} here, want ${bytesText(bytes)}: LimitMEMLOCK of the unit, memlock in limits.conf`,
        }
      : { status: "OK", note: `${bytesText(bytes)} of ${bytesText(limit)}` };
  },
};

function memlockOf({ machine, options }: TuneContext): number | undefined {
  const limit = machine.limit(options.pid ?? "self", "Max locked memory");
  return limit === undefined ? undefined : amount(pair(limit)[0]);
}

const pauseLog: ConfigRow = {
  id: "runtime.pause-log",
  key: "mqPauseLogPath",
  title: "log of event-loop pauses and collections (GC log)",
  cost: "a stall leaves no trace of what ran",
  explain: {
    what: "A line for each pause of the event loop over mqPauseLogThreshold with the longest turn in it, one for each collection, one a minute; files rotate (mqPauseLogFileSize, mqPauseLogFiles).",
    why: "The classic logs the JVM's collections to /dev/shm, so that the log cannot stall on the disk that it is to tell about.",
    risk: "A timer of 10 ms; /dev/shm is memory: files times size at most.",
    verify: "tail -f the file",
  },
  wanted: ({ config }) => ({
    classic: config.mqPauseLogPath === "" ? "/dev/shm/mq-pauses.log" : config.mqPauseLogPath,
  }),
  judge: ({ config }, context) => {
    const { mqPauseLogPath: path, mqPauseLogFiles: files, mqPauseLogFileSize: size } = config;
    if (path === "") return { live: "off" };
    if (!context.machine.exists(dirname(path)))
      return { status: "WARN", note: `${dirname(path)} is not there: nothing is logged` };
    const disk = diskOf(context, dirname(path));
    if (disk !== undefined && disk.totalBytes < files * size)
      return {
        status: "WARN",
        note: `${files} files of ${bytesText(size)} do not fit ${bytesText(disk.totalBytes)} of ${disk.path}`,
      };
    return { status: "OK", note: `${files} files of ${bytesText(size)}` };
  },
};

const ROWS: readonly ConfigRow[] = [memoryLimit, lockMemory, pauseLog];

/** What a JVM has flags for, in mq's keys. */
export function runtimeItems(source: BrokerSource): TuneItem[] {
  return ROWS.map((row) => configItem(row, source));
}

export const RUNTIME_ITEMS: readonly TuneItem[] = runtimeItems(brokerFileOf);

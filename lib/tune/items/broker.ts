import { join } from "node:path";
import { brokerConfigKeys } from "../../config/broker-config.ts";
import type { Keys } from "../../config/key.ts";
import { usesPool } from "../../store/store-config.ts";
import { type BrokerFile, type BrokerSource, brokerFileOf, budgetOf, diskOf } from "../broker-file.ts";
import type { Reading, TuneContext, TuneItem } from "../types.ts";
import { bytesText } from "../values.ts";
import { type ConfigRow, configItem } from "./config-item.ts";

const MIB = 1024 ** 2;
/** Heap, connections and buffers of a busy broker, beside the pool. */
const OWN_BYTES = 256 * MIB;
/** Files of a log below which deleting one gives back too much at once. */
const LOG_FILES_MIN = 10;
/** Mappings that the process has beside the store's files. */
const OWN_MAPS = 2_000;
/** Queue files that a broker of RocketMQ's usual shape has for each file of its log; an estimate. */
const QUEUE_FILES_PER_LOG_FILE = 8;

const VERIFY = "mq config explain KEY   and   mqadmin getBrokerConfig -b ADDR";

function poolBytes({ config }: BrokerFile): number {
  return config.transientStorePoolSize * config.mappedFileSizeCommitLog;
}

/** Whether the store pool fits beside the rest into the memory limit; undefined: the memory is unknown. */
function poolFits(broker: BrokerFile, context: TuneContext): boolean | undefined {
  const budget = budgetOf(context, broker.config);
  return budget === undefined ? undefined : poolBytes(broker) + OWN_BYTES <= budget.bytes;
}

function poolText(broker: BrokerFile, context: TuneContext): string {
  const { transientStorePoolSize, mappedFileSizeCommitLog } = broker.config;
  const budget = budgetOf(context, broker.config);
  const limit = budget === undefined ? "an unknown limit" : `${bytesText(budget.bytes)} (${budget.source})`;
  return `the pool needs ${transientStorePoolSize} x ${bytesText(mappedFileSizeCommitLog)}, the memory limit is ${limit}`;
}

const flush: ConfigRow = {
  id: "broker.flushDiskType",
  key: "flushDiskType",
  title: "when an acknowledged message is on the disk",
  cost: "ASYNC_FLUSH can lose what a machine took in its last moments",
  explain: {
    what: "ASYNC_FLUSH answers before the disk has the message, SYNC_FLUSH after; sends that wait share one flush.",
    why: "The classic's and RocketMQ's default is ASYNC_FLUSH. A guarantee that somebody chose is never lowered by mq tune.",
    risk: "At a power loss, not at a crash of the broker, ASYNC_FLUSH loses up to flushIntervalCommitLog of messages, at a trickle up to flushCommitLogThoroughInterval.",
    verify: VERIFY,
  },
  wanted: ({ config }) => ({ classic: config.flushDiskType === "SYNC_FLUSH" ? "SYNC_FLUSH" : "ASYNC_FLUSH" }),
  judge: ({ config }) =>
    config.flushDiskType === "SYNC_FLUSH"
      ? { status: "OK", note: "on the disk before it is acknowledged: more than the classic asks, not lowered" }
      : {
          status: "INFO",
          note: `a power loss costs up to ${config.flushIntervalCommitLog} ms of messages, at a trickle ${config.flushCommitLogThoroughInterval} ms; SYNC_FLUSH or a SYNC_MASTER's slave does not`,
        },
};

const pool: ConfigRow = {
  id: "broker.transientStorePoolEnable",
  key: "transientStorePoolEnable",
  title: "messages wait in memory before they reach the file",
  cost: "acknowledged messages of the last commitIntervalCommitLog are lost when the process dies",
  explain: {
    what: "Records go to locked memory first and to the file every commitIntervalCommitLog (200 ms).",
    why: "The classic turns it on to keep page faults out of the way of a send. mq's helper touches pages ahead of the writer, so that it gains little here; the modern profile keeps it off.",
    risk: "What was acknowledged and not yet committed is lost when the process is killed, not only at a power loss. The pool is transientStorePoolSize x mappedFileSizeCommitLog of memory that mlock wants to hold.",
    verify: "remainTransientStoreBufferNumbs of mqadmin brokerStatus; VmLck in /proc/PID/status",
  },
  wanted: (broker, context) => ({
    classic: poolFits(broker, context) === false || broker.config.brokerRole === "SLAVE" ? "false" : "true",
    modern: "false",
  }),
  judge: (broker, context): Partial<Reading> => {
    const { config } = broker;
    if (!config.transientStorePoolEnable)
      return poolFits(broker, context) === false ? { status: "OK", note: `off; ${poolText(broker, context)}` } : {};
    if (!usesPool(config))
      return {
        status: "INFO",
        note: `without effect: ASYNC_FLUSH masters only, this is ${config.flushDiskType} ${config.brokerRole}`,
      };
    return poolFits(broker, context) === false ? { status: "FAIL", note: poolText(broker, context) } : {};
  },
  hazard: (target) =>
    target === "true"
      ? {
          does: "acknowledges messages that are in the process's memory only",
          canBeLost: "the last 200 ms of acknowledged messages when the process is killed",
          modern: "false: mq touches pages ahead instead",
        }
      : undefined,
};

const warm: ConfigRow = {
  id: "broker.warmMapedFileEnable",
  key: "warmMapedFileEnable",
  title: "a log file is touched whole before it is used",
  cost: "each file is written twice, its zeros first",
  explain: {
    what: "The helper touches every page of the next file (MADV_POPULATE_WRITE) and syncs it, off the event loop; the file in use is locked in memory.",
    why: "Without it mq touches up to 64 MiB ahead of the writer, which keeps page faults away as well. Worth it where writes come in bursts of more than that.",
    risk: "The disk writes twice as much; memlock must hold two files, else they are touched only.",
    verify: "VmLck in /proc/PID/status; p99.9 of mq bench produce at a roll",
  },
  wanted: () => ({ classic: "true", modern: "false" }),
};

const slaveRead: ConfigRow = {
  id: "broker.slaveReadEnable",
  key: "slaveReadEnable",
  title: "consumers that lag read from a slave",
  cost: "readers of old messages keep the master's disk busy",
  explain: {
    what: "A consumer that is further behind than the memory reaches is told to pull from a slave.",
    why: "Takes cold reads off the master. Without a slave it does nothing.",
    risk: "What a slave has may trail the master by what replication has not copied yet.",
    verify: "suggestWhichBrokerId of a pull's answer; mq cluster list",
  },
  wanted: () => ({ classic: "true", modern: "true" }),
};

const byHeap: ConfigRow = {
  id: "broker.transferMsgByHeap",
  key: "transferMsgByHeap",
  title: "pulled messages are copied instead of sent from the mapping",
  cost: "one more copy of each pulled message",
  explain: {
    what: "true copies a pull's records into a buffer, false hands the mapping's ranges to the socket.",
    why: "The classic's false saves a copy for large pulls; below 32 KiB mq copies either way, so that header and body leave in one write.",
    risk: "None for the messages. TLS and small pulls ignore it.",
    verify: "mq bench consume with either value",
  },
  wanted: () => ({ classic: "false", modern: "false" }),
};

const fileSize: ConfigRow = {
  id: "broker.mappedFileSizeCommitLog",
  key: "mappedFileSizeCommitLog",
  title: "bytes of one file of the log, against the disk",
  compare: "at most",
  off: "WARN",
  cost: "deleting one file gives back so much that the disk is either full or half empty",
  explain: {
    what: "The log is deleted file by file; files are allocated whole.",
    why: `The disk's share for the log (diskMaxUsedSpaceRatio) should hold ${LOG_FILES_MIN} files at least, so that one more fits before one is due for deletion.`,
    risk: "A store keeps the size that it was made with: mq refuses another one.",
    verify: "ls -l STORE/commitlog",
  },
  wanted: (broker, context) => {
    const size = String(fittingFileSize(broker, context) ?? broker.config.mappedFileSizeCommitLog);
    return { classic: size, modern: size, dev: size };
  },
  judge: ({ config }, { machine }) => {
    const made = machine.list(logDirectory(config)).length;
    return made > 0 ? { status: "OK", note: `${made} files were made with this size: it stays` } : {};
  },
};

function logDirectory(config: BrokerFile["config"]): string {
  const { storePathCommitLog, storePathRootDir } = config;
  return storePathCommitLog === "" ? join(storePathRootDir, "commitlog") : (storePathCommitLog.split(",")[0] ?? "");
}

/** The largest power of two, 64 MiB at least, of which the log's share of the disk holds enough; undefined: the disk is unknown. */
function fittingFileSize({ config }: BrokerFile, context: TuneContext): number | undefined {
  const disk = diskOf(context, logDirectory(config));
  if (disk === undefined) return undefined;
  const share = (disk.totalBytes * config.diskMaxUsedSpaceRatio) / 100;
  let size = config.mappedFileSizeCommitLog;
  while (size * LOG_FILES_MIN > share && size > 64 * MIB)
    size = Math.max(64 * MIB, 2 ** Math.floor(Math.log2(size - 1)));
  return size;
}

const fileCount: ConfigRow = {
  id: "broker.mappedFiles",
  title: "files that a full disk of messages maps, against vm.max_map_count",
  off: "WARN",
  cost: "the broker stops taking messages when a file cannot be mapped",
  explain: {
    what: "Each file of the log, of the consume queues and of the index is one mapping.",
    why: "Counted for a disk that is filled to diskMaxUsedSpaceRatio, with eight queue files for each file of the log.",
    risk: "Many topics with many queues need more: look at the live count.",
    verify: "wc -l /proc/PID/maps",
  },
  judge: ({ config }, context) => {
    const disk = diskOf(context, logDirectory(config));
    const limit = Number(context.machine.sysctl("vm.max_map_count") ?? Number.NaN);
    if (disk === undefined || Number.isNaN(limit)) return { note: "disk or vm.max_map_count unknown" };
    const files = Math.ceil((disk.totalBytes * config.diskMaxUsedSpaceRatio) / 100 / config.mappedFileSizeCommitLog);
    const maps = OWN_MAPS + files * (1 + QUEUE_FILES_PER_LOG_FILE);
    const note = `about ${maps} mappings for ${files} files of the log, limit ${limit}`;
    return { live: String(maps), status: maps < limit ? "OK" : "WARN", note };
  },
};

const ratios: ConfigRow = {
  id: "broker.diskRatios",
  title: "percent of the disk at which files go, and at which sends are refused",
  off: "WARN",
  cost: "unread messages are deleted, or sends are refused, earlier than meant",
  explain: {
    what: "diskMaxUsedSpaceRatio deletes before the time, diskSpaceCleanForciblyRatio at any age, diskSpaceWarningLevelRatio refuses sends.",
    why: "They have to rise in this order. On a large disk the last one may be nearer to 100: what counts is the room for one more file.",
    risk: "A forced deletion takes messages that nobody has read: mq names the groups.",
    verify: "df STORE",
  },
  judge: ({ config }) => {
    const { diskMaxUsedSpaceRatio, diskSpaceCleanForciblyRatio, diskSpaceWarningLevelRatio } = config;
    const live = `${diskMaxUsedSpaceRatio}/${diskSpaceCleanForciblyRatio}/${diskSpaceWarningLevelRatio}`;
    const rising =
      diskMaxUsedSpaceRatio <= diskSpaceCleanForciblyRatio && diskSpaceCleanForciblyRatio <= diskSpaceWarningLevelRatio;
    return rising
      ? { live, status: "OK", note: "deletion comes before refusal" }
      : {
          live,
          status: "WARN",
          note: `diskMaxUsedSpaceRatio/diskSpaceCleanForciblyRatio/diskSpaceWarningLevelRatio=${live}, want them rising`,
        };
  },
};

const threads: ConfigRow = {
  id: "broker.threads",
  title: "thread and queue keys of the JVM broker",
  cost: "none: they do nothing here",
  explain: {
    what: "mq has one event loop and a helper thread: *ThreadPoolNums, server*Threads and most *ThreadPoolQueueCapacity size nothing.",
    why: "What bounds the work is sendThreadPoolQueueCapacity: sends that wait for flush or slave, refused with OVERLOAD beyond it.",
    risk: "None; they are kept for a way back to Java.",
    verify: "mq config explain KEY",
  },
  judge: ({ given, config }) => {
    const keys: Keys = brokerConfigKeys;
    const idle = [...given.keys()].filter((name) => keys[name]?.unused === true);
    const capacity = config.sendThreadPoolQueueCapacity;
    const live = `${idle.length} set`;
    if (capacity < 1000)
      return {
        live,
        status: "WARN",
        note: `sendThreadPoolQueueCapacity=${capacity} refuses sends early, want 1000 at least`,
      };
    return idle.length === 0
      ? {
          live,
          status: "OK",
          note: `up to ${capacity} sends may wait for flush or slave (sendThreadPoolQueueCapacity)`,
        }
      : {
          live,
          status: "INFO",
          note: `not needed by mq: ${idle.slice(0, 4).join(", ")}${idle.length > 4 ? ` and ${idle.length - 4} more` : ""}`,
        };
  },
};

const queueFile: ConfigRow = {
  id: "broker.mappedFileSizeConsumeQueue",
  key: "mappedFileSizeConsumeQueue",
  title: "bytes of one consume queue file",
  cost: "many small files, or much memory touched for little",
  explain: {
    what: "20 bytes a message: the default holds 300,000 messages of one queue.",
    why: "Smaller files for a broker with very many quiet queues, larger ones for a few busy queues; mq allocates only what is written.",
    risk: "A store keeps the size that it was made with.",
    verify: "ls -l STORE/consumequeue/TOPIC/0",
  },
  judge: ({ config }) => ({
    status: "OK",
    note: `${Math.floor(config.mappedFileSizeConsumeQueue / 20)} messages a file`,
  }),
};

const ROWS: readonly ConfigRow[] = [
  flush,
  pool,
  warm,
  slaveRead,
  byHeap,
  fileSize,
  queueFile,
  fileCount,
  ratios,
  threads,
];

/** The broker's own settings, from a source of the caller's. */
export function brokerItems(source: BrokerSource): TuneItem[] {
  return ROWS.map((row) => configItem(row, source));
}

/** The broker's own settings, of the file given with `--config`. */
export const BROKER_ITEMS: readonly TuneItem[] = brokerItems(brokerFileOf);

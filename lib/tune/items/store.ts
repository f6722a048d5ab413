import { type BrokerSource, brokerFileOf, diskOf } from "../broker-file.ts";
import { mountOf } from "../mounts.ts";
import type { Reading, TuneContext, TuneItem } from "../types.ts";
import { bytesText } from "../values.ts";

/** What a store on it costs. */
const NOT_FOR_A_STORE: Readonly<Record<string, string>> = {
  tmpfs: "it is memory: every message is gone at a reboot",
  ramfs: "it is memory: every message is gone at a reboot",
  overlay: "it goes with the container: mount a volume",
  nfs: "locks, mappings and fsync do not hold what they promise over NFS",
  nfs4: "locks, mappings and fsync do not hold what they promise over NFS",
};
const DOUBTFUL: Readonly<Record<string, string>> = {
  cifs: "a network share: mappings and fsync are weak",
  smb3: "a network share: mappings and fsync are weak",
  "9p": "a host's folder in a guest: mappings are weak",
  virtiofs: "a host's folder in a guest: mappings may be weak",
  ext2: "no journal",
  ext3: "deleting a file of a GiB stalls for seconds",
  btrfs: "copy on write: each flush moves blocks; not measured with mq",
  zfs: "copy on write, no preallocation: a full disk is met late; not measured with mq",
};
const PROVED = new Set(["ext4", "xfs"]);

/** Disk fill in percent without a broker's file: RocketMQ's defaults. */
const DEFAULT_RATIOS = { delete: 75, force: 85, refuse: 90 };
/** Below this the next files of a few topics cannot be made. */
const INODES_FREE_MIN = 1_000;

/** Where the store is: the broker's file says it, else whoever asks. */
function storeOf(context: TuneContext, source: BrokerSource): string {
  const broker = source(context);
  const { store } = context.options;
  return store === "/" && typeof broker !== "string" ? broker.config.storePathRootDir : store;
}

function fileSystem(source: BrokerSource): TuneItem {
  return {
    ...REPORT_ONLY,
    id: "disk.fs",
    title: "file system of the store",
    cost: "messages are lost, or flushes do not mean what they say",
    explain: {
      what: "What the store's directory is mounted from.",
      why: "mq is proved on ext4 and xfs: preallocation, mapped writes and fdatasync keep their promises there.",
      risk: "mq tune reports this and never edits fstab.",
      verify: "findmnt -T STORE",
    },
    read: (context): Reading => {
      const store = storeOf(context, source);
      const mount = mountOf(context.machine, store);
      if (mount === undefined) return { note: "mounts cannot be read" };
      const { type, point, options } = mount;
      const where = `${store} is on ${type} (${point})`;
      const live = type;
      if (Object.hasOwn(NOT_FOR_A_STORE, type))
        return { live, status: "FAIL", note: `${where}: ${NOT_FOR_A_STORE[type]}` };
      if (options.includes("ro")) return { live, status: "FAIL", note: `${where}, mounted read-only` };
      const doubt = DOUBTFUL[type] ?? (type.startsWith("fuse") ? "FUSE: mappings and fsync may be weak" : undefined);
      if (doubt !== undefined) return { live, status: "WARN", note: `${where}: ${doubt}` };
      if (!PROVED.has(type)) return { live, status: "INFO", note: `${where}: not tried with mq, ext4 and xfs are` };
      if (options.includes("strictatime"))
        return { live, status: "WARN", note: `${where}: strictatime writes at each read` };
      return { live, status: "OK", note: where };
    },
    wanted: () => ({ modern: "ext4 or xfs" }),
  };
}

function space(source: BrokerSource): TuneItem {
  return {
    ...REPORT_ONLY,
    id: "disk.space",
    title: "room for messages on the store's disk",
    cost: "sends are refused, or files that are not due are deleted",
    explain: {
      what: "How full the store's file system is, against diskMaxUsedSpaceRatio, diskSpaceCleanForciblyRatio and diskSpaceWarningLevelRatio.",
      why: "Above the first files go before their time, above the second at any age, above the third sends are refused.",
      risk: "A forced deletion takes messages that nobody has read.",
      verify: "df -h STORE; df -i STORE",
    },
    read: (context): Reading => spaceReading(context, source),
    wanted: () => ({}),
  };
}

function spaceReading(context: TuneContext, source: BrokerSource): Reading {
  const store = storeOf(context, source);
  const disk = diskOf(context, store);
  if (disk === undefined || disk.totalBytes === 0) return { note: `the disk of ${store} cannot be read` };
  const broker = source(context);
  const config = typeof broker === "string" ? undefined : broker.config;
  const limits = {
    delete: config?.diskMaxUsedSpaceRatio ?? DEFAULT_RATIOS.delete,
    force: config?.diskSpaceCleanForciblyRatio ?? DEFAULT_RATIOS.force,
    refuse: config?.diskSpaceWarningLevelRatio ?? DEFAULT_RATIOS.refuse,
  };
  const used = Math.ceil((1 - disk.freeBytes / disk.totalBytes) * 100);
  const live = `${used}% used`;
  const where = `${disk.path} is ${used} % full, ${bytesText(disk.freeBytes)} are free`;
  const file = config?.mappedFileSizeCommitLog ?? 0;
  const inodes = disk.inodes > 0 ? Math.ceil((1 - disk.inodesFree / disk.inodes) * 100) : 0;
  const inodesText = `${disk.inodesFree} of ${disk.inodes} inodes of ${disk.path} are free`;
  if (disk.inodes > 0 && disk.inodesFree < INODES_FREE_MIN)
    return {
      live,
      status: "FAIL",
      note: `${inodesText}, want ${INODES_FREE_MIN}: no new file can be made without one`,
    };
  if (used >= limits.refuse)
    return { live, status: "FAIL", note: `${where}: sends are refused from ${limits.refuse} % on` };
  if (disk.freeBytes < 2 * file)
    return { live, status: "FAIL", note: `${where}, want room for two files of the log, ${bytesText(2 * file)}` };
  if (used >= limits.force)
    return { live, status: "WARN", note: `${where}: files are deleted at any age from ${limits.force} % on` };
  if (used >= limits.delete)
    return { live, status: "WARN", note: `${where}: files go before their time from ${limits.delete} % on` };
  if (inodes >= limits.delete)
    return { live, status: "WARN", note: `${inodesText}: ${inodes} % are used, want less than ${limits.delete} %` };
  return { live, status: "OK", note: where };
}

const REPORT_ONLY = {
  persist: "none",
  effect: "-",
  revert: "never",
  reach: "same",
  compare: "same",
  off: "FAIL",
  must: true,
} as const;

/** The store's disk, of a configuration from a source of the caller's. */
export function storeItems(source: BrokerSource): TuneItem[] {
  return [fileSystem(source), space(source)];
}

export const STORE_ITEMS: readonly TuneItem[] = storeItems(brokerFileOf);

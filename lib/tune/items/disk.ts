import { errorText } from "../../base/errors.ts";
import { blockDevices } from "../block-device.ts";
import { probeFsync } from "../fsync-probe.ts";
import { mountOf } from "../mounts.ts";
import { chosenWord } from "../plan.ts";
import type { Change, Reading, TuneContext, TuneItem } from "../types.ts";
import { REPORT_ONLY } from "./report-only.ts";

const SYNC_P99_MS_MAX = 20;
const READ_AHEAD_KB = 128;
const READ_AHEAD_KB_MAX = 1024;
const UDEV_FOLDERS = ["/etc/udev", "/usr/lib/udev", "/lib/udev"];

const NO_DISK = "the store's file system has no disk of its own here";

/** A queue attribute of every disk below the store; the first one that is off is shown. */
function queueItem(
  id: string,
  attribute: string,
  wantedFor: (rotational: boolean | undefined) => string,
  good: (live: string, wanted: string) => boolean,
  rest: Pick<TuneItem, "title" | "cost" | "explain">,
): TuneItem {
  const disks = ({ machine, options }: TuneContext) =>
    blockDevices(machine, options.store).flatMap(({ name, rotational }) => {
      const live = chosenWord(machine.value(`/sys/block/${name}/${attribute}`));
      return live === undefined || live === "" ? [] : [{ name, live, wanted: wantedFor(rotational) }];
    });
  return {
    ...rest,
    id,
    persist: "UDEV",
    effect: "now",
    revert: "value",
    reach: "device",
    compare: "same",
    off: "WARN",
    must: false,
    read: (context): Reading => {
      const found = disks(context);
      if (found.length === 0) return { absent: NO_DISK };
      const wrong = found.find(({ live, wanted }) => !good(live, wanted));
      const shown = wrong ?? found[0]!;
      const names = found.map(({ name }) => name).join(", ");
      if (wrong === undefined) return { live: shown.live, status: "OK", note: `disk ${names}` };
      return { live: shown.live, status: "WARN", note: `${rest.cost} (disk ${wrong.name})` };
    },
    wanted: (context) => {
      const found = disks(context);
      const modern = (found.find(({ live, wanted }) => !good(live, wanted)) ?? found[0])?.wanted;
      // RocketMQ's page names a scheduler of old kernels; both profiles set today's.
      return { classic: modern, modern };
    },
    change: (_, context) => {
      if (!UDEV_FOLDERS.some((folder) => context.machine.exists(folder))) return [];
      return disks(context)
        .filter(({ live, wanted }) => !good(live, wanted))
        .map(({ name, wanted }): Change => ({ kind: "block", device: name, attribute, value: wanted }));
    },
  };
}

const mountOptions: TuneItem = {
  ...REPORT_ONLY,
  id: "disk.mount",
  title: "mount options of the store",
  cost: "each read writes its time to the disk, or each deletion waits for the disk",
  explain: {
    what: "relatime, noatime, discard, sync of the store's mount.",
    why: "strictatime turns reads into writes; discard makes every deleted GiB wait for the disk, where fstrim.timer does it at night; sync makes every write wait.",
    risk: "mq tune never edits fstab: a wrong line there stops the next boot.",
    verify: "findmnt -no OPTIONS -T STORE",
  },
  read: ({ machine, options }): Reading => {
    const mount = mountOf(machine, options.store);
    if (mount === undefined) return { note: "mounts cannot be read" };
    const bad = ["strictatime", "sync", "discard", "dirsync"].filter((name) => mount.options.includes(name));
    const live = mount.options.find((name) => /atime$/.test(name)) ?? mount.options[0] ?? "";
    if (bad.length === 0) return { live, status: "OK", note: `${mount.point}: ${mount.options.join(",")}` };
    return { live: bad[0], status: "WARN", note: `${mount.point} has ${bad.join(", ")}: edit fstab by hand` };
  },
  wanted: () => ({ modern: "relatime" }),
};

const fsync: TuneItem = {
  ...REPORT_ONLY,
  id: "disk.fsync",
  title: "how long the disk takes to make a write sure",
  cost: "SYNC_FLUSH answers no faster than this",
  explain: {
    what: "200 blocks of 4 KiB, each written and synced in the store's directory; the 99th percentile in ms.",
    why: `Above ${SYNC_P99_MS_MAX} ms every synchronous send waits noticeably. Measured, because no setting tells it.`,
    risk: "It writes 800 KiB beside a running broker: only with --probe.",
    verify: "mq tune --only disk.fsync --probe --store STORE",
  },
  read: ({ machine, options }): Reading => {
    if (!machine.live) return { absent: "not measured in another tree" };
    if (options.probe !== true) return { absent: "not measured: --probe --store DIR does it" };
    try {
      const { p50Ms, p99Ms } = probeFsync(options.store);
      const note = `half of the writes took ${p50Ms.toFixed(2)} ms at most, 99 of 100 ${p99Ms.toFixed(2)} ms`;
      return { live: `${p99Ms.toFixed(2)} ms`, status: p99Ms <= SYNC_P99_MS_MAX ? "OK" : "WARN", note };
    } catch (error) {
      return { note: `cannot write in ${options.store}: ${errorText(error)}` };
    }
  },
  wanted: () => ({ modern: "20 ms" }),
};

export const DISK_ITEMS: readonly TuneItem[] = [
  queueItem(
    "disk.scheduler",
    "queue/scheduler",
    (rotational) => (rotational === true ? "mq-deadline" : "none"),
    // A virtual disk says that it rotates when it does not: mq-deadline is good enough everywhere.
    (live, wanted) => live === wanted || live === "mq-deadline" || live === "none",
    {
      title: "order in which the disk gets requests",
      cost: "the scheduler holds writes back to be fair between processes",
      explain: {
        what: "none hands requests on as they come, mq-deadline bounds how long one waits, bfq and kyber share the disk between processes.",
        why: "An SSD sorts by itself (none); a spinning disk wants mq-deadline. RocketMQ's page says deadline: that name is gone since kernel 5.0.",
        risk: "Other programs on the same disk get no fair share.",
        verify: "cat /sys/block/DISK/queue/scheduler",
      },
    },
  ),
  queueItem(
    "disk.readahead",
    "queue/read_ahead_kb",
    () => String(READ_AHEAD_KB),
    (live) => Number(live) <= READ_AHEAD_KB_MAX,
    {
      title: "what the disk reads beyond a request (KiB)",
      cost: "a cold read of one message fills the memory with its neighbours",
      explain: {
        what: "How much the kernel reads ahead of a sequential read.",
        why: "128 is the kernel's default. Some cloud images have 8192: a consumer far behind then evicts what the others read.",
        risk: "A full scan of the log is slower with less.",
        verify: "cat /sys/block/DISK/queue/read_ahead_kb",
      },
    },
  ),
  mountOptions,
  fsync,
];

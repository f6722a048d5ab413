import { readSysctlFiles, winner } from "../sysctl-files.ts";
import type { Hazard, Reading, TuneContext, TuneItem, Wanted } from "../types.ts";
import { amount } from "../values.ts";
import { readSysctl, sysctlItem } from "./sysctl-item.ts";

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** About a second of a fast disk, and never much of a small memory. */
export function dirtyBackgroundBytes({ machine }: TuneContext): number {
  const memory = machine.meminfo("MemTotal") ?? 16 * GIB;
  return Math.max(64 * MIB, Math.min(GIB, Math.floor((memory * 0.05) / MIB) * MIB));
}

function hasSwap({ machine }: TuneContext): boolean {
  return (machine.text("/proc/swaps") ?? "").trim().split("\n").length > 1;
}

const DIRTY_HAZARD: Hazard = {
  does: "lets unwritten data fill a quarter to a half of the memory before anyone writes it",
  canBeLost: "everything not yet written, at a power loss; and the next fsync may stall for minutes",
  modern: "bytes instead of a share: about one second of the disk",
};

/** One of the two dirty limits: a share of the memory (classic), or bytes (modern). The kernel keeps only one of the two. */
function dirty(name: "dirty_background" | "dirty", share: string, times: number): TuneItem {
  const ratio = `vm.${name}_ratio`;
  const bytes = `vm.${name}_bytes`;
  const base = sysctlItem({
    key: ratio,
    title:
      name === "dirty" ? "unwritten data at which writers wait" : "unwritten data at which the kernel starts writing",
    cost: "much unwritten data makes one later flush stall for seconds or minutes",
    explain: {
      what:
        name === "dirty"
          ? "Above this share of available memory (or these bytes) a process that writes has to wait for the disk."
          : "Above this share of available memory (or these bytes) the kernel begins to write in the background.",
      why: "The classic's 50 and 50 are equal, so the kernel silently halves the background value: 25/50 in effect. On 256 GiB that is 64 to 128 GiB of unwritten data. Bytes bound it to about what the disk writes in one second.",
      risk: "A ratio and its bytes twin exclude each other: writing one clears the other. mq records all four and restores the one that counted.",
      verify: "grep -E 'Dirty|Writeback' /proc/meminfo   while the broker is under load",
    },
    wanted: (context) => ({
      classic: share,
      modern: `${dirtyBackgroundBytes(context) * times}B`,
    }),
    hazard: (target) => (target.endsWith("B") ? undefined : DIRTY_HAZARD),
  });
  return {
    ...base,
    read: (context) => {
      const inBytes = readSysctl(bytes, context);
      const inRatio = readSysctl(ratio, context);
      const bytesLive = inBytes.live !== undefined && inBytes.live !== "0";
      const reading = bytesLive ? { ...inBytes, live: `${inBytes.live}B` } : inRatio;
      // The kernel keeps the one that is written last, and a file's 0 means the other.
      const { lines } = readSysctlFiles(context.machine);
      const [bytesLine, ratioLine] = [winner(lines, bytes), winner(lines, ratio)];
      const setsBytes =
        bytesLine !== undefined &&
        bytesLine.value !== "0" &&
        (ratioLine === undefined || lines.indexOf(bytesLine) > lines.indexOf(ratioLine));
      if (setsBytes) return { ...reading, persisted: `${inBytes.persisted}B`, source: inBytes.source };
      return { ...reading, persisted: inRatio.persisted, source: inRatio.source };
    },
    change: (target) => [
      target.endsWith("B")
        ? { kind: "sysctl", key: bytes, value: target.slice(0, -1) }
        : { kind: "sysctl", key: ratio, value: target },
    ],
  };
}

const overcommit = sysctlItem({
  key: "vm.overcommit_memory",
  defaults: ["0"],
  title: "memory promised beyond what is there",
  cost: "0 is fine as well: mq makes no copy of itself",
  off: "INFO",
  explain: {
    what: "0: the kernel guesses, 1: every request is granted, 2: strict accounting.",
    why: "The classic sets 1. It is harmless on a machine of its own and gains mq nothing. 2 charges what is only reserved, and mq's runtime reserves gigabytes that it never touches.",
    risk: "Where it is 2 another administrator chose so, for a database perhaps: it is left alone without --force.",
    verify: "cat /proc/sys/vm/overcommit_memory",
  },
  wanted: { classic: "1", modern: "0" },
  adjust: (reading, { options }) => {
    if (reading.live !== "2" || options.force === true) return reading;
    return {
      ...reading,
      status: "FAIL",
      note: "2 charges reserved memory and was chosen by somebody: left alone; --force changes it",
    };
  },
});

const overcommitItem: TuneItem = {
  ...overcommit,
  wanted: (context) => {
    // 0 and 1 are both fine for mq: today's advice is to leave what is there.
    const live = context.machine.sysctl("vm.overcommit_memory");
    return { classic: "1", modern: live === "1" ? "1" : "0" };
  },
  change: (target, context) =>
    context.machine.sysctl("vm.overcommit_memory") === "2" && context.options.force !== true
      ? []
      : [{ kind: "sysctl", key: "vm.overcommit_memory", value: target }],
};

const dropCaches: TuneItem = {
  id: "vm.drop_caches",
  title: "throw the page cache away, once",
  persist: "none",
  effect: "now",
  revert: "never",
  reach: "kernel",
  compare: "same",
  off: "INFO",
  must: false,
  cost: "an action, not a setting: only with --drop-caches, never in a file",
  explain: {
    what: "Writing 1 throws away clean pages of the file cache, once. It does not write dirty ones: it is no sync.",
    why: "The classic has it among its settings. In a sysctl file it fires at every boot and whenever a package runs `sysctl --system`, under a live broker: all reads go to the disk at once. mq never writes it into a file; `mq tune apply --drop-caches` does it once, after a sync.",
    risk: "Reads are slow until the cache is warm again. It cannot be undone.",
    verify: "grep drop_pagecache /proc/vmstat   goes up by one",
  },
  read: ({ machine }) => {
    const line = winner(readSysctlFiles(machine).lines, "vm.drop_caches");
    if (line !== undefined && line.value !== "0") {
      const source = `${line.file}:${line.line}`;
      const note = `${source} throws the cache away at each boot and each sysctl --system, under a running broker: remove that line`;
      return { persisted: line.value, source, status: "WARN", note };
    }
    return machine.isImage || !machine.hasSysctl("vm.drop_caches")
      ? { absent: "no kernel in this tree" }
      : { live: undefined, status: "TRIGGER" };
  },
  wanted: () => ({ classic: "1", modern: undefined }),
  change: (_, { options }) =>
    options.dropCaches === true ? [{ kind: "trigger", key: "vm.drop_caches", value: "1" }] : [],
};

function swappinessWanted(context: TuneContext): Wanted {
  return hasSwap(context) ? { classic: "1", modern: "1" } : { classic: "1" };
}

/** A default that the kernel computes from the memory comes back by itself at each boot. */
function ownValue(wanted: (context: TuneContext) => Wanted): (reading: Reading, context: TuneContext) => Reading {
  return (reading, context) => {
    const floor = amount(wanted(context).modern ?? "");
    const isEnough = floor !== undefined && (amount(reading.live ?? "") ?? 0) >= floor;
    return reading.persisted === undefined && isEnough
      ? { ...reading, note: "the kernel's own value is high enough" }
      : reading;
  };
}

function minFreeAdvice({ machine }: TuneContext): Wanted {
  const memory = machine.meminfo("MemTotal");
  // A floor below which the allocator has nothing in hand, never above 5 % of the memory.
  return memory === undefined ? {} : { modern: String(Math.min(Math.floor((memory * 0.01) / 1024), 65_536)) };
}

export const VM_ITEMS: readonly TuneItem[] = [
  sysctlItem({
    key: "vm.max_map_count",
    defaults: ["65530"],
    title: "mappings a process may have",
    compare: "at least",
    off: "FAIL",
    must: true,
    cost: "every store file is a mapping: at the limit the broker can open no more and stops",
    explain: {
      what: "How many memory mappings one process may have.",
      why: "Each commit-log file, queue file and index file is one. RocketMQ's page asks for 655360; several distributions ship 1048576 today, and more is fine.",
      risk: "None known: the kernel spends memory only on mappings that exist. It is a floor: a higher value is never lowered without --literal.",
      verify: "wc -l < /proc/$(pgrep -f 'mq broker')/maps   against   sysctl vm.max_map_count",
    },
    wanted: { classic: "655360", modern: "1048576", dev: "65530" },
  }),
  overcommitItem,
  dropCaches,
  sysctlItem({
    key: "vm.zone_reclaim_mode",
    defaults: ["0"],
    title: "take memory from the own NUMA node only",
    cost: "reclaims a near node's cache instead of using a far node's free memory",
    explain: {
      what: "Whether the kernel throws out cache of the local NUMA node before it takes free memory of another.",
      why: "0 keeps the page cache, which a broker lives from. It has been the kernel's default for ten years: usually nothing to do.",
      risk: "None.",
      verify: "sysctl vm.zone_reclaim_mode",
    },
    wanted: { classic: "0", modern: "0" },
  }),
  dirty("dirty_background", "50", 1),
  dirty("dirty", "50", 4),
  sysctlItem({
    key: "vm.dirty_writeback_centisecs",
    defaults: ["500"],
    title: "how often unwritten data is looked at",
    cost: "an hour between two looks leaves every un-synced file in memory for so long",
    explain: {
      what: "The pause between two rounds of the kernel's write-back, in hundredths of a second.",
      why: "The classic's 360000 is one hour, to keep the kernel from writing what the broker flushes itself. mq syncs its log and its configuration files itself, so it neither needs it nor is hurt by it; everything else on the machine is hurt: journald, offsets of a Java broker, other services.",
      risk: "At a power loss up to an hour of un-synced files is gone. 500 (5 s) is the kernel's default and today's advice.",
      verify: "sysctl vm.dirty_writeback_centisecs",
    },
    wanted: { classic: "360000", modern: "500" },
    hazard: (target) =>
      Number(target) <= 3_000
        ? undefined
        : {
            does: `the kernel looks only every ${Math.round(Number(target) / 6_000)} min for data to write`,
            canBeLost: "up to an hour of every file that nobody syncs: logs, other services' state",
            modern: "500 (5 seconds)",
          },
  }),
  sysctlItem({
    key: "vm.page-cluster",
    defaults: ["3"],
    title: "pages read from swap at once (2^n)",
    off: "INFO",
    cost: "matters only while the machine swaps, which a broker never should",
    explain: {
      what: "How many pages are read from swap together, as a power of two.",
      why: "The classic's 3 is the kernel's default: nothing to do. With swap on an SSD or zram 0 is better.",
      risk: "None.",
      verify: "sysctl vm.page-cluster",
    },
    wanted: { classic: "3", modern: "3" },
  }),
  sysctlItem({
    key: "vm.swappiness",
    title: "how willingly memory is swapped out",
    cost: "swapped-out broker memory makes requests wait for the disk",
    explain: {
      what: "How much the kernel prefers swapping out programs to dropping file cache, 0 to 200.",
      why: "1 keeps the broker in memory until nothing else is left. Not 0: that brings the out-of-memory killer earlier.",
      risk: "On a machine shared with idle programs these stay in memory too.",
      verify: "grep -E 'pswpin|pswpout' /proc/vmstat   stands still",
    },
    wanted: swappinessWanted,
    adjust: (reading, context) =>
      hasSwap(context) || reading.live === undefined
        ? reading
        : { ...reading, note: "this machine has no swap: the value has no effect" },
  }),
  sysctlItem({
    key: "vm.min_free_kbytes",
    title: "memory kept free for bursts (KiB)",
    compare: "at least",
    off: "INFO",
    cost: "with too little in hand a burst waits while the kernel finds free pages",
    explain: {
      what: "Free memory that the kernel keeps for requests that cannot wait.",
      why: "Direct reclaim is the usual cause of puts that take a second. watermark_scale_factor is the better knob, because it grows with the memory; this is a floor of 1 % up to 64 MiB.",
      risk: "Above 5 % of the memory the out-of-memory killer comes early; mq never asks for that. vm.extra_free_kbytes of older notes does not exist in a mainline kernel.",
      verify: "grep allocstall /proc/vmstat   stands still under load",
    },
    wanted: minFreeAdvice,
    adjust: ownValue(minFreeAdvice),
  }),
  sysctlItem({
    key: "vm.watermark_scale_factor",
    defaults: ["10"],
    title: "how early memory is freed (1/10000)",
    compare: "at least",
    off: "INFO",
    cost: "memory is freed late, so a burst of writes frees it itself and waits",
    explain: {
      what: "The distance between the marks at which the kernel starts and stops freeing memory, in ten-thousandths of it.",
      why: "The default 10 is 0.1 %. 100 (1 %) lets the kernel free pages in the background before a put has to.",
      risk: "1 % of the memory is used for less.",
      verify: "grep allocstall /proc/vmstat   stands still under load",
    },
    wanted: { modern: "100" },
  }),
];

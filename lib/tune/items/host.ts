import { chosenWord } from "../plan.ts";
import type { Reading, TuneContext, TuneItem } from "../types.ts";
import { readUnit, unitFile } from "../unit-files.ts";
import { bytesText } from "../values.ts";
import { REPORT_ONLY } from "./report-only.ts";

const THP = "/sys/kernel/mm/transparent_hugepage/enabled";
const GIB = 1024 ** 3;
const CLOCK_CALLS = 100_000;
const CLOCK_NS_MAX = 500;
const GOOD_CLOCKS = new Set(["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"]);
const SLOW_CLOCKS = new Set(["acpi_pm", "hpet", "jiffies", "xen"]);
const TIME_SERVICES = /^(chronyd|ntpd|openntpd|systemd-timesyn|timemaster|ptp4l|phc2sys)/;
const PROCESSES_MAX = 4096;

const thp: TuneItem = {
  id: "mem.thp",
  title: "transparent huge pages",
  persist: "TMP",
  effect: "now",
  revert: "value",
  reach: "kernel",
  compare: "same",
  defaults: ["madvise"],
  off: "WARN",
  must: false,
  cost: "the kernel stops programs to join pages, and memory is used in lumps of 2 MiB",
  explain: {
    what: "Whether the kernel backs memory with pages of 2 MiB: always, only where a program asks (madvise), never.",
    why: "madvise lets mq ask for its store pool only. mq's runtime excludes its own mappings, so that always hurts less than with other programs.",
    risk: "Programs that gain from always without asking become a little slower.",
    verify: `cat ${THP}`,
  },
  read: ({ machine }): Reading => {
    const live = chosenWord(machine.value(THP));
    if (live === undefined)
      return machine.exists("/sys/kernel/mm") ? { absent: "this kernel has none" } : { note: `cannot read ${THP}` };
    if (live === "never") return { live, status: "OK", note: "off: good as well" };
    if (live === "always" && !machine.hasTmpfiles)
      return { live, status: "WARN", note: "nothing here keeps it over a boot: a start script has to write madvise" };
    const line = (machine.text("/etc/tmpfiles.d/mq-tune.conf") ?? "").split("\n").find((text) => text.includes(THP));
    return {
      live,
      persisted: line?.trim().split(/\s+/).at(-1),
      source: line === undefined ? undefined : "/etc/tmpfiles.d/mq-tune.conf",
    };
  },
  wanted: () => ({ classic: "madvise", modern: "madvise" }),
  change: (target, { machine }) =>
    machine.hasTmpfiles && (machine.exists(THP) || machine.isImage)
      ? [{ kind: "sysfs", path: THP, value: target }]
      : [],
};

const numa: TuneItem = {
  ...REPORT_ONLY,
  id: "mem.numa",
  title: "NUMA: memory at several processors",
  persist: "UNIT",
  effect: "restart",
  revert: "restart",
  cost: "the page cache fills one node and is thrown away while the other has free memory",
  explain: {
    what: "On machines with several memory nodes, which of them the broker's pages come from.",
    why: "RocketMQ's start script interleaves them (numactl --interleave=all): no node fills up alone.",
    risk: "Each access is a little further on average.",
    verify: "numastat -p PID",
  },
  read: ({ machine, options }): Reading => {
    const nodes = machine.list("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name));
    if (nodes.length === 0) return { note: "nodes cannot be read" };
    if (nodes.length === 1) return { absent: "one node" };
    if (!machine.hasSystemd || unitFile(machine, options.unit) === undefined)
      return { live: `${nodes.length} nodes`, status: "WARN", note: "start the broker with numactl --interleave=all" };
    const set = readUnit(machine, options.unit).get("NUMAPolicy");
    return set === undefined ? { live: "default" } : { live: set.value, persisted: set.value, source: set.source };
  },
  wanted: ({ machine }) => {
    const several = machine.list("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name)).length > 1;
    return several ? { classic: "interleave", modern: "interleave" } : {};
  },
  change: (target, { machine, options }) =>
    unitFile(machine, options.unit) === undefined
      ? []
      : [
          { kind: "unit", unit: options.unit, key: "NUMAPolicy", value: target },
          { kind: "unit", unit: options.unit, key: "NUMAMask", value: "all" },
        ],
};

const swap: TuneItem = {
  ...REPORT_ONLY,
  id: "mem.swap",
  title: "swap",
  off: "INFO",
  cost: "memory that was swapped out makes a request wait for the disk",
  explain: {
    what: "Whether there is swap, and how much of it is used.",
    why: "A broker should never swap; a little unused swap hurts nobody while vm.swappiness is 1.",
    risk: "Without swap a memory leak anywhere ends in the out-of-memory killer.",
    verify: "swapon --show",
  },
  read: ({ machine }): Reading => {
    const total = machine.meminfo("SwapTotal");
    const free = machine.meminfo("SwapFree");
    if (total === undefined || free === undefined) return { note: "/proc/meminfo cannot be read" };
    if (total === 0) return { live: "none", status: "OK", note: "no swap" };
    const used = total - free;
    const note = `${bytesText(used)} of ${bytesText(total)} used`;
    return { live: bytesText(used), status: used > total / 10 ? "WARN" : "OK", note };
  },
  wanted: () => ({}),
};

const cgroup: TuneItem = {
  ...REPORT_ONLY,
  id: "mem.cgroup",
  title: "limits of the control group",
  reach: "runtime",
  cost: "page cache counts too: a low limit makes writers wait or ends the broker",
  explain: {
    what: "memory.max, memory.high and cpu.max of the control group, that is of the container or the unit.",
    why: "The page cache of the broker's files counts against it. memory.high below 90 % of memory.max slows writers without a word; 2 GiB is the least for a broker.",
    risk: "None: only reported.",
    verify: "cat /sys/fs/cgroup/memory.events",
  },
  read: (context): Reading => cgroupReading(context),
  wanted: () => ({}),
};

function cgroupReading({ machine }: TuneContext): Reading {
  const found = machine.memoryMax;
  const cores = machine.coresMax;
  if (machine.cgroup === undefined && found === undefined && cores === undefined)
    return { absent: "no control group bounds memory or processors" };
  const max = found ?? Number.POSITIVE_INFINITY;
  const high = machine.cgroupAmount("memory.high") ?? Number.POSITIVE_INFINITY;
  const live = Number.isFinite(max) ? bytesText(max) : "no limit";
  const said = `memory ${live}, ${cores === undefined ? "all cores" : `${cores.toFixed(1)} cores`}`;
  if (max < 2 * GIB) return { live, status: "WARN", note: `${said}: less than 2 GiB for broker and page cache` };
  if (Number.isFinite(high) && high < 0.9 * max)
    return { live, status: "WARN", note: `${said}, memory.high ${bytesText(high)} makes writers wait before that` };
  if (cores !== undefined && cores < 1)
    return { live, status: "WARN", note: `${said}: less than one core stalls the event loop` };
  return { live, status: "OK", note: said };
}

const clocksource: TuneItem = {
  ...REPORT_ONLY,
  id: "cpu.clocksource",
  title: "how the kernel reads the clock",
  off: "INFO",
  cost: "every time stamp is a slow call",
  explain: {
    what: "The kernel's clock. A fast one is read without a call into the kernel.",
    why: "Each message is stamped several times. 100,000 reads are timed, because a good name can be slow inside a VM.",
    risk: "mq tune reports this and does not change it.",
    verify: "cat /sys/devices/system/clocksource/clocksource0/current_clocksource",
  },
  read: ({ machine }): Reading => {
    const live = machine.value("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if (live === undefined) return { note: "the clock source cannot be read" };
    const ns = machine.live ? clockCallNs() : undefined;
    const said = ns === undefined ? live : `${live}, ${Math.round(ns)} ns a call`;
    if (SLOW_CLOCKS.has(live) || (ns !== undefined && ns > CLOCK_NS_MAX)) return { live, status: "WARN", note: said };
    return { live, status: GOOD_CLOCKS.has(live) || ns !== undefined ? "OK" : "INFO", note: said };
  },
  wanted: () => ({}),
};

function clockCallNs(): number {
  const from = performance.now();
  let sum = 0;
  for (let i = 0; i < CLOCK_CALLS; i++) sum += performance.now();
  const spent = performance.now() - from;
  return sum > 0 ? (spent * 1e6) / CLOCK_CALLS : 0;
}

const governor: TuneItem = {
  ...REPORT_ONLY,
  id: "cpu.governor",
  title: "how the processor's speed is chosen",
  off: "INFO",
  reach: "device",
  cost: "the first requests after a pause meet a slow processor",
  explain: {
    what: "The governor that raises and lowers the clock of the cores.",
    why: "performance keeps it high; powersave of modern Intel drivers is dynamic and nearly as good.",
    risk: "More power. mq tune reports this and does not change it.",
    verify: "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
  },
  read: ({ machine }): Reading => {
    const live = machine.value("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (live === undefined) return { absent: "the speed is not chosen here, as in most VMs" };
    const driver = machine.value("/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver") ?? "";
    const fine = live === "performance" || live === "schedutil" || /pstate/.test(driver);
    return {
      live,
      status: fine ? "OK" : "INFO",
      note: fine ? `driver ${driver || "unknown"}` : "cpupower frequency-set -g performance",
    };
  },
  wanted: () => ({ modern: "performance" }),
};

const timeSync: TuneItem = {
  ...REPORT_ONLY,
  id: "time.sync",
  title: "the clock is kept right",
  cost: "store times, delays and latencies between two machines are wrong",
  explain: {
    what: "Whether a service keeps this machine's clock at the true time.",
    why: "Messages carry times of the producer and of the broker; delayed messages and expiry depend on them.",
    risk: "None: only reported.",
    verify: "timedatectl   or   chronyc tracking",
  },
  read: ({ machine }): Reading => {
    if (machine.exists("/run/systemd/timesync/synchronized"))
      return { live: "timesyncd", status: "OK", note: "systemd-timesyncd is synchronized" };
    const pids = machine
      .list("/proc")
      .filter((name) => /^\d+$/.test(name))
      .slice(0, PROCESSES_MAX);
    if (pids.length === 0) return { note: "processes cannot be read" };
    for (const pid of pids) {
      const name = machine.value(`/proc/${pid}/comm`) ?? "";
      if (TIME_SERVICES.test(name)) return { live: name, status: "OK", note: `${name} runs` };
    }
    if (machine.container !== undefined) return { absent: "the host's matter, not the container's" };
    return { live: "none", status: "WARN", note: "no chronyd, ntpd or timesyncd runs: install one (chrony)" };
  },
  wanted: () => ({}),
};

const runtimeEnv: TuneItem = {
  ...REPORT_ONLY,
  id: "env.bun",
  title: "environment that changes mq's runtime",
  off: "INFO",
  cost: "an unknown name among them stops mq at its start",
  explain: {
    what: "BUN_OPTIONS and BUN_JSC_* of this environment and of the unit.",
    why: "They reach the runtime inside the executable. A BUN_JSC_ name that it does not know stops even a compiled mq.",
    risk: "None: only reported.",
    verify: "tr '\\0' '\\n' < /proc/PID/environ | grep BUN_",
  },
  read: ({ machine, options }): Reading => {
    const own = machine.live ? Object.keys(process.env).filter((name) => /^BUN_(OPTIONS|JSC_)/.test(name)) : [];
    const unit = readUnit(machine, options.unit).get("Environment")?.value ?? "";
    const names = [...own, ...(unit.match(/BUN_(?:OPTIONS|JSC_\w+)/g) ?? [])];
    if (names.length === 0) return { live: "none", status: "OK", note: "none set" };
    return { live: names[0], status: "INFO", note: `${names.join(", ")} set` };
  },
  wanted: () => ({}),
};

const kind: TuneItem = {
  ...REPORT_ONLY,
  id: "host.kind",
  title: "bare metal, VM or container",
  off: "INFO",
  cost: "kernel settings belong to the host of a container",
  explain: {
    what: "What this machine is, and what can be set from inside.",
    why: "In a container vm.* and fs.* belong to the host, limits to the runtime, disks to nobody inside. mq tune --output docker and k8s print what to give them.",
    risk: "None.",
    verify: "systemd-detect-virt",
  },
  read: ({ machine }): Reading => {
    const { container, virt } = machine;
    if (container === undefined) return { live: virt.split(" ")[0], status: "OK", note: virt };
    const readOnly = machine.readOnlySysctl ? "kernel settings are read-only here: " : "";
    return {
      live: container,
      status: "INFO",
      note: `${readOnly}set vm.* and fs.* on the host, limits in the runtime: mq tune --output ${container === "kubernetes" ? "k8s" : "docker"}`,
    };
  },
  wanted: () => ({}),
};

export const MEMORY_ITEMS: readonly TuneItem[] = [thp, numa, swap, cgroup];
export const HOST_ITEMS: readonly TuneItem[] = [clocksource, governor, timeSync, runtimeEnv, kind];

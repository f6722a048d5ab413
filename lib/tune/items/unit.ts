import type { Reading, TuneContext, TuneItem } from "../types.ts";
import { readUnit, unitFile } from "../unit-files.ts";
import { amount, bytesText } from "../values.ts";

const GIB = 1024 ** 3;
/** Below this page cache and broker get in each other's way. */
const MEMORY_BYTES_MIN = 2 * GIB;
/** What is left for the rest of the machine: a broker that grows is ended in its own group, and not sshd. */
const MEMORY_SHARE = "90%";

/** Why there is nothing to look at; undefined: there is a unit. A unit that was named may get a drop-in before it exists. */
function noUnit({ machine, options }: TuneContext): string | undefined {
  if (!machine.hasSystemd) return "no systemd here";
  if (options.unitGiven === true || unitFile(machine, options.unit) !== undefined) return undefined;
  return `there is no unit ${options.unit}.service; --unit NAME names yours`;
}

const jit: TuneItem = {
  id: "unit.jit",
  title: "the unit lets mq compile its code",
  persist: "UNIT",
  effect: "restart",
  revert: "restart",
  reach: "runtime",
  compare: "same",
  off: "FAIL",
  must: false,
  cost: "with MemoryDenyWriteExecute the runtime interprets: many times slower, without a word",
  explain: {
    what: "MemoryDenyWriteExecute=yes forbids memory that is written and then run.",
    why: "mq's runtime compiles hot code while it runs. Forbidden that, it goes on interpreting: a loop took 9.8 s instead of 0.5 s.",
    risk: "One hardening option less for this unit.",
    verify: "systemctl show -p MemoryDenyWriteExecute UNIT",
  },
  read: ({ machine, options }): Reading => {
    const absent = noUnit({ machine, options });
    if (absent !== undefined) return { absent };
    const set = readUnit(machine, options.unit).get("MemoryDenyWriteExecute");
    const on = /^(yes|true|on|1)$/i.test(set?.value ?? "no");
    const live = on ? "yes" : "no";
    return { live, persisted: live, source: set?.source };
  },
  wanted: () => ({ classic: "no", modern: "no", dev: "no" }),
  change: (target, { options }) => [{ kind: "unit", unit: options.unit, key: "MemoryDenyWriteExecute", value: target }],
};

const memoryMax: TuneItem = {
  id: "unit.memory-max",
  title: "memory that the unit may take (MemoryMax)",
  persist: "UNIT",
  effect: "restart",
  revert: "restart",
  reach: "runtime",
  compare: "same",
  off: "INFO",
  must: false,
  cost: "where the broker's own limit fails, the kernel ends any process of the machine",
  explain: {
    what: "The hard limit of the unit's control group. The broker's own limit (mqMemoryLimit) is 80 % of it and refuses sends before.",
    why: "The runtime has no hard heap cap. With a limit of its own the unit is ended, and started again, instead of some other process. The page cache of the store's files counts as well but is given back: most of the memory should be left to it.",
    risk: "Too low a value keeps no messages in the cache and lets writers wait: 2 GiB is the least, and the store pool comes on top. A value that somebody chose is never changed.",
    verify: "systemctl show -p MemoryMax UNIT; cat /sys/fs/cgroup/system.slice/UNIT.service/memory.events",
  },
  read: (context): Reading => {
    const absent = noUnit(context);
    if (absent !== undefined) return { absent };
    const { machine, options } = context;
    const set = readUnit(machine, options.unit).get("MemoryMax");
    if (set === undefined) return { live: "infinity" };
    const found = { live: set.value, persisted: set.value, source: set.source };
    const bytes = bytesOf(set.value, machine.meminfo("MemTotal"));
    if (bytes !== undefined && bytes < MEMORY_BYTES_MIN)
      return {
        ...found,
        status: "WARN",
        note: `${set.source} allows ${bytesText(bytes)} with the page cache, want 2 GiB at least`,
      };
    return { ...found, status: "OK", note: `kept by ${set.source}` };
  },
  // Not a value of the classic's page, but what its -Xmx is for.
  wanted: () => ({ classic: MEMORY_SHARE, modern: MEMORY_SHARE }),
  change: (target, { machine, options }) =>
    readUnit(machine, options.unit).has("MemoryMax")
      ? []
      : [{ kind: "unit", unit: options.unit, key: "MemoryMax", value: target }],
};

/** systemd's `8G`, `90%` of the memory, `infinity`. */
function bytesOf(text: string, memory: number | undefined): number | undefined {
  const share = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  if (share === undefined) return amount(text);
  return memory === undefined ? undefined : (memory * Number(share)) / 100;
}

export const UNIT_ITEMS: readonly TuneItem[] = [jit, memoryMax];

import { readLimits, userLimit } from "../limits-files.ts";
import { nrOpenAtBoot, nrOpenNow } from "../plan.ts";
import type { Change, Explain, Reading, TuneContext, TuneItem, Wanted } from "../types.ts";
import { readManager, readUnit, unitFile } from "../unit-files.ts";
import { amount, pair, satisfies, UNLIMITED } from "../values.ts";
import { sysctlItem } from "./sysctl-item.ts";

/** RocketMQ's documented number. */
export const NOFILE = "655360";

const NAMES: Readonly<Record<string, string>> = {
  nofile: "Max open files",
  memlock: "Max locked memory",
  nproc: "Max processes",
  as: "Max address space",
};
const UNIT_KEYS: Readonly<Record<string, string>> = {
  nofile: "LimitNOFILE",
  memlock: "LimitMEMLOCK",
  nproc: "LimitNPROC",
  as: "LimitAS",
};

/** What a session of `domain` would get: lines that mean it over what the first process hands down. */
function loginLimit({ machine }: TuneContext, domain: string, item: string): Reading {
  if (!machine.exists("/etc/security") && !machine.exists("/etc/pam.d"))
    return { absent: "no PAM here: logins do not read limits.conf" };
  const lines = readLimits(machine).lines;
  const set = userLimit(machine, lines, domain, item);
  const inherited = machine.limit(1, NAMES[item]!);
  const [softInherited, hardInherited] = inherited === undefined ? [undefined, undefined] : pair(inherited);
  const inUnit = (text: string | undefined) =>
    (item === "memlock" || item === "as") && text !== undefined ? kib(text) : text;
  const hard = inUnit(set.hard) ?? hardInherited;
  const soft = atMost(inUnit(set.soft) ?? softInherited, hard);
  const source = set.hardSource ?? set.softSource;
  const kept = set.soft === undefined && set.hard === undefined ? undefined : `${soft ?? "?"}:${hard ?? "?"}`;
  const live = soft === undefined && hard === undefined ? undefined : `${soft ?? hard}:${hard ?? soft}`;
  return { live, persisted: kept === undefined ? undefined : live, source };
}

/** pam_limits lowers a soft limit to the hard one. */
function atMost(soft: string | undefined, hard: string | undefined): string | undefined {
  return soft === undefined || hard === undefined || satisfies(soft, hard, "at most") ? soft : hard;
}

/** A limit that a file asks for and the kernel never grants: PAM refuses the whole login. */
function lockout({ live, source }: Reading, { machine }: TuneContext): string | undefined {
  const hard = amount(pair(live ?? "0")[1]) ?? 0;
  const nrOpen = nrOpenNow(machine);
  if (source === undefined) return undefined;
  const asks = `${source} asks for ${pair(live ?? "")[1]} files`;
  if (hard > nrOpen) return `${asks}, above fs.nr_open ${nrOpen}: logins can fail; correct that line`;
  const boot = nrOpenAtBoot(machine);
  if (boot === undefined || hard <= boot.value) return undefined;
  return `${asks}, but ${boot.source} sets fs.nr_open to ${boot.value} at the next boot: logins can fail then; correct one of the two`;
}

/** limits.conf counts memory in KiB, the kernel in bytes. */
function kib(text: string): string {
  const value = amount(text);
  return value === undefined || value === UNLIMITED ? text : String(value * 1024);
}

/** systemd's `soft:hard` or one value; `infinity` is the kernel's `unlimited`. */
function unitLimit({ machine, options }: TuneContext, item: string): Reading {
  if (!machine.hasSystemd) return { absent: "no systemd here" };
  const { unit } = options;
  if (unitFile(machine, unit) === undefined && options.unitGiven !== true)
    return { absent: `there is no unit ${unit}.service; --unit NAME names yours` };
  const key = UNIT_KEYS[item]!;
  const set = readUnit(machine, unit).get(key) ?? readManager(machine).get(`Default${key}`);
  if (set === undefined) return { live: systemDefault(item) };
  const text = set.value.replaceAll("infinity", "unlimited");
  const live = text.includes(":") ? text : `${text}:${text}`;
  return { live, persisted: live, source: set.source };
}

/** systemd's own defaults since 240; memlock since 5.16 of the kernel is 8 MiB. */
function systemDefault(item: string): string | undefined {
  return { nofile: "1024:524288", memlock: "8388608:8388608", as: "unlimited:unlimited" }[item];
}

const NOFILE_TEXT: Explain = {
  what: "How many files and sockets one process may have open. The soft limit counts; a process may raise it to the hard one by itself, and mq does.",
  why: "Every store file, client and slave is one. RocketMQ's page asks for 655360, soft and hard.",
  risk: "A number above fs.nr_open makes every login of that user fail. mq raises fs.nr_open first, tries the number in a child, and checks a login afterwards.",
  verify: "su -s /bin/sh USER -c 'ulimit -Hn'   prints 655360",
};

function nofileItem(id: string, title: string, domain: (context: TuneContext) => string): TuneItem {
  return {
    id,
    title,
    persist: "LIM",
    effect: "new login",
    revert: "new login",
    reach: "runtime",
    compare: "at least",
    off: "WARN",
    must: false,
    cost: "a broker started from a shell runs out of files and refuses clients",
    explain: NOFILE_TEXT,
    read: (context) => {
      const name = domain(context);
      const reading = loginLimit(context, name, "nofile");
      const locked = lockout(reading, context);
      if (locked !== undefined) return { ...reading, status: "FAIL", note: locked };
      if (name === "root" || context.machine.user(name)?.uid === 0)
        return {
          ...reading,
          hint: "a limit for root is not written: a wrong one locks everybody out; run it as a user of its own or as a unit",
        };
      const missing = name !== "*" && context.machine.exists("/etc/passwd") && context.machine.user(name) === undefined;
      if (!missing || reading.absent !== undefined) return reading;
      return { ...reading, hint: `there is no user ${name}; --user NAME names whom the broker runs as` };
    },
    wanted: () => ({ classic: `${NOFILE}:${NOFILE}`, modern: `${NOFILE}:${NOFILE}`, dev: "1024:65536" }),
    change: (target, context) => {
      if (lockout(loginLimit(context, domain(context), "nofile"), context) !== undefined) return [];
      const [soft, hard] = pair(target);
      return [{ kind: "limit", domain: domain(context), item: "nofile", soft, hard }];
    },
  };
}

const serviceItem: TuneItem = {
  id: "limits.nofile-service",
  title: "open files of the broker's systemd unit",
  persist: "UNIT",
  effect: "restart",
  revert: "restart",
  reach: "runtime",
  compare: "at least",
  off: "FAIL",
  must: false,
  cost: "limits.conf is read by login sessions, not by services: this unit has the default",
  explain: {
    what: "LimitNOFILE of the unit that runs the broker.",
    why: "limits.conf is read by PAM when somebody logs in. systemd starts services without a login, so the classic's lines do nothing for them.",
    risk: "None; it counts from the unit's next start.",
    verify: "grep 'open files' /proc/$(systemctl show -p MainPID --value UNIT)/limits",
  },
  read: (context) => unitLimit(context, "nofile"),
  wanted: () => ({ classic: `${NOFILE}:${NOFILE}`, modern: `${NOFILE}:${NOFILE}`, dev: "1024:65536" }),
  change: (target, { options }) => [{ kind: "unit", unit: options.unit, key: "LimitNOFILE", value: unitText(target) }],
};

/** `soft:hard` as systemd writes it. */
function unitText(target: string): string {
  const [soft, hard] = pair(target.replaceAll("unlimited", "infinity"));
  return soft === hard ? soft : `${soft}:${hard}`;
}

interface LimitRow {
  title: string;
  cost: string;
  wanted: Wanted;
  explain: Explain;
}

/** The least number of tasks: of RocketMQ's page, for nproc and what bounds it besides. */
const TASKS = 4096;

/** What else bounds threads: TasksMax of the unit, pids.max of a container. */
function fewTasks({ machine, options }: TuneContext): { note: string; ofUnit: boolean } | undefined {
  const set = machine.hasSystemd ? readUnit(machine, options.unit).get("TasksMax") : undefined;
  if (set !== undefined && (amount(set.value) ?? TASKS) < TASKS)
    return { note: `${set.source} allows ${set.value} tasks (TasksMax), want ${TASKS}`, ofUnit: true };
  const pids = machine.container === undefined ? undefined : machine.cgroupAmount("pids.max");
  if (pids === undefined || pids >= TASKS) return undefined;
  return { note: `the container may have ${pids} tasks (pids.max), want ${TASKS}`, ofUnit: false };
}

/** A limit of the broker's user at login and, where there is one, of its unit: the smaller one is shown. */
function limitItem(item: "memlock" | "nproc" | "as", row: LimitRow): TuneItem {
  return {
    id: `limits.${item}`,
    title: row.title,
    persist: "LIM",
    effect: "new login",
    revert: "new login",
    reach: "runtime",
    compare: "at least",
    off: "WARN",
    must: false,
    cost: row.cost,
    explain: row.explain,
    read: (context) => {
      const few = item === "nproc" ? fewTasks(context) : undefined;
      const login = loginLimit(context, context.options.user, item);
      if (few !== undefined) return { ...login, absent: undefined, status: "WARN", note: few.note };
      const unit = unitLimit(context, item);
      if (unit.absent !== undefined || unit.live === undefined) return login;
      if (login.absent !== undefined || login.live === undefined) return unit;
      return satisfies(unit.live, login.live, "at least") ? login : unit;
    },
    wanted: () => row.wanted,
    change: (target, context) => {
      const [soft, hard] = pair(target);
      const { user, unit } = context.options;
      const changes: Change[] = [];
      const login = loginLimit(context, user, item);
      // An unknown limit may be higher than ours: only memlock, whose default is known to be too low, is written then.
      const unknown = login.live ?? (item === "memlock" ? "0" : target);
      if (login.absent === undefined && !satisfies(unknown, target, "at least"))
        changes.push({ kind: "limit", domain: user, item, soft: limitsText(item, soft), hard: limitsText(item, hard) });
      const service = unitLimit(context, item);
      if (
        service.absent === undefined &&
        !satisfies(service.live ?? (item === "memlock" ? "0" : target), target, "at least")
      )
        changes.push({ kind: "unit", unit, key: UNIT_KEYS[item]!, value: unitText(target) });
      if (item === "nproc" && fewTasks(context)?.ofUnit === true)
        changes.push({ kind: "unit", unit, key: "TasksMax", value: String(TASKS) });
      return changes;
    },
  };
}

/** The kernel's bytes as limits.conf's KiB. */
function limitsText(item: string, value: string): string {
  const bytes = amount(value);
  return item === "nproc" || bytes === undefined || bytes === UNLIMITED ? value : String(Math.ceil(bytes / 1024));
}

const processItem: TuneItem = {
  id: "limits.process",
  title: "open files of the running broker",
  persist: "none",
  effect: "restart",
  revert: "restart",
  reach: "runtime",
  compare: "at least",
  off: "FAIL",
  must: true,
  cost: "this broker runs out of files and refuses clients; restart it after apply",
  explain: { ...NOFILE_TEXT, verify: "grep 'open files' /proc/PID/limits" },
  read: ({ machine, options }) => {
    const pid = options.pid ?? machine.brokerPid;
    if (pid === undefined) return { absent: "no broker runs here" };
    // The runtime raises its soft limit by itself: only the hard one matters.
    const live = machine.limit(pid, "Max open files");
    const hard = live === undefined ? undefined : pair(live)[1];
    return { live: hard, persisted: hard };
  },
  wanted: () => ({ classic: NOFILE, modern: NOFILE, dev: "20000" }),
};

export const LIMIT_ITEMS: readonly TuneItem[] = [
  sysctlItem({
    id: "limits.nr-open",
    key: "fs.nr_open",
    title: "the highest open-files limit there may be",
    compare: "at least",
    neverLower: true,
    off: "FAIL",
    defaults: ["1048576", "1073741816"],
    cost: "a higher open-files limit than this makes every login fail",
    explain: {
      what: "No process's open-files limit may be above this number, root's neither.",
      why: "It must be at least every nofile line before that line is written: PAM refuses the session otherwise. The default 1048576 is enough.",
      risk: "None; it is never lowered.",
      verify: "sysctl fs.nr_open",
    },
    wanted: { classic: NOFILE, modern: NOFILE, dev: "65536" },
  }),
  sysctlItem({
    key: "fs.file-max",
    title: "open files of all processes together",
    compare: "at least",
    neverLower: true,
    off: "WARN",
    cost: "when all files of the machine are taken, no process can open any",
    explain: {
      what: "How many files the kernel keeps open for all processes together.",
      why: "Four times the broker's limit leaves room for everyone else. It is usually far above already.",
      risk: "None; it is only raised.",
      verify: "cat /proc/sys/fs/file-nr   shows used, free, limit",
    },
    wanted: { classic: String(4 * Number(NOFILE)), modern: String(4 * Number(NOFILE)) },
    // The kernel computes its default from the memory: a high one is nobody's setting and comes back by itself.
    adjust: (reading) =>
      reading.persisted === undefined && (amount(reading.live ?? "") ?? 0) >= 4 * Number(NOFILE)
        ? { ...reading, note: "the kernel's own value is high enough" }
        : reading,
  }),
  nofileItem("limits.nofile", "open files of the broker's user at login", ({ options }) => options.user),
  {
    ...nofileItem("limits.nofile-all", "open files of everybody at login", () => "*"),
    off: "INFO",
    cost: "only the classic asks for it; the broker's own user is enough",
    wanted: () => ({ classic: `${NOFILE}:${NOFILE}` }),
    hazard: () => ({
      does: "gives every user's programs a soft limit of 655360 files",
      canBeLost: "programs that walk all possible files slow down or run out of memory",
      modern: "the broker's user only",
    }),
  },
  serviceItem,
  processItem,
  limitItem("memlock", {
    title: "memory that may be locked",
    cost: "locking the store pool and warm files fails, and they can be swapped out",
    wanted: { classic: "unlimited:unlimited", modern: "unlimited:unlimited" },
    explain: {
      what: "How much memory a process may keep from being swapped.",
      why: "Two options of the classic (transientStorePoolEnable, warmMapedFileEnable) lock memory, and its page forgets this limit: the default 8 MiB lets the lock fail without a word.",
      risk: "The broker's user can lock all memory: for that user only.",
      verify: "grep VmLck /proc/PID/status",
    },
  }),
  limitItem("nproc", {
    title: "processes and threads of the broker's user",
    cost: "no more threads can be started",
    wanted: { classic: `${TASKS}:${TASKS}`, modern: `${TASKS}:${TASKS}`, dev: "1024:1024" },
    explain: {
      what: "How many processes and threads a user may have.",
      why: "mq needs few dozens; 4096 leaves room for shells and tools.",
      risk: "None.",
      verify: "grep processes /proc/PID/limits",
    },
  }),
  limitItem("as", {
    title: "address space of a process",
    cost: "mq does not start: its runtime reserves gigabytes that it never uses",
    wanted: { classic: "unlimited:unlimited", modern: "unlimited:unlimited", dev: "unlimited:unlimited" },
    explain: {
      what: "How much address space a process may have, used or not.",
      why: "The runtime reserves about 10 GB and uses 30 MB; every commit-log file adds 1 GiB.",
      risk: "None: memory that is used is bounded elsewhere (MemoryMax).",
      verify: "grep 'address space' /proc/PID/limits",
    },
  }),
];

import { ConfigError } from "../base/errors.ts";
import { brokerFileOf } from "./broker-file.ts";
import { itemsFor } from "./items.ts";
import { readLimits } from "./limits-files.ts";
import type { Machine } from "./machine.ts";
import { readSysctlFiles } from "./sysctl-files.ts";
import type {
  CheckResult,
  Profile,
  Reading,
  Report,
  Status,
  TuneContext,
  TuneItem,
  TuneOptions,
  Wanted,
} from "./types.ts";
import { pair, satisfies } from "./values.ts";

/** Reads and judges every item that was asked for. Changes nothing, throws nothing for what a machine may look like; ConfigError for a broker's file that cannot be used. */
export function check(machine: Machine, options: TuneOptions, items: readonly TuneItem[] = itemsFor(options)): Report {
  const context = contextOf(machine, options);
  const broker = options.config === undefined ? undefined : brokerFileOf(context);
  if (typeof broker === "string") throw new ConfigError(broker);
  // Whoever names the broker's file need not name its store.
  if (options.store === undefined && broker !== undefined) context.options.store = broker.config.storePathRootDir;
  const { profile, user, unit, store } = context.options;
  const checks = items.filter(({ id }) => chosen(id, options)).map((item) => judge(item, context));
  return {
    schema: "mq.tune/1",
    host: machine.facts(),
    profile,
    user,
    unit,
    store,
    root: machine.root,
    summary: summaryOf(checks),
    checks,
    notes: [...(broker?.remarks ?? []), ...readSysctlFiles(machine).odd, ...readLimits(machine).odd],
  };
}

export const DEFAULT_USER = "baseuser";
export const DEFAULT_UNIT = "mq-broker";

/** The options with what is meant where nothing is said. */
export function contextOf(machine: Machine, options: TuneOptions): TuneContext {
  return {
    machine,
    options: {
      ...options,
      user: options.user ?? DEFAULT_USER,
      unit: options.unit ?? DEFAULT_UNIT,
      store: options.store ?? "/",
      files: options.files ?? "drop-in",
    },
  };
}

/** `vm` means all ids that begin with `vm.`. */
export function chosen(id: string, { only = [], skip = [] }: TuneOptions): boolean {
  const named = (list: readonly string[]) => list.some((name) => id === name || id.startsWith(`${name}.`));
  return (only.length === 0 || named(only)) && !named(skip);
}

function summaryOf(checks: readonly CheckResult[]): Report["summary"] {
  const count = (status: Status) => checks.filter((result) => result.status === status).length;
  return {
    ok: count("OK"),
    info: count("INFO"),
    warn: count("WARN"),
    fail: count("FAIL"),
    trigger: count("TRIGGER"),
    na: count("N/A"),
    unknown: count("UNKNOWN"),
  };
}

/** Reads and judges one item. */
export function judge(item: TuneItem, context: TuneContext): CheckResult {
  const { machine, options } = context;
  const reading = readSafely(item, context);
  const wanted = item.wanted(context);
  const target = targetOf(item, reading, wanted[options.profile], options);
  const { status, reason } = verdict(item, reading, target, wanted, options.profile, machine);
  const blocked = cannotBeSet(item, machine);
  // What judges itself as not to be touched, and what is not there, has nothing to apply.
  const applies = target !== undefined && reading.absent === undefined && blocked === undefined;
  const changes =
    applies && (status !== "OK" || (options.literal === true && item.neverLower !== true))
      ? (item.change?.(target, context) ?? [])
      : [];
  return {
    id: item.id,
    title: item.title,
    status,
    live: reading.live,
    persisted: reading.persisted,
    source: reading.source,
    classic: wanted.classic,
    advice: wanted.modern,
    target,
    reason: reading.hint === undefined || reading.absent !== undefined ? reason : `${reason}; ${reading.hint}`,
    risk: item.explain.risk,
    effect: item.effect,
    must: item.must,
    needs: item.persist === "none" && item.change === undefined ? [] : ["root"],
    supported: blocked === undefined,
    why: blocked,
    hazard: target === undefined ? undefined : item.hazard?.(target, context),
    changes,
    wantedChanges: target === undefined ? [] : (item.change?.(target, context) ?? []),
  };
}

/** A row that throws is a mistake of ours: it becomes UNKNOWN with its text instead of ending the report. */
function readSafely(item: TuneItem, context: TuneContext): Reading {
  try {
    return item.read(context);
  } catch (error) {
    return { status: "UNKNOWN", note: `cannot read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The value that apply aims at. A floor that is passed already is kept as it is. */
function targetOf(
  item: TuneItem,
  reading: Reading,
  wanted: string | undefined,
  options: TuneContext["options"],
): string | undefined {
  if (wanted === undefined || item.compare === "same") return wanted;
  if (options.literal === true && item.neverLower !== true) return wanted;
  if (reading.live === undefined || reading.live === "") return wanted;
  if (!wanted.includes(":")) return satisfies(reading.live, wanted, item.compare) ? reading.live : wanted;
  const [softLive, hardLive] = pair(reading.live);
  const [soft, hard] = pair(wanted);
  const better = (live: string, want: string) => (satisfies(live, want, item.compare) ? live : want);
  return `${better(softLive, soft)}:${better(hardLive, hard)}`;
}

function verdict(
  item: TuneItem,
  reading: Reading,
  target: string | undefined,
  wanted: Wanted,
  profile: Profile,
  machine: Machine,
): { status: Status; reason: string } {
  const { live, persisted, source, note } = reading;
  if (reading.absent !== undefined) return { status: "N/A", reason: reading.absent };
  if (reading.status !== undefined) return { status: reading.status, reason: note ?? item.cost };
  if (live === undefined && machine.isImage && item.persist !== "none") {
    if (target === undefined) return { status: "INFO", reason: note ?? "no kernel in this tree" };
    const kept = persisted !== undefined && satisfies(persisted, target, item.compare);
    return kept
      ? { status: "OK", reason: `kept by ${source}` }
      : {
          status: item.off,
          reason: `${persisted === undefined ? "not set in any file" : `${source} has ${persisted}`}: ${item.cost}`,
        };
  }
  if (live === undefined) return { status: "UNKNOWN", reason: note ?? "could not be read" };
  if (target === undefined) {
    const advised = wanted.modern ?? wanted.classic;
    const good = advised === undefined || satisfies(live, advised, item.compare);
    return {
      status: good ? "OK" : "INFO",
      reason: note ?? (good ? "as it should be" : `${item.cost}; not part of profile ${profile}`),
    };
  }
  if (!satisfies(live, target, item.compare)) {
    if (persisted !== undefined && satisfies(persisted, target, item.compare))
      return { status: "WARN", reason: `${source} has ${persisted}, but it does not count yet` };
    if (profile === "classic" && wanted.modern !== undefined && satisfies(live, wanted.modern, item.compare))
      return { status: "INFO", reason: note ?? `not the classic's ${target}, but today's advice` };
    return { status: note === undefined ? item.off : "INFO", reason: note ?? item.cost };
  }
  return kept(item, reading, wanted[profile] ?? target, wanted.classic);
}

/** The live value is good: will it be after the next boot? `target` is what is wanted, not a higher floor that happens to be there. */
function kept(
  item: TuneItem,
  { live, persisted, source, note }: Reading,
  target: string,
  classic: string | undefined,
): { status: Status; reason: string } {
  if (persisted !== undefined && !satisfies(persisted, target, item.compare))
    return {
      status: "WARN",
      reason: `lost at the next ${item.effect === "restart" ? "restart" : "boot"}: ${source} has ${persisted}`,
    };
  if (note !== undefined) return { status: "OK", reason: note };
  const survives = item.persist !== "SYS" && item.persist !== "TMP" && item.persist !== "UDEV";
  if (persisted === undefined && !survives && !(item.defaults ?? []).includes(live ?? ""))
    return { status: "WARN", reason: "good now, but in no file: lost at the next boot" };
  if (
    item.compare === "at least" &&
    classic !== undefined &&
    live !== classic &&
    satisfies(live ?? "", classic, "at least")
  )
    return { status: "OK", reason: `already at or above the classic's ${classic}; not lowered` };
  return { status: "OK", reason: source === undefined ? "as it should be" : `kept by ${source}` };
}

/** Why a setting cannot be made from where we are; undefined: it can. */
function cannotBeSet({ reach }: TuneItem, machine: Machine): string | undefined {
  const container = machine.container;
  if (container === undefined || reach === "same" || machine.isImage) return undefined;
  switch (reach) {
    case "kernel":
      return machine.live && !machine.readOnlySysctl
        ? undefined
        : `one for the whole kernel: set it on the node, not in this ${container} container`;
    case "netns":
      return machine.live && !machine.readOnlySysctl
        ? undefined
        : `give it to the container: --sysctl, or securityContext.sysctls`;
    case "runtime":
      return container === "kubernetes"
        ? "a pod inherits the node runtime's limits: set them there"
        : "give it to the container: --ulimit";
    case "device":
      return "the host's device is not reachable from a container";
  }
}

import type { Machine } from "./machine.ts";

/** What a check found. UNKNOWN: could not be read. N/A: does not exist here. TRIGGER: an action, not a setting. */
export const STATUSES = ["OK", "INFO", "WARN", "FAIL", "TRIGGER", "N/A", "UNKNOWN"] as const;
export type Status = (typeof STATUSES)[number];

/** classic: RocketMQ's documented page. modern: today's advice. dev: floors only, no preferences. */
export const PROFILES = ["classic", "modern", "dev"] as const;
export type Profile = (typeof PROFILES)[number];

/** When a change counts: at once, for sessions opened after it, when the broker restarts, when the machine does. */
export type Effect = "now" | "new login" | "restart" | "reboot" | "-";

/** Where a setting is kept: sysctl.d, limits.d, the unit's drop-in, tmpfiles.d, udev, the broker's file, nowhere. */
export type Persist = "SYS" | "LIM" | "UNIT" | "TMP" | "UDEV" | "CONF" | "none";

/** What taking it back needs beside restoring the value: nothing, a restart of the unit, a new login. */
export type Revert = "value" | "restart" | "new login" | "never";

/** From inside a container: one for the whole kernel, per network namespace, given by the runtime, the host's device, as on a host. */
export type ContainerReach = "kernel" | "netns" | "runtime" | "device" | "same";

/** How two values are compared: more is fine, less is fine, the same number or text. */
export type Compare = "at least" | "at most" | "same";

export interface Explain {
  /** What the setting does. */
  what: string;
  /** Why this value. */
  why: string;
  risk: string;
  /** A command or file that shows that it holds. */
  verify: string;
}

/** What an item found. `live` and `persisted` are texts as people write them: `655360`, `1024:524288`, `unlimited`. */
export interface Reading {
  /** What counts now; undefined: could not be read, `note` says why. */
  live?: string | undefined;
  /** What counts after the next boot, login or restart; undefined: nothing is written anywhere. */
  persisted?: string | undefined;
  /** `file:line` of the persisted value. */
  source?: string | undefined;
  /** The setting does not exist here, and why. */
  absent?: string | undefined;
  /** Said in place of the item's own line. */
  note?: string | undefined;
  /** Said besides the item's own line. */
  hint?: string | undefined;
  /** Set by items that judge themselves; else the engine compares live and persisted with what is wanted. */
  status?: Status | undefined;
}

/** One thing that apply would do, before it is laid against the files. */
export type Change =
  | { kind: "sysctl"; key: string; value: string }
  | { kind: "limit"; domain: string; item: string; soft: string; hard: string }
  | { kind: "unit"; unit: string; key: string; value: string }
  | { kind: "sysfs"; path: string; value: string }
  /** A queue attribute of a block device: written now, and by udev whenever the device appears. */
  | { kind: "block"; device: string; attribute: string; value: string }
  | { kind: "conf"; file: string; key: string; value: string }
  | { kind: "trigger"; key: string; value: string };

/** The values that an item would have; undefined: no opinion. */
export interface Wanted {
  classic?: string | undefined;
  modern?: string | undefined;
  /** A floor that the broker does not work well below. */
  dev?: string | undefined;
}

/** One row of the table of items. */
export interface TuneItem {
  id: string;
  title: string;
  persist: Persist;
  effect: Effect;
  revert: Revert;
  reach: ContainerReach;
  compare: Compare;
  /** Not even to the letter: something else breaks below the value that is there. */
  neverLower?: boolean;
  /** Values that a kernel or distribution has without any file: such a live value is not lost at a boot. */
  defaults?: readonly string[];
  /** The status when the live value is not as wanted. */
  off: "INFO" | "WARN" | "FAIL";
  /** `mq broker --production` does not start while it is FAIL. */
  must: boolean;
  /** One line: what it costs to leave it as it is. */
  cost: string;
  explain: Explain;
  read(context: TuneContext): Reading;
  wanted(context: TuneContext): Wanted;
  /** What apply does to get `target`; none: report only. */
  change?(target: string, context: TuneContext): Change[];
  /** What the classic value can cost: shown before it is applied; undefined where it costs nothing here. */
  hazard?(target: string, context: TuneContext): Hazard | undefined;
}

export interface Hazard {
  does: string;
  canBeLost: string;
  modern: string;
}

export interface TuneOptions {
  profile: Profile;
  /** Ids or their first parts (`vm`, `limits`); empty: all. */
  only?: readonly string[];
  skip?: readonly string[];
  /** Whom the broker runs as. */
  user?: string;
  /** The systemd unit, without `.service`. */
  unit?: string;
  /** The unit was named by whoever asks: it may get a drop-in before it exists. */
  unitGiven?: boolean;
  /** Directory of the store. */
  store?: string;
  /** The broker's properties file. */
  config?: string;
  /** Of a running broker; `self` is this process. */
  pid?: number | "self";
  /** Write into sysctl.conf and limits.conf themselves, or in files of our own. */
  files?: "drop-in" | "main";
  /** Lowers floors where the profile says so. */
  literal?: boolean;
  /** Overrides what another administrator chose. */
  force?: boolean;
  dropCaches?: boolean;
  /** Writes 200 blocks into the store's directory to measure the disk. */
  probe?: boolean;
}

export interface TuneContext {
  machine: Machine;
  options: Required<Pick<TuneOptions, "profile" | "user" | "unit" | "store" | "files">> & TuneOptions;
}

export interface CheckResult {
  id: string;
  title: string;
  status: Status;
  live: string | undefined;
  persisted: string | undefined;
  source: string | undefined;
  classic: string | undefined;
  advice: string | undefined;
  /** What apply would set under this profile; undefined: nothing. */
  target: string | undefined;
  /** One line: what was found, and what it costs. */
  reason: string;
  risk: string;
  effect: Effect;
  must: boolean;
  /** What else has to be true first, for instance "root". */
  needs: string[];
  /** False where it cannot be set from here. */
  supported: boolean;
  /** Why it cannot be set from here. */
  why: string | undefined;
  hazard: Hazard | undefined;
  changes: Change[];
  /** What would set the target, whether it is set here already or not: for the same settings elsewhere. */
  wantedChanges: Change[];
}

export interface HostFacts {
  name: string;
  kernel: string;
  distro: string;
  virt: string;
  container: string | undefined;
  cgroup: string | undefined;
  memoryBytes: number | undefined;
  cores: number | undefined;
}

/** `mq.tune/1`: table and JSON come from this object; same order every run. */
export interface Report {
  schema: "mq.tune/1";
  host: HostFacts;
  profile: Profile;
  user: string;
  unit: string;
  store: string;
  root: string;
  summary: Record<"ok" | "info" | "warn" | "fail" | "trigger" | "na" | "unknown", number>;
  checks: CheckResult[];
  /** Lines of foreign files that could not be understood, an unfinished earlier run and the like. */
  notes: string[];
}

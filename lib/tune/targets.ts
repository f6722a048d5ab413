import { LIMITS_FOLDER, LIMITS_MAIN } from "./limits-files.ts";
import { dotted, SYSCTL_MAIN } from "./sysctl-files.ts";
import type { Change, TuneOptions } from "./types.ts";
import { unitDropIn } from "./unit-files.ts";

/** A kind of file that we keep a block in: which settings it holds, and how a line of it names its setting. */
export interface FileKind {
  /** Written in this order; limits last, because a wrong one locks people out. */
  name: "sysctl" | "tmpfiles" | "udev" | "unit" | "limits";
  keyOf(line: string): string | undefined;
  /** A first line that every file of the kind needs. */
  header?: string;
}

const KEYS: Readonly<Record<FileKind["name"], FileKind>> = {
  sysctl: {
    name: "sysctl",
    keyOf: (line) => {
      const key = /^-?\s*([^\s=#;]+)\s*=/.exec(line.trim())?.[1];
      return key === undefined ? undefined : dotted(key);
    },
  },
  tmpfiles: { name: "tmpfiles", keyOf: (line) => /^w[!+-]*\s+(\S+)/.exec(line)?.[1] },
  udev: {
    name: "udev",
    keyOf: (line) => {
      const parts = /KERNEL=="([^"]+)".*ATTR\{([^}]+)\}="/.exec(line);
      return parts === null ? undefined : `${parts[1]} ${parts[2]}`;
    },
  },
  unit: { name: "unit", header: "[Service]", keyOf: (line) => /^(\w+)=/.exec(line)?.[1] },
  limits: {
    name: "limits",
    keyOf: (line) => /^(\S+)\s+(soft|hard|-)\s+(\S+)\s/.exec(`${line} `)?.slice(1, 4).join(" "),
  },
};

export const KIND_ORDER: readonly FileKind["name"][] = ["sysctl", "tmpfiles", "udev", "unit", "limits"];

/** A line that belongs into a file's block. */
export interface Line {
  kind: FileKind;
  path: string;
  key: string;
  text: string;
  /** Keys that must not stand beside it. */
  excludes?: string;
}

export const SYSCTL_DROP_IN = "/etc/sysctl.d/90-mq-tune.conf";
export const LIMITS_DROP_IN = `${LIMITS_FOLDER}/90-mq-tune.conf`;
const TMPFILES = "/etc/tmpfiles.d/mq-tune.conf";
const UDEV = "/etc/udev/rules.d/90-mq-tune.rules";

/** The lines that keep a change; none for triggers and the broker's file. */
export function linesFor(change: Change, { files }: Pick<TuneOptions, "files">): Line[] {
  switch (change.kind) {
    case "sysctl": {
      const path = files === "main" ? SYSCTL_MAIN : SYSCTL_DROP_IN;
      const twin = dirtyTwin(change.key);
      const line = { kind: KEYS.sysctl, path, key: change.key, text: `${change.key} = ${change.value}` };
      return [twin === undefined ? line : { ...line, excludes: twin }];
    }
    case "limit": {
      const path = files === "main" ? LIMITS_MAIN : LIMITS_DROP_IN;
      return (["soft", "hard"] as const).map((type) => ({
        kind: KEYS.limits,
        path,
        key: `${change.domain} ${type} ${change.item}`,
        text: `${change.domain} ${type} ${change.item} ${change[type]}`,
      }));
    }
    case "unit":
      return [
        { kind: KEYS.unit, path: unitDropIn(change.unit), key: change.key, text: `${change.key}=${change.value}` },
      ];
    case "sysfs":
      return [
        { kind: KEYS.tmpfiles, path: TMPFILES, key: change.path, text: `w ${change.path} - - - - ${change.value}` },
      ];
    case "block": {
      const { device, attribute, value } = change;
      const text = `ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="${device}", ATTR{${attribute}}="${value}"`;
      return [{ kind: KEYS.udev, path: UDEV, key: `${device} ${attribute}`, text }];
    }
    default:
      return [];
  }
}

/** The ratio of a dirty limit's bytes and the reverse: the kernel keeps one of the two. */
export function dirtyTwin(key: string): string | undefined {
  const parts = /^(vm\.dirty(?:_background)?)_(ratio|bytes)$/.exec(key);
  return parts === null ? undefined : `${parts[1]}_${parts[2] === "ratio" ? "bytes" : "ratio"}`;
}

/** Where a live value stands: a file below /proc/sys or /sys. */
export function livePath(change: Change): string | undefined {
  if (change.kind === "sysfs") return change.path;
  if (change.kind === "block") return `/sys/block/${change.device}/${change.attribute}`;
  if (change.kind === "sysctl" || change.kind === "trigger") return `/proc/sys/${change.key.replaceAll(".", "/")}`;
  return undefined;
}

import { readSysctlFiles, winner } from "../sysctl-files.ts";
import type { Compare, Explain, Hazard, Reading, TuneContext, TuneItem, Wanted } from "../types.ts";

export interface SysctlRow {
  id?: string;
  key: string;
  title: string;
  compare?: Compare;
  neverLower?: boolean;
  defaults?: readonly string[];
  off?: "INFO" | "WARN" | "FAIL";
  must?: boolean;
  reach?: "kernel" | "netns";
  cost: string;
  explain: Explain;
  wanted: Wanted | ((context: TuneContext) => Wanted);
  /** More than the plain value: judges itself, or says that it does not matter here. */
  adjust?: (reading: Reading, context: TuneContext) => Reading;
  hazard?: Hazard | ((target: string, context: TuneContext) => Hazard | undefined);
}

/** An item that is one kernel parameter: read live and from the files, kept in sysctl.d. */
export function sysctlItem(row: SysctlRow): TuneItem {
  const { key, hazard, wanted } = row;
  return {
    id: row.id ?? key,
    title: row.title,
    persist: "SYS",
    effect: "now",
    revert: "value",
    reach: row.reach ?? "kernel",
    compare: row.compare ?? "same",
    neverLower: row.neverLower ?? false,
    ...(row.defaults === undefined ? {} : { defaults: row.defaults }),
    off: row.off ?? "WARN",
    must: row.must ?? false,
    cost: row.cost,
    explain: row.explain,
    read: (context) => {
      const reading = readSysctl(key, context);
      if (ofTheKernel(row, context))
        return {
          ...reading,
          status: "INFO",
          note: "no file sets it: the kernel's own value counts, which is high enough",
        };
      return row.adjust?.(reading, context) ?? reading;
    },
    wanted: (context) => (typeof wanted === "function" ? wanted(context) : wanted),
    change: (target, context) => {
      const { machine } = context;
      const isKnown = machine.isImage ? !ofTheKernel(row, context) : isNumbers(machine.sysctl(key));
      return isKnown ? [{ kind: "sysctl", key, value: target }] : [];
    },
    ...(hazard === undefined
      ? {}
      : {
          hazard: (target, context) => (typeof hazard === "function" ? hazard(target, context) : hazard),
        }),
  };
}

/** An image's kernel is not known: a line of ours could be below what that kernel has by itself. */
function ofTheKernel({ neverLower, key }: SysctlRow, { machine }: TuneContext): boolean {
  return neverLower === true && machine.isImage && winner(readSysctlFiles(machine).lines, key) === undefined;
}

/** Live and persisted value of a kernel parameter. */
export function readSysctl(key: string, { machine }: TuneContext): Reading {
  const line = winner(readSysctlFiles(machine).lines, key);
  const kept = { persisted: line?.value, source: line === undefined ? undefined : `${line.file}:${line.line}` };
  if (machine.isImage) return { ...kept, note: "no kernel in this tree: only what the files say" };
  if (!machine.hasSysctl(key)) return { ...kept, absent: "this kernel does not have it" };
  const live = machine.sysctl(key);
  return isNumbers(live) ? { ...kept, live } : { ...kept, note: `cannot read ${key}` };
}

const NUMBERS = /^\d+(?: \d+)*$/;

/** All that is looked at here are numbers; anything else is not the kernel's answer, and nothing to act on. */
function isNumbers(text: string | undefined): text is string {
  return text !== undefined && NUMBERS.test(text);
}

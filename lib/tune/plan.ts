import { updatePropertiesBytes } from "../config/properties.ts";
import { mergeEntries, splitBlock, withBlock } from "./block.ts";
import type { Machine } from "./machine.ts";
import { shadows } from "./shadows.ts";
import { type Overlay, readSysctlFiles, winner } from "./sysctl-files.ts";
import { dirtyTwin, type FileKind, KIND_ORDER, type Line, linesFor, livePath } from "./targets.ts";
import type { Change, Report, TuneOptions } from "./types.ts";
import { amount, pair, plain, sameText } from "./values.ts";

/** The kernel's own fs.nr_open. */
const NR_OPEN_DEFAULT = 1_048_576;

/** fs.nr_open as it is; the kernel's default where it cannot be read. */
export function nrOpenNow(machine: Machine): number {
  const text = machine.sysctl("fs.nr_open") ?? "";
  return /^\d+$/.test(text) ? Number(text) : NR_OPEN_DEFAULT;
}

/** A value that is written into the running kernel. */
export interface LiveOp {
  op: "live";
  ids: string[];
  /** `vm.swappiness`, or a path below /sys. */
  key: string;
  path: string;
  before: string;
  after: string;
  /** The other one of a dirty pair, which the kernel clears. */
  twin?: { key: string; path: string; before: string };
}

export interface TriggerOp {
  op: "trigger";
  ids: string[];
  key: string;
  path: string;
  after: string;
}

export interface FileOp {
  op: "file";
  ids: string[];
  kind: FileKind["name"] | "conf";
  /** As the tree spells it, links followed. */
  path: string;
  /** undefined: the file is new. */
  before: Buffer | undefined;
  after: Buffer;
  /** Of a broker's file: what is set. */
  keys?: Record<string, string>;
}

export type Operation = LiveOp | TriggerOp | FileOp;

export interface Refusal {
  ids: string[];
  what: string;
}

export interface Plan {
  operations: Operation[];
  /** What will not be done, and why. */
  refusals: Refusal[];
  /** Lines of other files that will win over ours. */
  conflicts: string[];
}

export interface Wish {
  id: string;
  change: Change;
}

/** All that the report would change. */
export function wishesOf(report: Report): Wish[] {
  return report.checks.flatMap(({ id, changes }) => changes.map((change) => ({ id, change })));
}

/** nofile lines bring fs.nr_open with them where it is too low, now or after the next boot, also when nobody asked for that check. */
export function withNrOpen(machine: Machine, wishes: readonly Wish[]): Wish[] {
  const most = Math.max(0, ...wishes.map(({ change }) => nofileOf(change)));
  const live = nrOpenNow(machine);
  const open = Math.min(live, nrOpenAtBoot(machine)?.value ?? live);
  const others = wishes.filter(({ change }) => change.kind !== "sysctl" || change.key !== "fs.nr_open");
  const asked = wishes.find(({ change }) => change.kind === "sysctl" && change.key === "fs.nr_open");
  const wanted = asked?.change.kind === "sysctl" ? (amount(asked.change.value) ?? 0) : 0;
  if (most <= Math.max(open, wanted)) return [...wishes];
  return [
    { id: "limits.nr-open", change: { kind: "sysctl", key: "fs.nr_open", value: String(Math.max(most, live)) } },
    ...others,
  ];
}

/** fs.nr_open as a file sets it at the next boot; undefined: no file does. `overlay`: with files as planned. */
export function nrOpenAtBoot(machine: Machine, overlay?: Overlay): { value: number; source: string } | undefined {
  const line = winner(readSysctlFiles(machine, overlay).lines, "fs.nr_open");
  const value = line === undefined ? undefined : amount(line.value);
  return line === undefined || value === undefined ? undefined : { value, source: `${line.file}:${line.line}` };
}

/** The files of a plan as they are going to be. */
export function overlayOf(operations: readonly Operation[]): Map<string, string> {
  return new Map(
    operations.flatMap((op): [string, string][] => (op.op === "file" ? [[op.path, op.after.toString("latin1")]] : [])),
  );
}

function nofileOf(change: Change): number {
  const isLogin = change.kind === "limit" && change.item === "nofile";
  const isUnit = change.kind === "unit" && change.key === "LimitNOFILE";
  const hard = amount(isLogin ? change.hard : isUnit ? pair(change.value)[1] : "0") ?? 0;
  return Number.isFinite(hard) ? hard : 0;
}

/** Lays wishes against the machine as it is now: only what differs becomes an operation. Reads, never writes. */
export function planOf(machine: Machine, wishes: readonly Wish[], options: TuneOptions): Plan {
  const plan: Plan = { operations: [], refusals: [], conflicts: [] };
  for (const wish of wishes) {
    const live = liveOp(machine, wish);
    if (live !== undefined) plan.operations.push(live);
  }
  planFiles(machine, wishes, options, plan);
  plan.conflicts = shadows(machine, options, overlayOf(plan.operations));
  return plan;
}

function liveOp(machine: Machine, { id, change }: Wish): LiveOp | TriggerOp | undefined {
  const path = livePath(change);
  if (path === undefined || machine.isImage) return undefined;
  if (change.kind === "trigger") return { op: "trigger", ids: [id], key: change.key, path, after: change.value };
  if (!("value" in change)) return undefined;
  const before = chosenWord(machine.value(path));
  if (before === undefined || sameText(before, change.value)) return undefined;
  const key = change.kind === "sysctl" ? change.key : path;
  const op: LiveOp = { op: "live", ids: [id], key, path, before: plain(before), after: change.value };
  const twin = change.kind === "sysctl" ? dirtyTwin(change.key) : undefined;
  if (twin === undefined) return op;
  const twinPath = `/proc/sys/${twin.replaceAll(".", "/")}`;
  return { ...op, twin: { key: twin, path: twinPath, before: machine.value(twinPath) ?? "0" } };
}

/** `always [madvise] never` says madvise; anything else is itself. */
export function chosenWord(text: string | undefined): string | undefined {
  return /\[([^\]]+)\]/.exec(text ?? "")?.[1] ?? text;
}

/** Only the files, for the second look after the live values were tried. */
export function planFiles(machine: Machine, wishes: readonly Wish[], options: TuneOptions, plan: Plan): void {
  const files = new Map<string, { ids: Set<string>; kind: FileKind; lines: Line[] }>();
  for (const { id, change } of wishes) {
    if (change.kind === "sysctl" && keptElsewhere(machine, change, linesFor(change, options)[0]?.path)) continue;
    for (const line of linesFor(change, options)) {
      const path = machine.resolve(line.path) ?? line.path;
      const file = files.get(path) ?? { ids: new Set<string>(), kind: line.kind, lines: [] };
      file.ids.add(id);
      file.lines.push(line);
      files.set(path, file);
    }
  }
  const ordered = [...files].sort(([, a], [, b]) => KIND_ORDER.indexOf(a.kind.name) - KIND_ORDER.indexOf(b.kind.name));
  const found: FileOp[] = confOps(machine, wishes);
  for (const [path, { ids, kind, lines }] of ordered) {
    const op = blockOp(machine, path, kind, lines, [...ids], plan.refusals);
    if (op !== undefined) found.push(op);
  }
  plan.operations.push(...found);
}

/** Another file already gives the key this value at boot: nothing to add. */
function keptElsewhere(
  machine: Machine,
  { key, value }: { key: string; value: string },
  ours: string | undefined,
): boolean {
  const line = winner(readSysctlFiles(machine).lines, key);
  if (line === undefined || !sameText(line.value, value)) return false;
  return line.file !== (ours === undefined ? undefined : (machine.resolve(ours) ?? ours));
}

function blockOp(
  machine: Machine,
  path: string,
  kind: FileKind,
  lines: readonly Line[],
  ids: string[],
  refusals: Refusal[],
): FileOp | undefined {
  const unusable = machine.unusable(path);
  if (unusable !== undefined) {
    refusals.push({ ids, what: `${path} ${unusable}: not written` });
    return undefined;
  }
  const before = machine.bytes(path);
  const text = before?.toString("latin1") ?? "";
  const split = splitBlock(text);
  if (split.broken !== undefined) {
    refusals.push({ ids, what: `${path}, ${split.broken}: repair it by hand` });
    return undefined;
  }
  const changes = new Map(lines.map(({ key, text: line }) => [key, line]));
  const gone = new Set(lines.flatMap(({ excludes }) => (excludes === undefined ? [] : [excludes])));
  const old = split.block ?? [];
  const merged = mergeEntries(old, kind.keyOf, changes, gone);
  if (kind.header !== undefined && !merged.includes(kind.header)) merged.unshift(kind.header);
  const after = Buffer.from(withBlock(text, merged), "latin1");
  if (before?.equals(after) === true) return undefined;
  return { op: "file", ids, kind: kind.name, path, before, after };
}

/** The broker's own file: keys are changed where they stand, comments stay. */
function confOps(machine: Machine, wishes: readonly Wish[]): FileOp[] {
  const files = new Map<string, { ids: string[]; changes: Map<string, string> }>();
  for (const { id, change } of wishes) {
    if (change.kind !== "conf") continue;
    const file = files.get(change.file) ?? { ids: [], changes: new Map<string, string>() };
    file.ids.push(id);
    file.changes.set(change.key, change.value);
    files.set(change.file, file);
  }
  return [...files].flatMap(([file, { ids, changes }]): FileOp[] => {
    const before = machine.bytes(file);
    if (before === undefined) return [];
    const after = updatePropertiesBytes(before, changes);
    if (after.equals(before)) return [];
    const keys = Object.fromEntries(changes);
    return [{ op: "file", ids, kind: "conf", path: machine.resolve(file) ?? file, before, after, keys }];
  });
}

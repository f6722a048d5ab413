import { errorText } from "../base/errors.ts";
import { splitBlock, withBlock } from "./block.ts";
import { type FileRecord, hashOf, type Journal, type LiveRecord, type Run } from "./journal.ts";
import type { Machine } from "./machine.ts";
import { chosenWord } from "./plan.ts";
import {
  makeFolders,
  removeEmptyFolder,
  removeFile,
  removeStale,
  replaceFile,
  type Step,
  temporaryOf,
} from "./replace-file.ts";
import { revertKeys } from "./revert-keys.ts";
import { writeLive } from "./set-live.ts";
import { sameText } from "./values.ts";

export interface RevertOptions {
  /** Takes back also what somebody changed since. */
  force: boolean;
  onStep?: Step;
}

/** One thing that was taken back (`done`), was so already, or was left. */
export interface Reverted {
  what: string;
  done: boolean;
  why?: string;
}

/**
 * Takes runs back, the newest first, those after `to` only where that is given. Three-way: what is still as we made it is restored,
 * what already is as before stays, what somebody changed since is left and named. Once all of a run is back it is marked undone.
 */
export function revert(machine: Machine, journal: Journal, options: RevertOptions & { to?: string }): Reverted[] {
  const step = options.onStep ?? (() => {});
  const { to } = options;
  const runs = journal.runs().runs.filter((run) => run.state !== "undone" && (to === undefined || run.id > to));
  const all: Reverted[] = [];
  for (const run of runs.reverse()) {
    const results = revertRun(machine, journal, run, options);
    all.push(...results);
    if (!results.every(({ done }) => done)) continue;
    try {
      journal.write({ ...run, state: "undone" }, step);
    } catch (error) {
      // A full disk: what was taken back is told all the same, and a second revert finds nothing left to do.
      all.push({ what: `marking run ${run.id} as taken back`, done: false, why: errorText(error) });
    }
  }
  if (machine.live) reload(machine, runs);
  return all;
}

/** One run, in the reverse order of its writes: limits, other files, kernel values, fs.nr_open. */
export function revertRun(machine: Machine, journal: Journal, run: Run, options: RevertOptions): Reverted[] {
  const results: Reverted[] = [];
  const attempt = (what: string, action: () => string | undefined) => {
    try {
      const why = action();
      results.push(why === undefined ? { what, done: true } : { what, done: false, why });
    } catch (error) {
      results.push({ what, done: false, why: errorText(error) });
    }
  };
  for (const file of [...run.files].reverse()) attempt(file.path, () => revertFile(machine, journal, file, options));
  for (const live of [...run.live].reverse())
    attempt(`${live.key}: ${live.after} -> ${live.before}`, () => revertLive(machine, live, options));
  return results;
}

/** Gives why it was left, or nothing. */
function revertFile(
  machine: Machine,
  journal: Journal,
  file: FileRecord,
  { force, onStep }: RevertOptions,
): string | undefined {
  const step = onStep ?? (() => {});
  const real = machine.real(file.path);
  if (real === undefined) return "links in circles";
  removeStale(temporaryOf(real));
  const now = machine.bytes(file.path);
  const hash = now === undefined ? null : hashOf(now);
  if (hash !== file.before) {
    if (hash === file.after && now !== undefined) {
      if (file.before === null) removeFile(real, now, step);
      else replaceFile(real, now, journal.restore(file), step);
    } else {
      const why =
        now === undefined
          ? revertGone(real, journal, file, { force, onStep: step })
          : file.kind === "conf"
            ? revertConf(real, journal, file, now, { force, onStep: step })
            : revertBlock(real, file, now, { force, onStep: step });
      if (why !== undefined) return why;
    }
  }
  if (file.before === null)
    for (const folder of [...file.folders].reverse()) removeEmptyFolder(machine.real(folder) ?? folder);
  return undefined;
}

/** Somebody removed the file since. */
function revertGone(
  real: string,
  journal: Journal,
  file: FileRecord,
  { force, onStep = () => {} }: RevertOptions,
): string | undefined {
  if (file.before === null) return undefined;
  if (!force) return "somebody removed the file since: left so (--force brings it back)";
  makeFolders(real, onStep);
  replaceFile(real, undefined, journal.restore(file), onStep);
  return undefined;
}

/** Somebody edited the broker's file since: our keys go one by one, while they are ours. */
function revertConf(
  real: string,
  journal: Journal,
  file: FileRecord,
  now: Buffer,
  { force, onStep = () => {} }: RevertOptions,
): string | undefined {
  const { text, left } = revertKeys(
    now.toString("latin1"),
    journal.restore(file).toString("latin1"),
    file.keys ?? {},
    force,
  );
  const restored = Buffer.from(text, "latin1");
  if (!restored.equals(now)) replaceFile(real, now, restored, onStep);
  return left.length === 0 ? undefined : `somebody changed it since: ${left.join(", ")} (--force takes it back)`;
}

/** Somebody else wrote into the file since: only our lines go, and only while they are ours. */
function revertBlock(
  real: string,
  file: FileRecord,
  now: Buffer,
  { force, onStep = () => {} }: RevertOptions,
): string | undefined {
  const text = now.toString("latin1");
  const { block, after, broken } = splitBlock(text);
  if (broken !== undefined) return broken;
  if (sameLines(block ?? null, file.blockBefore)) return undefined;
  if (!sameLines(block ?? null, file.blockAfter) && !force)
    return "somebody changed our lines since: left as they are (--force takes them back)";
  let restored = withBlock(text, file.blockBefore ?? []);
  if (file.joint && file.blockBefore === null && after === "") restored = restored.replace(/\n$/, "");
  if (restored === "" && file.before === null) removeFile(real, now, onStep);
  else {
    makeFolders(real, onStep);
    replaceFile(real, now, Buffer.from(restored, "latin1"), onStep);
  }
  return undefined;
}

function sameLines(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function revertLive(machine: Machine, live: LiveRecord, { force, onStep }: RevertOptions): string | undefined {
  const step = onStep ?? (() => {});
  const now = chosenWord(machine.value(live.path));
  if (now === undefined) return `${live.path} cannot be read any more`;
  const twin = live.twin;
  const twinNow = twin === undefined ? undefined : machine.value(twin.path);
  if (sameText(now, live.before) && (twin === undefined || sameText(twinNow ?? "", twin.before))) return undefined;
  if (!sameText(now, live.after) && !force) return `somebody set it to ${now} since: left so (--force takes it back)`;
  // Of a dirty pair the one that counted is written; the kernel clears the other.
  if (twin !== undefined && twin.before !== "0") {
    writeLive(machine, twin.path, twin.before, step);
    if (!machine.live) writeLive(machine, live.path, live.before, step);
  } else {
    writeLive(machine, live.path, live.before, step);
    if (twin !== undefined && !machine.live) writeLive(machine, twin.path, twin.before, step);
  }
  const read = chosenWord(machine.value(live.path)) ?? "";
  return sameText(read, live.before) ? undefined : `found ${read} afterwards, want ${live.before}`;
}

function reload(machine: Machine, runs: readonly Run[]): void {
  const kinds = new Set(runs.flatMap(({ files }) => files.map(({ kind }) => kind)));
  if (kinds.has("unit") && machine.exists("/run/systemd/system")) machine.run("systemctl", ["daemon-reload"]);
  if (kinds.has("udev")) machine.run("udevadm", ["control", "--reload"]);
}

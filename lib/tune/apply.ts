import { accessSync, constants } from "node:fs";
import { dirname, join } from "node:path";
import { errorText, MqError } from "../base/errors.ts";
import { splitBlock } from "./block.ts";
import { check, DEFAULT_USER } from "./check.ts";
import { hashOf, JOURNAL, Journal, type Run } from "./journal.ts";
import { bootRefusal, limitRefusal, loginNofile, otherLoginUser } from "./login-guard.ts";
import { Machine } from "./machine.ts";
import {
  type FileOp,
  type LiveOp,
  nrOpenNow,
  overlayOf,
  type Plan,
  planFiles,
  planOf,
  type Wish,
  wishesOf,
  withNrOpen,
} from "./plan.ts";
import { makeFolders, removeStale, replaceFile, type Step, temporaryOf } from "./replace-file.ts";
import { revertRun } from "./revert.ts";
import { setLive, writeLive } from "./set-live.ts";
import { shadows } from "./shadows.ts";
import type { Report, TuneItem, TuneOptions } from "./types.ts";
import { satisfies } from "./values.ts";

/** Exit codes of `mq tune`; a wrong flag is 64 as everywhere. */
export const TuneExit = { ok: 0, error: 1, notCompliant: 2, notPermitted: 3, partly: 4 } as const;

/** One thing that was done, or was not. */
export interface Outcome {
  ids: string[];
  what: string;
  done: boolean;
  why?: string;
}

export interface Applied {
  run: string | undefined;
  outcomes: Outcome[];
  /** Lines of other files that win over what was written. */
  conflicts: string[];
  /** The machine as it is afterwards, read anew. */
  after: Report;
  restart: boolean;
  relogin: boolean;
}

export interface ApplyOptions extends TuneOptions {
  version: string;
  /** Before every write; a test ends the process in it. */
  onStep?: Step;
  now?: Date;
}

/** The plan of a machine under these options: what apply would do, here or in a script elsewhere. Reads only. */
export function plannedFor(
  machine: Machine,
  report: Report,
  options: TuneOptions,
  where: "here" | "elsewhere" = "here",
): { wishes: Wish[]; plan: Plan } {
  const all = [...wishesOf(report), ...unfinishedWishes(machine, report)];
  const refused: Plan["refusals"] = [];
  const allowed = all.filter(({ id, change }) => {
    const why = change.kind === "limit" ? limitRefusal(machine, change, undefined, where === "here") : undefined;
    if (why !== undefined) refused.push({ ids: [id], what: why });
    return why === undefined;
  });
  const first = withNrOpen(machine, allowed);
  const overlay = overlayOf(planOf(machine, first, options).operations);
  const wishes = first.filter(({ id, change }) => {
    const why = change.kind === "limit" ? bootRefusal(machine, change, overlay) : undefined;
    if (why !== undefined) refused.push({ ids: [id], what: why });
    return why === undefined;
  });
  const plan = planOf(machine, wishes, options);
  plan.refusals.unshift(...refused);
  return { wishes, plan };
}

/**
 * What a killed run of the same profile still has to write. Its kernel values may be set already, so that they look like the
 * machine's own and no check asks for their lines any more.
 */
function unfinishedWishes(machine: Machine, { profile, checks }: Report): Wish[] {
  const asked = new Set(checks.filter(({ changes }) => changes.length > 0).map(({ id }) => id));
  const looked = new Set(checks.map(({ id }) => id));
  return killedRuns(new Journal(machine), profile)
    .flatMap(({ wishes }) => wishes)
    .filter(({ id, change }) => looked.has(id) && !asked.has(id) && change.kind !== "trigger");
}

/**
 * Does the plan: backups and journal first, fs.nr_open, other kernel values, files, limits last; then reads everything anew.
 * One failing operation does not stop the rest; a kernel value that was refused is not written into a file either. Throws MqError
 * with exit code 3, nothing changed, where it may not write.
 */
export function apply(machine: Machine, options: ApplyOptions, items?: readonly TuneItem[]): Applied {
  const report = check(machine, options, items);
  const { plan } = plannedFor(machine, report, options);
  const journal = new Journal(machine);
  if (plan.operations.length === 0 && completable(journal, options).length === 0)
    return finished(machine, options, items, undefined, refusedOutcomes(plan));
  preflight(machine, plan);
  journal.lock();
  try {
    // Planned again under the lock: another run may just have ended.
    const again = plannedFor(machine, check(machine, options, items), options);
    if (again.plan.operations.length === 0) {
      if (again.plan.refusals.length === 0)
        for (const run of completable(journal, options))
          journal.write({ ...run, state: "done" }, options.onStep ?? (() => {}));
      return finished(machine, options, items, undefined, refusedOutcomes(again.plan));
    }
    const work = new Work(machine, journal, options, again);
    const outcomes = work.run();
    return finished(machine, options, items, work.record.id, outcomes);
  } finally {
    journal.unlock();
  }
}

/** Runs of a profile that were killed and neither completed nor taken back. */
function killedRuns(journal: Journal, profile: string): Run[] {
  return journal.runs().runs.filter((run) => run.state === "started" && run.profile === profile);
}

/** Killed runs that a run under these options completes: one that looks at a part of the checks cannot know. */
export function completable(journal: Journal, { profile, only = [], skip = [] }: TuneOptions): Run[] {
  return only.length + skip.length > 0 ? [] : killedRuns(journal, profile);
}

function refusedOutcomes(plan: Plan): Outcome[] {
  return plan.refusals.map(({ ids, what }) => ({ ids, what, done: false, why: "refused" }));
}

function finished(
  machine: Machine,
  options: ApplyOptions,
  items: readonly TuneItem[] | undefined,
  run: string | undefined,
  outcomes: Outcome[],
): Applied {
  const after = check(new Machine(machine.root), options, items);
  const touched = new Set(outcomes.filter(({ done }) => done).flatMap(({ ids }) => ids));
  const effects = after.checks.filter(({ id }) => touched.has(id)).map(({ effect }) => effect);
  const conflicts = shadows(machine, options);
  return {
    run,
    outcomes,
    conflicts,
    after,
    restart: effects.includes("restart"),
    relogin: effects.includes("new login"),
  };
}

/** Everything that must be true before the first write: root, and folders that can be written. Changes nothing. */
export function preflight(machine: Machine, plan: Pick<Plan, "operations">): void {
  const uid = process.geteuid?.() ?? 0;
  if (machine.live && uid !== 0)
    throw new MqError(
      `changing this machine needs root, found user id ${uid}; nothing was changed. Run it with sudo, or see mq tune diff`,
      TuneExit.notPermitted,
    );
  const paths = [
    join(machine.real(JOURNAL) ?? "", "run"),
    ...plan.operations.flatMap((op) => (op.op === "file" ? [machine.real(op.path) ?? ""] : [])),
  ];
  for (const path of paths) mayWriteIn(path);
}

function mayWriteIn(path: string): void {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    try {
      accessSync(folder, constants.W_OK | constants.X_OK);
      return;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "ENOENT" && folder !== dirname(folder)) continue;
      throw new MqError(
        `write in ${folder}: ${code === "EROFS" ? "it is read-only" : errorText(error)}; nothing was changed`,
        TuneExit.notPermitted,
        { cause: error },
      );
    }
  }
}

/** One run of apply, under the lock. */
class Work {
  readonly record: Run;
  private readonly outcomes: Outcome[];
  private readonly step: Step;
  private readonly wishes: readonly Wish[];
  private readonly failedKeys = new Set<string>();

  constructor(
    private readonly machine: Machine,
    private readonly journal: Journal,
    private readonly options: ApplyOptions,
    private readonly planned: { wishes: Wish[]; plan: Plan },
  ) {
    const now = options.now ?? new Date();
    this.step = options.onStep ?? (() => {});
    this.wishes = planned.wishes;
    this.outcomes = refusedOutcomes(planned.plan);
    this.record = {
      schema: "mq.tune-run/1",
      id: journal.newId(now),
      time: now.toISOString(),
      bootId: machine.bootId,
      version: options.version,
      profile: options.profile,
      state: "started",
      wishes: [...planned.wishes],
      live: [],
      files: [],
    };
  }

  run(): Outcome[] {
    const { operations } = this.planned.plan;
    const live = operations.filter((op): op is LiveOp => op.op === "live");
    // nr_open before all others: limits may only name what it allows.
    live.sort((a, b) => Number(b.key === "fs.nr_open") - Number(a.key === "fs.nr_open"));
    this.record.live = live.map(({ key, path, before, after, twin }) => ({
      key,
      path,
      before,
      after,
      ...(twin && { twin }),
    }));
    try {
      this.journal.write(this.record, this.step);
    } catch (error) {
      throw new MqError(`${errorText(error)}; nothing was changed`, TuneExit.error, { cause: error });
    }
    for (const op of live) this.try(op.ids, `${op.key}: ${op.before} -> ${op.after}`, () => this.setOne(op));
    for (const op of operations) {
      if (op.op === "trigger") this.try(op.ids, `${op.key}: ${op.after}, once`, () => this.trigger(op.path, op.after));
    }
    const files = this.filesNow();
    const ids = [...new Set(files.flatMap((op) => op.ids))];
    // A full disk: no file is touched without its copy, and what was done until here is told.
    if (!this.try(ids, `wrote down the old files in ${JOURNAL}`, () => this.writeDown(files), false))
      return this.outcomes;
    for (const op of files) this.try(op.ids, `wrote ${op.path}`, () => this.writeFile(op));
    this.reload(files);
    this.journal.prune();
    this.try([], `marked run ${this.record.id} as done`, () => this.finish(), false);
    return this.outcomes;
  }

  /** With this run a killed one of the same profile is complete as well, unless this one looked at less. */
  private finish(): void {
    for (const run of completable(this.journal, this.options))
      if (run.id !== this.record.id) this.journal.write({ ...run, state: "done" }, this.step);
    this.record.state = "done";
    this.journal.write(this.record, this.step);
  }

  /** Does one thing and notes how it went; `said`: also when it went well. */
  private try(ids: string[], what: string, action: () => void, said = true): boolean {
    try {
      action();
      if (said) this.outcomes.push({ ids, what, done: true });
      return true;
    } catch (error) {
      this.outcomes.push({ ids, what, done: false, why: errorText(error) });
      return false;
    }
  }

  private setOne(op: LiveOp): void {
    try {
      setLive(this.machine, op, this.step);
    } catch (error) {
      this.failedKeys.add(op.key);
      throw error;
    }
  }

  private trigger(path: string, value: string): void {
    // Only clean pages are dropped: what is dirty is written first.
    this.machine.run("sync", []);
    writeLive(this.machine, path, value, this.step);
  }

  /** Files planned again without the keys that the kernel refused, and without limits that fs.nr_open does not cover now. */
  private filesNow(): FileOp[] {
    const nrOpen = nrOpenNow(this.machine);
    const kept = this.wishes.filter(({ id, change }) => {
      if (change.kind === "sysctl" && this.failedKeys.has(change.key)) return false;
      const why = change.kind === "limit" ? limitRefusal(this.machine, change, nrOpen) : undefined;
      if (why !== undefined) this.outcomes.push({ ids: [id], what: why, done: false, why: "refused" });
      return why === undefined;
    });
    const plan: Plan = { operations: [], refusals: [], conflicts: [] };
    planFiles(this.machine, kept, this.options, plan);
    const known = new Set(this.outcomes.map(({ what }) => what));
    this.outcomes.push(...refusedOutcomes(plan).filter(({ what }) => !known.has(what)));
    return plan.operations.filter((op): op is FileOp => op.op === "file");
  }

  /** Copies of the old files, and the run's text with all of them, before the first is touched. */
  private writeDown(files: readonly FileOp[]): void {
    for (const [i, op] of files.entries()) {
      const backup = op.before === undefined ? null : this.journal.backup(this.record, i, op.before, this.step);
      const text = op.before?.toString("latin1") ?? "";
      const isBlock = op.kind !== "conf";
      const blockBefore = isBlock ? (splitBlock(text).block ?? null) : null;
      this.record.files.push({
        kind: op.kind,
        path: op.path,
        before: op.before === undefined ? null : hashOf(op.before),
        after: hashOf(op.after),
        backup,
        blockBefore,
        blockAfter: isBlock ? (splitBlock(op.after.toString("latin1")).block ?? null) : null,
        joint: isBlock && blockBefore === null && text !== "" && !text.endsWith("\n"),
        folders: this.missingFolders(op.path),
        ...(op.keys && { keys: op.keys }),
      });
    }
    this.journal.write(this.record, this.step);
  }

  private missingFolders(path: string): string[] {
    const missing: string[] = [];
    for (let folder = dirname(path); !this.machine.exists(folder) && folder !== "/"; folder = dirname(folder))
      missing.unshift(folder);
    return missing;
  }

  private writeFile(op: FileOp): void {
    const real = this.machine.real(op.path);
    if (real === undefined) throw new MqError(`${op.path}: links in circles`);
    // A login that fails already, an expired account for instance, says nothing of our file.
    const logins = op.kind === "limits" ? this.loginsThatWork() : [];
    makeFolders(real, this.step);
    removeStale(temporaryOf(real));
    replaceFile(real, op.before, op.after, this.step);
    this.checkLogins(op, logins);
  }

  /** The broker's user and one more, where a login of theirs works now. */
  private loginsThatWork(): string[] {
    if (!this.machine.live) return [];
    const user = this.options.user ?? DEFAULT_USER;
    return [user, otherLoginUser(this.machine, user)].flatMap((name) =>
      name !== undefined && this.machine.user(name) !== undefined && loginNofile(this.machine, name).limit !== undefined
        ? [name]
        : [],
    );
  }

  /** PAM itself is asked what it now gives; a login that fails or gets less takes the file back at once. */
  private checkLogins(op: FileOp, names: readonly string[]): void {
    for (const name of names) {
      const { limit, failed } = loginNofile(this.machine, name);
      const wanted = this.wishes.find(
        ({ change }) => change.kind === "limit" && change.item === "nofile" && change.domain === name,
      );
      const change = wanted?.change.kind === "limit" ? wanted.change : undefined;
      const short =
        limit !== undefined && change !== undefined && !satisfies(limit, `${change.soft}:${change.hard}`, "at least");
      const why =
        failed ??
        (short
          ? `a login of ${name} (asked through su) gets ${limit}, want ${change.soft}:${change.hard}; perhaps /etc/pam.d/su lacks pam_limits`
          : undefined);
      if (why === undefined) continue;
      this.takeBack(op);
      throw new MqError(`${why}: ${op.path} was taken back at once`);
    }
  }

  private takeBack(op: FileOp): void {
    const file = this.record.files.find(({ path }) => path === op.path);
    if (file !== undefined)
      revertRun(
        this.machine,
        this.journal,
        { ...this.record, live: [], files: [file] },
        { force: false, onStep: this.step },
      );
  }

  private reload(files: readonly FileOp[]): void {
    if (!this.machine.live) return;
    if (files.some(({ kind }) => kind === "unit") && this.machine.exists("/run/systemd/system"))
      this.machine.run("systemctl", ["daemon-reload"]);
    if (files.some(({ kind }) => kind === "udev")) this.machine.run("udevadm", ["control", "--reload"]);
  }
}

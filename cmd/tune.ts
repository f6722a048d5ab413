import { existsSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { type ArgsDef, defineCommand } from "citty";
import { errorText, MqError, UsageError } from "../lib/base/errors.ts";
import { nearest } from "../lib/base/suggest.ts";
import { type Applied, apply, completable, plannedFor, preflight, TuneExit } from "../lib/tune/apply.ts";
import { check } from "../lib/tune/check.ts";
import { diffText } from "../lib/tune/diff.ts";
import { ALL_ITEMS, itemsFor } from "../lib/tune/items.ts";
import { Journal } from "../lib/tune/journal.ts";
import { Machine } from "../lib/tune/machine.ts";
import type { Operation, Plan } from "../lib/tune/plan.ts";
import { revert } from "../lib/tune/revert.ts";
import { scriptText } from "../lib/tune/script.ts";
import { SNIPPETS, type SnippetKind, snippetText } from "../lib/tune/snippets.ts";
import { explainText, tableText, wrap } from "../lib/tune/table.ts";
import { PROFILES, type Profile, type Report, type TuneOptions } from "../lib/tune/types.ts";
import { color, print, printJson, printTable, say } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

const COLORS: Readonly<Record<string, string>> = { OK: "32", WARN: "33", FAIL: "31" };
const VERBS = ["check", "diff", "apply", "revert", "explain", "list", "history"] as const;
type Verb = (typeof VERBS)[number];
const SCRIPT_MODE = 0o755;

const args = {
  verb: {
    type: "positional",
    required: false,
    description: "check (default), diff, apply, revert, explain, list, history",
  },
  check: { type: "positional", required: false, description: "for explain: the check's name" },
  profile: {
    type: "enum",
    options: [...PROFILES],
    default: "classic",
    valueHint: "name",
    description: "classic: RocketMQ's documented page; modern: today's advice; dev: floors only",
  },
  diff: { type: "boolean", description: "Show what apply would change, as a diff; changes nothing" },
  "dry-run": { type: "boolean", description: "The same as --diff" },
  apply: { type: "boolean", description: "Write the settings and load them (root)" },
  revert: { type: "boolean", description: "Restore what was before (root)" },
  to: { type: "string", valueHint: "run", description: "With revert: keep this run and those before it; see history" },
  only: { type: "string", valueHint: "checks", description: "Only these: vm,limits.nofile" },
  skip: { type: "string", valueHint: "checks", description: "Not these" },
  user: { type: "string", valueHint: "name", description: "Whom the broker runs as (default baseuser)" },
  unit: { type: "string", valueHint: "name", description: "The broker's systemd unit (default mq-broker)" },
  store: { type: "string", valueHint: "dir", description: "Directory of the store: its disk and file system" },
  config: {
    type: "string",
    alias: "c",
    valueHint: "file",
    description: "The broker's properties file: its settings too",
  },
  root: { type: "string", valueHint: "dir", description: "Work on another file tree, an image for instance" },
  files: {
    type: "enum",
    options: ["drop-in", "main"],
    default: "drop-in",
    valueHint: "where",
    description: "drop-in: files of our own; main: a marked block in sysctl.conf and limits.conf",
  },
  "output-script": {
    type: "string",
    valueHint: "file",
    description: "Write a shell script that does the same without mq",
  },
  output: {
    type: "enum",
    options: [...SNIPPETS],
    valueHint: "form",
    description: `Print the settings for another tool: ${SNIPPETS.join(", ")}`,
  },
  yes: { type: "boolean", alias: "y", description: "Apply values with known hazards without asking" },
  literal: { type: "boolean", description: "The classic to the letter: lowers values, too" },
  force: { type: "boolean", description: "Change also what somebody else chose or changed since" },
  "drop-caches": { type: "boolean", description: "With apply: empty the page cache, once" },
  probe: { type: "boolean", description: "Measure the store's disk: 200 small synced writes" },
  "fail-on": {
    type: "enum",
    options: ["fail", "warn"],
    default: "fail",
    valueHint: "what",
    description: "From which state on check ends with 2",
  },
  json: { type: "boolean", description: "One JSON object, mq.tune/1" },
  color: { type: "boolean", default: true, description: "Colours", negativeDescription: "No colours" },
} satisfies ArgsDef;

type Args = Readonly<Record<string, string | boolean | undefined>>;

export const tuneCommand = defineCommand({
  meta: {
    name: "tune",
    description:
      "Check this machine for a broker, explain, apply and take back.\nEnds with 0 good, 1 error or not confirmed, 2 something is off, 3 not permitted, 4 done in part.",
  },
  args,
  async run({ args: parsed }) {
    const given = parsed as unknown as Args;
    const verb = verbOf(given);
    const options = optionsOf(given);
    const machine = new Machine(rootOf(given));
    process.exitCode = await new Tune(machine, options, given).run(verb);
  },
});

function rootOf({ root }: Args): string {
  if (typeof root !== "string") return "/";
  const path = resolve(root);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UsageError(`--root is ${JSON.stringify(root)}, want a directory that is there`);
  return path;
}

/** The verb's word or its flag; one of them. */
function verbOf(given: Args): Verb {
  const flagged = new Set<Verb>();
  if (given.apply === true) flagged.add("apply");
  if (given.revert === true) flagged.add("revert");
  // `--apply --dry-run` shows what apply would do.
  if (given.diff === true || given["dry-run"] === true) {
    flagged.delete("apply");
    flagged.add("diff");
  }
  const word = given.verb;
  if (typeof word === "string") {
    const verb = VERBS.find((name) => name === word);
    if (verb === undefined) {
      const close = nearest(word, VERBS);
      throw new UsageError(
        `unknown verb ${JSON.stringify(word)} of mq tune; ${close === undefined ? `one of ${VERBS.join(", ")}` : `did you mean ${close}?`}`,
      );
    }
    if (verb === "apply" && flagged.has("diff")) return "diff";
    flagged.add(verb);
  }
  const verbs = [...flagged];
  const form = ["output-script", "output"].find((name) => given[name] !== undefined);
  if (form !== undefined && verbs.some((verb) => verb !== "check" && verb !== "diff"))
    throw new UsageError(`one thing at a time: found ${verbs.join(" and ")} and --${form}`);
  if (verbs.length > 1) throw new UsageError(`one thing at a time: found ${verbs.join(" and ")}`);
  if (typeof given.check === "string" && verbs[0] !== "explain")
    throw new UsageError(`found ${JSON.stringify(given.check)} behind ${verbs[0] ?? "check"}: --only names checks`);
  return verbs[0] ?? "check";
}

function optionsOf(given: Args): TuneOptions {
  const text = (name: string) => (typeof given[name] === "string" ? (given[name] as string) : undefined);
  const config = text("config");
  const options: TuneOptions = {
    profile: (text("profile") ?? "classic") as Profile,
    files: text("files") === "main" ? "main" : "drop-in",
    only: ids(text("only"), "only", config),
    skip: ids(text("skip"), "skip", config),
    literal: given.literal === true,
    force: given.force === true,
    dropCaches: given["drop-caches"] === true,
    probe: given.probe === true,
  };
  const user = text("user");
  const unit = text("unit");
  const store = text("store");
  if (user !== undefined) options.user = plainName(user, "user");
  if (unit !== undefined) {
    options.unit = plainName(unit.replace(/\.service$/, ""), "unit");
    options.unitGiven = true;
  }
  if (store !== undefined) options.store = resolve(store);
  if (config !== undefined) options.config = resolve(config);
  return options;
}

/** Names go into files that others read line by line. */
function plainName(name: string, flag: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.@-]*$/.test(name))
    throw new UsageError(`--${flag} is ${JSON.stringify(name)}, want letters, digits, _ . @ -`);
  return name;
}

function ids(list: string | undefined, flag: string, config: string | undefined): string[] {
  const known = itemsFor({ profile: "classic", ...(config === undefined ? {} : { config }) }).map(({ id }) => id);
  const names = (list ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  for (const name of names) {
    const isMeant = (id: string) => id === name || id.startsWith(`${name}.`);
    if (known.some(isMeant)) continue;
    if (ALL_ITEMS.some(({ id }) => isMeant(id)))
      throw new UsageError(`--${flag}: ${JSON.stringify(name)} is about the broker's file: -c FILE names it`);
    throw unknownCheck(name, known, `--${flag}`);
  }
  return names;
}

function unknownCheck(name: string, known: readonly string[], where: string): UsageError {
  const close = nearest(name, known);
  return new UsageError(
    `${where}: no check ${JSON.stringify(name)}; ${close === undefined ? "mq tune list names them" : `did you mean ${close}?`}`,
  );
}

/** One call of `mq tune`; every verb gives its exit code. */
class Tune {
  private readonly json: boolean;

  constructor(
    private readonly machine: Machine,
    private readonly options: TuneOptions,
    private readonly given: Args,
  ) {
    this.json = given.json === true;
  }

  async run(verb: Verb): Promise<number> {
    if (this.given["output-script"] !== undefined || this.given.output !== undefined) return this.output();
    switch (verb) {
      case "check":
        return this.check();
      case "diff":
        return this.diff();
      case "apply":
        return this.apply();
      case "revert":
        return this.revert();
      case "explain":
        return this.explain();
      case "list":
        return this.list();
      case "history":
        return this.history();
    }
  }

  private report(): Report {
    const report = check(this.machine, this.options);
    const { runs, odd } = new Journal(this.machine).runs();
    for (const { id, state, profile } of runs)
      if (state === "started")
        report.notes.push(
          `run ${id} was interrupted: mq tune --apply --profile ${profile} completes it, mq tune --revert takes it back`,
        );
    report.notes.push(...odd);
    return report;
  }

  private check(): number {
    const report = this.report();
    if (this.json) printJson(report);
    else print(this.table(report));
    return this.exitOf(report);
  }

  private table(report: Report): string {
    const plainText = this.given.color === false;
    const { plan } = plannedFor(this.machine, report, this.options);
    const applicable = new Set(plan.operations.flatMap((operation) => operation.ids)).size;
    return tableText(report, applicable, (status, text) =>
      plainText || COLORS[status] === undefined ? text : color(COLORS[status], text, process.stdout),
    );
  }

  private exitOf({ summary }: Report): number {
    const off = summary.fail > 0 || (this.given["fail-on"] === "warn" && summary.warn > 0);
    return off ? TuneExit.notCompliant : TuneExit.ok;
  }

  private diff(): number {
    const report = this.report();
    const { plan } = plannedFor(this.machine, report, this.options);
    if (this.json) printJson({ ...report, plan: plan.operations.map(jsonOperation), ...left(plan) });
    else {
      if (plan.operations.length > 0) print(diffText(plan.operations));
      else say("nothing to change");
      for (const { what } of plan.refusals) say(`not done: ${what}`);
      for (const line of plan.conflicts) say(`will not last: ${line}`);
    }
    return plan.operations.length > 0 || plan.refusals.length > 0 ? TuneExit.notCompliant : TuneExit.ok;
  }

  private async apply(): Promise<number> {
    const report = this.report();
    const { plan } = plannedFor(this.machine, report, this.options);
    const begun = completable(new Journal(this.machine), this.options).length > 0;
    if (plan.operations.length === 0 && plan.refusals.length === 0 && !begun) {
      if (this.json) printJson({ ...report, plan: [], ...left(plan), results: [] });
      else {
        print("Nothing to do: everything that can be set from here is as it should be.");
        for (const line of plan.conflicts) print(`Will not last: ${line}.`);
      }
      return TuneExit.ok;
    }
    if (plan.operations.length > 0) {
      preflight(this.machine, plan);
      await this.confirm(report);
    }
    const applied = apply(this.machine, { ...this.options, version: MQ_VERSION });
    if (this.json) {
      const { after, run, outcomes, conflicts, restart, relogin } = applied;
      printJson({
        ...after,
        plan: plan.operations.map(jsonOperation),
        ...left({ ...plan, conflicts }),
        run,
        results: outcomes,
        restart,
        relogin,
        reboot: false,
      });
    } else printApplied(applied);
    return applied.outcomes.every(({ done }) => done) ? TuneExit.ok : TuneExit.partly;
  }

  /** Values that can cost something are named; a person says yes, or a script says --yes. */
  private async confirm(report: Report): Promise<void> {
    const hazards = report.checks.flatMap(({ id, hazard, changes, target }) =>
      hazard !== undefined && changes.length > 0 ? [{ id, target, ...hazard }] : [],
    );
    if (hazards.length === 0) return;
    say("These values of the classic have a price:");
    for (const { id, target, does, canBeLost, modern } of hazards) {
      say(`  ${id} = ${target?.replace(/^(\w+):\1$/, "$1")}`);
      for (const line of [`does: ${does}`, `can be lost: ${canBeLost}`, `instead, with --profile modern: ${modern}`])
        for (const part of wrap(line, "      ")) say(part);
    }
    if (this.given.yes === true) return;
    if (process.stdin.isTTY !== true)
      throw new MqError(
        "not confirmed: add --yes to apply these values, --profile modern to avoid them, or --skip them; nothing was changed",
        TuneExit.error,
      );
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    try {
      const answer = await reader.question("Apply? [y/N] ");
      if (!/^y(es)?$/i.test(answer.trim())) throw new MqError("not confirmed; nothing was changed", TuneExit.error);
    } finally {
      reader.close();
    }
  }

  private revert(): number {
    const journal = new Journal(this.machine);
    const { runs, odd } = this.runs(journal);
    for (const line of odd) say(`note: ${line}`);
    const to = typeof this.given.to === "string" ? this.given.to : undefined;
    if (to !== undefined && !runs.some(({ id }) => id === to))
      throw new UsageError(`--to is ${JSON.stringify(to)}, want a run: mq tune history names them`);
    const open = runs.filter(({ id, state }) => state !== "undone" && (to === undefined || id > to));
    if (open.length === 0) {
      if (this.json) printJson({ schema: "mq.tune/1", reverted: [] });
      else print("Nothing to take back.");
      return TuneExit.ok;
    }
    preflight(this.machine, { operations: [] });
    journal.lock();
    try {
      const results = revert(this.machine, journal, {
        force: this.given.force === true,
        ...(to === undefined ? {} : { to }),
      });
      if (this.json) printJson({ schema: "mq.tune/1", reverted: results });
      else for (const { what, done, why } of results) print(done ? `restored  ${what}` : `LEFT      ${what}: ${why}`);
      const all = results.every(({ done }) => done);
      if (!this.json)
        print(all ? "Everything is as it was before." : "Not all of it could be taken back; the lines above say why.");
      return all ? TuneExit.ok : TuneExit.partly;
    } finally {
      journal.unlock();
    }
  }

  /** All runs. Throws MqError with exit code 3 where only root may look. */
  private runs(journal: Journal): ReturnType<Journal["runs"]> {
    const found = journal.runs();
    if (found.closed)
      throw new MqError(`read ${journal.folder}: only root may; run it with sudo`, TuneExit.notPermitted);
    return found;
  }

  private explain(): number {
    const name = this.given.check;
    const items = ALL_ITEMS;
    if (typeof name !== "string") throw new UsageError("mq tune explain wants a check: mq tune list names them");
    const item = items.find(({ id }) => id === name);
    if (item === undefined)
      throw unknownCheck(
        name,
        items.map(({ id }) => id),
        "explain",
      );
    const result = check(this.machine, { ...this.options, only: [name], skip: [] }, [item]).checks[0]!;
    if (this.json) printJson({ ...result, explain: item.explain, persist: item.persist, revert: item.revert });
    else print(explainText(result, item.explain));
    return TuneExit.ok;
  }

  private list(): number {
    const items = ALL_ITEMS;
    if (this.json)
      printJson(
        items.map(({ id, title, persist, effect, revert: back, must }) => ({
          id,
          title,
          persist,
          effect,
          revert: back,
          must,
        })),
      );
    else
      printTable(
        ["CHECK", "KEPT IN", "COUNTS", "WHAT"],
        items.map(({ id, title, persist, effect }) => [id, persist, effect, title]),
      );
    return TuneExit.ok;
  }

  private history(): number {
    const { runs, odd } = this.runs(new Journal(this.machine));
    if (this.json) printJson(runs);
    else if (runs.length === 0) print("mq tune has changed nothing here.");
    else
      printTable(
        ["RUN", "STATE", "PROFILE", "VALUES", "FILES"],
        runs.map(({ id, state, profile, live, files }) => [
          id,
          state === "started" ? "INTERRUPTED" : state,
          profile,
          live.length,
          files.map(({ path }) => path).join(" "),
        ]),
      );
    for (const line of odd) say(`note: ${line}`);
    return TuneExit.ok;
  }

  /** Settings in another form: nothing of this machine is changed. */
  private output(): number {
    const report = this.report();
    const { plan, wishes } = plannedFor(this.machine, report, this.options, "elsewhere");
    for (const { what } of plan.refusals) say(`not in it: ${what}`);
    if (typeof this.given.output === "string") print(snippetText(this.given.output as SnippetKind, report));
    const file = this.given["output-script"];
    if (typeof file !== "string") return TuneExit.ok;
    if (existsSync(file))
      throw new MqError(`write ${file}: it is there already; remove it or name another`, TuneExit.error);
    try {
      writeFileSync(file, scriptText(report, wishes, this.options, MQ_VERSION), { flag: "wx", mode: SCRIPT_MODE });
    } catch (error) {
      throw new MqError(`write ${file}: ${errorText(error)}`, TuneExit.error, { cause: error });
    }
    say(`wrote ${file}: sh ${file} applies it as root, sh ${file} revert takes it back`);
    return TuneExit.ok;
  }
}

function jsonOperation(operation: Operation): unknown {
  const { op } = operation;
  if (op === "file")
    return {
      op,
      target: operation.path,
      ids: operation.ids,
      before: operation.before?.toString("utf8") ?? null,
      after: operation.after.toString("utf8"),
    };
  return {
    op,
    target: operation.key,
    ids: operation.ids,
    before: op === "live" ? operation.before : null,
    after: operation.after,
  };
}

/** What a plan does not do, or not for long. */
function left({ refusals, conflicts }: Pick<Plan, "refusals" | "conflicts">): Pick<Plan, "refusals" | "conflicts"> {
  return { refusals, conflicts };
}

function printApplied({ run, outcomes, conflicts, after, restart, relogin }: Applied): void {
  if (outcomes.length === 0) print("Nothing was left to do.");
  for (const { what, done, why } of outcomes)
    print(done ? `done    ${what}` : `FAILED  ${what}${why === undefined || why === "refused" ? "" : `: ${why}`}`);
  for (const line of conflicts) print(`Will not last: ${line}.`);
  const still = after.checks.filter(({ status }) => status === "FAIL");
  if (still.length > 0) print(`Still off: ${still.map(({ id }) => id).join(", ")}.`);
  if (restart) print("Restart the broker: some of it counts from its next start.");
  if (relogin) print("Log in anew for the limits to count. Open a second session before you close this one.");
  if (run !== undefined) print(`Written down as ${run}; mq tune --revert takes it back.`);
}

import { createHash, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { errorText, MqError } from "../base/errors.ts";
import { lockFile, unlockFile } from "../os/lock.ts";
import type { Machine } from "./machine.ts";
import { removeStale, replaceFile, type Step, temporaryOf } from "./replace-file.ts";

/** Where runs are written down, below the root. */
export const JOURNAL = "/var/lib/mq/tune";
/** Runs that were taken back, for history to name. */
const UNDONE_KEPT = 20;

const liveSchema = v.object({
  key: v.string(),
  path: v.string(),
  before: v.string(),
  after: v.string(),
  twin: v.optional(v.object({ key: v.string(), path: v.string(), before: v.string() })),
});

const fileSchema = v.object({
  kind: v.string(),
  path: v.string(),
  /** SHA-256 of the whole file before and after; null: there was none. */
  before: v.nullable(v.string()),
  after: v.string(),
  /** Name of the copy of the old file, beside the run's text. */
  backup: v.nullable(v.string()),
  /** Our lines before and after; null: none, or a file without a block of ours. */
  blockBefore: v.nullable(v.array(v.string())),
  blockAfter: v.nullable(v.array(v.string())),
  /** Of a broker's file: the keys that were set, and their values. */
  keys: v.optional(v.record(v.string(), v.string())),
  /** The file had no newline at its end: ours was put between. */
  joint: v.boolean(),
  /** Folders made for it, the outermost first. */
  folders: v.array(v.string()),
});

const text = v.string();
const changeSchema = v.variant("kind", [
  v.object({ kind: v.literal("sysctl"), key: text, value: text }),
  v.object({ kind: v.literal("limit"), domain: text, item: text, soft: text, hard: text }),
  v.object({ kind: v.literal("unit"), unit: text, key: text, value: text }),
  v.object({ kind: v.literal("sysfs"), path: text, value: text }),
  v.object({ kind: v.literal("block"), device: text, attribute: text, value: text }),
  v.object({ kind: v.literal("conf"), file: text, key: text, value: text }),
  v.object({ kind: v.literal("trigger"), key: text, value: text }),
]);

const runSchema = v.object({
  schema: v.literal("mq.tune-run/1"),
  id: v.pipe(v.string(), v.regex(/^[0-9A-Za-z-]+$/)),
  time: v.string(),
  bootId: v.string(),
  version: v.string(),
  profile: v.string(),
  /** started: writes may have happened. done: all of them did. undone: taken back. */
  state: v.picklist(["started", "done", "undone"]),
  /** All that it set out to do: the next run completes what a killed one did not. */
  wishes: v.array(v.object({ id: text, change: changeSchema })),
  live: v.array(liveSchema),
  files: v.array(fileSchema),
});

export type LiveRecord = v.InferOutput<typeof liveSchema>;
export type FileRecord = v.InferOutput<typeof fileSchema>;
export type Run = v.InferOutput<typeof runSchema>;

export function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The runs below one root. Every change of it is atomic: a run is written down before the first of its writes. */
export class Journal {
  readonly folder: string;
  private lockFd = -1;

  constructor(machine: Machine) {
    this.folder = machine.real(JOURNAL) ?? join(machine.root, JOURNAL);
  }

  /** Keeps a second run out. Throws MqError when there is one. */
  lock(): void {
    // What is above may hold a store that others read; only the journal is nobody else's.
    mkdirSync(dirname(this.folder), { recursive: true, mode: 0o755 });
    mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    chmodSync(this.folder, 0o700);
    const path = join(this.folder, "lock");
    this.lockFd = lockFile(path);
    if (this.lockFd < 0) throw new MqError(`another mq tune is at work (it holds ${path}): wait for it`);
  }

  unlock(): void {
    if (this.lockFd >= 0) unlockFile(this.lockFd, join(this.folder, "lock"));
    this.lockFd = -1;
  }

  /** All runs, oldest first, and the files that are none; closed: this user may not look. */
  runs(): { runs: Run[]; odd: string[]; closed: boolean } {
    const found = { runs: [] as Run[], odd: [] as string[], closed: false };
    let names: string[];
    try {
      names = readdirSync(this.folder).filter((name) => name.endsWith(".json"));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EACCES" || code === "EPERM") found.closed = true;
      else if (code !== "ENOENT") found.odd.push(`${this.folder}: ${errorText(error)}`);
      return found;
    }
    for (const name of names.sort()) {
      try {
        found.runs.push(v.parse(runSchema, JSON.parse(readFileSync(join(this.folder, name), "utf8"))));
      } catch (error) {
        found.odd.push(`${join(this.folder, name)}: not a run of mq tune: ${errorText(error)}`);
      }
    }
    return found;
  }

  /** Forgets what was taken back long ago. */
  prune(): void {
    const undone = this.runs().runs.filter(({ state }) => state === "undone");
    for (const { id, files } of undone.slice(0, -UNDONE_KEPT)) {
      for (const name of [...files.map(({ backup }) => backup), `${id}.json`])
        if (name !== null && !/[/\\]/.test(name)) rmSync(join(this.folder, name), { force: true });
    }
  }

  /** Names sort as time does, also within one millisecond and after the clock was set back. */
  newId(now: Date): string {
    const last = this.runs().runs.at(-1)?.id ?? "";
    const time = now.toISOString().replace(/[-:.]/g, "").replace("Z", "");
    const id = `${time}-${randomBytes(2).toString("hex")}`;
    return id > last ? id : `${last}-${randomBytes(2).toString("hex")}`;
  }

  write(run: Run, step: Step): void {
    const path = join(this.folder, `${run.id}.json`);
    const before = existsSync(path) ? readFileSync(path) : undefined;
    replaceFile(path, before, Buffer.from(`${JSON.stringify(run, undefined, 2)}\n`), step);
    chmodSync(path, 0o600);
  }

  /** Copies a file's bytes beside the run and gives the copy's name. */
  backup(run: Run, number: number, bytes: Buffer, step: Step): string {
    const name = `${run.id}.${number}.bak`;
    const path = join(this.folder, name);
    removeStale(temporaryOf(path));
    replaceFile(path, existsSync(path) ? readFileSync(path) : undefined, bytes, step);
    chmodSync(path, 0o600);
    return name;
  }

  /** Throws MqError when the copy is gone or is not what was copied. */
  restore(file: FileRecord): Buffer {
    if (file.backup === null || /[/\\]/.test(file.backup)) throw new MqError(`${file.path}: no copy of the old file`);
    const bytes = readFileSync(join(this.folder, file.backup));
    if (hashOf(bytes) !== file.before)
      throw new MqError(`${join(this.folder, file.backup)} is not the copy that was made`);
    return bytes;
  }
}

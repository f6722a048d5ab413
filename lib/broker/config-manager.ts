import { existsSync, readFileSync, renameSync } from "node:fs";
import { removeTemporaries, writeFileAtomic, writeFileAtomicSync } from "../base/atomic-file.ts";
import { ConfigError, errorText } from "../base/errors.ts";
import { parseFastjson } from "../base/fastjson.ts";
import type { Logger } from "../base/log.ts";

/** What one of the two files (main, `.bak`) gave. */
type ReadOutcome = "loaded" | "missing" | "empty" | "bad";

/**
 * A table of the broker that lives in memory and in one JSON file, with the previous version as `.bak` [ConfigManager].
 * Nothing is written before `load` has ended: a table that is still empty must never replace a full file.
 */
export abstract class ConfigManager {
  #loaded = false;
  /** False after a load from `.bak`: the bad main file must not become the next `.bak`. */
  #mainIsGood = true;
  #writing: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  /** The running write has taken its copy of the table; changes made now need another one. */
  #encoded = false;
  #failing = false;
  #stopped = false;

  constructor(
    readonly path: string,
    protected readonly logger: Logger,
  ) {}

  /** The table as JSON; `pretty` is the form of the file. */
  abstract encode(pretty?: boolean): string;

  /** Replaces the table by parsed JSON, all or nothing. Throws when the value is not such a table. */
  protected abstract decode(value: unknown): void;

  /**
   * Takes over another broker's table, given as parsed JSON, and has it written [SlaveSynchronize]. False when this table has that
   * version already. Throws when the value is not such a table; this one stays as it was then.
   */
  abstract takeOver(value: unknown): boolean;

  get loaded(): boolean {
    return this.#loaded;
  }

  /**
   * To be called under the store's lock. Reads the file, or `.bak` when it is missing, empty or bad, and says so. Both missing is a first start.
   * Throws ConfigError when both exist and neither can be read: going on would lose the table without a word.
   */
  load(): void {
    removeTemporaries(this.path);
    const main = this.#read(this.path);
    if (main.outcome !== "loaded") {
      const backup = this.#read(`${this.path}.bak`);
      if (backup.outcome === "loaded") {
        this.#mainIsGood = false;
        this.logger.warn(`${this.path} is ${main.text}: loaded ${this.path}.bak instead`);
      } else if (main.outcome === "bad") {
        this.#withoutBoth(main.text, backup.outcome, backup.text);
      } else if (backup.outcome === "bad") {
        throw new ConfigError(`load ${this.path}: it is ${main.text}, and ${this.path}.bak is ${backup.text}`);
      } else if (main.outcome === "empty" || backup.outcome === "empty") {
        this.#mainIsGood = false;
        this.logger.error(`${this.path} is empty and has no usable .bak: starting with the built-in entries only`);
      }
    }
    this.#loaded = true;
  }

  /** A torn first version has no `.bak` yet: it is kept aside and the table starts anew. */
  #withoutBoth(mainText: string, backup: ReadOutcome, backupText: string): void {
    if (backup === "bad")
      throw new ConfigError(
        `load ${this.path}: it is ${mainText}, and ${this.path}.bak is ${backupText}; repair or move one of them away`,
      );
    const aside = `${this.path}.bad-${Date.now()}`;
    renameSync(this.path, aside);
    this.logger.error(
      `${this.path} is ${mainText} and has no .bak: moved to ${aside}, starting with the built-in entries only`,
    );
  }

  #read(path: string): { outcome: ReadOutcome; text: string } {
    if (!existsSync(path)) return { outcome: "missing", text: "missing" };
    const bytes = readFileSync(path);
    if (bytes.length === 0) return { outcome: "empty", text: "empty" };
    try {
      this.decode(parseFastjson(bytes));
      return { outcome: "loaded", text: "loaded" };
    } catch (error) {
      return { outcome: "bad", text: `not readable (${errorText(error)})` };
    }
  }

  /**
   * Has the present state written, off the event loop, one writer at a time; calls made while a write runs share the next
   * one. Resolves true when it is on disk, false when it could not be written (logged once until it works again).
   */
  persist(): Promise<boolean> {
    if (!this.#loaded || this.#stopped) return Promise.resolve(false);
    if (this.#writing === undefined) this.#writing = this.#write();
    if (!this.#encoded) return this.#writing;
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined;
      this.#writing = this.#write();
      return this.#writing;
    });
    return this.#next;
  }

  async #write(): Promise<boolean> {
    this.#encoded = false;
    try {
      // Encoded a microtask later, so that many changes of one turn become one file.
      await undefined;
      this.#encoded = true;
      await writeFileAtomic(this.path, await this.encodeForFile(), { keepPrevious: this.#mainIsGood });
      this.#wrote();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    } finally {
      if (this.#next === undefined) this.#writing = undefined;
    }
  }

  /** Hook for tables so large that encoding them in one go would hold up the loop. */
  protected encodeForFile(): string | Promise<string> {
    return this.encode(true);
  }

  #wrote(): void {
    this.#mainIsGood = true;
    if (this.#failing) this.logger.info(`${this.path} can be written again`);
    this.#failing = false;
  }

  #failed(error: unknown): void {
    if (!this.#failing) this.logger.error(`write ${this.path}: ${errorText(error)}; changes live in memory only`);
    this.#failing = true;
  }

  /** Writes nothing any more: the store is not ours, or was not recovered, and its file must stay as it is. */
  abandon(): void {
    this.#stopped = true;
  }

  /** Waits for a running write, then writes the last state synchronously. Later `persist` calls do nothing. */
  async stop(): Promise<void> {
    while (this.#writing !== undefined || this.#next !== undefined) await (this.#next ?? this.#writing);
    if (!this.#loaded || this.#stopped) return;
    this.#stopped = true;
    try {
      writeFileAtomicSync(this.path, this.encode(true), { keepPrevious: this.#mainIsGood });
      this.#wrote();
    } catch (error) {
      this.#failed(error);
    }
  }
}

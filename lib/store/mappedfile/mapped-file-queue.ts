import { closeSync, mkdirSync, openSync, readdirSync, readSync, statSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import { fileName, MappedFile, type MappedFileOptions } from "./mapped-file.ts";

export interface MappedFileQueueOptions {
  /** How new files get their blocks, see MappedFileOptions. */
  allocate: MappedFileOptions["allocate"];
  /** How existing files are opened. */
  allocateExisting: MappedFileOptions["allocate"];
  /** Configuration key that sets the size, for messages. */
  sizeKey: string;
  logger?: Logger | undefined;
}

interface Found {
  path: string;
  offset: number;
  size: number;
}

/**
 * The files of one log in offset order [MappedFileQueue]. Offsets are logical (file's first offset + position). A queue with
 * several directories (multi-path) puts file n into directory n modulo their number.
 */
export class MappedFileQueue {
  readonly directories: readonly string[];
  readonly fileSize: number;
  readonly files: MappedFile[] = [];
  /** \`load\` found the last file short: records may be missing at the end. */
  lastExtended = false;
  private readonly options: MappedFileQueueOptions;

  constructor(directories: string | readonly string[], fileSize: number, options: MappedFileQueueOptions) {
    this.directories = typeof directories === "string" ? [directories] : directories;
    this.fileSize = fileSize;
    this.options = options;
  }

  /**
   * Opens every file. Drops a last file that is empty, or short and without data (left by a crash while it was allocated),
   * extends a short one with data where there are others, and says so; another wrong size, a misplaced name or a hole between files throws ConfigError with file, found and expected. Written positions are the full
   * size until recovery sets them.
   */
  load(): void {
    const found = this.list();
    for (let i = 0; i < found.length; i++) {
      const entry = found[i]!;
      if (i === found.length - 1 && this.unfinished(entry)) {
        this.options.logger?.warn("removed an empty last file", { file: entry.path, bytes: entry.size });
        unlinkSync(entry.path);
        return;
      }
      if (i > 0 && i === found.length - 1) this.extend(entry);
      this.check(entry, found[i - 1]);
      const file = MappedFile.open(entry.path, this.fileSize, {
        create: false,
        allocate: this.options.allocateExisting,
      });
      file.wrotePosition = file.flushedPosition = this.fileSize;
      this.files.push(file);
    }
  }

  /** The file that holds `offset`; undefined when none does, or the first file with `firstWhenNone`. */
  findByOffset(offset: number, firstWhenNone = false): MappedFile | undefined {
    const files = this.files;
    const first = files[0];
    if (first === undefined) return undefined;
    const index = Math.floor((offset - first.fileFromOffset) / this.fileSize);
    const file = index >= 0 ? files[index] : undefined;
    return file ?? (firstWhenNone ? first : undefined);
  }

  get first(): MappedFile | undefined {
    return this.files[0];
  }

  get last(): MappedFile | undefined {
    return this.files[this.files.length - 1];
  }

  /** First offset held, 0 when there is no file. */
  get minOffset(): number {
    return this.files[0]?.fileFromOffset ?? 0;
  }

  /** End of what was written. */
  get maxOffset(): number {
    const last = this.last;
    return last === undefined ? 0 : last.fileFromOffset + last.wrotePosition;
  }

  /** Offset that a file following the last one starts at; `startOffset` rounded down to a file for an empty queue. */
  nextFileOffset(startOffset = 0): number {
    const last = this.last;
    return last === undefined ? startOffset - (startOffset % this.fileSize) : last.fileFromOffset + this.fileSize;
  }

  /** Path that the file starting at `offset` has or gets. */
  pathOf(offset: number): string {
    const directory = this.directories[(offset / this.fileSize) % this.directories.length]!;
    return join(directory, fileName(offset));
  }

  /** Makes the next file, or takes the one already at its path. Throws AllocationError or the system's error; nothing is left behind then. */
  createNext(startOffset = 0): MappedFile {
    const { fileSize } = this;
    const { allocate } = this.options;
    return this.createNextWith((path) => MappedFile.open(path, fileSize, { create: true, allocate }), startOffset);
  }

  /** `createNext` with an `open` of the caller's. */
  createNextWith(open: (path: string) => MappedFile, startOffset = 0): MappedFile {
    const path = this.pathOf(this.nextFileOffset(startOffset));
    for (const directory of this.directories) mkdirSync(directory, { recursive: true });
    const file = open(path);
    this.files.push(file);
    return file;
  }

  /** Removes files that start at or beyond `offset` and sets the positions of the one that holds it [truncateDirtyFiles]. */
  truncate(offset: number): void {
    while (this.files.length > 0) {
      const file = this.last!;
      if (file.fileFromOffset + this.fileSize <= offset) return;
      if (file.fileFromOffset < offset || (file.fileFromOffset === offset && this.files.length === 1)) {
        const position = offset - file.fileFromOffset;
        file.wrotePosition = file.flushedPosition = position;
        return;
      }
      this.files.pop();
      file.destroy();
    }
  }

  /** Removes the first file. */
  removeFirst(): void {
    this.files.shift()?.destroy();
  }

  /** Closes every file. */
  close(): void {
    for (const file of this.files.splice(0)) file.close();
  }

  /** Removes every file. */
  destroy(): void {
    for (const file of this.files.splice(0)) file.destroy();
  }

  private list(): Found[] {
    const found: Found[] = [];
    for (const directory of this.directories) {
      for (const name of namesIn(directory)) {
        const path = join(directory, name);
        const stat = statSync(path);
        if (stat.isDirectory()) continue;
        if (!/^\d{20}$/.test(name)) {
          throw new ConfigError(`cannot load ${path}: file name "${name}", expected an offset of 20 digits`);
        }
        found.push({ path, offset: Number(name), size: stat.size });
      }
    }
    return found.sort((a, b) => a.offset - b.offset);
  }

  private unfinished(entry: Found): boolean {
    if (entry.size >= this.fileSize) return false;
    const head = Buffer.alloc(8);
    const fd = openSync(entry.path, "r");
    readSync(fd, head);
    closeSync(fd);
    return head.every((byte) => byte === 0);
  }

  /** A short last file behind whole ones was cut: what is left of it is kept, and its length restored. */
  private extend(entry: Found): void {
    if (entry.size >= this.fileSize) return;
    const { path, size } = entry;
    this.options.logger?.warn(`${path} has ${size} bytes, wanted ${this.fileSize}: extended, its end is to be checked`);
    truncateSync(path, this.fileSize);
    entry.size = this.fileSize;
    this.lastExtended = true;
  }

  private check(entry: Found, previous: Found | undefined): void {
    const { sizeKey } = this.options;
    if (entry.size !== this.fileSize) {
      throw new ConfigError(
        `cannot load ${entry.path}: found ${entry.size} bytes, expected ${this.fileSize} (${sizeKey}); set ${sizeKey} to the size the store was made with`,
      );
    }
    if (entry.offset % this.fileSize !== 0) {
      throw new ConfigError(
        `cannot load ${entry.path}: offset ${entry.offset}, expected a multiple of ${this.fileSize}`,
      );
    }
    if (previous !== undefined && entry.offset !== previous.offset + this.fileSize) {
      throw new ConfigError(
        `cannot load ${entry.path}: the file before it is ${previous.path}, expected ${fileName(previous.offset + this.fileSize)} between them`,
      );
    }
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

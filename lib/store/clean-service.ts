import { stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorText } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import type { IndexService } from "../index/index-service.ts";
import { type CleanLimits, type CleanSettings, cleanLimits, limitsText } from "./clean-limits.ts";
import type { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";
import { DiskWatch } from "./disk-watch.ts";
import type { MappedFileQueue } from "./mappedfile/mapped-file-queue.ts";
import { removeFile, removeLeftovers, sleep } from "./remove-file.ts";

/** The first round waits for the start's own work to be over. */
const FIRST_ROUND_MS = 60_000;
/** Groups that the warning of a forced deletion names. */
const GROUPS_NAMED_MAX = 20;
/** Rounds that one manual request deletes in. */
const MANUAL_ROUNDS = 20;

export interface CleanParts {
  /** Files of the commit log. */
  files: MappedFileQueue;
  queues: ConsumeQueueStore;
  index: IndexService | undefined;
  /** Messages below a log offset that are not consumed, by group. */
  groupsBehind?: ((logEnd: number) => Promise<ReadonlyMap<string, number>>) | undefined;
}

export interface CleanOptions {
  /** Replace the system's figures and clock in tests. */
  usedPercent?: ((path: string) => number) | undefined;
  now?: (() => number) | undefined;
}

type Reason = "hour" | "disk" | "force" | "manual";

/**
 * Deletes what is too old and keeps the disk from filling up [CleanCommitLogService, CleanConsumeQueueService]: whole
 * commit-log files, oldest first and never the last; queue and index files follow them. Files go one at a time, off the loop.
 */
export class CleanService {
  readonly #settings: CleanSettings;
  readonly #parts: CleanParts;
  readonly #logger: Logger;
  readonly #limits: CleanLimits;
  #limitsText: string;
  readonly #disk: DiskWatch;
  readonly #now: () => number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #running: Promise<void> | undefined;
  #stopped = true;
  #manualRounds = 0;
  /** The log's min offset that queues and index were last cleaned for. */
  #cleanedMinOffset = -1;
  #nothingToForce = false;

  constructor(
    settings: CleanSettings,
    parts: CleanParts,
    logger: Logger = createLogger("clean"),
    options: CleanOptions = {},
  ) {
    this.#settings = settings;
    this.#parts = parts;
    this.#logger = logger;
    this.#now = options.now ?? Date.now;
    this.#limits = cleanLimits(settings, logger);
    this.#limitsText = limitsText(settings);
    this.#disk = new DiskWatch(
      parts.files.directories,
      parts.queues.directory,
      this.#limits,
      logger,
      () => void this.run(),
      options.usedPercent,
    );
  }

  /** Why writes are refused: path, used percent, limit, key. */
  get refusal(): string | undefined {
    return this.#disk.refusal;
  }

  /** Used percent of the disks, as of the last second. */
  get diskState(): Readonly<DiskWatch["state"]> {
    return this.#disk.state;
  }

  start(): void {
    this.#stopped = false;
    this.#disk.start();
    this.#schedule(FIRST_ROUND_MS);
    void this.#removeLeftovers();
  }

  /** The log has begun a new file: the disk is looked at again. */
  fileRolled(): void {
    if (!this.#stopped) this.#disk.checkNow();
  }

  /** Code 329: expired files go now and in the next rounds, at any hour. */
  executeDeleteFilesManually(): void {
    this.#manualRounds = MANUAL_ROUNDS;
    void this.run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#disk.stop();
    await this.#running;
  }

  #schedule(ms: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.run().finally(() => this.#schedule(this.#settings.cleanResourceInterval));
    }, ms);
  }

  /** One round; calls during a round share it. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#round().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Takes up keys that were changed while the broker runs (code 25). */
  #refreshLimits(): void {
    const text = limitsText(this.#settings);
    if (text === this.#limitsText) return;
    this.#limitsText = text;
    Object.assign(this.#limits, cleanLimits(this.#settings, this.#logger));
  }

  async #round(): Promise<void> {
    this.#refreshLimits();
    try {
      await this.#cleanCommitLog();
      await this.#cleanFollowers();
    } catch (error) {
      this.#logger.error(`cleaning: ${errorText(error)}`);
    }
  }

  #reason(): Reason | undefined {
    const { commitLog, queues } = this.#disk.state;
    const used = Math.max(commitLog, queues);
    if (used > this.#limits.forceAbove && this.#settings.cleanFileForciblyEnable) return "force";
    if (used > this.#limits.cleanAbove) return "disk";
    if (this.#manualRounds > 0) return "manual";
    return this.#limits.hours.has(new Date(this.#now()).getHours()) ? "hour" : undefined;
  }

  async #cleanCommitLog(): Promise<void> {
    const reason = this.#reason();
    if (reason === undefined) return;
    if (this.#manualRounds > 0) this.#manualRounds--;
    const { files } = this.#parts;
    let deleted = 0;
    while (deleted < this.#settings.deleteFileBatchMax && !this.#stopped && files.files.length > 1) {
      const file = files.files[0]!;
      const { mtimeMs } = await stat(file.path);
      const expired = mtimeMs + this.#limits.reservedMs <= this.#now();
      if (!expired && reason !== "force") break;
      if (deleted > 0) {
        if (reason === "force") await this.#disk.check();
        // Enough is free again: the unexpired rest stays.
        if (reason === "force" && !expired && this.#reason() !== "force") break;
        await sleep(this.#settings.deleteCommitLogFilesInterval);
      }
      if (!expired) this.#warnForced(file.path, mtimeMs, await this.#losing(file.fileFromOffset + file.fileSize));
      // Off the list before its name goes: nobody finds it any more, those who hold it keep their pages.
      files.files.shift();
      file.close();
      await this.#remove(file.path, () => file.address !== 0);
      deleted++;
      this.#logger.info(`deleted commit-log file ${file.path} (${reason}); the log begins at ${files.minOffset}`);
    }
    this.#sayNothingLeft(reason, deleted);
    if (deleted > 0) await this.#disk.check();
  }

  /** Who loses messages below `logEnd`, in words. */
  async #losing(logEnd: number): Promise<string> {
    const asked = this.#parts.groupsBehind?.(logEnd).catch(() => undefined);
    const behind = [...((await asked) ?? [])].sort(([, a], [, b]) => b - a);
    if (behind.length === 0) return "messages not consumed by then are lost";
    const named = behind.slice(0, GROUPS_NAMED_MAX).map(([group, messages]) => `${group} (${messages})`);
    const more = behind.length - named.length;
    return `lost to groups that have not consumed them: ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  }

  #warnForced(path: string, mtimeMs: number, losing: string): void {
    const { commitLog, queues } = this.#disk.state;
    const hours = ((this.#now() - mtimeMs) / 3_600_000).toFixed(1);
    this.#logger.warn(
      `the disk is ${Math.max(commitLog, queues)} % used, limit ${this.#limits.forceAbove} % (diskSpaceCleanForciblyRatio): deleting ${path}, last written ${hours} h ago, before its ${this.#settings.fileReservedTime} h (fileReservedTime) are over; ${losing} (cleanFileForciblyEnable=false keeps them and refuses writes instead)`,
    );
  }

  /** Once, not every second: a disk filled by others is nothing that deleting can help. */
  #sayNothingLeft(reason: Reason, deleted: number): void {
    const helpless = reason === "force" && deleted === 0;
    if (helpless && !this.#nothingToForce)
      this.#logger.error(
        "the disk is above diskSpaceCleanForciblyRatio and the commit log has one file only: nothing can be deleted",
      );
    this.#nothingToForce = helpless;
  }

  #remove(path: string, inUse: () => boolean, parent?: string): Promise<void> {
    return removeFile(path, inUse, this.#settings.destroyMapedFileIntervalForcibly, () => this.#stopped, parent);
  }

  /** Queue and index files whose records are all gone. */
  async #cleanFollowers(): Promise<void> {
    const { files, queues, index } = this.#parts;
    const { minOffset } = files;
    if (minOffset <= this.#cleanedMinOffset) return;
    const queueFiles = queues.detachExpired(minOffset);
    const indexFiles = index?.detachExpired(minOffset) ?? [];
    for (const path of queueFiles) {
      // Those left over are found again after the next start.
      if (this.#stopped) return;
      await unlink(path);
      await sleep(this.#settings.deleteConsumeQueueFilesInterval);
    }
    // Not below the index: RocketMQ takes everything there for an index file.
    const parent = index === undefined ? undefined : dirname(index.directory);
    for (const file of indexFiles) await this.#remove(file.path, () => file.isMapped, parent);
    this.#cleanedMinOffset = minOffset;
    if (queueFiles.length + indexFiles.length > 0)
      this.#logger.info(
        `deleted ${queueFiles.length} consume-queue and ${indexFiles.length} index files below ${minOffset}`,
      );
    if (queues.deferredCount > 0) queues.retryDeferred();
  }

  async #removeLeftovers(): Promise<void> {
    const { files, index } = this.#parts;
    const directories = [
      ...files.directories,
      ...(index === undefined ? [] : [index.directory, dirname(index.directory)]),
    ];
    for (const directory of directories) {
      try {
        await removeLeftovers(directory);
      } catch (error) {
        this.#logger.warn(
          `cannot remove what is left of deleted files in ${join(directory, ".deleting")}: ${errorText(error)}`,
        );
      }
    }
  }
}

import { existsSync, statfsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { CleanLimits } from "./clean-limits.ts";

/** Independent of cleaning: slow deletions must not hide a full disk. */
const CHECK_MS = 1000;

interface FileSystemFigures {
  blocks: number | bigint;
  bfree: number | bigint;
  bavail: number | bigint;
}

/** Used part of the space that users can have, in whole percent, rounded up [UtilAll#getDiskPartitionSpaceUsedPercent]. */
export function usedPercentOf({ blocks, bfree, bavail }: FileSystemFigures): number {
  const used = Number(blocks) - Number(bfree);
  const entire = used + Number(bavail);
  return entire <= 0 ? 0 : Math.ceil((used * 100) / entire);
}

/** What the last look at the disks found. */
export interface DiskState {
  /** Used percent of the emptiest commit-log disk: several share the files between them. */
  commitLog: number;
  commitLogPath: string;
  /** Used percent of the disk with the consume queues. */
  queues: number;
}

/** Looks at the disks of the store every second and says when it must not be written to. */
export class DiskWatch {
  state: DiskState;
  /** Why writes are refused: path, used percent, limit and key; undefined while there is room. */
  refusal: string | undefined;

  readonly #commitLogPaths: readonly string[];
  readonly #queuesPath: string;
  readonly #limits: CleanLimits;
  readonly #logger: Logger;
  readonly #onFull: () => void;
  readonly #usedPercent: ((path: string) => number) | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #failing = false;

  /**
   * @param onFull called after each look that found a disk above `forceAbove`.
   * @param usedPercent replaces the system's figures, for tests.
   */
  constructor(
    commitLogPaths: readonly string[],
    queuesPath: string,
    limits: CleanLimits,
    logger: Logger,
    onFull: () => void,
    usedPercent?: (path: string) => number,
  ) {
    this.#commitLogPaths = commitLogPaths;
    this.#queuesPath = queuesPath;
    this.#limits = limits;
    this.#logger = logger;
    this.#onFull = onFull;
    this.#usedPercent = usedPercent;
    this.state = { commitLog: 0, commitLogPath: commitLogPaths[0] ?? "", queues: 0 };
  }

  start(): void {
    this.checkNow();
    this.#timer = setInterval(() => void this.check(), CHECK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One look without waiting (a few µs): at start and when the log begins a new file. */
  checkNow(): void {
    this.#settle((path) => this.#usedPercent?.(path) ?? usedPercentOf(statfsSync(existing(path))));
  }

  /** One look off the loop: a network file system may take its time. */
  async check(): Promise<void> {
    const figures = new Map<string, number>();
    try {
      for (const path of [...this.#commitLogPaths, this.#queuesPath])
        figures.set(path, this.#usedPercent?.(path) ?? usedPercentOf(await statfs(existing(path))));
    } catch (error) {
      this.#unknown(error);
      return;
    }
    this.#settle((path) => figures.get(path) ?? 0);
  }

  #unknown(error: unknown): void {
    if (!this.#failing) this.#logger.error(`cannot tell how full the disk is: ${errorText(error)}`);
    this.#failing = true;
  }

  #settle(usedPercent: (path: string) => number): void {
    let commitLog = Number.POSITIVE_INFINITY;
    let commitLogPath = "";
    try {
      for (const path of this.#commitLogPaths) {
        const used = usedPercent(path);
        if (used < commitLog) [commitLog, commitLogPath] = [used, path];
      }
      this.state = { commitLog, commitLogPath, queues: usedPercent(this.#queuesPath) };
    } catch (error) {
      this.#unknown(error);
      return;
    }
    this.#failing = false;
    this.#judge();
  }

  #judge(): void {
    const { commitLog, commitLogPath, queues } = this.state;
    const { refuseAbove, forceAbove } = this.#limits;
    const before = this.refusal;
    if (commitLog > refuseAbove) this.refusal = this.#full(commitLogPath, commitLog);
    else if (queues > refuseAbove) this.refusal = this.#full(this.#queuesPath, queues);
    else this.refusal = undefined;
    if (before === undefined && this.refusal !== undefined) this.#logger.error(`writes are refused: ${this.refusal}`);
    if (before !== undefined && this.refusal === undefined)
      this.#logger.info(`writes are accepted again: disk of ${commitLogPath} is ${commitLog} % used`);
    if (Math.max(commitLog, queues) > forceAbove) this.#onFull();
  }

  #full(path: string, used: number): string {
    return `disk full: the disk of ${path} is ${used} % used, limit ${this.#limits.refuseAbove} % (diskSpaceWarningLevelRatio)`;
  }
}

/** The path or its nearest ancestor that exists. */
function existing(path: string): string {
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

import { unlinkSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { Logger } from "../../base/log.ts";
import { errnoText } from "../../os/libc.ts";
import { memlockLimit } from "../../os/memlock.ts";
import type { AllocateReply, AllocateRequest } from "../mappedfile/allocate-worker.ts";
import { MappedFile } from "../mappedfile/mapped-file.ts";
import { TouchHelper } from "./touch-helper.ts";

/** Pages are touched this far ahead of the write position once messages come in. */
const TOUCH_AHEAD_BYTES_MAX = 64 * 1024 * 1024;
/** And this far when nothing was written yet: an idle broker dirties next to nothing. */
const TOUCH_AHEAD_BYTES_MIN = 4 * 1024 * 1024;
/** One request to the helper (some µs each); a flush meanwhile writes that many zero pages at most. */
const TOUCH_STEP_BYTES = 4 * 1024 * 1024;
/** Requests under way at most; the helper answers each. */
const TOUCHES_PENDING_MAX = 16;

/** Of the next file this much is touched when it is made. */
const TOUCH_BEGIN_BYTES = 16 * 1024 * 1024;
/** Requests under way at which a second helper is started. */
const SECOND_HELPER_AT = 12;

/** The helper finishes what it does within this time, or is left behind. */
const CLOSE_MS_MAX = 3000;

/** Memory that the helper touches; it stays mapped as long as it is retained. */
export interface Touchable {
  readonly address: number;
  readonly fileSize: number;
  readonly wrotePosition: number;
  retain(): boolean;
  release(): void;
}

export interface FileAllocatorOptions {
  fileSize: number;
  /** Touch every page of a new file before use (`warmMapedFileEnable`). */
  warm: boolean;
  /** Bytes that are to be locked in memory in the end (the store pool, or the file in use and the next one); 0 locks nothing. */
  lockBytes: number;
  /** Entry file of the helper Worker, which must call `runAllocateWorker` when its role is `allocate`; undefined = no helper. */
  workerEntry: string | undefined;
  logger: Logger | undefined;
}

/**
 * Makes log files before they are needed and touches pages ahead of the writer, in a helper Worker, so that a roll never waits
 * and an append meets no page fault. Without a helper (tests) files are made when asked for, and pages are left alone.
 */
export class FileAllocator {
  private readonly options: FileAllocatorOptions;
  private worker: Worker | undefined;
  /** Path asked for or made ahead. */
  private prepared = "";
  private preparedState: "none" | "pending" | "ready" = "none";
  private touchedEnd = 0;
  private touchedFile: Touchable | undefined;
  private lockPossible = true;
  private touchesPending = 0;
  private touchPossible = true;
  /** Append bytes seen: the window ahead grows with them. */
  private writtenBytes = 0;
  private readonly held: Touchable[] = [];
  /** Started when the first is behind; pages are never locked by it, for which the order counts. */
  private second: TouchHelper | undefined;

  constructor(options: FileAllocatorOptions) {
    this.options = options;
  }

  /** Starts the helper; does not wait for it. */
  start(): void {
    const { workerEntry, logger } = this.options;
    if (workerEntry === undefined || this.worker !== undefined) return;
    const worker = new Worker(workerEntry, { workerData: { role: "allocate" } });
    worker.on("message", (reply: AllocateReply) => this.onReply(reply));
    worker.on("error", (error: Error) => {
      logger?.warn("the file helper failed; files are made on the loop from now on", { error: error.message });
      this.worker = undefined;
      this.preparedState = "none";
      this.releaseHeld();
    });
    worker.unref();
    this.worker = worker;
  }

  /** Asks for the file at `path` to be made before it is needed; `mapped`: its records will be written into the mapping. */
  prepare(path: string, mapped = true): void {
    if (this.prepared === path && this.preparedState !== "none") return;
    if (this.worker === undefined) return;
    this.prepared = path;
    this.preparedState = "pending";
    const { fileSize, warm } = this.options;
    this.post({ kind: "allocate", path, bytes: fileSize, warm, touched: mapped ? TOUCH_BEGIN_BYTES : 0 });
  }

  /** Whether the file at `path` waits to be opened. */
  isReady(path: string): boolean {
    return this.prepared === path && this.preparedState === "ready";
  }

  /**
   * Opens the file at `path`: a moment when it was prepared, else its blocks are allocated now (1 to 2 ms per GiB). Throws
   * AllocationError when the disk is full; nothing is left behind then.
   */
  open(path: string): MappedFile {
    const ready = this.isReady(path);
    if (this.prepared === path) this.preparedState = "none";
    return MappedFile.open(path, this.options.fileSize, { create: true, allocate: ready ? "none" : "whole" });
  }

  /**
   * Keeps pages touched ahead of `position` in `file`; with its descriptor they are brought into the page cache only, clean and not
   * mapped. Called when the writer has passed `touchAt`.
   */
  touchAhead(file: Touchable, position: number, fd = -1): void {
    if (this.touchedFile !== file) {
      this.unlock(this.touchedFile);
      this.touchedFile = file;
      this.touchedEnd = position - (position % TOUCH_STEP_BYTES);
    }
    this.writtenBytes += TOUCH_STEP_BYTES;
    if (this.worker === undefined || !this.touchPossible) return;
    const windowMax = this.options.warm ? file.fileSize : TOUCH_AHEAD_BYTES_MAX;
    const ahead = this.options.warm ? windowMax : Math.min(windowMax, TOUCH_AHEAD_BYTES_MIN + this.writtenBytes * 2);
    const end = Math.min(file.fileSize, position + ahead);
    if (this.touchedEnd < position) this.touchedEnd = position - (position % TOUCH_STEP_BYTES);
    if (this.touchesPending >= SECOND_HELPER_AT) this.startSecond();
    while (this.touchedEnd < end && this.touchesUnderWay < TOUCHES_PENDING_MAX && file.retain()) {
      const bytes = Math.min(TOUCH_STEP_BYTES, file.fileSize - this.touchedEnd);
      this.touchStep(file, bytes, fd);
      this.touchedEnd += bytes;
    }
  }

  private touchStep(file: Touchable, bytes: number, fd: number): void {
    const { second } = this;
    const address = fd >= 0 ? this.touchedEnd : file.address + this.touchedEnd;
    if (second !== undefined && !second.failed && !this.locks && second.pending < this.touchesPending) {
      second.touch(file, address, bytes, fd);
      return;
    }
    this.held.push(file);
    this.touchesPending++;
    const locking = this.locks ? "lock" : "";
    this.post({ kind: "touch", address, bytes, locking, fd });
  }

  private get touchesUnderWay(): number {
    return this.touchesPending + (this.second?.pending ?? 0);
  }

  private startSecond(): void {
    const { workerEntry } = this.options;
    if (this.second !== undefined || workerEntry === undefined || this.locks) return;
    this.second = new TouchHelper(workerEntry, (errno) => {
      if (errno !== 0) this.touchPossible = false;
    });
  }

  /** Has pages of a queue or index file touched that are about to be written; let be when the helper is busy: they are faulted in then. */
  touchRange(file: MappedFile, start: number, end: number): void {
    if (this.worker === undefined || !this.touchPossible) return;
    for (
      let at = start;
      at < end && this.touchesPending < TOUCHES_PENDING_MAX && file.retain();
      at += TOUCH_STEP_BYTES
    ) {
      this.held.push(file);
      this.touchesPending++;
      const bytes = Math.min(TOUCH_STEP_BYTES, end - at);
      this.post({ kind: "touch", address: file.address + at, bytes, locking: "", fd: -1 });
    }
  }

  /** How far the writer may go before `touchAhead` wants to be called again. */
  get touchStepBytes(): number {
    return TOUCH_STEP_BYTES;
  }

  private get locks(): boolean {
    return this.options.lockBytes > 0 && this.lockPossible;
  }

  /** A file that takes no more appends may leave memory again; the pool's memory is unmapped instead. */
  private unlock(file: Touchable | undefined): void {
    if (file === undefined || !this.locks || this.worker === undefined || !file.retain()) return;
    this.held.push(file);
    this.touchesPending++;
    this.post({ kind: "touch", address: file.address, bytes: file.fileSize, locking: "unlock", fd: -1 });
  }

  /** Said once: from then on pages are touched only. */
  private lockFailed(code: number): void {
    if (!this.lockPossible) return;
    this.lockPossible = false;
    const limit = memlockLimit();
    const found =
      limit === undefined ? "unknown" : limit === Infinity ? "unlimited" : `${Math.floor(limit / 1024)} KiB`;
    this.options.logger?.warn(
      `messages are not locked in memory: ${errnoText(code)}; memlock limit ${found}, want ${mib(this.options.lockBytes)} MiB or unlimited (LimitMEMLOCK of the unit, memlock in limits.conf), or mqLockMemory=false`,
    );
  }

  private post(request: AllocateRequest): void {
    this.worker?.postMessage(request);
  }

  private onReply(reply: AllocateReply): void {
    if (reply.kind === "touch") {
      this.touchesPending--;
      this.held.shift()?.release();
      // EINVAL: a kernel before 5.14 does not know MADV_POPULATE_WRITE. Pages are then faulted in by the writer.
      if (reply.errno !== 0) this.touchPossible = false;
      if (reply.lockErrno !== 0) this.lockFailed(reply.lockErrno);
      if (this.options.warm && this.touchedFile !== undefined)
        this.touchAhead(this.touchedFile, this.touchedFile.wrotePosition);
      return;
    }
    if (reply.path !== this.prepared || this.preparedState !== "pending") return;
    if (reply.reason === "") {
      this.preparedState = "ready";
      return;
    }
    this.preparedState = "none";
    this.options.logger?.error("cannot prepare the next commit-log file", { file: reply.path, reason: reply.reason });
    // The helper leaves a half-allocated file alone, since a roll may have taken it meanwhile; here nobody has.
    removeIfThere(reply.path);
  }

  private releaseHeld(): void {
    this.touchesPending = 0;
    for (const file of this.held.splice(0)) file.release();
  }

  /** Ends the helper. Files it still touches stay mapped until it is gone. */
  async close(): Promise<void> {
    const worker = this.worker;
    this.worker = undefined;
    await this.second?.close(CLOSE_MS_MAX);
    this.second = undefined;
    if (worker !== undefined) {
      await new Promise<void>((resolve) => {
        // A disk that hangs must not hold the stop: the process ends anyway.
        const limit = setTimeout(resolve, CLOSE_MS_MAX);
        worker.once("exit", () => {
          clearTimeout(limit);
          resolve();
        });
        worker.postMessage({ kind: "stop" } satisfies AllocateRequest);
      });
    }
    this.releaseHeld();
  }
}

function mib(bytes: number): number {
  return Math.ceil(bytes / (1024 * 1024));
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Not made at all.
  }
}

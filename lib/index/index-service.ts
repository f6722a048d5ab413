import { mkdirSync, readdirSync, renameSync, statSync, unlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { ConfigError, errorText } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { TRANSACTION_ROLLBACK_TYPE, TRANSACTION_TYPE_MASK } from "../message/sys-flag.ts";
import type { DispatchRequest } from "../store/commitlog/dispatch-request.ts";
import { IndexFile } from "./index-file.ts";
import { keyHash, keyHashBytes, wordEnd, wordStart } from "./key-hash.ts";
import { type IndexGeometry, indexFileBytes } from "./layout.ts";
import { repairIndexFile } from "./repair.ts";

export interface IndexSettings {
  storePathRootDir: string;
  maxHashSlotNum: number;
  maxIndexNum: number;
  /** Results of one query at most. */
  maxMsgsNumBatch: number;
}

/** After a failed creation the next one waits this long: a full disk must not be filled with attempts. */
const CREATE_PAUSE_MS = 10_000;

/** Entries that are put into the file together, so that the memory of their slots is fetched side by side. */
const PENDING_MAX = 256;

/** For failures that were logged where they happened. */
const nothing = (): void => {};

/** Finds messages by key: `index/<creation time>` [IndexService]. */
export class IndexService {
  readonly directory: string;
  readonly geometry: IndexGeometry;
  /** Messages that could not be indexed because no file could be made or grown. */
  missed = 0;
  /** Log offset up to which the index is whole where `load` found files that are not, -1 for its beginning. */
  tornEnd: number | undefined;
  /** Touches pages ahead of the writer, off the loop; set by the store that has a helper for it. */
  touch: IndexFile["touch"];

  readonly #files: IndexFile[] = [];
  /** Entries of this turn that are not in a file yet. */
  readonly #pendingHash = new Int32Array(PENDING_MAX);
  readonly #pendingOffset = new Float64Array(PENDING_MAX);
  readonly #pendingTime = new Float64Array(PENDING_MAX);
  #pending = 0;
  #pendingEnd = -1;
  readonly #drainLater = (): void => this.#drain();
  readonly #settings: IndexSettings;
  readonly #logger: Logger;
  #suspect: string[] = [];
  #createAgainAt = 0;
  #flushing: Promise<void> | undefined;
  #failed = false;

  constructor(settings: IndexSettings, logger: Logger = createLogger("index")) {
    this.directory = join(settings.storePathRootDir, "index");
    this.geometry = { slots: settings.maxHashSlotNum, entries: settings.maxIndexNum };
    this.#settings = settings;
    this.#logger = logger;
  }

  /**
   * Opens the files. After an unclean stop those may lack pages that were not full, or reach beyond the checkpoint's index stamp
   * or `derivedOffset`: they wait for `recover`. A file of another size, and all behind it, are put aside: `tornEnd` says from where the log is to be indexed again.
   * Throws ConfigError where all files have one other size.
   */
  load(lastExitOk: boolean, checkpointIndexMsgTimestamp: number, derivedOffset = Number.POSITIVE_INFINITY): void {
    const wanted = indexFileBytes(this.geometry);
    const found = namesIn(this.directory).map((name) => {
      const path = join(this.directory, name);
      return { path, bytes: statSync(path).size };
    });
    refuseOtherSize(found, wanted);
    const firstBad = found.findIndex(({ bytes }) => bytes !== wanted);
    const sound = firstBad < 0 ? found : found.slice(0, firstBad);
    for (const { path } of sound) {
      const file = IndexFile.open(path, this.geometry);
      const beyond = file.endTimestamp > checkpointIndexMsgTimestamp || file.endPhyOffset >= derivedOffset;
      if (!lastExitOk && (beyond || !file.isFull)) {
        file.close();
        this.#suspect.push(path);
      } else this.files.push(file);
    }
    if (firstBad >= 0) this.#putAside(found.slice(firstBad), wanted);
  }

  #putAside(bad: readonly FoundFile[], wanted: number): void {
    // Not below the index: RocketMQ takes everything there for an index file.
    const to = join(this.#settings.storePathRootDir, "quarantine", "index");
    mkdirSync(to, { recursive: true });
    for (const { path } of bad) renameSync(path, join(to, `${basename(path)}.${Date.now()}`));
    const [{ path, bytes }] = bad as [FoundFile];
    this.#logger.warn(
      `load ${path}: found ${bytes} bytes, wanted ${wanted}; it and ${bad.length - 1} behind it were moved to ${to}`,
    );
    this.tornEnd = this.files[this.files.length - 1]?.endPhyOffset ?? -1;
  }

  /**
   * Settles the files that an unclean stop left in doubt: their entries before `dispatchFrom` are checked and kept, the rest is
   * indexed again by dispatching the log from there on. To be called before the first `buildIndex`; without it such files are
   * dropped, as RocketMQ does.
   */
  recover(dispatchFrom: number): void {
    for (const path of this.#suspect.splice(0)) {
      const kept = repairIndexFile(path, this.geometry, dispatchFrom);
      if (kept === 0) {
        unlinkSync(path);
        this.#logger.info(`index file ${path} has nothing before the recovery's start: made anew`);
        continue;
      }
      this.#logger.info(`index file ${path} checked: ${kept} entries kept`);
      const file = IndexFile.open(path, this.geometry);
      file.markDirty();
      this.files.push(file);
    }
    this.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Removes entries of records at or beyond `physicalEnd`: the log was cut there. */
  truncateDirty(physicalEnd: number): void {
    const beyond = this.files.filter((file) => file.endPhyOffset >= physicalEnd);
    if (beyond.length === 0) return;
    this.files.splice(0, this.files.length, ...this.files.filter((file) => file.endPhyOffset < physicalEnd));
    for (const file of beyond) {
      file.close();
      this.#suspect.push(file.path);
    }
    this.recover(physicalEnd);
  }

  /** Indexes the record's unique key and each of its blank-separated keys. Never throws: what cannot be indexed is counted and reported. */
  buildIndex(request: DispatchRequest): void {
    if (request.uniqKeyStart < 0 && request.keysStart < 0) return;
    if ((request.sysFlag & TRANSACTION_TYPE_MASK) === TRANSACTION_ROLLBACK_TYPE) return;
    if (this.#suspect.length > 0) this.recover(0);
    const last = this.#files[this.#files.length - 1];
    if (request.physicalOffset < this.#pendingEnd) return;
    if (last !== undefined && request.physicalOffset < last.endPhyOffset) return;
    const topicHash = request.keyPrefixHash;
    const { buffer } = request;
    if (request.uniqKeyStart >= 0)
      this.#put(keyHashBytes(topicHash, buffer, request.uniqKeyStart, request.uniqKeyEnd), request);
    if (request.keysStart < 0) return;
    for (let at = request.keysStart; ; ) {
      const start = wordStart(buffer, at, request.keysEnd);
      if (start >= request.keysEnd) return;
      at = wordEnd(buffer, start, request.keysEnd);
      this.#put(keyHashBytes(topicHash, buffer, start, at), request);
    }
  }

  /** Oldest first, with everything that was built so far. */
  get files(): IndexFile[] {
    if (this.#pending > 0) this.#drain();
    return this.#files;
  }

  #put(hash: number, request: DispatchRequest): void {
    const i = this.#pending++;
    this.#pendingHash[i] = hash;
    this.#pendingOffset[i] = request.physicalOffset;
    this.#pendingTime[i] = request.storeTimestamp;
    this.#pendingEnd = request.physicalOffset;
    if (i === PENDING_MAX - 1) this.#drain();
    else if (i === 0) queueMicrotask(this.#drainLater);
  }

  #drain(): void {
    const count = this.#pending;
    if (count === 0) return;
    this.#pending = 0;
    this.#pendingEnd = -1;
    let file = this.#files[this.#files.length - 1];
    if (count > 1) file?.fetchSlots(this.#pendingHash, count);
    for (let i = 0; i < count; i++) {
      const time = this.#pendingTime[i]!;
      if (file === undefined || file.isFull) {
        file?.writeHeader();
        file = this.#create(file, time);
      }
      if (file === undefined) {
        this.missed++;
        continue;
      }
      file.touch ??= this.touch;
      try {
        file.addKey(this.#pendingHash[i]!, this.#pendingOffset[i]!, time);
      } catch (error) {
        this.#miss(error);
      }
    }
    file?.writeHeader();
  }

  #create(full: IndexFile | undefined, now: number): IndexFile | undefined {
    if (performance.now() < this.#createAgainAt) return undefined;
    // A full file goes to the disk now; the flush after that sees the new one only.
    if (full !== undefined) this.#flushFile(full).catch(nothing);
    try {
      mkdirSync(this.directory, { recursive: true });
      const file = IndexFile.create(join(this.directory, this.#newName(now)), this.geometry, full);
      this.#files.push(file);
      if (this.missed > 0) this.#logger.info(`messages are indexed again; ${this.missed} keys were not`);
      this.missed = 0;
      return file;
    } catch (error) {
      this.#createAgainAt = performance.now() + CREATE_PAUSE_MS;
      this.#miss(error);
      return undefined;
    }
  }

  #miss(error: unknown): void {
    if (this.missed++ === 0)
      this.#logger.error(`messages are not indexed and cannot be found by key: ${errorText(error)}`);
  }

  /** Creation time as yyyyMMddHHmmssSSS. Names order the files: where the clock (or summer time) went back, the last name counts on. */
  #newName(storeTimestamp: number): string {
    const lastName = namesIn(this.directory).at(-1) ?? "";
    const name = humanTime(new Date(Math.max(Date.now(), storeTimestamp)));
    return name > lastName ? name : (BigInt(lastName) + 1n).toString().padStart(name.length, "0");
  }

  /**
   * Physical offsets of messages whose `topic#key` has the same hash and whose store time (to the second) lies in
   * [begin, end], newest file first, at most maxMsgsNumBatch [IndexService#queryOffset]. The key must be checked on the record.
   */
  async query(topic: string, key: string, maxNum: number, begin: number, end: number): Promise<number[]> {
    const found: number[] = [];
    const max = Math.min(maxNum, this.#settings.maxMsgsNumBatch);
    const hash = keyHash(topic, key);
    for (const file of this.files.toReversed()) {
      if (file.isTimeMatched(begin, end)) await file.selectPhyOffset(found, hash, max, begin, end);
      if (file.beginTimestamp < begin || found.length >= max) break;
    }
    return found;
  }

  /** Store time and offset up to which messages are indexed; 0 without files. */
  get lastUpdateTimestamp(): number {
    return this.files[this.files.length - 1]?.endTimestamp ?? 0;
  }

  get lastUpdatePhyOffset(): number {
    return this.files[this.files.length - 1]?.endPhyOffset ?? 0;
  }

  /** Up to this store time the index is on the disk: the checkpoint's indexMsgTimestamp. */
  get flushedTimestamp(): number {
    if (this.#failed) return 0;
    let stamp = 0;
    for (const file of this.files) {
      stamp = Math.max(stamp, file.flushedTimestamp);
      if (file.dirty) break;
    }
    return stamp;
  }

  /** Brings every entry to the disk. Rejects with the system's error, and ever after; the checkpoint's stamp then stays 0. */
  async flush(): Promise<void> {
    // One that runs may have begun before the last entries.
    while (this.#flushing !== undefined) await this.#flushing;
    if (this.#failed) throw new Error("an earlier flush of the index failed");
    this.#flushing = this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    for (const file of [...this.files]) if (file.dirty) await this.#flushFile(file);
  }

  /** After a failed flush nothing about the file is known: the stamp does not move again. */
  async #flushFile(file: IndexFile): Promise<void> {
    try {
      await file.flush();
    } catch (error) {
      this.#failed = true;
      this.#logger.error(`flush index file ${file.path}: ${errorText(error)}`);
      throw error;
    }
  }

  /** Takes away all files but the last that hold only entries of records before `minPhysical`; the caller removes them at its own pace. */
  detachExpired(minPhysical: number): IndexFile[] {
    const detached: IndexFile[] = [];
    while (this.files.length > 1 && this.files[0]!.endPhyOffset < minPhysical) {
      const file = this.files.shift()!;
      file.close();
      detached.push(file);
    }
    return detached;
  }

  /** Drops everything: for a store whose log is gone. */
  destroy(): void {
    this.#pending = 0;
    this.#pendingEnd = -1;
    for (const file of this.files.splice(0)) {
      file.close();
      unlinkSync(file.path);
    }
    for (const path of this.#suspect.splice(0)) unlinkSync(path);
  }

  /** Flushes and unmaps. Rejects when this or an earlier flush failed; everything is closed nevertheless. */
  async shutdown(): Promise<void> {
    try {
      await this.flush();
    } finally {
      for (const file of this.files.splice(0)) file.close();
    }
  }
}

interface FoundFile {
  path: string;
  bytes: number;
}

/** One size that is not ours in every file is no damage but a wrong key. A single short file may be either: it is taken for torn. */
function refuseOtherSize(found: readonly FoundFile[], wanted: number): void {
  const first = found[0];
  if (first === undefined || first.bytes === wanted || first.bytes === 0) return;
  if (found.some(({ bytes }) => bytes !== first.bytes) || (found.length === 1 && first.bytes < wanted)) return;
  throw new ConfigError(
    `load ${first.path}: found ${first.bytes} bytes, wanted ${wanted} (from maxHashSlotNum and maxIndexNum); set them to what the store was made with`,
  );
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /^\d{17}$/.test(name))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Local time [UtilAll#timeMillisToHumanString]. */
function humanTime(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return (
    `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}` +
    String(date.getMilliseconds()).padStart(3, "0")
  );
}

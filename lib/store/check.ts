import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { javaHashCodeBytes } from "../base/java.ts";
import { BLANK_BYTES } from "../message/layout.ts";
import { readLong } from "../message/long.ts";
import { PropertySlot, PropertySlots } from "../message/properties.ts";
import { RecordView } from "../message/record.ts";
import { isConsumable } from "../message/sys-flag.ts";
import { IndexChecker } from "./check-index.ts";
import { FileWindow } from "./check-window.ts";
import {
  CQ_UNIT_BYTES,
  PHYSICAL_OFFSET_AT,
  PRE_BLANK_SIZE,
  queueFileBytes,
  SIZE_AT,
  TAGS_CODE_AT,
} from "./consumequeue/layout.ts";
import { fileName } from "./mappedfile/mapped-file.ts";

export interface CheckSettings {
  storePathRootDir: string;
  /** One directory; empty = `<root>/commitlog`. */
  storePathCommitLog?: string | undefined;
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  messageIndexEnable: boolean;
  maxHashSlotNum: number;
  maxIndexNum: number;
}

export interface CheckSummary {
  records: number;
  /** First offset and end of the log. */
  minOffset: number;
  maxOffset: number;
  queues: number;
  queueEntries: number;
  indexEntries: number;
  /** One line each: where, found, wanted. The first PROBLEMS_MAX; `problemCount` has them all. */
  problems: string[];
  problemCount: number;
}

const PROBLEMS_MAX = 1000;
/** In the schedule topic the queue holds deliver times, which the record alone does not tell. */
const SCHEDULE_TOPIC = "SCHEDULE_TOPIC_XXXX";

interface QueueState {
  reader: QueueReader;
  /** Queue offset of the next record that the log must have; -1 before the first. */
  next: number;
}

/**
 * Walks log, consume queues and index from the files alone, changes nothing, and reports every place where they do not agree:
 * records that are not whole, queue offsets that do not number on, entries that are missing, wrong or of nothing, keys that cannot
 * be found. For stores that are closed, or at rest.
 */
export function checkStore(settings: CheckSettings): CheckSummary {
  return new Checker(settings).run();
}

class Checker {
  readonly #settings: CheckSettings;
  readonly #queues = new Map<string, QueueState>();
  readonly #record = new RecordView();
  readonly #slots = new PropertySlots();
  readonly #summary: CheckSummary = {
    records: 0,
    minOffset: 0,
    maxOffset: 0,
    queues: 0,
    queueEntries: 0,
    indexEntries: 0,
    problems: [],
    problemCount: 0,
  };
  #index: IndexChecker | undefined;

  constructor(settings: CheckSettings) {
    this.#settings = settings;
  }

  run(): CheckSummary {
    const { storePathRootDir, messageIndexEnable, maxHashSlotNum, maxIndexNum } = this.#settings;
    if (messageIndexEnable)
      this.#index = new IndexChecker(
        join(storePathRootDir, "index"),
        { slots: maxHashSlotNum, entries: maxIndexNum },
        (problem) => this.#problem(problem),
      );
    this.#walkLog();
    this.#checkQueueEnds();
    this.#summary.indexEntries = this.#index?.finish(this.#summary.minOffset, this.#summary.maxOffset) ?? 0;
    for (const { reader } of this.#queues.values()) reader.close();
    return this.#summary;
  }

  #problem(text: string): void {
    this.#summary.problemCount++;
    if (this.#summary.problems.length < PROBLEMS_MAX) this.#summary.problems.push(text);
  }

  #walkLog(): void {
    const { storePathRootDir, storePathCommitLog, mappedFileSizeCommitLog: fileSize } = this.#settings;
    const directory = storePathCommitLog || join(storePathRootDir, "commitlog");
    const offsets = logFiles(directory);
    this.#summary.minOffset = offsets[0] ?? 0;
    for (const [i, offset] of offsets.entries()) {
      const path = join(directory, fileName(offset));
      const before = offsets[i - 1];
      if (before !== undefined && offset !== before + fileSize)
        this.#problem(`${path}: follows ${fileName(before)}, wanted ${fileName(before + fileSize)}`);
      const { size } = statSync(path);
      if (size !== fileSize) this.#problem(`${path}: found ${size} bytes, wanted ${fileSize}`);
      const end = this.#walkFile(path, offset, Math.min(size, fileSize));
      const isLast = i === offsets.length - 1;
      if (end < fileSize && !isLast) this.#problem(`${path}: records end at ${end}, wanted the file's end ${fileSize}`);
      this.#summary.maxOffset = offset + end;
    }
  }

  /** Where the file's records (and its blank) end. */
  #walkFile(path: string, fileOffset: number, fileSize: number): number {
    using window = new FileWindow(path, fileSize);
    const record = this.#record;
    for (let at = 0; ; at += record.size) {
      if (at + BLANK_BYTES > fileSize) return at;
      const buffer = window.at(at, BLANK_BYTES);
      const start = window.startOf(at);
      const size = buffer.readInt32BE(start);
      if (size === 0 && buffer.readInt32BE(start + 4) === 0) return at;
      const whole = size > 0 && at + size <= fileSize ? window.at(at, size) : buffer;
      const from = window.startOf(at);
      const state = record.read(whole, from, Math.min(whole.length, from + fileSize - at), fileOffset + at);
      if (state === "blank") {
        if (size !== fileSize - at) this.#problem(`${path}: blank at ${at} says ${size}, wanted ${fileSize - at}`);
        return fileSize;
      }
      if (state === "illegal") {
        this.#problem(`${path}: no record at ${at}: ${record.reason}`);
        return at;
      }
      if (!record.bodyIntact) this.#problem(`${path}: body at ${at} does not have CRC ${record.bodyCRC}`);
      this.#summary.records++;
      this.#checkRecord(fileOffset + at);
    }
  }

  #checkRecord(physicalOffset: number): void {
    const record = this.#record;
    this.#slots.scan(record.buffer, record.propertiesStart, record.propertiesEnd);
    const { topic } = record;
    this.#index?.record(physicalOffset, topic, record.sysFlag, this.#slots);
    if (!isConsumable(record.sysFlag)) return;
    const state = this.#queueOf(topic, record.queueId);
    const where = `${topic}-${record.queueId}: record at ${physicalOffset}`;
    if (state.next >= 0 && record.queueOffset !== state.next && record.queueOffset !== 0)
      this.#problem(`${where} has queue offset ${record.queueOffset}, wanted ${state.next}`);
    state.next = record.queueOffset + 1;
    const entry = state.reader.entry(record.queueOffset);
    if (entry === undefined) {
      this.#problem(`${where} has no queue entry at ${record.queueOffset}`);
      return;
    }
    this.#summary.queueEntries++;
    if (entry.physicalOffset !== physicalOffset || entry.size !== record.size)
      this.#problem(
        `${where}: entry ${record.queueOffset} is ${entry.physicalOffset} size ${entry.size}, wanted ${physicalOffset} size ${record.size}`,
      );
    else if (topic !== SCHEDULE_TOPIC) this.#checkTags(where, entry.tagsCode);
  }

  #checkTags(where: string, found: number): void {
    const start = this.#slots.start[PropertySlot.TAGS]!;
    const wanted = start < 0 ? 0 : javaHashCodeBytes(this.#record.buffer, start, this.#slots.end[PropertySlot.TAGS]!);
    if (found !== wanted) this.#problem(`${where}: tagsCode ${found}, wanted ${wanted}`);
  }

  #queueOf(topic: string, queueId: number): QueueState {
    const key = `${topic}/${queueId}`;
    let state = this.#queues.get(key);
    if (state === undefined) {
      const directory = join(this.#settings.storePathRootDir, "consumequeue", topic, String(queueId));
      state = {
        reader: new QueueReader(directory, queueFileBytes(this.#settings.mappedFileSizeConsumeQueue)),
        next: -1,
      };
      this.#queues.set(key, state);
    }
    return state;
  }

  /** Entries behind the log's last record of a queue, and queues of which the log knows nothing. */
  #checkQueueEnds(): void {
    const root = join(this.#settings.storePathRootDir, "consumequeue");
    const { minOffset, maxOffset } = this.#summary;
    for (const topic of existsSync(root) ? readdirSync(root) : []) {
      if (topic.startsWith(".")) continue;
      for (const queue of readdirSync(join(root, topic))) {
        this.#summary.queues++;
        const state = this.#queueOf(topic, Number(queue));
        const beyond = state.next >= 0 ? state.next : state.reader.firstIndex;
        const entry = state.reader.entry(beyond);
        if (entry === undefined || entry.size === PRE_BLANK_SIZE) continue;
        // A queue whose records are all deleted keeps its last file.
        if (state.next < 0 && entry.physicalOffset < minOffset) continue;
        this.#problem(
          `${topic}-${queue}: entry ${beyond} at ${entry.physicalOffset} has no record, the log ends at ${maxOffset}`,
        );
      }
    }
  }
}

function logFiles(directory: string): number[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => /^\d{20}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** Entries of one queue, straight from its files. */
class QueueReader {
  readonly #directory: string;
  readonly #fileBytes: number;
  readonly #files = new Set<number>();
  #window: FileWindow | undefined;
  #windowFile = -1;

  constructor(directory: string, fileBytes: number) {
    this.#directory = directory;
    this.#fileBytes = fileBytes;
    if (existsSync(directory))
      for (const name of readdirSync(directory))
        if (/^\d{20}$/.test(name)) this.#files.add(Math.floor(Number(name) / fileBytes));
  }

  get firstIndex(): number {
    return this.#files.size === 0 ? 0 : Math.min(...this.#files) * (this.#fileBytes / CQ_UNIT_BYTES);
  }

  /** The valid entry at `index`. */
  entry(index: number): { physicalOffset: number; size: number; tagsCode: number } | undefined {
    const position = index * CQ_UNIT_BYTES;
    const number = Math.floor(position / this.#fileBytes);
    if (!this.#files.has(number)) return undefined;
    if (this.#windowFile !== number) {
      this.close();
      const path = join(this.#directory, fileName(number * this.#fileBytes));
      this.#window = new FileWindow(path, statSync(path).size, CQ_UNIT_BYTES * 4096);
      this.#windowFile = number;
    }
    const at = position - number * this.#fileBytes;
    const window = this.#window!;
    if (at + CQ_UNIT_BYTES > window.fileBytes) return undefined;
    const buffer = window.at(at, CQ_UNIT_BYTES);
    const start = window.startOf(at);
    const size = buffer.readInt32BE(start + SIZE_AT);
    const physicalOffset = readLong(buffer, start + PHYSICAL_OFFSET_AT);
    if (size <= 0 || physicalOffset < 0) return undefined;
    return { physicalOffset, size, tagsCode: readLong(buffer, start + TAGS_CODE_AT) };
  }

  close(): void {
    this.#window?.[Symbol.dispose]();
    this.#window = undefined;
    this.#windowFile = -1;
  }
}

import { closeSync, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { keyHashBytes, prefixHash, wordEnd, wordStart } from "../index/key-hash.ts";
import {
  BEGIN_TIMESTAMP_AT,
  END_PHY_OFFSET_AT,
  ENTRY_BYTES,
  entryAt,
  HEADER_BYTES,
  INDEX_COUNT_AT,
  type IndexGeometry,
  indexFileBytes,
  KEY_HASH_AT,
  PHY_OFFSET_AT,
  PREVIOUS_AT,
  SECONDS_AT,
  SLOT_BYTES,
} from "../index/layout.ts";
import { readLong } from "../message/long.ts";
import { PropertySlot, type PropertySlots } from "../message/properties.ts";
import { TRANSACTION_ROLLBACK_TYPE, TRANSACTION_TYPE_MASK } from "../message/sys-flag.ts";

interface Entry {
  hash: number;
  offset: number;
}

/** Compares the index files with the keys of the log's records, which come in order by `record`. */
export class IndexChecker {
  readonly #geometry: IndexGeometry;
  readonly #problem: (text: string) => void;
  readonly #entries: Iterator<Entry>;
  #next: Entry | undefined;
  /** Of the entries of one record. */
  readonly #hashes = new Set<number>();
  #count = 0;
  #missing = 0;

  constructor(directory: string, geometry: IndexGeometry, problem: (text: string) => void) {
    this.#geometry = geometry;
    this.#problem = problem;
    this.#entries = this.#all(directory);
    this.#advance();
  }

  #advance(): void {
    const step = this.#entries.next();
    this.#next = step.done === true ? undefined : step.value;
    if (this.#next !== undefined) this.#count++;
  }

  /** The record's keys must be among the next entries. Some may stand there twice: indexing began again at this record. */
  record(physicalOffset: number, topic: string, sysFlag: number, slots: PropertySlots): void {
    if ((sysFlag & TRANSACTION_TYPE_MASK) === TRANSACTION_ROLLBACK_TYPE) return;
    while (this.#next !== undefined && this.#next.offset < physicalOffset) this.#advance();
    this.#hashes.clear();
    for (; this.#next?.offset === physicalOffset; this.#advance()) this.#hashes.add(this.#next.hash);
    const topicHash = prefixHash(topic);
    const { buffer } = slots;
    const uniqStart = slots.start[PropertySlot.UNIQ_KEY]!;
    if (uniqStart >= 0)
      this.#key(physicalOffset, keyHashBytes(topicHash, buffer, uniqStart, slots.end[PropertySlot.UNIQ_KEY]!));
    const keysStart = slots.start[PropertySlot.KEYS]!;
    const keysEnd = slots.end[PropertySlot.KEYS]!;
    for (let at = keysStart; at >= 0; ) {
      const start = wordStart(buffer, at, keysEnd);
      if (start >= keysEnd) return;
      at = wordEnd(buffer, start, keysEnd);
      this.#key(physicalOffset, keyHashBytes(topicHash, buffer, start, at));
    }
  }

  #key(physicalOffset: number, hash: number): void {
    if (!this.#hashes.has(hash) && this.#missing++ < 100)
      this.#problem(`index: no entry for the record at ${physicalOffset}, key hash ${hash}`);
  }

  /** Returns the entries seen. */
  finish(_minOffset: number, maxOffset: number): number {
    for (; this.#next !== undefined; this.#advance())
      if (this.#next.offset >= maxOffset)
        this.#problem(`index: entry of ${this.#next.offset}, but the log ends at ${maxOffset}`);
    return this.#count;
  }

  *#all(directory: string): Generator<Entry> {
    if (!existsSync(directory)) return;
    for (const name of readdirSync(directory)
      .filter((found) => /^\d{17}$/.test(found))
      .sort())
      yield* this.#file(join(directory, name));
  }

  /** Entries of one file in their order; slots and chains are checked on the way. */
  *#file(path: string): Generator<Entry> {
    const geometry = this.#geometry;
    const head = Buffer.alloc(HEADER_BYTES + geometry.slots * SLOT_BYTES);
    const fd = openSync(path, "r");
    try {
      readSync(fd, head, 0, head.length, 0);
      const count = Math.max(1, head.readInt32BE(INDEX_COUNT_AT));
      if (count > geometry.entries || entryAt(geometry, count) > indexFileBytes(geometry)) {
        this.#problem(`${path}: has ${count - 1} entries, wanted fewer than ${geometry.entries}`);
        return;
      }
      const newest = new Int32Array(geometry.slots);
      const chunk = Buffer.alloc(ENTRY_BYTES * 4096);
      let lastOffset = -1;
      for (let number = 1; number < count; number++) {
        const at = ((number - 1) % 4096) * ENTRY_BYTES;
        if (at === 0) readSync(fd, chunk, 0, chunk.length, entryAt(geometry, number));
        const hash = chunk.readInt32BE(at + KEY_HASH_AT);
        const offset = readLong(chunk, at + PHY_OFFSET_AT);
        const previous = chunk.readInt32BE(at + PREVIOUS_AT);
        const slot = hash % geometry.slots;
        if (hash < 0 || offset < lastOffset || chunk.readInt32BE(at + SECONDS_AT) < 0)
          this.#problem(`${path}: entry ${number} is hash ${hash}, offset ${offset} behind ${lastOffset}`);
        else if (previous !== newest[slot])
          this.#problem(`${path}: entry ${number} follows ${previous} in its chain, wanted ${newest[slot]}`);
        if (hash >= 0) newest[slot] = number;
        lastOffset = offset;
        yield { hash, offset };
      }
      this.#checkHead(path, head, newest, count, lastOffset);
    } finally {
      closeSync(fd);
    }
  }

  #checkHead(path: string, head: Buffer, newest: Int32Array, count: number, lastOffset: number): void {
    if (count > 1 && readLong(head, END_PHY_OFFSET_AT) !== lastOffset)
      this.#problem(`${path}: endPhyOffset is ${readLong(head, END_PHY_OFFSET_AT)}, wanted ${lastOffset}`);
    if (count > 1 && readLong(head, BEGIN_TIMESTAMP_AT) <= 0) this.#problem(`${path}: beginTimestamp is not set`);
    for (let slot = 0; slot < newest.length; slot++) {
      const found = head.readInt32BE(HEADER_BYTES + slot * SLOT_BYTES);
      if (found !== newest[slot] && (found > 0 || newest[slot]! > 0)) {
        this.#problem(`${path}: slot ${slot} holds ${found}, wanted ${newest[slot]}`);
        return;
      }
    }
  }
}

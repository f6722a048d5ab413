import { CQ_UNIT_BYTES } from "./layout.ts";

/** Entries of one slot: so many are written into the queue's file at once. */
export const STAGE_ENTRIES = 16;
const SLOT_BYTES = STAGE_ENTRIES * CQ_UNIT_BYTES;
/** Slots of one buffer. */
const SLOTS_PER_CHUNK = 256;
/** Queues that have a slot at once (5 MB); the entries of others go into their files one by one. */
const SLOTS_MAX = 16_384;

interface Chunk {
  buffer: Buffer;
  view: DataView;
}

/**
 * Memory in which the newest entries of many queues lie side by side before they go into the files, several at a time. Each queue's
 * file is a mapping of its own: with thousands of queues an entry written there costs a walk through page tables that nothing
 * else has in the cache, about 1 µs. The commit log is the truth: what a killed process had here only, recovery dispatches again.
 */
export class EntryStage {
  readonly #chunks: Chunk[] = [];
  readonly #free: number[] = [];
  readonly #slotsMax: number;
  #used = 0;

  constructor(slotsMax = SLOTS_MAX) {
    this.#slotsMax = slotsMax;
  }

  /** A slot, -1 when there is none. */
  take(): number {
    const slot = this.#free.pop();
    if (slot !== undefined) return slot;
    if (this.#used >= this.#slotsMax) return -1;
    if (this.#used === this.#chunks.length * SLOTS_PER_CHUNK) {
      const buffer = Buffer.alloc(SLOTS_PER_CHUNK * SLOT_BYTES);
      this.#chunks.push({ buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length) });
    }
    return this.#used++;
  }

  give(slot: number): void {
    this.#free.push(slot);
  }

  /** The memory that `slot` lies in, from `startOf(slot)` on. */
  viewOf(slot: number): DataView {
    return this.#chunks[Math.floor(slot / SLOTS_PER_CHUNK)]!.view;
  }

  bufferOf(slot: number): Buffer {
    return this.#chunks[Math.floor(slot / SLOTS_PER_CHUNK)]!.buffer;
  }

  startOf(slot: number): number {
    return (slot % SLOTS_PER_CHUNK) * SLOT_BYTES;
  }
}

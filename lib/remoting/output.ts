import type { Socket } from "bun";
import { beforeOutput } from "../base/before-output.ts";

/** Buffer that a connection fills during a turn. The first few of a turn (as a rule the one that sent the chunk) get a large one, */
const LARGE_CHUNK_BYTES = 512 * 1024;
const LARGE_CHUNKS_MAX = 4;
/** all others, such as a thousand waiting consumers woken at once, a small one. What does not fit is written early. */
const SMALL_CHUNK_BYTES = 64 * 1024;
const SMALL_CHUNKS_KEPT_MAX = 64;
/** Below this a region is copied behind its header, so that both leave in one write. */
const REGION_COPIED_BELOW_BYTES = 32 * 1024;
/** What the kernel does not take is kept in pieces of at least this size, so that small rests share one. */
const REST_BYTES_MIN = 16 * 1024;

const NO_BUFFER = Buffer.alloc(0);
const NO_RELEASE = () => {};

interface Segment {
  buffer: Uint8Array;
  start: number;
  end: number;
  /** Own copies may be appended to; regions belong to someone else. */
  owned: boolean;
  release: () => void;
}

/** Bytes that all outputs together keep for their peers. */
let unsent = 0;

/** Bytes accepted from processors that the kernel has not taken yet, over all connections of the process. */
export function unsentBytes(): number {
  return unsent;
}

const largeChunks: Buffer[] = [];
const smallChunks: Buffer[] = [];
let largeChunksOut = 0;

function takeChunk(bytesMin: number): Buffer {
  if (bytesMin <= LARGE_CHUNK_BYTES && largeChunksOut < LARGE_CHUNKS_MAX) {
    largeChunksOut++;
    return largeChunks.pop() ?? Buffer.allocUnsafeSlow(LARGE_CHUNK_BYTES);
  }
  if (bytesMin <= SMALL_CHUNK_BYTES) return smallChunks.pop() ?? Buffer.allocUnsafeSlow(SMALL_CHUNK_BYTES);
  // Never of a chunk's size: its way back is told by the length.
  return Buffer.allocUnsafeSlow(Math.max(bytesMin, LARGE_CHUNK_BYTES + 1));
}

function giveChunk(chunk: Buffer): void {
  if (chunk.length === LARGE_CHUNK_BYTES) {
    largeChunksOut--;
    largeChunks.push(chunk);
  } else if (chunk.length === SMALL_CHUNK_BYTES && smallChunks.length < SMALL_CHUNKS_KEPT_MAX) {
    smallChunks.push(chunk);
  }
}

/** What is told to the owner of an output; both run inside a write. */
export interface OutputOwner {
  /** The kernel took bytes. */
  wrote(): void;
  /** `pendingBytes` grew or shrank. */
  pendingChanged(pendingBytes: number): void;
  /** What was accepted may not be said any more, and is dropped. */
  failed(): void;
}

/** Bytes on their way to one socket, in order: what the kernel left, then what this turn committed. Nothing is written before `flush` but large regions. */
export class Output {
  buffer: Buffer = NO_BUFFER;
  /** Bytes committed in `buffer`. */
  used = 0;
  readonly #socket: Socket<unknown>;
  readonly #owner: OutputOwner;
  #pending: Segment[] = [];
  #pendingBytes = 0;
  #closed = false;
  #scheduled = false;

  constructor(socket: Socket<unknown>, owner: OutputOwner) {
    this.#socket = socket;
    this.#owner = owner;
  }

  /** Bytes accepted and not yet taken by the kernel. */
  get pendingBytes(): number {
    return this.#pendingBytes + this.used;
  }

  /** Offset in `buffer` with room for `bytesMax`; valid until the next call on this output. */
  reserve(bytesMax: number): number {
    if (this.used + bytesMax > this.buffer.length) this.#makeRoom(bytesMax);
    return this.used;
  }

  commit(bytes: number): void {
    this.used += bytes;
    if (!this.#scheduled) {
      this.#scheduled = true;
      scheduleFlush(this);
    }
  }

  writeRegion(region: Uint8Array, start: number, end: number, release: () => void): void {
    if (this.#closed) {
      release();
      return;
    }
    const bytes = end - start;
    if (bytes < REGION_COPIED_BELOW_BYTES) {
      const at = this.reserve(bytes);
      copyBytes(region, start, end, this.buffer, at);
      this.commit(bytes);
      release();
      return;
    }
    this.#writeCommitted();
    const written = this.#pending.length === 0 ? this.#write(region, start, bytes) : 0;
    if (this.#closed || written === bytes) release();
    else this.#keep({ buffer: region, start: start + written, end, owned: false, release });
  }

  /** Writes what was committed, as far as the kernel takes it. */
  flush(): void {
    this.#scheduled = false;
    this.#writeCommitted();
    if (this.buffer !== NO_BUFFER) {
      giveChunk(this.buffer);
      this.buffer = NO_BUFFER;
    }
  }

  /** The kernel takes bytes again. */
  drain(): void {
    let done = 0;
    while (done < this.#pending.length) {
      const segment = this.#pending[done]!;
      const bytes = segment.end - segment.start;
      const written = this.#write(segment.buffer, segment.start, bytes);
      if (this.#closed) return;
      this.#pendingBytes -= written;
      unsent -= written;
      segment.start += written;
      if (written < bytes) break;
      releaseOnce(segment);
      done++;
    }
    if (done > 0) this.#pending = this.#pending.slice(done);
    this.#owner.pendingChanged(this.pendingBytes);
  }

  /** The peer is gone: drops everything and releases the regions. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const dropped = this.#pending;
    this.#pending = [];
    unsent -= this.#pendingBytes;
    this.#pendingBytes = 0;
    this.used = 0;
    for (const segment of dropped) releaseOnce(segment);
  }

  #makeRoom(bytesMax: number): void {
    this.#writeCommitted();
    if (bytesMax > this.buffer.length) {
      giveChunk(this.buffer);
      this.buffer = takeChunk(bytesMax);
    }
    // A buffer that is taken must be given back even when nothing is committed.
    if (!this.#scheduled) {
      this.#scheduled = true;
      scheduleFlush(this);
    }
  }

  #writeCommitted(): void {
    const bytes = this.used;
    if (bytes === 0) return;
    this.used = 0;
    if (this.#closed) return;
    const written = this.#pending.length === 0 ? this.#write(this.buffer, 0, bytes) : 0;
    if (written < bytes && !this.#closed) this.#keepCopy(this.buffer, written, bytes);
  }

  #write(buffer: Uint8Array, start: number, bytes: number): number {
    if (!isKept()) {
      this.close();
      this.#owner.failed();
      return 0;
    }
    const written = writeTo(this.#socket, buffer, start, bytes);
    if (written < 0) {
      this.close();
      return 0;
    }
    if (written > 0) this.#owner.wrote();
    return written;
  }

  #keepCopy(buffer: Buffer, start: number, end: number): void {
    const bytes = end - start;
    const last = this.#pending[this.#pending.length - 1];
    if (last?.owned === true && last.end + bytes <= last.buffer.length) {
      copyBytes(buffer, start, end, last.buffer, last.end);
      last.end += bytes;
      this.#pendingBytes += bytes;
      unsent += bytes;
      this.#owner.pendingChanged(this.pendingBytes);
      return;
    }
    const rest = Buffer.allocUnsafeSlow(Math.max(bytes, REST_BYTES_MIN));
    buffer.copy(rest, 0, start, end);
    this.#keep({ buffer: rest, start: 0, end: bytes, owned: true, release: NO_RELEASE });
  }

  #keep(segment: Segment): void {
    this.#pending.push(segment);
    this.#pendingBytes += segment.end - segment.start;
    unsent += segment.end - segment.start;
    this.#owner.pendingChanged(this.pendingBytes);
  }
}

/** Whether what the bytes say is true by now. */
function isKept(): boolean {
  try {
    beforeOutput();
    return true;
  } catch {
    return false;
  }
}

/** Bytes taken; -1 when the socket is closed, or fails: one peer's trouble must not keep the others' output from leaving. */
function writeTo(socket: Socket<unknown>, buffer: Uint8Array, start: number, bytes: number): number {
  try {
    return socket.write(buffer, start, bytes);
  } catch {
    return -1;
  }
}

/** A release may lead to another write on this output, and that to its close. */
function releaseOnce(segment: Segment): void {
  const release = segment.release;
  segment.release = NO_RELEASE;
  release();
}

function copyBytes(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (Buffer.isBuffer(source)) source.copy(target, at, start, end);
  else target.set(source.subarray(start, end), at);
}

/**
 * Outputs with something to write. Inside a data callback they are flushed at its end, otherwise at the next microtask: all
 * that one turn says to a peer leaves in one write.
 */
let scheduled: Output[] = [];
let inTurn = false;
let microtaskQueued = false;

function scheduleFlush(output: Output): void {
  scheduled.push(output);
  if (!inTurn && !microtaskQueued) {
    microtaskQueued = true;
    queueMicrotask(flushAtMicrotask);
  }
}

function flushAtMicrotask(): void {
  microtaskQueued = false;
  flushScheduled();
}

function flushScheduled(): void {
  // Flushing may schedule again (a release that answers someone): those wait for the next round.
  while (scheduled.length > 0) {
    const outputs = scheduled;
    scheduled = [];
    for (const output of outputs) output.flush();
  }
}

/** A data callback begins: output waits for its end. */
export function beginOutputTurn(): void {
  inTurn = true;
}

/** The data callback ends: everything that it said is written. */
export function endOutputTurn(): void {
  inTurn = false;
  flushScheduled();
}

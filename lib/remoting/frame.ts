import { FrameError } from "./errors.ts";

/**
 * Frame, big-endian [RemotingCommand#encode]:
 *
 *     0  4  length L of what follows: 4 + headerLength + bodyLength
 *     4  1  serialize type: 0 JSON, 1 ROCKETMQ
 *     5  3  headerLength
 *     8     header, then body
 */
export const FRAME_PREFIX_BYTES = 8;

/** Largest frame, length field included [NettyDecoder, com.rocketmq.remoting.frameMaxLength]. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;

/** First allocation for a frame that arrives in parts: a peer's claimed length is believed only as its bytes come in. */
const GATHER_BYTES_MIN = 64 * 1024;

/** Takes one whole frame: `buffer[start,end)` with its length field. Returns false to have no more for now. */
export type FrameSink = (buffer: Buffer, start: number, end: number) => boolean;

/** Cuts frames out of the chunks of one connection. A frame inside one chunk is handed on in place; one in parts is gathered first. */
export class FrameCutter {
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;
  /** Chunks that are not cut to their end, the first one from `#uncutAt` on: more than one only while the sink says stop. */
  readonly #uncut: Buffer[] = [];
  #uncutAt = 0;

  /** No chunk is kept: every frame of those that came was handed on, and what began one was copied. */
  get done(): boolean {
    return this.#uncut.length === 0;
  }

  /** Bytes held of a frame that has not fully arrived. */
  get heldBytes(): number {
    return this.#gatheredBytes;
  }

  /** Hands every frame that `chunk` completes to `sink`, until that says stop. Throws FrameError where the bytes are none. */
  push(chunk: Buffer, sink: FrameSink): void {
    this.#uncut.push(chunk);
    if (this.#uncut.length === 1) this.continue(sink);
  }

  /** Goes on where `sink` said stop. Returns false when it said so again. */
  continue(sink: FrameSink): boolean {
    for (;;) {
      const chunk = this.#uncut[0];
      if (chunk === undefined) return true;
      if (!this.#cut(chunk, sink)) return false;
      this.#uncut.shift();
      this.#uncutAt = 0;
    }
  }

  /** True when the whole chunk is done. */
  #cut(chunk: Buffer, sink: FrameSink): boolean {
    const end = chunk.length;
    let at = this.#uncutAt;
    if (this.#gathered !== undefined) {
      at = this.#complete(chunk, at);
      if (at < 0) return true;
      this.#uncutAt = at;
      const frame = this.#gathered;
      this.#gathered = undefined;
      this.#gatheredBytes = 0;
      if (!sink(frame, 0, frame.readInt32BE(0) + 4)) return false;
    }
    while (end - at >= 4) {
      const frameEnd = at + frameBytes(chunk, at);
      if (frameEnd > end) break;
      const start = at;
      at = frameEnd;
      this.#uncutAt = at;
      if (!sink(chunk, start, frameEnd)) return false;
    }
    if (at < end) this.#gather(chunk, at, end);
    return true;
  }

  /** Adds to the held frame what belongs to it. Returns the offset in `chunk` behind it, -1 when it is still not whole. */
  #complete(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#gatheredBytes < 4) {
      at = Math.min(from + 4 - this.#gatheredBytes, chunk.length);
      this.#gather(chunk, from, at);
      if (this.#gatheredBytes < 4) return -1;
    }
    const wanted = frameBytes(this.#gathered!, 0);
    const end = Math.min(at + wanted - this.#gatheredBytes, chunk.length);
    this.#gather(chunk, at, end, wanted);
    return this.#gatheredBytes < wanted ? -1 : end;
  }

  #gather(chunk: Buffer, start: number, end: number, wanted?: number): void {
    const bytes = this.#gatheredBytes + end - start;
    const held = this.#gathered;
    if (held === undefined || held.length < bytes) {
      const known = wanted ?? (end - start >= 4 ? frameBytes(chunk, start) : FRAME_PREFIX_BYTES);
      const grown = Buffer.allocUnsafeSlow(Math.min(known, Math.max(GATHER_BYTES_MIN, bytes * 2)));
      if (held !== undefined) held.copy(grown, 0, 0, this.#gatheredBytes);
      this.#gathered = grown;
    }
    chunk.copy(this.#gathered!, this.#gatheredBytes, start, end);
    this.#gatheredBytes = bytes;
  }
}

/** Size of the frame at `at`, its length field included. Throws FrameError when that is impossible. */
function frameBytes(buffer: Buffer, at: number): number {
  const length = buffer.readInt32BE(at);
  if (length < 4 || length > FRAME_BYTES_MAX - 4) {
    throw new FrameError(`frame length ${length}, want 4 to ${FRAME_BYTES_MAX - 4}${foreignProtocol(buffer, at)}`);
  }
  return length + 4;
}

/** Length of the header of the frame in `buffer[start,end)`. Throws FrameError when prefix and length do not fit together. */
export function headerBytes(buffer: Buffer, start: number, end: number): number {
  if (end - start < FRAME_PREFIX_BYTES)
    throw new FrameError(`frame of ${end - start} bytes, want at least ${FRAME_PREFIX_BYTES}`);
  const word = buffer.readInt32BE(start + 4);
  const type = word >>> 24;
  if (type > 1) throw new FrameError(`serialize type ${type}, want 0 (JSON) or 1 (ROCKETMQ)`);
  const length = word & 0xffffff;
  if (length > end - start - FRAME_PREFIX_BYTES) {
    throw new FrameError(`header length ${length}, want at most ${end - start - FRAME_PREFIX_BYTES}`);
  }
  return length;
}

/** Says what the first bytes of a connection look like when they are no frame. */
function foreignProtocol(buffer: Buffer, at: number): string {
  const word = buffer.latin1Slice(at, at + 4);
  if (word === "PRI ")
    return "; this looks like HTTP/2 or gRPC: this port speaks the remoting protocol, 5.x gRPC clients want a proxy's port (8081)";
  if (/^(GET |POST|PUT |HEAD|DELE|OPTI|CONN|PATC)$/.test(word)) {
    return "; this looks like HTTP: this port speaks the remoting protocol (9876 name server, 10911 broker), browsers and probes want a dashboard or a TCP check";
  }
  if (word === "PROX" || word === "\r\n\r\n")
    return "; this looks like HAProxy's PROXY protocol, which is not spoken here";
  if (buffer[at] === 0x16)
    return "; this looks like TLS: this port takes plain connections only, set tls.enable=false on the client";
  return "";
}

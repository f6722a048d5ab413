import { decodeCommand } from "../../remoting/command.ts";
import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";

const FRAME_BYTES_MAX = 64 * 1024 * 1024;

/** What an answer says besides its code. */
export function remarkOf(buffer: Buffer, headerStart: number, frameEnd: number): string | undefined {
  return decodeCommand(buffer, headerStart - FRAME_PREFIX_BYTES, frameEnd).remark;
}

/** One whole frame: its header and its body, good until the sink returns. */
export type FrameSink = (buffer: Buffer, headerStart: number, headerEnd: number, end: number) => void;

/** Cuts frames out of what a socket gives; one that comes in pieces is put together in a buffer of its own size. */
export class FrameReader {
  readonly #sink: FrameSink;
  /** A frame whose length is known and whose end is missing. */
  #partial: Buffer | undefined;
  #filled = 0;
  /** Fewer bytes than a length takes. */
  #head = Buffer.alloc(0);

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Throws where a length cannot be. */
  push(received: Buffer): void {
    let chunk = received;
    if (this.#head.length > 0) {
      chunk = Buffer.concat([this.#head, received]);
      this.#head = Buffer.alloc(0);
    }
    let at = 0;
    if (this.#partial !== undefined) {
      at = chunk.copy(this.#partial, this.#filled, 0, this.#partial.length - this.#filled);
      this.#filled += at;
      if (this.#filled < this.#partial.length) return;
      const whole = this.#partial;
      this.#partial = undefined;
      this.#frame(whole, 0, whole.length);
    }
    while (chunk.length - at >= 4) {
      const bytes = chunk.readInt32BE(at) + 4;
      if (bytes < FRAME_PREFIX_BYTES || bytes > FRAME_BYTES_MAX)
        throw new Error(`read an answer: frame of ${bytes} bytes`);
      if (chunk.length - at < bytes) {
        this.#partial = Buffer.allocUnsafe(bytes);
        this.#filled = chunk.copy(this.#partial, 0, at);
        return;
      }
      this.#frame(chunk, at, at + bytes);
      at += bytes;
    }
    if (at < chunk.length) this.#head = Buffer.from(chunk.subarray(at));
  }

  #frame(buffer: Buffer, start: number, end: number): void {
    const headerStart = start + FRAME_PREFIX_BYTES;
    const headerEnd = headerStart + (buffer.readInt32BE(start + 4) & 0xffffff);
    if (headerEnd > end) throw new Error(`read an answer: header ends ${headerEnd - end} bytes behind its frame`);
    this.#sink(buffer, headerStart, headerEnd, end);
  }
}

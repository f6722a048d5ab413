import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";

const HEADER_BYTES_MAX = 1 << 20;

/** One response's header: where it lies. */
export type HeaderSink = (buffer: Buffer, headerStart: number, headerEnd: number) => void;

/**
 * Reads frames of which only the headers matter: bodies are passed over without being copied, whole or in parts.
 * Throws where a length cannot be.
 */
export class ResponseReader {
  readonly #sink: HeaderSink;
  #skip = 0;
  #held: Buffer | undefined;

  constructor(sink: HeaderSink) {
    this.#sink = sink;
  }

  push(received: Buffer): void {
    let chunk = received;
    if (this.#held !== undefined) {
      chunk = Buffer.concat([this.#held, received]);
      this.#held = undefined;
    }
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - at);
        this.#skip -= passed;
        at += passed;
        continue;
      }
      if (chunk.length - at < FRAME_PREFIX_BYTES) break;
      const frameBytes = chunk.readInt32BE(at) + 4;
      const headerBytes = chunk.readInt32BE(at + 4) & 0xffffff;
      if (headerBytes > HEADER_BYTES_MAX || frameBytes < FRAME_PREFIX_BYTES + headerBytes)
        throw new Error(`read a response: frame of ${frameBytes} bytes with a header of ${headerBytes}`);
      const headerEnd = at + FRAME_PREFIX_BYTES + headerBytes;
      if (headerEnd > chunk.length) break;
      this.#sink(chunk, at + FRAME_PREFIX_BYTES, headerEnd);
      this.#skip = frameBytes - FRAME_PREFIX_BYTES - headerBytes;
      at = headerEnd;
    }
    if (at < chunk.length) this.#held = Buffer.from(chunk.subarray(at));
  }
}

const SERIALIZE_BINARY = 1;
const CODE = Buffer.from('"code":');
const OPAQUE = Buffer.from('"opaque":');
const QUOTE = 0x22;

/**
 * Fields of one response's header. A broker may answer in the other encoding than it was asked in: Java's sends JSON to a
 * client that sent ROCKETMQ headers unless it is configured otherwise.
 */
export class ResponseHeader {
  code = -1;
  opaque = -1;
  #buffer: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #binary = false;

  read(buffer: Buffer, headerStart: number, headerEnd: number): void {
    this.#buffer = buffer;
    this.#start = headerStart;
    this.#end = headerEnd;
    this.#binary = buffer[headerStart - 4] === SERIALIZE_BINARY;
    if (this.#binary) {
      this.code = buffer.readInt16BE(headerStart);
      this.opaque = buffer.readInt32BE(headerStart + 5);
    } else {
      this.code = this.#jsonNumber(CODE);
      this.opaque = this.#jsonNumber(OPAQUE);
    }
  }

  /** A whole number among the ext fields, its name given plain and as JSON has it; -1 when it is not there. */
  number(name: Buffer, jsonName: Buffer): number {
    return this.#binary ? this.#binaryNumber(name) : this.#jsonNumber(jsonName);
  }

  #jsonNumber(name: Buffer): number {
    const buffer = this.#buffer;
    const at = buffer.indexOf(name, this.#start);
    if (at < 0 || at >= this.#end) return -1;
    let value = 0;
    let i = at + name.length;
    if (buffer[i] === QUOTE) i++;
    for (; i < this.#end; i++) {
      const digit = buffer[i]! - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    return value;
  }

  #binaryNumber(name: Buffer): number {
    const buffer = this.#buffer;
    // Behind the fixed part: remark with its length, length of the ext fields, then name and value in turn.
    let at = this.#start + 13;
    at += 4 + Math.max(0, buffer.readInt32BE(at)) + 4;
    while (at + 6 <= this.#end) {
      const keyBytes = buffer.readInt16BE(at);
      const keyAt = at + 2;
      const valueBytes = buffer.readInt32BE(keyAt + keyBytes);
      const valueAt = keyAt + keyBytes + 4;
      if (keyBytes === name.length && buffer.compare(name, 0, name.length, keyAt, keyAt + keyBytes) === 0) {
        let value = 0;
        for (let i = valueAt; i < valueAt + valueBytes; i++) value = value * 10 + buffer[i]! - 0x30;
        return value;
      }
      at = valueAt + valueBytes;
    }
    return -1;
  }
}

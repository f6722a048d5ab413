import { parseDecimal } from "../base/bytes.ts";
import { Interner } from "../base/interner.ts";
import { ResponseCode } from "./codes.ts";
import { HeaderKeys } from "./header-keys.ts";
import { malformedHeader } from "./headers.ts";
import { lastJsonHeader } from "./json-header.ts";
import { unescapeJson } from "./json-unescape.ts";
import { ResponseError } from "./response-error.ts";
import type { RawRequest } from "./types.ts";

const SCRATCH_BYTES_MIN = 4096;
/** A scratch buffer that one huge header made larger than this is not kept. */
const SCRATCH_KEPT_BYTES_MAX = 256 * 1024;

/** Names of topics, groups and the like, of all processors. */
const names = new Interner();

/**
 * The ext fields of a request that a processor reads, as byte ranges: no object, no string per message. One instance per processor,
 * filled by `decode`, valid until the next one. An absent, null or empty value (binary) has start -1.
 */
export class HeaderSlots {
  readonly start: Int32Array;
  readonly end: Int32Array;
  /** Where the range of a slot lies: 0 the request's buffer, 1 scratch. */
  readonly source: Uint8Array;
  readonly #names: readonly (readonly string[])[];
  readonly #keys: HeaderKeys;
  #buffer: Buffer;
  #scratch: Buffer;
  #scratchUsed = 0;

  /** Each entry holds the names that are accepted for one slot: `["a", "producerGroup"]`. */
  constructor(keys: readonly (readonly string[])[]) {
    this.#names = keys;
    this.#keys = new HeaderKeys(keys);
    this.start = new Int32Array(keys.length).fill(-1);
    this.end = new Int32Array(keys.length);
    this.source = new Uint8Array(keys.length);
    this.#buffer = Buffer.alloc(0);
    this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MIN);
  }

  /** Finds the slots in the request's header; of a name given twice the last one counts. False when the header is malformed. */
  decode(request: RawRequest): boolean {
    this.start.fill(-1);
    this.source.fill(0);
    this.#buffer = request.buffer;
    return request.serializeType === 1 ? this.#decodeBinary(request) : this.#decodeJson(request);
  }

  has(slot: number): boolean {
    return this.start[slot]! >= 0;
  }

  /** The buffer that holds the range of `slot`. */
  buffer(slot: number): Buffer {
    return this.source[slot] === 0 ? this.#buffer : this.#scratch;
  }

  /**
   * 32-bit integer; `otherwise` when absent. Throws ResponseError when it is none. Never an integer in a double's form: stored
   * through a DataView that leaves the compiled code each time.
   */
  int(slot: number, otherwise: number): number {
    const value = this.#number(slot, otherwise);
    const int = value | 0;
    if (value === int) return int;
    if (value !== otherwise) throw this.#malformed(slot, "a 32-bit integer");
    return otherwise;
  }

  /** 64-bit integer as a double; `otherwise` when absent. Throws ResponseError when it is none. */
  long(slot: number, otherwise: number): number {
    return this.#number(slot, otherwise);
  }

  /** "true" in any case is true [Boolean#parseBoolean]; `otherwise` when absent. */
  bool(slot: number, otherwise: boolean): boolean {
    const start = this.start[slot]!;
    if (start < 0) return otherwise;
    if (this.end[slot]! - start !== 4) return false;
    const buffer = this.buffer(slot);
    return (
      (buffer[start]! | 32) === 0x74 &&
      (buffer[start + 1]! | 32) === 0x72 &&
      (buffer[start + 2]! | 32) === 0x75 &&
      (buffer[start + 3]! | 32) === 0x65
    );
  }

  string(slot: number): string | undefined {
    const start = this.start[slot]!;
    return start < 0 ? undefined : this.buffer(slot).utf8Slice(start, this.end[slot]!);
  }

  /** Like `string`, for names that come again: not decoded each time. */
  interned(slot: number): string | undefined {
    const start = this.start[slot]!;
    return start < 0 ? undefined : names.text(this.buffer(slot), start, this.end[slot]!);
  }

  /** Throws the ResponseError of a required field that is absent [CFNotNull]. */
  require(slot: number): void {
    if (this.start[slot]! >= 0) return;
    const name = this.#names[slot]!.join("/");
    throw new ResponseError(
      ResponseCode.SYSTEM_ERROR,
      `decode request header: the custom field <${name}> is null, want a value`,
    );
  }

  #number(slot: number, otherwise: number): number {
    const start = this.start[slot]!;
    if (start < 0) return otherwise;
    const value = parseDecimal(this.buffer(slot), start, this.end[slot]!);
    if (Number.isNaN(value)) throw this.#malformed(slot, "an integer");
    return value;
  }

  #malformed(slot: number, want: string): ResponseError {
    return malformedHeader(this.#names[slot]!.join("/"), this.string(slot) ?? "", want);
  }

  #decodeBinary(request: RawRequest): boolean {
    const buffer = request.buffer;
    const headerEnd = request.headerEnd;
    const remarkLength = buffer.readInt32BE(request.headerStart + 13);
    let at = request.headerStart + 17 + remarkLength;
    if (remarkLength < 0 || at + 4 > headerEnd) return false;
    const end = at + 4 + buffer.readInt32BE(at);
    at += 4;
    if (end < at || end > headerEnd) return false;
    const keys = this.#keys;
    while (at < end) {
      if (end - at < 6) return false;
      const keyStart = at + 2;
      const keyEnd = keyStart + ((buffer[at]! << 8) | buffer[at + 1]!);
      if (keyEnd + 4 > end) return false;
      const length =
        (buffer[keyEnd]! << 24) | (buffer[keyEnd + 1]! << 16) | (buffer[keyEnd + 2]! << 8) | buffer[keyEnd + 3]!;
      at = keyEnd + 4;
      if (length < 0 || length > end - at) return false;
      const slot = keys.slot(buffer, keyStart, keyEnd);
      if (slot >= 0 && length > 0) {
        this.start[slot] = at;
        this.end[slot] = at + length;
      }
      at += length;
    }
    return true;
  }

  #decodeJson(request: RawRequest): boolean {
    const header = lastJsonHeader;
    const buffer = request.buffer;
    if (header.buffer !== buffer || header.start !== request.headerStart) {
      if (!header.scan(buffer, request.headerStart, request.headerEnd)) return false;
    }
    this.#scratchUsed = 0;
    // Unescaped text is never longer, so all of a header's values fit, and growing never moves what is there.
    const headerLength = request.headerEnd - request.headerStart;
    if (this.#scratch.length < headerLength) this.#scratch = Buffer.allocUnsafeSlow(headerLength * 2);
    else if (this.#scratch.length > SCRATCH_KEPT_BYTES_MAX)
      this.#scratch = Buffer.allocUnsafeSlow(Math.max(SCRATCH_BYTES_MIN, headerLength));
    for (let entry = 0; entry < header.count; entry++) {
      const slot = this.#keys.slot(buffer, header.keyStart(entry), header.keyEnd(entry));
      if (slot < 0) continue;
      const start = header.valueStart(entry);
      const end = header.valueEnd(entry);
      if (header.valueEscaped(entry)) {
        if (!this.#unescape(slot, buffer, start, end)) return false;
      } else {
        this.start[slot] = start;
        this.end[slot] = end;
        this.source[slot] = 0;
      }
    }
    return true;
  }

  #unescape(slot: number, buffer: Buffer, start: number, end: number): boolean {
    const at = this.#scratchUsed;
    const to = unescapeJson(buffer, start, end, this.#scratch, at);
    if (to < 0) return false;
    this.start[slot] = at;
    this.end[slot] = to;
    this.source[slot] = 1;
    this.#scratchUsed = to;
    return true;
  }
}

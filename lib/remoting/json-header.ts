import { LANGUAGES } from "./codes.ts";

/** int32s per entry: key start, key end, value start, value end, 1 when the value holds escapes. */
const ENTRY_INTS = 5;
/** Ext fields that are indexed; the rest are skipped. No header of RocketMQ comes near. */
const ENTRIES_MAX = 512;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LOWER_N = 0x6e;
const DEPTH_MAX = 32;

/** Fields of the header object that are read, told apart by length and first letter, then compared. */
const CODE = Buffer.from("code");
const EXT_FIELDS = Buffer.from("extFields");
const FLAG = Buffer.from("flag");
const LANGUAGE = Buffer.from("language");
const OPAQUE = Buffer.from("opaque");
const VERSION = Buffer.from("version");

const LANGUAGE_BYTES = LANGUAGES.map((name) => Buffer.from(name));

/**
 * One pass over a JSON header that notes where everything is and makes no object. Only standard JSON: where `scan` says false, the
 * tolerant decoder has to look. Keys with escapes are indexed as they stand.
 */
export class JsonHeader {
  code = 0;
  opaque = 0;
  flag = 0;
  version = 0;
  language = -1;
  /** The header that was scanned last. */
  buffer: Buffer | undefined;
  start = -1;
  /** Entries of extFields: ENTRY_INTS numbers each, read by the accessors. */
  count = 0;
  readonly #entries = new Int32Array(ENTRIES_MAX * ENTRY_INTS);
  #at = 0;
  #end = 0;
  #escaped = false;
  #valueStart = 0;
  #valueEnd = 0;

  keyStart(entry: number): number {
    return this.#entries[entry * ENTRY_INTS]!;
  }

  keyEnd(entry: number): number {
    return this.#entries[entry * ENTRY_INTS + 1]!;
  }

  valueStart(entry: number): number {
    return this.#entries[entry * ENTRY_INTS + 2]!;
  }

  valueEnd(entry: number): number {
    return this.#entries[entry * ENTRY_INTS + 3]!;
  }

  valueEscaped(entry: number): boolean {
    return this.#entries[entry * ENTRY_INTS + 4] === 1;
  }

  /** Reads the header in `buffer[start,end)`. False when it is not plain standard JSON of the expected shape. */
  scan(buffer: Buffer, start: number, end: number): boolean {
    this.buffer = undefined;
    this.start = -1;
    this.code = 0;
    this.opaque = 0;
    this.flag = 0;
    this.version = 0;
    this.language = -1;
    this.count = 0;
    this.#at = start;
    this.#end = end;
    if (!this.#object(buffer) || this.#next(buffer) !== -1) return false;
    this.buffer = buffer;
    this.start = start;
    return true;
  }

  #object(buffer: Buffer): boolean {
    if (this.#next(buffer) !== OPEN) return false;
    this.#at++;
    if (this.#next(buffer) === CLOSE) {
      this.#at++;
      return true;
    }
    for (;;) {
      if (this.#next(buffer) !== QUOTE) return false;
      const keyStart = this.#at + 1;
      if (!this.#string(buffer)) return false;
      const keyEnd = this.#at - 1;
      if (this.#next(buffer) !== COLON) return false;
      this.#at++;
      if (!this.#topValue(buffer, keyStart, keyEnd)) return false;
      const next = this.#next(buffer);
      this.#at++;
      if (next === CLOSE) return true;
      if (next !== COMMA) return false;
    }
  }

  #topValue(buffer: Buffer, keyStart: number, keyEnd: number): boolean {
    switch (keyEnd - keyStart) {
      case 4:
        if (same(buffer, keyStart, CODE)) return this.#int(buffer, 0);
        if (same(buffer, keyStart, FLAG)) return this.#int(buffer, 1);
        break;
      case 6:
        if (same(buffer, keyStart, OPAQUE)) return this.#int(buffer, 2);
        break;
      case 7:
        if (same(buffer, keyStart, VERSION)) return this.#int(buffer, 3);
        break;
      case 8:
        if (same(buffer, keyStart, LANGUAGE)) return this.#languageValue(buffer);
        break;
      case 9:
        if (same(buffer, keyStart, EXT_FIELDS)) {
          return this.#next(buffer) === LOWER_N ? this.#scalar(buffer) : this.#extFields(buffer);
        }
        break;
    }
    return this.#skip(buffer);
  }

  #int(buffer: Buffer, field: number): boolean {
    if (this.#next(buffer) === LOWER_N) return this.#scalar(buffer);
    let at = this.#at;
    const negative = buffer[at] === 0x2d;
    if (negative) at++;
    const first = at;
    let value = 0;
    for (; at < this.#end; at++) {
      const digit = buffer[at]! - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    // Quoted numbers, fractions and values beyond int32 are left to the tolerant decoder.
    const signed = negative ? -value : value;
    if (at === first || at - first > 10 || signed !== (signed | 0) || !endsNumber(buffer[at])) return false;
    this.#at = at;
    if (field === 0) this.code = signed;
    else if (field === 1) this.flag = signed;
    else if (field === 2) this.opaque = signed;
    else this.version = signed;
    return true;
  }

  #languageValue(buffer: Buffer): boolean {
    if (this.#next(buffer) === LOWER_N) return this.#scalar(buffer);
    if (buffer[this.#at] !== QUOTE) return false;
    const start = this.#at + 1;
    if (!this.#string(buffer)) return false;
    const length = this.#at - 1 - start;
    for (let i = 0; i < LANGUAGE_BYTES.length; i++) {
      const name = LANGUAGE_BYTES[i]!;
      if (name.length === length && same(buffer, start, name)) {
        this.language = i;
        return true;
      }
    }
    return true;
  }

  /**
   * Entries of extFields. Most of a header's bytes are here, so this is one flat loop for `"name":"value",` without blanks;
   * everything else goes through the general methods.
   */
  #extFields(buffer: Buffer): boolean {
    const end = this.#end;
    const entries = this.#entries;
    if (this.#next(buffer) !== OPEN) return false;
    let at = this.#at + 1;
    let first = true;
    for (;;) {
      if (buffer[at] !== QUOTE) {
        this.#at = at;
        const next = this.#next(buffer);
        at = this.#at;
        if (next === CLOSE && first) break;
        if (next !== QUOTE) return false;
      }
      first = false;
      const keyStart = ++at;
      while (at < end && buffer[at] !== QUOTE) at += buffer[at] === BACKSLASH ? 2 : 1;
      const keyEnd = at++;
      if (buffer[at] !== COLON) {
        this.#at = at;
        if (this.#next(buffer) !== COLON) return false;
        at = this.#at;
      }
      at++;
      let valueStart = at + 1;
      let valueEnd = -1;
      let escaped = 0;
      if (buffer[at] === QUOTE) {
        at++;
        while (at < end) {
          const byte = buffer[at]!;
          if (byte === QUOTE) break;
          at++;
          if (byte === BACKSLASH) {
            escaped = 1;
            at++;
          }
        }
        valueEnd = at++;
      } else {
        this.#at = at;
        const kind = this.#extValue(buffer);
        if (kind < 0) return false;
        at = this.#at;
        if (kind === 1) {
          valueStart = this.#valueStart;
          valueEnd = this.#valueEnd;
          escaped = this.#escaped ? 1 : 0;
        }
      }
      if (at > end) return false;
      if (valueEnd >= 0 && this.count < ENTRIES_MAX) {
        const entry = this.count++ * ENTRY_INTS;
        entries[entry] = keyStart;
        entries[entry + 1] = keyEnd;
        entries[entry + 2] = valueStart;
        entries[entry + 3] = valueEnd;
        entries[entry + 4] = escaped;
      }
      let next = at < end ? buffer[at]! : -1;
      if (next !== COMMA && next !== CLOSE) {
        this.#at = at;
        next = this.#next(buffer);
        at = this.#at;
      }
      if (next === CLOSE) break;
      if (next !== COMMA) return false;
      at++;
    }
    this.#at = at + 1;
    return true;
  }

  /** A value that does not begin right behind its colon, or is no string. 1 when there is one, 0 for null, -1 when it is malformed. */
  #extValue(buffer: Buffer): number {
    const first = this.#next(buffer);
    this.#escaped = false;
    this.#valueStart = this.#at;
    if (first === QUOTE) {
      this.#valueStart++;
      if (!this.#string(buffer)) return -1;
      this.#valueEnd = this.#at - 1;
      return 1;
    }
    if (!this.#scalar(buffer)) return -1;
    this.#valueEnd = this.#at;
    return first === LOWER_N ? 0 : 1;
  }

  /** From a quote to behind its partner. */
  #string(buffer: Buffer): boolean {
    this.#escaped = false;
    const end = this.#end;
    let at = this.#at + 1;
    while (at < end) {
      const byte = buffer[at]!;
      if (byte === QUOTE) {
        this.#at = at + 1;
        return true;
      }
      if (byte === BACKSLASH) {
        this.#escaped = true;
        at++;
      }
      at++;
    }
    return false;
  }

  /** true, false, null or a number. */
  #scalar(buffer: Buffer): boolean {
    const start = this.#at;
    while (this.#at < this.#end && !endsNumber(buffer[this.#at])) this.#at++;
    const text = this.#at - start < 32 ? buffer.latin1Slice(start, this.#at) : "";
    return text === "true" || text === "false" || text === "null" || /^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(text);
  }

  /** Over any value of a field that is not read. */
  #skip(buffer: Buffer, depth = 0): boolean {
    const first = this.#next(buffer);
    if (first === QUOTE) return this.#string(buffer);
    if (first !== OPEN && first !== 0x5b) return this.#scalar(buffer);
    if (depth === DEPTH_MAX) return false;
    this.#at++;
    const close = first === OPEN ? CLOSE : 0x5d;
    if (this.#next(buffer) === close) {
      this.#at++;
      return true;
    }
    for (;;) {
      if (first === OPEN) {
        if (this.#next(buffer) !== QUOTE || !this.#string(buffer) || this.#next(buffer) !== COLON) return false;
        this.#at++;
      }
      if (!this.#skip(buffer, depth + 1)) return false;
      const next = this.#next(buffer);
      this.#at++;
      if (next === close) return true;
      if (next !== COMMA) return false;
    }
  }

  /** Next byte that is no blank, not consumed; -1 at the end. */
  #next(buffer: Buffer): number {
    while (this.#at < this.#end) {
      const byte = buffer[this.#at]!;
      if (byte > 0x20) return byte;
      this.#at++;
    }
    return -1;
  }
}

function same(buffer: Buffer, at: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (buffer[at + i] !== name[i]) return false;
  return true;
}

function endsNumber(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE || byte === 0x5d || byte === undefined || byte <= 0x20;
}

/** The header that the server scanned last; HeaderSlots reads it instead of scanning again. */
export const lastJsonHeader = new JsonHeader();

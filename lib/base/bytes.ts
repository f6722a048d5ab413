const TWO_32 = 0x1_0000_0000;
const ZERO = 48;
const MINUS = 45;

/**
 * Signed 64-bit big-endian at `at` (below 2^31, as every file is) as a double: exact up to 2^53 in size. `| 0` here and below:
 * an integer in a double's form makes the compiled code give up at each DataView access.
 */
export function readLong(view: DataView, at: number): number {
  const place = at | 0;
  return view.getInt32(place) * TWO_32 + (view.getInt32(place + 4) >>> 0);
}

/** Writes a whole number as signed 64-bit big-endian, by two int32 stores: a double above 2^31 in setUint32 takes a slow path. */
export function writeLong(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / TWO_32) | 0;
  let low = value - high * TWO_32;
  if (low >= 0x8000_0000) low -= TWO_32;
  const place = at | 0;
  view.setInt32(place, high);
  view.setInt32(place + 4, low | 0);
}

/** Number of characters of `value` in decimal, the sign included. */
export function decimalLength(value: number): number {
  let rest = value < 0 ? -value : value;
  let length = value < 0 ? 2 : 1;
  while (rest >= 10) {
    rest = rest > 0x7fffffff ? Math.floor(rest / 10) : (rest / 10) | 0;
    length++;
  }
  return length;
}

/** Writes a whole number in decimal at `at` and returns the offset behind it. At most 20 bytes. */
export function writeDecimal(target: Uint8Array, at: number, value: number): number {
  const end = at + decimalLength(value);
  let rest = value;
  if (rest < 0) {
    target[at] = MINUS;
    rest = -rest;
  }
  let i = end;
  while (rest > 0x7fffffff) {
    const tenth = Math.floor(rest / 10);
    target[--i] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  let small = rest | 0;
  do {
    const tenth = (small / 10) | 0;
    target[--i] = ZERO + (small - tenth * 10);
    small = tenth;
  } while (small > 0);
  return end;
}

/** Digits up to which adding them up one by one is exact. */
const EXACT_DIGITS = 15;

/** Decimal text in `buffer[start,end)` as the nearest double, NaN when it is none. Exact up to 2^53; at most 19 digits. */
export function parseDecimal(buffer: Uint8Array, start: number, end: number): number {
  let i = start;
  const negative = buffer[i] === MINUS;
  if (negative || buffer[i] === 43) i++;
  if (i >= end || end - i > 19) return Number.NaN;
  let value = 0;
  for (; i < end; i++) {
    const digit = buffer[i]! - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  if (value >= 10 ** EXACT_DIGITS) return Number(String.fromCharCode(...buffer.subarray(start, end)));
  return negative ? -value : value;
}

/** True when `a[start,end)` holds exactly `b`. */
export function equalBytes(a: Uint8Array, start: number, end: number, b: Uint8Array): boolean {
  const length = end - start;
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (a[start + i] !== b[i]) return false;
  return true;
}

declare global {
  // Node's direct slices and writes, which Bun has and its types leave out: no encoding name to look up on each call.
  interface Buffer {
    utf8Slice(start?: number, end?: number): string;
    latin1Slice(start?: number, end?: number): string;
    utf8Write(text: string, offset?: number, length?: number): number;
    latin1Write(text: string, offset?: number, length?: number): number;
  }
}

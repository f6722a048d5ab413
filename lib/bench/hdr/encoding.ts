import { deflateSync, inflateSync } from "node:zlib";
import { errorText, MqError } from "../../base/errors.ts";
import { COUNTS, HIGHEST_US, Histogram, highestAt, middleAt, SIGNIFICANT_DIGITS } from "../histogram.ts";

/** Cookies of the V2 encoding; 0x10 stands for counts as ZigZag LEB128 [AbstractHistogram#V2EncodingCookieBase]. */
const V2_COOKIE = 0x1c849303 | 0x10;
const V2_COMPRESSED_COOKIE = 0x1c849304 | 0x10;

/**
 * cookie 4, payload length 4, normalizing index offset 4, significant digits 4, lowest discernible value 8, highest
 * trackable value 8, integer-to-double ratio 8, then the payload: one ZigZag LEB128 number per bucket from the lowest,
 * a negative one standing for that many empty buckets [AbstractHistogram#encodeIntoByteBuffer].
 */
const HEADER_BYTES = 40;
const LEB_BYTES_MAX = 9;
const INFLATED_MAX = HEADER_BYTES + COUNTS * LEB_BYTES_MAX;

/** Writes `value` (0 to 2^53) as LEB128 with HdrHistogram's limit: the ninth byte holds eight bits [ZigZagEncoding#putLong]. */
function putLeb(bytes: Buffer, offset: number, value: number): number {
  let rest = value;
  let at = offset;
  for (; rest >= 0x80 && at < offset + LEB_BYTES_MAX - 1; rest = Math.floor(rest / 0x80))
    bytes[at++] = (rest % 0x80) | 0x80;
  bytes[at++] = rest;
  return at;
}

/** The V2 encoding, not compressed. */
export function encodeV2(histogram: Histogram): Buffer {
  const bytes = Buffer.alloc(INFLATED_MAX);
  let end = HEADER_BYTES;
  let next = 0;
  histogram.forEach((index, count) => {
    const empty = index - next;
    // A single empty bucket is a zero, not a run of one.
    if (empty === 1) end = putLeb(bytes, end, 0);
    else if (empty > 1) end = putLeb(bytes, end, 2 * empty - 1);
    end = putLeb(bytes, end, 2 * count);
    next = index + 1;
  });
  // An empty histogram has one empty bucket, that of the value 0.
  if (next === 0) end = putLeb(bytes, end, 0);
  bytes.writeUInt32BE(V2_COOKIE, 0);
  bytes.writeUInt32BE(end - HEADER_BYTES, 4);
  bytes.writeUInt32BE(SIGNIFICANT_DIGITS, 12);
  bytes.writeBigInt64BE(1n, 16);
  bytes.writeBigInt64BE(BigInt(HIGHEST_US), 24);
  bytes.writeDoubleBE(1, 32);
  return bytes.subarray(0, end);
}

/** What HdrHistogram calls the compressed V2 form, in base64: it always begins with `HISTFAAA`. Values are microseconds. */
export function encodeBase64(histogram: Histogram): string {
  const packed = deflateSync(encodeV2(histogram));
  const bytes = Buffer.alloc(8 + packed.length);
  bytes.writeUInt32BE(V2_COMPRESSED_COOKIE, 0);
  bytes.writeUInt32BE(packed.length, 4);
  packed.copy(bytes, 8);
  return bytes.toString("base64");
}

/**
 * Reads `encodeBase64`'s form, from any writer that used the same unit and digits. Sum, smallest and largest value are
 * those of the buckets: `exact` gives them back where they were kept beside. Throws MqError for anything else.
 */
export function decodeBase64(
  text: string,
  exact: { sum?: number; min?: number; max?: number; nonPositive?: number; overRange?: number } = {},
): Histogram {
  const bytes = inflate(text);
  const counts = new Float64Array(COUNTS);
  let index = 0;
  let at = HEADER_BYTES;
  let last = -1;
  let first = -1;
  let sum = 0;
  while (at < bytes.length) {
    const { value, end } = getLeb(bytes, at);
    at = end;
    if (value % 2 === 1) {
      index += (value + 1) / 2;
      continue;
    }
    if (index >= COUNTS) throw malformed(`more than ${COUNTS} buckets`);
    counts[index] = value / 2;
    if (value > 0) {
      if (first < 0) first = index;
      last = index;
      sum += (value / 2) * middleAt(index);
    }
    index++;
  }
  return Histogram.from({
    first: 0,
    counts,
    sum: exact.sum ?? sum,
    min: exact.min ?? (first < 0 ? 0 : highestAt(first)),
    max: exact.max ?? (last < 0 ? 0 : highestAt(last)),
    nonPositive: exact.nonPositive ?? 0,
    overRange: exact.overRange ?? 0,
  });
}

function inflate(text: string): Buffer {
  const packed = Buffer.from(text, "base64");
  if (packed.length < 8 || packed.readUInt32BE(0) !== V2_COMPRESSED_COOKIE)
    throw malformed(`it begins with "${text.slice(0, 8)}", want HISTFAAA`);
  const length = packed.readUInt32BE(4);
  if (length !== packed.length - 8) throw malformed(`${packed.length - 8} bytes follow its header, want ${length}`);
  let bytes: Buffer;
  try {
    bytes = inflateSync(packed.subarray(8), { maxOutputLength: INFLATED_MAX });
  } catch (cause) {
    throw malformed(errorText(cause));
  }
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== V2_COOKIE) throw malformed("no V2 encoding inside");
  if (bytes.readUInt32BE(4) !== bytes.length - HEADER_BYTES) throw malformed("its length is not that of its content");
  const digits = bytes.readUInt32BE(12);
  const lowest = bytes.readBigInt64BE(16);
  // The index offset is 0 in Java's and 1 in the JavaScript port's encodings, and means nothing in either.
  if (bytes.readUInt32BE(8) > 1 || digits !== SIGNIFICANT_DIGITS || lowest !== 1n)
    throw malformed(`${digits} digits from ${lowest}, want ${SIGNIFICANT_DIGITS} from 1`);
  return bytes;
}

function getLeb(bytes: Buffer, offset: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < LEB_BYTES_MAX; i++) {
    const byte = bytes[offset + i];
    if (byte === undefined) throw malformed("it ends within a number");
    const last = i === LEB_BYTES_MAX - 1;
    value += (last ? byte : byte & 0x7f) * 2 ** (7 * i);
    if (last || byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) throw malformed("a count above 2^53");
      return { value, end: offset + i + 1 };
    }
  }
  throw malformed("a number without an end");
}

function malformed(what: string): MqError {
  return new MqError(`decode histogram: ${what}`);
}

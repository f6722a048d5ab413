const FRAME_MAGIC = 0x184d2204;
const UNCOMPRESSED = 0x80000000;
/** Independent blocks of 4 MiB at most, no checksums, no sizes: what RocketMQ's Java client writes. */
const FRAME_FLAGS = 0x60;
const BLOCK_SIZE_CODE = 0x70;
const BLOCK_BYTES_MAX = 4 * 1024 * 1024;
const MATCH_BYTES_MIN = 4;
/** A block ends with at least 5 literals, and its last match begins 12 bytes before the end or earlier. */
const LITERALS_LAST = 5;
const MATCH_START_LAST = 12;
const DISTANCE_MAX = 0xffff;
const HASH_BITS = 13;
/** Where four bytes of a hash stood last in the block, -1 for nowhere. */
const places = new Int32Array(1 << HASH_BITS);

/**
 * Reads one LZ4 frame (specification 1.6.x, independent or linked blocks; checksums are skipped, the record's CRC covers the bytes).
 * Throws RangeError on malformed input or more than `bytesMax` of output.
 */
export function decompressLz4Frame(source: Buffer, bytesMax: number): Buffer {
  if (source.length < 7 || source.readUInt32LE(0) !== FRAME_MAGIC) throw new RangeError("not an LZ4 frame");
  const flags = source[4]!;
  if (flags >> 6 !== 1) throw new RangeError(`LZ4 frame version ${flags >> 6}, wanted 1`);
  const blockChecksum = (flags & 0x10) !== 0 ? 4 : 0;
  let at = 6 + ((flags & 0x08) !== 0 ? 8 : 0) + ((flags & 0x01) !== 0 ? 4 : 0) + 1;
  const output = new Output(Math.min(bytesMax, Math.max(1024, source.length * 4)), bytesMax);
  for (;;) {
    if (at + 4 > source.length) throw new RangeError("LZ4 frame ends before its end mark");
    const size = source.readUInt32LE(at);
    at += 4;
    if (size === 0) return output.bytes.subarray(0, output.length);
    const stored = size >= UNCOMPRESSED;
    const end = at + (stored ? size - UNCOMPRESSED : size);
    if (end > source.length) throw new RangeError("LZ4 block exceeds its frame");
    if (stored) output.copyFrom(source, at, end);
    else readBlock(source, at, end, output);
    at = end + blockChecksum;
  }
}

/** Output that grows up to a bound. */
class Output {
  bytes: Buffer;
  length = 0;
  private readonly bytesMax: number;

  constructor(bytesFirst: number, bytesMax: number) {
    this.bytes = Buffer.alloc(bytesFirst);
    this.bytesMax = bytesMax;
  }

  private room(more: number): void {
    const wanted = this.length + more;
    if (wanted > this.bytesMax) throw new RangeError(`decompressed body exceeds ${this.bytesMax} bytes`);
    if (wanted <= this.bytes.length) return;
    const larger = Buffer.alloc(Math.min(this.bytesMax, Math.max(wanted, this.bytes.length * 2)));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  copyFrom(source: Buffer, start: number, end: number): void {
    this.room(end - start);
    source.copy(this.bytes, this.length, start, end);
    this.length += end - start;
  }

  /** Repeats what stands `distance` bytes back; source and target may overlap. */
  repeat(distance: number, count: number): void {
    if (distance === 0 || distance > this.length)
      throw new RangeError(`LZ4 match ${distance} bytes back of ${this.length}`);
    this.room(count);
    for (let i = 0; i < count; i++) this.bytes[this.length + i] = this.bytes[this.length + i - distance]!;
    this.length += count;
  }
}

function readBlock(source: Buffer, start: number, end: number, output: Output): void {
  let at = start;
  /** A nibble of 15 goes on in bytes until one is below 255. */
  const extended = (nibble: number): number => {
    let value = nibble;
    if (nibble < 15) return value;
    for (;;) {
      if (at >= end) throw new RangeError("LZ4 length exceeds its block");
      const byte = source[at++]!;
      value += byte;
      if (byte < 255) return value;
    }
  };
  while (at < end) {
    const token = source[at++]!;
    const literals = extended(token >> 4);
    if (at + literals > end) throw new RangeError("LZ4 literals exceed their block");
    output.copyFrom(source, at, at + literals);
    at += literals;
    if (at === end) return;
    if (at + 2 > end) throw new RangeError("LZ4 match exceeds its block");
    const distance = source.readUInt16LE(at);
    at += 2;
    output.repeat(distance, extended(token & 15) + 4);
  }
}

/** One LZ4 frame of the source, the longest match that lies behind the last place of the same four bytes. */
export function compressLz4Frame(source: Buffer): Buffer {
  const blocks = Math.ceil(source.length / BLOCK_BYTES_MAX);
  const out = Buffer.allocUnsafe(7 + blocks * 32 + source.length + Math.ceil(source.length / 255) + 4);
  out.writeUInt32LE(FRAME_MAGIC, 0);
  out[4] = FRAME_FLAGS;
  out[5] = BLOCK_SIZE_CODE;
  out[6] = (Bun.hash.xxHash32(out.subarray(4, 6)) >>> 8) & 0xff;
  let at = 7;
  for (let start = 0; start < source.length; start += BLOCK_BYTES_MAX) {
    const block = source.subarray(start, start + BLOCK_BYTES_MAX);
    const end = writeBlock(block, out, at + 4);
    const bytes = end - at - 4;
    if (bytes < block.length) out.writeUInt32LE(bytes, at);
    else {
      out.writeUInt32LE(UNCOMPRESSED + block.length, at);
      block.copy(out, at + 4);
    }
    at += 4 + Math.min(bytes, block.length);
  }
  out.writeUInt32LE(0, at);
  return out.subarray(0, at + 4);
}

/** Returns the end of what was written. */
function writeBlock(source: Buffer, out: Buffer, start: number): number {
  places.fill(-1);
  let end = start;
  let literalsFrom = 0;
  const matchEnd = source.length - LITERALS_LAST;
  for (let at = 0; at <= source.length - MATCH_START_LAST; ) {
    const four = source.readInt32LE(at);
    const hash = Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS);
    const before = places[hash]!;
    places[hash] = at;
    if (before < 0 || at - before > DISTANCE_MAX || source.readInt32LE(before) !== four) {
      at++;
      continue;
    }
    let length = MATCH_BYTES_MIN;
    while (at + length < matchEnd && source[at + length] === source[before + length]) length++;
    end = writeSequence(source, literalsFrom, at, out, end, length - MATCH_BYTES_MIN);
    out.writeUInt16LE(at - before, end);
    end = writeExtended(out, end + 2, length - MATCH_BYTES_MIN);
    at += length;
    literalsFrom = at;
  }
  return writeSequence(source, literalsFrom, source.length, out, end, 0);
}

/** Token and literals; `match` is what the token says of the match behind them. */
function writeSequence(source: Buffer, from: number, to: number, out: Buffer, start: number, match: number): number {
  const literals = to - from;
  out[start] = (Math.min(15, literals) << 4) | Math.min(15, match);
  const end = writeExtended(out, start + 1, literals);
  source.copy(out, end, from, to);
  return end + literals;
}

/** A length that a nibble of 15 begins goes on in bytes until one is below 255. */
function writeExtended(out: Buffer, at: number, length: number): number {
  if (length < 15) return at;
  let end = at;
  let rest = length - 15;
  for (; rest >= 255; rest -= 255) out[end++] = 255;
  out[end++] = rest;
  return end;
}

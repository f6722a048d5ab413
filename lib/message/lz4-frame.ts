const FRAME_MAGIC = 0x184d2204;
const UNCOMPRESSED = 0x80000000;

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

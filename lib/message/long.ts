export { readLong as viewLong, writeLong } from "../base/bytes.ts";

/** Big-endian int64 of a buffer as a double: exact up to 2^53, which offsets and times stay below. */
export function readLong(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * 4294967296 + buffer.readUInt32BE(at + 4);
}

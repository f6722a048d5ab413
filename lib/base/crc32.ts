/** CRC-32 of `buffer[start,end)` as RocketMQ stores it: without the sign bit [UtilAll#crc32]. */
export function crc32(buffer: Uint8Array, start = 0, end = buffer.length): number {
  const range = start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
  return Bun.hash.crc32(range) & 0x7fffffff;
}

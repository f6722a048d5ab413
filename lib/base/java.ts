/** Java's String.hashCode of `text`, as int32. */
export function javaHashCode(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}

/** Java's String.hashCode of the UTF-8 text in `buffer[start,end)` without decoding it to a string; malformed bytes count as U+FFFD. */
export function javaHashCodeBytes(buffer: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!;
    if (byte >= 0x80) return hashDecoded(hash, buffer, i, end);
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  return hash;
}

function hashDecoded(hash: number, buffer: Uint8Array, start: number, end: number): number {
  const text = Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString("utf8");
  let result = hash;
  for (let i = 0; i < text.length; i++) result = (Math.imul(result, 31) + text.charCodeAt(i)) | 0;
  return result;
}

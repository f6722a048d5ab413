/** Smaller chunks are cheaper left to the collector: their bytes may lie in the object itself. */
const GIVE_BACK_BYTES_MIN = 4096;

/**
 * Frees a chunk that a socket's data callback was given, now instead of at a later collection: the next chunk gets the same memory,
 * warm, and the collector has no thousands of buffers to free in one pause. Whoever still holds a view of it holds an empty one.
 */
export function giveBack(chunk: Uint8Array): void {
  if (chunk.length < GIVE_BACK_BYTES_MIN) return;
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length) buffer.transfer(0);
}

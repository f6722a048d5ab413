/** Topics whose prefix hash is kept. */
const PREFIXES_MAX = 10_000;
const SPACE = 32;

const prefixHashes = new Map<string, number>();

function continueHash(hash: number, text: string): number {
  let result = hash;
  for (let i = 0; i < text.length; i++) result = (Math.imul(result, 31) + text.charCodeAt(i)) | 0;
  return result;
}

/** Java's hash of `topic#`, from which the hash of any key of the topic goes on. */
export function prefixHash(topic: string): number {
  let hash = prefixHashes.get(topic);
  if (hash === undefined) {
    if (prefixHashes.size >= PREFIXES_MAX) prefixHashes.clear();
    hash = continueHash(0, `${topic}#`);
    prefixHashes.set(topic, hash);
  }
  return hash;
}

/** |hash|, 0 for the one int32 whose negative is itself [IndexFile#indexKeyHashMethod]. */
function positive(hash: number): number {
  const absolute = hash < 0 ? -hash : hash;
  return absolute > 0x7fffffff ? 0 : absolute;
}

/** Hash of `topic#key` as entries hold it. */
export function keyHash(topic: string, key: string): number {
  return positive(continueHash(prefixHash(topic), key));
}

/** `keyHash` of a key given as UTF-8 in `buffer[start,end)`; ASCII keys make no string. */
export function keyHashBytes(topicHash: number, buffer: Buffer, start: number, end: number): number {
  let hash = topicHash;
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!;
    if (byte >= 0x80) return positive(continueHash(hash, buffer.toString("utf8", i, end)));
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  return positive(hash);
}

/** First byte at or behind `start` that is no blank: where the next of several keys begins. */
export function wordStart(buffer: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] === SPACE) at++;
  return at;
}

export function wordEnd(buffer: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] !== SPACE) at++;
  return at;
}

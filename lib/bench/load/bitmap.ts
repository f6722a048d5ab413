/** Beyond it (half a gigabyte) a run's messages are no longer told apart: the load ends there. */
export const SEQUENCE_MAX = 2 ** 32 - 1;
const FIRST_WORDS = 1024;

/** A growing set of whole numbers from 0 to `SEQUENCE_MAX`. */
export class Bitmap {
  words: Uint32Array;

  constructor(words: Uint32Array = new Uint32Array(FIRST_WORDS)) {
    this.words = words;
  }

  /** True when it was not in the set before. */
  add(value: number): boolean {
    const word = Math.floor(value / 32);
    if (word >= this.words.length) this.#grow(word + 1);
    const bit = 1 << (value & 31);
    const before = this.words[word]!;
    this.words[word] = before | bit;
    return (before & bit) === 0;
  }

  has(value: number): boolean {
    return ((this.words[Math.floor(value / 32)] ?? 0) & (1 << (value & 31))) !== 0;
  }

  #grow(words: number): void {
    const next = new Uint32Array(Math.max(words, this.words.length * 2));
    next.set(this.words);
    this.words = next;
  }
}

/** Number of bits set. */
export function bitCount(words: Uint32Array): number {
  let count = 0;
  for (const word of words) {
    let v = word - ((word >>> 1) & 0x55555555);
    v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
    count += Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

/** Bits of `a` that `b` does not have. */
export function without(a: Uint32Array, b: Uint32Array): Uint32Array {
  return a.map((word, i) => word & ~(b[i] ?? 0));
}

export function both(a: Uint32Array, b: Uint32Array): Uint32Array {
  return a.map((word, i) => word & (b[i] ?? 0));
}

export function either(a: Uint32Array, b: Uint32Array): Uint32Array {
  const [long, short] = a.length >= b.length ? [a, b] : [b, a];
  return long.map((word, i) => word | (short[i] ?? 0));
}

/** The lowest values of the set, a few of them. */
export function firstBits(words: Uint32Array, most: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < words.length && found.length < most; i++)
    for (let bit = 0; words[i] !== 0 && bit < 32 && found.length < most; bit++)
      if ((words[i]! >>> bit) & 1) found.push(i * 32 + bit);
  return found;
}

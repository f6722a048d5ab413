const BACKSLASH = 0x5c;

/** Bytes behind a backslash that stand for one byte; 0 for all others. */
const SINGLE = new Uint8Array(128);
for (const [letter, byte] of [
  ['"', 0x22],
  ["\\", 0x5c],
  ["/", 0x2f],
  ["b", 0x08],
  ["f", 0x0c],
  ["n", 0x0a],
  ["r", 0x0d],
  ["t", 0x09],
] as const) {
  SINGLE[letter.charCodeAt(0)] = byte;
}

/**
 * Writes the text of the JSON string in `source[start,end)` (quotes left out) as UTF-8 at `at`, and returns the offset behind it;
 * -1 where an escape is none. Never longer than the source. A surrogate without its partner becomes "?", as Java encodes it.
 */
export function unescapeJson(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  let to = at;
  let from = start;
  while (from < end) {
    const byte = source[from++]!;
    if (byte !== BACKSLASH) {
      target[to++] = byte;
      continue;
    }
    const letter = source[from++] ?? 0;
    if (letter !== 0x75) {
      const single = letter < 128 ? SINGLE[letter]! : 0;
      if (single === 0 || from > end) return -1;
      target[to++] = single;
      continue;
    }
    let code = hex4(source, from, end);
    if (code < 0) return -1;
    from += 4;
    if (code >= 0xd800 && code < 0xe000) {
      const low =
        code < 0xdc00 && source[from] === BACKSLASH && source[from + 1] === 0x75 ? hex4(source, from + 2, end) : -1;
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        from += 6;
      } else {
        code = 0x3f;
      }
    }
    to = writeUtf8(target, to, code);
  }
  return to;
}

function hex4(source: Uint8Array, at: number, end: number): number {
  if (at + 4 > end) return -1;
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const byte = source[i]!;
    const digit = byte < 58 ? byte - 48 : (byte | 32) - 87;
    if (digit < 0 || digit > 15 || (byte >= 58 && digit < 10)) return -1;
    value = (value << 4) | digit;
  }
  return value;
}

function writeUtf8(target: Uint8Array, at: number, code: number): number {
  let to = at;
  if (code < 0x80) {
    target[to++] = code;
  } else if (code < 0x800) {
    target[to++] = 0xc0 | (code >> 6);
    target[to++] = 0x80 | (code & 0x3f);
  } else {
    if (code < 0x10000) {
      target[to++] = 0xe0 | (code >> 12);
    } else {
      target[to++] = 0xf0 | (code >> 18);
      target[to++] = 0x80 | ((code >> 12) & 0x3f);
    }
    target[to++] = 0x80 | ((code >> 6) & 0x3f);
    target[to++] = 0x80 | (code & 0x3f);
  }
  return to;
}

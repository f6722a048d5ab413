/** Longest text that is kept: topic, group and tag names are shorter, a property string is no name. */
const BYTES_MAX = 255;

/**
 * Names that come in as bytes again and again, as strings without decoding them each time. A fixed table: a name that falls on
 * a taken place replaces what is there, so that it never grows.
 */
export class Interner {
  readonly #mask: number;
  readonly #bytes: (Uint8Array | undefined)[];
  readonly #texts: string[];

  /** `places` is a power of two. */
  constructor(places = 4096) {
    this.#mask = places - 1;
    this.#bytes = new Array(places).fill(undefined);
    this.#texts = new Array(places).fill("");
  }

  /** The UTF-8 text in `buffer[start,end)`. */
  text(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length > BYTES_MAX) return buffer.utf8Slice(start, end);
    let hash = 0x811c9dc5 | 0;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ buffer[i]!, 0x01000193);
    const place = (hash ^ (hash >>> 15)) & this.#mask;
    const known = this.#bytes[place];
    if (known !== undefined && known.length === length) {
      let i = 0;
      while (i < length && known[i] === buffer[start + i]) i++;
      if (i === length) return this.#texts[place]!;
    }
    const text = buffer.utf8Slice(start, end);
    this.#bytes[place] = new Uint8Array(buffer.subarray(start, end));
    this.#texts[place] = text;
    return text;
  }
}

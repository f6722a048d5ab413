/** Longest text that is kept: topic, group and tag names are shorter, a property string is no name. */
const BYTES_MAX = 255;
/** A table in which more than this part of the places changed hands is too small. */
const REPLACED_PART = 1 / 16;

/**
 * Names that come in as bytes again and again, as strings without decoding them each time; ASCII only, others are decoded. A name
 * has two places; where both are taken it replaces one. The table grows while that happens often, up to a limit.
 */
export class Interner {
  readonly #placesMax: number;
  #mask: number;
  #texts: string[];
  #replaced = 0;

  /** Both are powers of two. */
  constructor(places = 2048, placesMax = 65_536) {
    this.#placesMax = placesMax;
    this.#mask = places - 1;
    this.#texts = new Array(places).fill("");
  }

  /** The UTF-8 text in `buffer[start,end)`. */
  text(buffer: Buffer, start: number, end: number): string {
    const length = end - start;
    if (length > BYTES_MAX || length === 0) return buffer.utf8Slice(start, end);
    let hash = 0x811c9dc5 | 0;
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ buffer[i]!, 0x01000193);
    const place = (hash ^ (hash >>> 15)) & this.#mask;
    const first = this.#texts[place]!;
    if (isText(first, buffer, start, length)) return first;
    const second = this.#texts[place ^ 1]!;
    if (isText(second, buffer, start, length)) return second;
    return this.#add(place, buffer.utf8Slice(start, end), length);
  }

  #add(place: number, text: string, bytes: number): string {
    if (text.length !== bytes) return text;
    const texts = this.#texts;
    if (texts[place] === "") texts[place] = text;
    else if (texts[place ^ 1] === "") texts[place ^ 1] = text;
    else {
      // The older of the two goes.
      texts[place ^ 1] = texts[place]!;
      texts[place] = text;
      this.#replaced++;
      if (this.#replaced > texts.length * REPLACED_PART) this.#grow();
    }
    return text;
  }

  /** Names find their places anew as they come. */
  #grow(): void {
    this.#replaced = 0;
    const places = (this.#mask + 1) * 2;
    if (places > this.#placesMax) return;
    this.#mask = places - 1;
    this.#texts = new Array(places).fill("");
  }
}

/** By the string itself and not by kept bytes: whoever asks looks at the string next, so that nothing else need be fetched. */
function isText(text: string, buffer: Buffer, start: number, length: number): boolean {
  if (text.length !== length) return false;
  let i = 0;
  while (i < length && text.charCodeAt(i) === buffer[start + i]) i++;
  return i === length;
}

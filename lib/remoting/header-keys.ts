const TABLE_MAX = 1024;

/** From the bytes of a field name to the number of its slot, without making a string. */
export class HeaderKeys {
  /** One-letter names by their letter: all of SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE. */
  readonly #letters = new Int16Array(256).fill(-1);
  readonly #names: (Buffer | undefined)[];
  readonly #slots: Int16Array;
  readonly #mask: number;

  constructor(keys: readonly (readonly string[])[]) {
    const longer: [name: Buffer, slot: number][] = [];
    keys.forEach((names, slot) => {
      for (const name of names) {
        const bytes = Buffer.from(name);
        if (bytes.length === 1) this.#letters[bytes[0]!] = slot;
        else longer.push([bytes, slot]);
      }
    });
    let size = 16;
    while (!distinct(longer, size - 1) && size < TABLE_MAX) size *= 2;
    this.#mask = size - 1;
    this.#names = new Array(size).fill(undefined);
    this.#slots = new Int16Array(size);
    for (const [name, slot] of longer) {
      let place = hash(name, 0, name.length) & this.#mask;
      while (this.#names[place] !== undefined) place = (place + 1) & this.#mask;
      this.#names[place] = name;
      this.#slots[place] = slot;
    }
  }

  /** Slot of the name in `buffer[start,end)`, -1 when it has none. */
  slot(buffer: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length === 1) return this.#letters[buffer[start]!]!;
    if (length === 0) return -1;
    let place = hash(buffer, start, end) & this.#mask;
    for (;;) {
      const name = this.#names[place];
      if (name === undefined) return -1;
      if (name.length === length) {
        let i = 0;
        while (i < length && name[i] === buffer[start + i]) i++;
        if (i === length) return this.#slots[place]!;
      }
      place = (place + 1) & this.#mask;
    }
  }
}

function hash(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  return length * 31 + bytes[start]! * 7 + bytes[end - 1]! * 13 + bytes[start + (length >> 1)]! * 3;
}

function distinct(names: [Buffer, number][], mask: number): boolean {
  const places = new Set(names.map(([name]) => hash(name, 0, name.length) & mask));
  // Half empty at least, so that a search for an unknown name ends.
  return places.size === names.length && names.length * 2 <= mask + 1;
}

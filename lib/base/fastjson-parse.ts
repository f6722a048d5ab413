/** Text that is no JSON even in fastjson's wide sense; `position` counts characters from 0. */
export class FastjsonError extends Error {
  readonly position: number;

  constructor(position: number, message: string) {
    super(`parse JSON at character ${position}: ${message}`);
    this.name = "FastjsonError";
    this.position = position;
  }
}

/** Deeper nesting is refused: it is no RocketMQ body and would exhaust the stack. */
const DEPTH_MAX = 256;

/**
 * Reads what fastjson 1.2 reads: unquoted and single-quoted keys, numbers, objects and lists as keys, trailing commas, comments,
 * a byte order mark, `$ref`. Empty text is null. Objects have no prototype; one with object or list keys becomes a Map
 * whose keys are the JSON text of the key. Whole numbers beyond 2^53 become bigint. Throws FastjsonError.
 */
export function parseFastjson(source: string | Uint8Array): unknown {
  const text = typeof source === "string" ? source : utf8(source);
  return new Parser(text).document();
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

const NUMBER = /[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/y;
const IDENTIFIER = /[\p{L}_$@][\p{L}\p{N}_$@.-]*/uy;

type Container = Record<string, unknown> | unknown[] | Map<string, unknown>;

interface Reference {
  holder: Container;
  key: string | number;
  path: string;
  parent: Container;
}

class Parser {
  readonly #text: string;
  #at = 0;
  readonly #references: Reference[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  document(): unknown {
    if (this.#text.charCodeAt(0) === 0xfeff) this.#at = 1;
    this.#blank();
    if (this.#at >= this.#text.length) return null;
    const value = this.#value(0);
    this.#blank();
    if (this.#at < this.#text.length) throw this.#error(`${this.#found()} behind the document, want its end`);
    for (const reference of this.#references) resolve(reference, value);
    return value;
  }

  #value(depth: number): unknown {
    if (depth > DEPTH_MAX) throw this.#error(`nesting deeper than ${DEPTH_MAX}`);
    const character = this.#text[this.#at];
    switch (character) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#list(depth);
      case '"':
      case "'":
        return this.#string(character);
      default:
        return this.#scalar();
    }
  }

  #object(depth: number): Container {
    this.#at++;
    const object: Record<string, unknown> = Object.create(null);
    let map: Map<string, unknown> | undefined;
    for (;;) {
      if (this.#closes("}")) break;
      const structured = this.#text[this.#at] === "{" || this.#text[this.#at] === "[";
      const key = this.#key(depth);
      this.#blank();
      this.#expect(":");
      this.#blank();
      if (structured && map === undefined) map = new Map(Object.entries(object));
      const holder = map ?? object;
      const value = this.#reference(this.#value(depth + 1), holder, key);
      if (map === undefined) object[key] = value;
      else map.set(key, value);
      if (!this.#separates("}")) break;
    }
    return map ?? object;
  }

  #list(depth: number): unknown[] {
    this.#at++;
    const list: unknown[] = [];
    for (;;) {
      if (this.#closes("]")) break;
      list.push(this.#reference(this.#value(depth + 1), list, list.length));
      if (!this.#separates("]")) break;
    }
    return list;
  }

  #key(depth: number): string {
    const character = this.#text[this.#at];
    if (character === '"' || character === "'") return this.#string(character);
    const start = this.#at;
    if (character === "{" || character === "[") {
      this.#value(depth + 1);
    } else if (this.#match(NUMBER) === undefined && this.#match(IDENTIFIER) === undefined) {
      throw this.#error(`found ${this.#found()}, want a key`);
    }
    return this.#text.slice(start, this.#at);
  }

  #string(quote: string): string {
    const start = ++this.#at;
    let from = start;
    let result = "";
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new FastjsonError(start - 1, "string without an end");
      if (character === quote) break;
      if (character === "\\") {
        result += this.#text.slice(from, this.#at) + this.#escape();
        from = this.#at;
      } else {
        this.#at++;
      }
    }
    result += this.#text.slice(from, this.#at);
    this.#at++;
    return result;
  }

  #escape(): string {
    const character = this.#text[this.#at + 1];
    if (character === "u" || character === "x") {
      const digits = character === "u" ? 4 : 2;
      const hex = this.#text.slice(this.#at + 2, this.#at + 2 + digits);
      if (hex.length !== digits || !/^[0-9a-fA-F]+$/.test(hex))
        throw this.#error(`escape "\\${character}${hex}", want ${digits} hex digits`);
      this.#at += 2 + digits;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    const plain = character === undefined ? undefined : ESCAPES[character];
    if (plain === undefined) throw this.#error(`unknown escape "\\${character ?? ""}"`);
    this.#at += 2;
    return plain;
  }

  #scalar(): unknown {
    const number = this.#match(NUMBER);
    if (number !== undefined) return this.#number(number);
    const word = this.#match(IDENTIFIER);
    switch (word) {
      case "true":
        return true;
      case "false":
        return false;
      case "null":
      case "undefined":
      case "NaN":
        return null;
      default:
        throw this.#error(
          word === undefined ? `found ${this.#found()}, want a value` : `found "${word}", want a value`,
        );
    }
  }

  #number(text: string): number | bigint {
    // Java's type suffixes [JSONScanner#scanNumber].
    if ("LSBFD".includes(this.#text[this.#at] ?? " ")) this.#at++;
    const value = Number(text);
    if (Number.isSafeInteger(value) || !/^[-+]?\d+$/.test(text)) return value;
    return BigInt(text.replace(/^\+/, ""));
  }

  /** Remembers `{"$ref":"path"}` for when the whole document is known. */
  #reference(value: unknown, holder: Container, key: string | number): unknown {
    if (typeof value !== "object" || value === null || !("$ref" in value)) return value;
    const path = value.$ref;
    if (typeof path === "string") this.#references.push({ holder, key, path, parent: holder });
    return value;
  }

  #closes(close: string): boolean {
    this.#blank();
    while (this.#text[this.#at] === ",") {
      this.#at++;
      this.#blank();
    }
    if (this.#text[this.#at] !== close) return false;
    this.#at++;
    return true;
  }

  /** Behind an entry: true when another may follow. */
  #separates(close: string): boolean {
    this.#blank();
    if (this.#text[this.#at] === ",") return true;
    this.#expect(close);
    return false;
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) throw this.#error(`found ${this.#found()}, want "${character}"`);
    this.#at++;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.#at += match.length;
    return match;
  }

  #blank(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code <= 0x20) this.#at++;
      else if (code === 0x2f) this.#comment();
      else return;
    }
  }

  #comment(): void {
    const line = this.#text[this.#at + 1] === "/";
    if (!line && this.#text[this.#at + 1] !== "*") throw this.#error('found "/", want a value or a comment');
    const end = this.#text.indexOf(line ? "\n" : "*/", this.#at + 2);
    if (end < 0 && !line) throw this.#error("comment without an end");
    this.#at = end < 0 ? this.#text.length : end + (line ? 1 : 2);
  }

  #found(): string {
    const character = this.#text[this.#at];
    return character === undefined ? "the end of the text" : JSON.stringify(character);
  }

  #error(message: string): FastjsonError {
    return new FastjsonError(this.#at, message);
  }
}

const ESCAPES: Record<string, string> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  F: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  ...Object.fromEntries(Array.from("01234567", (digit) => [digit, String.fromCharCode(Number(digit))])),
};

/** Puts the referred object in the place of its `$ref`; one that leads nowhere (object-keyed steps print as `.null`) becomes null. */
function resolve(reference: Reference, root: unknown): void {
  const target = follow(reference, root);
  const { holder, key } = reference;
  if (holder instanceof Map) holder.set(String(key), target);
  else if (Array.isArray(holder)) holder[Number(key)] = target;
  else holder[key] = target;
}

function follow(reference: Reference, root: unknown): unknown {
  if (reference.path === "@") return reference.parent;
  if (!reference.path.startsWith("$")) return null;
  let value: unknown = root;
  for (const [, name, index] of reference.path.slice(1).matchAll(/\.([^.[\]]+)|\[(?:'|")?([^\]'"]+)(?:'|")?\]/g)) {
    const step = name ?? index ?? "";
    if (value instanceof Map) value = value.get(step);
    else if (Array.isArray(value)) value = value[Number(step)];
    else if (typeof value === "object" && value !== null) value = (value as Record<string, unknown>)[step];
    else return null;
  }
  return value ?? null;
}

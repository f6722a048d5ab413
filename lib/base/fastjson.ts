/** JSON as fastjson 1.2 writes it: what JSON.stringify cannot do, for peers and files that expect it. Reading is in fastjson-parse.ts. */
export { FastjsonError, parseFastjson } from "./fastjson-parse.ts";

export interface FastjsonOptions {
  /** Tab-indented form of RocketMQ's config files. */
  pretty?: boolean;
  /**
   * Standard JSON in ASCII [SerializerFeature.BrowserCompatible]: \uXXXX for everything else, all keys quoted, whole numbers beyond
   * 2^53 as strings.
   */
  unicodeEscape?: boolean;
}

/** A Java double or float: 5 is written 5.0. */
export class JavaDouble {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** A key of a Map that is JSON text itself, as parseFastjson returns it for object keys; written unquoted. */
export class JsonKey {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * Fields of objects come sorted by name, undefined and null ones are left out. Maps keep their order; keys that are not
 * strings are written as their JSON value without quotes: `{0:"a"}`, `{{"brokerName":"b"}:5}`. A Set is a list that stays on one
 * line in the pretty form, as Java's sets and arrays do.
 */
export function stringifyFastjson(value: unknown, options: FastjsonOptions = {}): string {
  const writer = new Writer(options.pretty === true, options.unicodeEscape === true);
  return writer.value(value, 0) ?? "null";
}

class Writer {
  readonly #pretty: boolean;
  readonly #unicodeEscape: boolean;

  constructor(pretty: boolean, unicodeEscape: boolean) {
    this.#pretty = pretty;
    this.#unicodeEscape = unicodeEscape;
  }

  /** Text of one value at nesting `depth`; undefined when it is left out. */
  value(value: unknown, depth: number): string | undefined {
    switch (typeof value) {
      case "string":
        return this.#string(value);
      case "number":
        return Number.isFinite(value) ? this.#number(value) : "null";
      case "bigint":
        return this.#whole(value);
      case "boolean":
        return String(value);
      case "object":
        return value === null ? undefined : this.#object(value, depth);
      default:
        return undefined;
    }
  }

  #object(value: object, depth: number): string {
    if (Array.isArray(value)) return this.#list(value, depth);
    if (value instanceof Map) return this.#map(value, depth);
    if (value instanceof Set)
      return `[${Array.from(value, (item) => this.value(item, depth + 1) ?? "null").join(",")}]`;
    if (value instanceof JavaDouble) return javaDouble(value.value);
    if (value instanceof JsonKey) return value.text;
    if (value instanceof Uint8Array) return `"${Buffer.from(value).toString("base64")}"`;
    const entries: string[] = [];
    const fields = value as Record<string, unknown>;
    for (const name of Object.keys(fields).sort()) {
      const text = this.value(fields[name], depth + 1);
      if (text !== undefined) entries.push(`${this.#string(name)}:${text}`);
    }
    return this.#block("{", "}", entries, depth);
  }

  #list(list: unknown[], depth: number): string {
    return this.#block(
      "[",
      "]",
      list.map((item) => this.value(item, depth + 1) ?? "null"),
      depth,
    );
  }

  /** Entries with keys that are no strings share a line: only the closing brace goes to a new one [MapSerializer]. */
  #map(map: Map<unknown, unknown>, depth: number): string {
    const indent = this.#pretty ? `\n${"\t".repeat(depth + 1)}` : "";
    let text = "";
    let count = 0;
    for (const [key, item] of map) {
      const itemText = this.value(item, depth + 1);
      if (itemText === undefined) continue;
      if (count++ > 0) text += ",";
      text +=
        typeof key === "string"
          ? `${indent}${this.#string(key)}:${itemText}`
          : `${this.#key(key, depth + 1)}:${itemText}`;
    }
    if (!this.#pretty || map.size === 0) return `{${text}}`;
    return `{${text}\n${"\t".repeat(depth)}}`;
  }

  #key(key: unknown, depth: number): string {
    if (this.#unicodeEscape) return this.#string(new Writer(false, false).value(key, 0) ?? "null");
    return this.value(key, depth) ?? "null";
  }

  #number(value: number): string {
    return Number.isInteger(value) && Math.abs(value) < 1e21 ? this.#whole(BigInt(value)) : javaDouble(value);
  }

  #whole(value: bigint): string {
    const exact = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
    return this.#unicodeEscape && !exact ? `"${value}"` : String(value);
  }

  #block(open: string, close: string, entries: string[], depth: number): string {
    if (!this.#pretty || entries.length === 0) return open + entries.join(",") + close;
    const indent = `\n${"\t".repeat(depth + 1)}`;
    return `${open}${indent}${entries.join(`,${indent}`)}\n${"\t".repeat(depth)}${close}`;
  }

  #string(text: string): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is escaped
    const special = this.#unicodeEscape ? /[\x00-\x1f"\\/\x7f-\uffff]/g : /[\x00-\x1f"\\\x7f\u2028\u2029]/g;
    return `"${text.replace(special, escapeCharacter)}"`;
  }
}

const SHORT_ESCAPES: Record<string, string> = {
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
  '"': '\\"',
  "\\": "\\\\",
  "/": "\\/",
};

function escapeCharacter(character: string): string {
  return SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Java's Double.toString for finite values: 0.0, 1.5, 1.0E20. */
function javaDouble(value: number): string {
  if (!Number.isFinite(value)) return "null";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e7) return Number.isInteger(value) ? `${value}.0` : String(value);
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
}

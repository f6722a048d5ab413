/** One `key=value` of a properties text and the line its key stands on, counted from 1. */
export interface Property {
  key: string;
  value: string;
  line: number;
}

/** A logical line: continuation lines joined. `lines` of the text from `line` on belong to it. */
interface LogicalLine {
  text: string;
  line: number;
  lines: number;
}

/** A text that java.util.Properties would not load. */
export class PropertiesError extends Error {
  readonly line: number;

  constructor(message: string, line: number) {
    super(message);
    this.name = "PropertiesError";
    this.line = line;
  }
}

/**
 * Reads Java's `.properties` text [java.util.Properties#load]: `#` and `!` comments, `=`, `:` or blank as separator, a backslash at
 * the end of a line continues it, `\t \n \r \f \uXXXX` escapes, blanks before keys and values dropped, blanks behind values kept.
 * Entries come in order, repeated keys included. Throws PropertiesError for a malformed `\uXXXX`, as Java does.
 */
export function parseProperties(text: string): Property[] {
  return logicalLines(text).map((logical) => {
    const end = keyEnd(logical.text);
    return {
      key: unescapeText(logical.text.slice(0, end), logical.line),
      value: unescapeText(logical.text.slice(valueStart(logical.text, end)), logical.line),
      line: logical.line,
    };
  });
}

/** Bytes of a properties file as text: UTF-8, or ISO-8859-1 where they are none, as old Java files. */
export function decodeProperties(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }
}

/**
 * Sets keys in a properties text and leaves everything else as it is: order, comments, other keys, the end of each line. A key that
 * stands there is replaced where it last stands (that one counts), a new one is added at the end.
 */
export function updateProperties(text: string, changes: ReadonlyMap<string, string>): string {
  const places = propertyPlaces(text);
  const newline = endOf(/^[^\r\n]*(?:\r\n|\n|\r)/.exec(text)?.[0] ?? "") || "\n";
  const added: string[] = [];
  const edits: Edit[] = [];
  for (const [key, value] of changes) {
    const place = places.get(key);
    if (place === undefined) added.push(propertyLine(key, value) + newline);
    else edits.push({ ...place, text: propertyLine(key, value) + endOf(text.slice(place.from, place.to)) });
  }
  const kept = edited(text, edits);
  const joint = added.length > 0 && kept !== "" && !/[\r\n]$/.test(kept) ? newline : "";
  return kept + joint + added.join("");
}

/** A range of a text, ends of lines included, and what takes its place. */
export interface Edit {
  from: number;
  to: number;
  text: string;
}

export function edited(text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const { from, to, text: other } of edits.toSorted((a, b) => b.from - a.from))
    result = result.slice(0, from) + other + result.slice(to);
  return result;
}

/** Where each key stands last, with all its lines and the end of the last one. */
export function propertyPlaces(text: string): Map<string, { from: number; to: number }> {
  const mark = text.startsWith("\uFEFF") ? 1 : 0;
  const starts = [mark];
  for (const { index, 0: end } of text.matchAll(/\r\n|\n|\r/g)) starts.push(index + end.length);
  const places = new Map<string, { from: number; to: number }>();
  for (const { text: line, line: number, lines } of logicalLines(text)) {
    const key = unescapeText(line.slice(0, keyEnd(line)), number);
    places.set(key, { from: starts[number - 1] ?? text.length, to: starts[number - 1 + lines] ?? text.length });
  }
  return places;
}

/** The same on a file's bytes, whatever their encoding: bytes outside of the changed lines stay. Keys are ASCII. */
export function updatePropertiesBytes(bytes: Uint8Array, changes: ReadonlyMap<string, string>): Buffer {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  const isMarked = text.startsWith(UTF8_MARK);
  const updated = updateProperties(isMarked ? text.slice(UTF8_MARK.length) : text, changes);
  return Buffer.from(isMarked ? UTF8_MARK + updated : updated, "latin1");
}

/** The byte order mark of UTF-8, a character a byte. */
const UTF8_MARK = "\u00ef\u00bb\u00bf";

function endOf(line: string): string {
  return /(?:\r\n|\n|\r)$/.exec(line)?.[0] ?? "";
}

/** One line that every Java reads back as `key` and `value`; ASCII only. */
export function propertyLine(key: string, value: string): string {
  const escapedKey = escapeText(key).replace(/[=: #!]/g, (character) => `\\${character}`);
  return `${escapedKey}=${escapeText(value).replace(/^ /, "\\ ")}`;
}

function logicalLines(source: string): LogicalLine[] {
  const lines = source.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
  const result: LogicalLine[] = [];
  for (let i = 0; i < lines.length; i++) {
    const first = i;
    let text = withoutLeadingBlanks(lines[i] ?? "");
    if (text === "" || text.startsWith("#") || text.startsWith("!")) continue;
    while (continues(text)) {
      text = text.slice(0, -1);
      if (i + 1 >= lines.length) break;
      i++;
      text += withoutLeadingBlanks(lines[i] ?? "");
    }
    result.push({ text, line: first + 1, lines: i - first + 1 });
  }
  return result;
}

function withoutLeadingBlanks(text: string): string {
  return text.replace(/^[ \t\f]+/, "");
}

/** An odd number of backslashes at the end. */
function continues(text: string): boolean {
  const backslashes = /\\*$/.exec(text)?.[0].length ?? 0;
  return backslashes % 2 === 1;
}

/** Index of the first separator that is not escaped. */
function keyEnd(text: string): number {
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === "\\") i++;
    else if ("=: \t\f".includes(character)) return i;
  }
  return text.length;
}

/** Blanks, at most one `=` or `:`, blanks again. */
function valueStart(text: string, end: number): number {
  const between = /^[ \t\f]*[=:]?[ \t\f]*/.exec(text.slice(end));
  return end + (between?.[0].length ?? 0);
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };

function unescapeText(text: string, line: number): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|[\s\S])/g, (_, escaped: string) => {
    if (escaped.length === 5) return String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
    if (escaped === "u")
      throw new PropertiesError("malformed \\u escape, want four hexadecimal digits behind it", line);
    return ESCAPES[escaped] ?? escaped;
  });
}

const WRITTEN_ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\t": "\\t",
  "\n": "\\n",
  "\r": "\\r",
  "\f": "\\f",
};

function escapeText(text: string): string {
  return text.replace(
    /[^\x20-\x5b\x5d-\x7e]/g,
    (character) => WRITTEN_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

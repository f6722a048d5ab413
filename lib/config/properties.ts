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
 * Sets keys in a properties text and leaves everything else as it is: order, comments, other keys. A key that stands there is
 * replaced where it last stands (that one counts), a new one is added at the end.
 */
export function updateProperties(text: string, changes: ReadonlyMap<string, string>): string {
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = text === "" ? [] : text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
  const places = new Map<string, LogicalLine>();
  for (const logical of logicalLines(text))
    places.set(unescapeText(logical.text.slice(0, keyEnd(logical.text)), logical.line), logical);
  const removed = new Set<number>();
  const added: string[] = [];
  for (const [key, value] of changes) {
    const place = places.get(key);
    if (place === undefined) {
      added.push(propertyLine(key, value));
      continue;
    }
    lines[place.line - 1] = propertyLine(key, value);
    for (let i = 1; i < place.lines; i++) removed.add(place.line - 1 + i);
  }
  return [...lines.filter((_, i) => !removed.has(i)), ...added, ""].join(newline);
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

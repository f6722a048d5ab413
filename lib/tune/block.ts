/** Our lines in a file, between two marks; everything else in the file is somebody else's and stays byte by byte. */
export const BEGIN = "# BEGIN mq tune (managed)";
export const END = "# END mq tune";

export interface Split {
  before: string;
  /** The lines between the marks, without them; undefined: the file has no block. */
  block: string[] | undefined;
  after: string;
  /** Why the file must not be edited. */
  broken?: string;
}

/** Finds the block. A block without an end, or two blocks, are not ours to guess at. Text is latin1: one char, one byte. */
export function splitBlock(text: string): Split {
  const lines = linesOf(text);
  const begins = lines.flatMap(({ line }, i) => (line === BEGIN ? [i] : []));
  const ends = lines.flatMap(({ line }, i) => (line === END ? [i] : []));
  if (begins.length === 0 && ends.length === 0) return { before: text, block: undefined, after: "" };
  const [begin] = begins;
  const [end] = ends;
  if (begins.length !== 1 || ends.length !== 1 || begin === undefined || end === undefined || begin > end) {
    const at = (begin ?? end ?? 0) + 1;
    return {
      before: text,
      block: undefined,
      after: "",
      broken: `line ${at}: found a mark of mq tune without its other half, want both once`,
    };
  }
  const first = lines[begin]!;
  const last = lines[end]!;
  return {
    before: text.slice(0, first.from),
    block: lines.slice(begin + 1, end).map(({ line }) => line),
    after: text.slice(last.to),
  };
}

/** Numbers of the lines with our two marks, counted from 1; 0 and 0 where there is no block. */
export function blockPlace(text: string): [begin: number, end: number] {
  const { before, block } = splitBlock(text);
  const begin = before.split("\n").length;
  return block === undefined ? [0, 0] : [begin, begin + block.length + 1];
}

function linesOf(text: string): { line: string; from: number; to: number }[] {
  const found: { line: string; from: number; to: number }[] = [];
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf("\n", from);
    const to = newline < 0 ? text.length : newline + 1;
    found.push({ line: text.slice(from, newline < 0 ? to : newline).replace(/\r$/, ""), from, to });
    from = to;
  }
  return found;
}

/** The text with our lines in their place, at the end where there was no block; no lines: without a block. */
export function withBlock(text: string, entries: readonly string[]): string {
  const { before, block, after } = splitBlock(text);
  const lines = entries.length === 0 ? "" : `${[BEGIN, ...entries, END].join("\n")}\n`;
  if (block !== undefined) return before + lines + after;
  const joint = lines !== "" && before !== "" && !before.endsWith("\n") ? "\n" : "";
  return before + joint + lines;
}

/** The lines with `changes` laid over those of the same key, new ones behind them; `gone` keys are dropped. */
export function mergeEntries(
  block: readonly string[],
  keyOf: (line: string) => string | undefined,
  changes: ReadonlyMap<string, string>,
  gone: ReadonlySet<string> = new Set(),
): string[] {
  const rest = new Map(changes);
  const merged: string[] = [];
  for (const line of block) {
    const key = keyOf(line);
    if (key === undefined) {
      merged.push(line);
      continue;
    }
    if (gone.has(key) && !changes.has(key)) continue;
    const replaced = rest.get(key);
    if (replaced !== undefined) {
      merged.push(replaced);
      rest.delete(key);
    } else if (!changes.has(key)) {
      merged.push(line);
    }
  }
  return [...merged, ...rest.values()];
}

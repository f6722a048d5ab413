import type { Operation } from "./plan.ts";

const CONTEXT = 3;
const NO_NEWLINE = "\\ No newline at end of file";

/** What apply would do: every file as a unified diff, every kernel value as old and new. */
export function diffText(operations: readonly Operation[]): string {
  return operations
    .map((operation) => {
      if (operation.op === "file") return unifiedDiff(operation.path, operation.before, operation.after);
      if (operation.op === "trigger") return `${operation.key}: once ${operation.after}`;
      return `${operation.key}: ${operation.before} -> ${operation.after}`;
    })
    .join("\n");
}

/** One hunk from the first to the last line that differs; `patch -p1` takes it. */
export function unifiedDiff(path: string, before: Buffer | undefined, after: Buffer): string {
  const old = linesOf(before?.toString("latin1") ?? "");
  const now = linesOf(after.toString("latin1"));
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < old.length - head && tail < now.length - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  const from = Math.max(0, head - CONTEXT);
  const oldEnd = Math.min(old.length, old.length - tail + CONTEXT);
  const nowEnd = Math.min(now.length, now.length - tail + CONTEXT);
  const lines = [
    `--- ${before === undefined ? "/dev/null" : `a${path}`}`,
    `+++ b${path}`,
    `@@ -${range(from, oldEnd)} +${range(from, nowEnd)} @@`,
    ...old.slice(from, head).map((line) => shown(" ", line)),
    ...old.slice(head, old.length - tail).map((line) => shown("-", line)),
    ...now.slice(head, now.length - tail).map((line) => shown("+", line)),
    ...old.slice(old.length - tail, oldEnd).map((line) => shown(" ", line)),
  ];
  return lines.join("\n");
}

function range(from: number, end: number): string {
  return end === from ? `${from},0` : `${from + 1},${end - from}`;
}

/** Lines with their ends. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function shown(mark: string, line: string): string {
  return line.endsWith("\n") ? mark + line.slice(0, -1) : `${mark}${line}\n${NO_NEWLINE}`;
}

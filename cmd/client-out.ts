/** What the client commands print: results to stdout, commentary to stderr. A closed pipe ends the command quietly. */

let pipeClosed: Promise<void> | undefined;

/** Resolves when nobody reads stdout any more; from then on what is printed is dropped. */
export function whenPipeCloses(): Promise<void> {
  pipeClosed ??= new Promise((resolve) => {
    process.stdout.on("error", () => resolve());
    process.stdout.on("close", () => resolve());
  });
  return pipeClosed;
}

/** Writes text or bytes; resolves when stdout takes more. */
export function write(data: string | Uint8Array): Promise<void> | undefined {
  void whenPipeCloses();
  if (process.stdout.write(data)) return undefined;
  return Promise.race([new Promise<void>((resolve) => process.stdout.once("drain", resolve)), whenPipeCloses()]);
}

export function printLine(text: string): Promise<void> | undefined {
  return write(`${text}\n`);
}

export function printJson(value: unknown): Promise<void> | undefined {
  return printLine(JSON.stringify(value));
}

/** Columns as wide as their widest cell, two blanks apart; the last one is not padded. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const cells = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells) {
    const line = row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)));
    void printLine(line.join("  "));
  }
}

export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One line on a terminal that is written over and over; nothing where stderr is no terminal. */
export class ProgressLine {
  readonly #on = process.stderr.isTTY === true;
  #shown = false;

  get on(): boolean {
    return this.#on;
  }

  show(text: string): void {
    if (!this.#on) return;
    this.#shown = true;
    process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#shown) process.stderr.write("\r\u001b[K");
    this.#shown = false;
  }
}

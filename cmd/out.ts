import { createConsola } from "consola/core";

/** Commentary for people goes to stderr, results to stdout; with --json stdout holds nothing but JSON. */
const commentary = createConsola({
  // Else NODE_ENV=test or CONSOLA_LEVEL would silence even error messages, and CI would put "[log]" before each of them.
  level: 3,
  reporters: [{ log: ({ args }) => void process.stderr.write(`${args.join(" ")}\n`) }],
});

export function say(text: string): void {
  commentary.log(text);
}

export function warn(text: string): void {
  commentary.log(`${color("33", "warning:", process.stderr)} ${text}`);
}

/** One line per mistake, as the last thing a failing command prints. */
export function complain(text: string): void {
  commentary.log(`${color("31", "mq:", process.stderr)} ${text}`);
}

/** A result for people. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

let drained: Promise<void> | undefined;

/** Writes a stream's next piece; a promise, shared by all who wait, while stdout takes no more. */
export function write(data: string | Uint8Array): Promise<void> | undefined {
  if (process.stdout.write(data)) return undefined;
  drained ??= new Promise((resolve) =>
    process.stdout.once("drain", () => {
      drained = undefined;
      resolve();
    }),
  );
  return drained;
}

/** One JSON object on one line. bigint is written as a decimal number. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, (_, item) => (typeof item === "bigint" ? Number(item) : item))}\n`);
}

/** Columns padded to their widest cell, two blanks apart; the header is bold on a terminal. */
export function printTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const texts = rows.map((row) => row.map(String));
  const widths = header.map((name, column) => Math.max(name.length, ...texts.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ");
  print(color("1", line(header), process.stdout));
  for (const row of texts) print(line(row));
}

export function color(code: string, text: string, stream: NodeJS.WriteStream): string {
  return wantsColor(stream) ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Colour only on a terminal, and never where NO_COLOR is set to anything [no-color.org]. */
export function wantsColor(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";
}

/** A reader that closed the pipe (`mq topic list | head`) has seen enough: the command ends quietly. */
export function endQuietlyOnClosedPipe(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A command that has something to finish (commit offsets, a report) listens itself.
    if (process.stdout.listenerCount("error") === 1) process.exit(error.code === "EPIPE" ? 0 : 1);
  });
}

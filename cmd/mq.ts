import { isMainThread, workerData } from "node:worker_threads";
import { type ArgsDef, type CommandDef, runCommand } from "citty";
import { AssertionError } from "../lib/base/assert.ts";
import { ExitCode, errorText, MqError, UsageError } from "../lib/base/errors.ts";
import { nearest } from "../lib/base/suggest.ts";
import { COMMANDS } from "./commands.ts";
import { checkFlags } from "./flags.ts";
import { columns, helpText } from "./help.ts";
import { complain, endQuietlyOnClosedPipe, print } from "./out.ts";
import { MQ_VERSION } from "./version.ts";

const HELP_FLAGS = new Set(["-h", "--help"]);

function overview(): string {
  const rows = Object.entries(COMMANDS).map(([name, { summary }]): [string, string] => [name, summary]);
  return [
    "mq: RocketMQ without the JVM. Name server, broker, client and toolbox in one executable.",
    "",
    "Usage: mq COMMAND [flags]",
    "",
    "Commands:",
    ...columns(rows),
    "",
    "Flags:",
    ...columns([
      ["-h, --help", "This text; after a command: its own help"],
      ["-v, --version", "The version"],
    ]),
    "",
    "Example:",
    "  mq start",
    "  mq produce --topic orders 'hello'",
    "  mq consume --topic orders --group readers --from first",
  ].join("\n");
}

async function main(rawArgs: string[]): Promise<void> {
  const name = rawArgs[0];
  if (name === undefined || HELP_FLAGS.has(name) || name === "help") {
    if (name === "help" && rawArgs[1] !== undefined) return main([...rawArgs.slice(1), "--help"]);
    return print(overview());
  }
  if (name === "-v" || name === "--version") return print(`mq ${MQ_VERSION}`);
  const row = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (row === undefined) throw unknownCommand(name, Object.keys(COMMANDS), "mq");
  const foreign = row.foreign?.(rawArgs.slice(1));
  if (foreign !== undefined) return foreign();
  await dispatch(await row.load(), ["mq", name], rawArgs.slice(1), row.examples);
}

function unknownCommand(name: string, known: string[], path: string): UsageError {
  if (name.startsWith("-")) return new UsageError(`unknown flag ${name} of ${path}; see ${path} --help`);
  const close = nearest(name, known);
  const hint = close === undefined ? `one of ${known.join(", ")}` : `did you mean ${close}?`;
  return new UsageError(`unknown command ${JSON.stringify(name)} of ${path}; ${hint}`);
}

/** Walks down subcommands, then checks the flags and runs. */
async function dispatch(
  command: CommandDef<ArgsDef>,
  path: string[],
  rawArgs: string[],
  examples: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const subCommands =
    typeof command.subCommands === "function" ? await command.subCommands() : await command.subCommands;
  const wantsHelp = rawArgs.some((arg) => HELP_FLAGS.has(arg));
  const first = rawArgs[0];
  // A command that runs by itself takes flags; then citty must not look for a subcommand among their values.
  const alone = command.run !== undefined && (first === undefined || first.startsWith("-"));
  if (
    subCommands !== undefined &&
    Object.keys(subCommands).length > 0 &&
    first !== undefined &&
    !HELP_FLAGS.has(first) &&
    !alone
  ) {
    const sub = Object.hasOwn(subCommands, first) ? subCommands[first] : undefined;
    if (sub === undefined) throw unknownCommand(first, Object.keys(subCommands), path.join(" "));
    const loaded = (typeof sub === "function" ? await sub() : await sub) as CommandDef<ArgsDef>;
    return dispatch(loaded, [...path, first], rawArgs.slice(1), examples);
  }
  const spoken = path.join(" ");
  if (wantsHelp || command.run === undefined) {
    if (!wantsHelp) throw new UsageError(`${spoken} wants a command: ${Object.keys(subCommands ?? {}).join(", ")}`);
    return print(await helpText(command, spoken, examples[path.slice(2).join(" ")] ?? []));
  }
  const args = (typeof command.args === "function" ? await command.args() : await command.args) ?? {};
  checkFlags(rawArgs, args, spoken);
  const { subCommands: _, ...own } = command;
  await runCommand(alone ? own : command, { rawArgs });
}

/** Prints an error as people read it and gives its exit code. Only unexpected ones show where they came from. */
function report(error: unknown): number {
  if (error instanceof MqError) {
    for (const line of error.message.split("\n")) complain(line);
    return error.exitCode;
  }
  if (error instanceof Error && error.name === "CLIError") {
    complain(error.message);
    return ExitCode.usage;
  }
  const expected = error instanceof Error && !(error instanceof AssertionError || error instanceof TypeError);
  complain(
    expected
      ? errorText(error)
      : `unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  return expected ? ExitCode.failure : ExitCode.software;
}

if (isMainThread) {
  endQuietlyOnClosedPipe();
  main(process.argv.slice(2)).catch((error: unknown) => {
    process.exitCode = report(error);
    process.exit(process.exitCode);
  });
} else if ((workerData as { role?: unknown }).role === "allocate") {
  void import("../lib/store/mappedfile/allocate-worker.ts").then(({ runAllocateWorker }) => runAllocateWorker());
} else if ((workerData as { role?: unknown }).role === "bench") {
  void import("../lib/bench/load/load-worker.ts").then(({ runLoadWorker }) => runLoadWorker());
} else if ((workerData as { role?: unknown }).role === "bench-raw") {
  void import("../lib/bench/raw/raw-worker.ts").then(({ runRawWorker }) => runRawWorker());
} else if ((workerData as { role?: unknown }).role === "bench-sink") {
  void import("../lib/bench/load/null-sink.ts").then(({ runNullSink }) => runNullSink());
}

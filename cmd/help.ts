import type { ArgDef, ArgsDef, CommandDef, CommandMeta, Resolvable } from "citty";
import { isRepeated, spellings } from "./flags.ts";
import { color } from "./out.ts";

async function resolved<T>(value: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof value === "function" ? await (value as () => T | Promise<T>)() : await value;
}

/** Help of one command: what it does, how it is called, its flags with RocketMQ's letters first, its subcommands, an example. */
export async function helpText(
  command: CommandDef<ArgsDef>,
  path: string,
  examples: readonly string[],
): Promise<string> {
  const meta = (await resolved<CommandMeta>(command.meta)) ?? {};
  const args = (await resolved<ArgsDef>(command.args)) ?? {};
  const subCommands = (await resolved(command.subCommands)) ?? {};
  const names = Object.keys(subCommands);
  const lines: string[] = [];
  if (meta.description !== undefined) lines.push(meta.description, "");
  lines.push(`${bold("Usage:")} ${path}${names.length > 0 ? " COMMAND" : ""}${positionalUsage(args)} [flags]`);
  if (names.length > 0) {
    const rows: [string, string][] = [];
    for (const name of names) {
      const sub = await resolved<CommandDef>(subCommands[name] as Resolvable<CommandDef>);
      rows.push([name, (await resolved<CommandMeta>(sub?.meta))?.description ?? ""]);
    }
    lines.push("", bold("Commands:"), ...columns(rows));
  }
  const flags = Object.entries(args).filter(([, arg]) => arg.type !== "positional");
  if (names.length === 0 || flags.length > 0)
    lines.push(
      "",
      bold("Flags:"),
      ...columns([...flags.map(([name, arg]) => flagRow(name, arg)), ["-h, --help", "This text"]]),
    );
  if (examples.length > 0) lines.push("", bold("Example:"), ...examples.map((example) => `  ${example}`));
  return lines.join("\n");
}

function bold(text: string): string {
  return color("1", text, process.stdout);
}

function positionalUsage(args: ArgsDef): string {
  return Object.entries(args)
    .filter(([, arg]) => arg.type === "positional")
    .map(([name, arg]) => {
      const word = `${name.toUpperCase()}${isRepeated(arg) ? " ..." : ""}`;
      return arg.required === false ? ` [${word}]` : ` ${word}`;
    })
    .join("");
}

function flagRow(name: string, arg: ArgDef): [string, string] {
  // A switch that is on anyway is only worth turning off.
  if (arg.type === "boolean" && arg.default === true)
    return [`--no-${name}`, arg.negativeDescription ?? `Not: ${arg.description ?? name}`];
  const value =
    arg.type === "string" || arg.type === "enum"
      ? ` ${"valueHint" in arg && arg.valueHint ? arg.valueHint : "VALUE"}`
      : "";
  const fallback = arg.default === undefined || arg.default === false ? "" : ` (default ${String(arg.default)})`;
  return [`${spellings(name, arg).join(", ")}${value}`, `${arg.description ?? ""}${fallback}`];
}

/** Two columns, two blanks apart. */
export function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd());
}

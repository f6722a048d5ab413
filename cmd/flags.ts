import type { ArgDef, ArgsDef } from "citty";
import { UsageError } from "../lib/base/errors.ts";
import { nearest } from "../lib/base/suggest.ts";

/** Flags that may be given several times; of all others the last one would win without a word. */
const REPEATABLE = new Set(["set", "key", "property"]);

interface Flag {
  name: string;
  spelled: string;
  takesValue: boolean;
  /** The only values there are. */
  options?: readonly string[] | undefined;
}

/**
 * Refuses what citty would let pass: unknown flags, a flag without its value, a value for a switch, arguments nobody asked for;
 * and a value outside a list, for which citty's text has colours on every terminal and no suggestion.
 * Throws UsageError with the flag that was probably meant.
 */
export function checkFlags(rawArgs: readonly string[], args: ArgsDef, command: string): void {
  const flags = flagsOf(args);
  const named = Object.values(args).filter(({ type }) => type === "positional");
  const positionalsMax = named.some(isRepeated) ? Number.POSITIVE_INFINITY : named.length;
  const positionals: string[] = [];
  const given = new Map<string, string>();
  for (let i = 0; i < rawArgs.length; i++) {
    const raw = rawArgs[i]!;
    if (raw === "--") {
      positionals.push(...rawArgs.slice(i + 1));
      break;
    }
    if (!raw.startsWith("-") || raw === "-") {
      positionals.push(raw);
      continue;
    }
    const equals = raw.indexOf("=");
    const spelled = equals < 0 ? raw : raw.slice(0, equals);
    const flag = flags.get(spelled);
    if (flag === undefined)
      throw new UsageError(`unknown flag ${spelled} of ${command}${glued(spelled, flags) ?? hint(spelled, flags)}`);
    if (!flag.takesValue) {
      if (equals >= 0 && !/^(true|false)$/.test(raw.slice(equals + 1)))
        throw new UsageError(`${spelled} is a switch: found value ${raw.slice(equals + 1)}, want none`);
      continue;
    }
    const value = equals < 0 ? rawArgs[++i] : raw.slice(equals + 1);
    if (value === undefined || (equals < 0 && flags.has(value)))
      throw new UsageError(`${spelled} of ${command} wants a value`);
    const before = given.get(flag.name);
    if (before !== undefined && !REPEATABLE.has(flag.name))
      throw new UsageError(
        `${spelled} of ${command} is given twice: ${JSON.stringify(before)} and ${JSON.stringify(value)}, want one`,
      );
    given.set(flag.name, value);
    if (flag.options !== undefined) checkOption(spelled, value, flag.options);
  }
  if (positionals.length > positionalsMax)
    throw new UsageError(`unexpected argument ${JSON.stringify(positionals[positionalsMax])} of ${command}`);
}

function checkOption(spelled: string, value: string, options: readonly string[]): void {
  if (options.includes(value)) return;
  const close = nearest(value, options);
  const meant = close === undefined ? "" : `; did you mean ${close}?`;
  throw new UsageError(`${spelled} is ${JSON.stringify(value)}, want ${options.join(", ")}${meant}`);
}

/** `-c1`: a letter that takes a value, with the value behind it. */
function glued(spelled: string, flags: ReadonlyMap<string, Flag>): string | undefined {
  if (spelled.startsWith("--") || spelled.length < 3) return undefined;
  const letter = spelled.slice(0, 2);
  return flags.get(letter)?.takesValue === true ? `; want a blank between: ${letter} ${spelled.slice(2)}` : undefined;
}

function hint(spelled: string, flags: ReadonlyMap<string, Flag>): string {
  const long = [...flags.keys()].filter((name) => name.startsWith("--")).map((name) => name.slice(2));
  const close = nearest(spelled.replace(/^-+/, ""), long);
  if (close !== undefined) return `; did you mean --${close}?`;
  return "; see --help";
}

function flagsOf(args: ArgsDef): Map<string, Flag> {
  const flags = new Map<string, Flag>();
  for (const [name, arg] of Object.entries(args)) {
    if (arg.type === "positional") continue;
    const takesValue = arg.type === "string" || arg.type === "enum";
    const options = arg.type === "enum" ? arg.options : undefined;
    for (const spelled of spellings(name, arg)) flags.set(spelled, { name, spelled, takesValue, options });
    if (!takesValue) flags.set(`--no-${name}`, { name: `no-${name}`, spelled: `--no-${name}`, takesValue: false });
  }
  return flags;
}

/** A positional argument that may be given several times says so by this hint. */
export const REPEATED = "...";

export function isRepeated(arg: ArgDef): boolean {
  return arg.type === "positional" && "valueHint" in arg && arg.valueHint === REPEATED;
}

/** All spellings of a flag, letters first. */
export function spellings(name: string, arg: ArgDef): string[] {
  const aliases = "alias" in arg && arg.alias !== undefined ? [arg.alias].flat() : [];
  return [...aliases, name].map((word) => (word.length === 1 ? `-${word}` : `--${word}`));
}

import { homedir } from "node:os";
import * as v from "valibot";

/** One configuration key: its type, default, allowed values and meaning, declared in one row. */
export interface Key<T> {
  /** Java's type, or `choice`. */
  readonly type: "int" | "long" | "double" | "boolean" | "String" | "choice";
  /** The value without any configuration. */
  readonly standard: T | (() => T);
  /** One line for people; numbers name their unit. */
  readonly meaning: string;
  /** Allowed values in words, for errors and help. */
  readonly allowed: string;
  /** Words a value is chosen from; empty for other types. */
  readonly choices: readonly string[];
  /** RocketMQ prints it with `-m`. */
  readonly important: boolean;
  /** Java's world only (pools of threads, netty, JVM, RocksDB): accepted, checked for its type, not used. */
  readonly unused: boolean;
  /** Belongs to something that this version of mq does not have yet: accepted, checked, without effect. */
  readonly later: boolean;
  /** Empty text means that it is not set: it is left out when a configuration is printed. */
  readonly optional: boolean;
  /** Text of a properties file to the value. */
  readonly schema: v.GenericSchema<string, T>;
}

/** Keys of one configuration class by name. */
export type Keys = Record<string, Key<unknown>>;

/** The values that keys declare. */
export type ConfigOf<K extends Keys> = { -readonly [N in keyof K]: K[N] extends Key<infer T> ? T : never };

interface KeyOptions {
  important?: boolean;
  unused?: boolean;
  later?: boolean;
  optional?: boolean;
}

interface TextOptions extends KeyOptions {
  /** What a text that is set must look like, and that in words. */
  pattern?: RegExp;
  allowed?: string;
  /** A path: a `~/` at its beginning is the home directory. */
  path?: boolean;
}

interface NumberOptions extends KeyOptions {
  min?: number;
  max?: number;
}

const INT_MAX = 0x7fff_ffff;
const INT_MIN = -0x8000_0000;

/** For texts that mean nothing when they are empty. */
export const NOT_EMPTY: TextOptions = { pattern: /\S/, allowed: "a text that is not empty" };

/** What a row of a key table is written with: default, meaning, limits. */
export const key = {
  /** Java int. */
  int(standard: number | (() => number), meaning: string, options: NumberOptions = {}): Key<number> {
    return wholeNumber("int", standard, meaning, options, INT_MIN, INT_MAX);
  },

  /** Java long, exact up to 2^53. */
  long(standard: number | (() => number), meaning: string, options: NumberOptions = {}): Key<number> {
    return wholeNumber("long", standard, meaning, options, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  },

  double(standard: number, meaning: string, options: NumberOptions = {}): Key<number> {
    const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = options;
    const schema = v.pipe(
      v.string(),
      v.regex(/^[+-]?(\d+\.?\d*|\.\d+)$/),
      v.transform(Number),
      v.minValue(min),
      v.maxValue(max),
    );
    return row("double", standard, meaning, options, rangeText("a number", min, max), schema);
  },

  /** true or false in any case; everything else is an error, where Java takes it for false. */
  boolean(standard: boolean, meaning: string, options: KeyOptions = {}): Key<boolean> {
    const schema = v.pipe(
      v.string(),
      v.toLowerCase(),
      v.picklist(["true", "false"]),
      v.transform((text) => text === "true"),
    );
    return row("boolean", standard, meaning, options, "true or false", schema, ["true", "false"]);
  },

  text(standard: string | (() => string), meaning: string, options: TextOptions = {}): Key<string> {
    const { pattern = /^/, allowed = "text", path = false } = options;
    const text = v.pipe(v.string(), v.regex(pattern));
    const schema = path ? v.pipe(text, v.transform(fromHome)) : text;
    return row("String", standard, meaning, options, allowed, schema);
  },

  /** A text that is null in Java unless set: "" here. */
  optional(meaning: string, options: TextOptions = {}): Key<string> {
    return key.text("", meaning, { ...options, optional: true });
  },

  /** A Java enum: its names, exactly. */
  choice<const T extends string>(
    choices: readonly [T, ...T[]],
    standard: NoInfer<T>,
    meaning: string,
    options: KeyOptions = {},
  ): Key<T> {
    const schema = v.pipe(v.string(), v.picklist(choices));
    return row<T>("choice", standard, meaning, options, `one of ${choices.join(", ")}`, schema, choices);
  },
};

function wholeNumber(
  type: "int" | "long",
  standard: number | (() => number),
  meaning: string,
  options: NumberOptions,
  typeMin: number,
  typeMax: number,
): Key<number> {
  const { min = typeMin, max = typeMax } = options;
  const schema = v.pipe(v.string(), v.regex(/^[+-]?\d+$/), v.transform(Number), v.minValue(min), v.maxValue(max));
  return row(type, standard, meaning, options, rangeText("a whole number", min, max), schema);
}

function rangeText(what: string, min: number, max: number): string {
  return `${what} from ${min} to ${max}`;
}

function row<T>(
  type: Key<T>["type"],
  standard: T | (() => T),
  meaning: string,
  { important = false, unused = false, later = false, optional = false }: KeyOptions,
  allowed: string,
  schema: v.GenericSchema<string, T>,
  choices: readonly string[] = [],
): Key<T> {
  return { type, standard, meaning, allowed, choices, important, unused, later, optional, schema };
}

function fromHome(path: string): string {
  return path.startsWith("~/") ? homedir() + path.slice(1) : path;
}

/** A configuration with nothing set. */
export function standardValues<K extends Keys>(keys: K): ConfigOf<K> {
  const values: Record<string, unknown> = {};
  for (const [name, { standard }] of Object.entries(keys))
    values[name] = typeof standard === "function" ? standard() : standard;
  return values as ConfigOf<K>;
}

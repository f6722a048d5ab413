import { readFileSync } from "node:fs";
import * as v from "valibot";
import { ConfigError, errorText } from "../base/errors.ts";
import { nearest } from "../base/suggest.ts";
import { DEAD_KEYS, SPELLINGS } from "./dead-keys.ts";

import { type ConfigOf, type Key, type Keys, standardValues } from "./key.ts";
import { decodeProperties, PropertiesError, parseProperties } from "./properties.ts";
import { type Refusal, refusesUnknown } from "./refusals.ts";

/** Where a configuration comes from; what stands further down wins. */
export interface ConfigSource {
  /** Path of a properties file. */
  file?: string | undefined;
  /** Properties text instead of a file. */
  text?: string | undefined;
  /** From flags; sizes may be written with k, m or g. */
  overrides?: readonly (readonly [key: string, value: string])[];
  /** Unknown keys are notices instead of errors. */
  lenient?: boolean | undefined;
}

/** A key that was set, and by what. */
export interface GivenKey {
  text: string;
  /** `broker.properties:12` or `--set`. */
  where: string;
}

export interface LoadedConfig<T> {
  config: T;
  /** What was set, by name; everything else has its default. */
  given: ReadonlyMap<string, GivenKey>;
  /** Keys that nobody knows, taken because of `lenient`; kept for whoever asks for the configuration. */
  unknown: ReadonlyMap<string, string>;
  /** What somebody should read once, one line each. */
  notices: string[];
}

/** The keys of one kind of process. */
export interface ConfigClass<K extends Keys> {
  keys: K;
  /** Keys of RocketMQ's other classes that may stand in the same file: checked, not part of the configuration. */
  foreign: Keys;
  refusals: readonly Refusal[];
}

interface Entry {
  key: string;
  value: string;
  where: string;
  flag: boolean;
}

/**
 * Reads a configuration. Throws one ConfigError with all mistakes, a line each: where it stands, key, value, what is allowed and the
 * nearest known name.
 */
export function loadConfig<K extends Keys>(declared: ConfigClass<K>, source: ConfigSource): LoadedConfig<ConfigOf<K>> {
  const known: Keys = { ...declared.foreign, ...declared.keys };
  const values: Record<string, unknown> = standardValues(declared.keys);
  const reading = new Reading(known, source.lenient === true);
  for (const entry of entriesOf(source)) reading.take(entry);
  for (const { key, refuses, why } of declared.refusals) reading.refuse(key, refuses, why);
  if (reading.mistakes.length > 0) throw new ConfigError(reading.mistakes.join("\n"));
  for (const [name, value] of reading.values) if (name in declared.keys) values[name] = value;
  return {
    config: values as ConfigOf<K>,
    given: reading.given,
    unknown: reading.unknown,
    notices: [...reading.notices, ...reading.summaries()],
  };
}

/** One pass over a file and the flags. */
class Reading {
  readonly values = new Map<string, unknown>();
  readonly given = new Map<string, GivenKey>();
  readonly unknown = new Map<string, string>();
  readonly mistakes: string[] = [];
  readonly notices: string[] = [];

  constructor(
    private readonly known: Keys,
    private readonly lenient: boolean,
  ) {}

  take(entry: Entry): void {
    const name = SPELLINGS[entry.key] ?? entry.key;
    const key = Object.hasOwn(this.known, name) ? this.known[name] : undefined;
    if (key === undefined) {
      this.takeUnknown(entry);
      return;
    }
    const text = entry.flag ? sizeInBytes(entry.value.trim(), key) : entry.value.trim();
    const parsed = v.safeParse(key.schema, text);
    if (!parsed.success) {
      this.mistakes.push(`${entry.where}: ${entry.key}=${entry.value}: want ${key.allowed}${hint(text, key.choices)}`);
      return;
    }
    const before = this.given.get(name);
    if (before !== undefined && !entry.flag) {
      this.notices.push(`${entry.where}: ${entry.key}=${text} replaces ${before.text} from ${before.where}`);
    }
    this.values.set(name, parsed.output);
    this.given.set(name, { text, where: entry.where });
  }

  refuse(name: string, refuses: (value: unknown) => boolean, why: string): void {
    const given = this.given.get(name);
    if (given !== undefined && refuses(this.values.get(name)))
      this.mistakes.push(`${given.where}: ${name}=${masked(name, given.text)}: ${why}`);
  }

  /** One line for each kind of key that has no effect. */
  summaries(): string[] {
    const lines: string[] = [];
    const names = [...this.given.keys()];
    const unused = names.filter((name) => this.known[name]?.unused === true);
    const later = names.filter((name) => this.known[name]?.later === true && !this.isStandard(name));
    if (unused.length > 0) lines.push(`of use to the JVM only, ignored: ${unused.join(", ")}`);
    if (later.length > 0) lines.push(`without effect in this version: ${later.join(", ")}`);
    return lines;
  }

  /** What says the default asks for nothing. */
  private isStandard(name: string): boolean {
    const standard = this.known[name]?.standard;
    return this.values.get(name) === (typeof standard === "function" ? standard() : standard);
  }

  private takeUnknown(entry: Entry): void {
    const refusal = refusesUnknown(entry.key, entry.value.trim());
    if (refusal !== undefined) {
      this.mistakes.push(`${entry.where}: ${entry.key}: ${refusal}`);
      return;
    }
    if (Object.hasOwn(DEAD_KEYS, entry.key)) {
      this.notices.push(`${entry.where}: ${entry.key} is ignored, as RocketMQ does: ${DEAD_KEYS[entry.key]}`);
      return;
    }
    const line = `${entry.where}: ${entry.key}=${entry.value}: unknown key${hint(entry.key, Object.keys(this.known))}`;
    if (!this.lenient) {
      this.mistakes.push(line);
      return;
    }
    this.notices.push(line);
    this.unknown.set(entry.key, entry.value);
  }
}

function entriesOf({ file, text, overrides = [] }: ConfigSource): Entry[] {
  const entries: Entry[] = [];
  const content = file === undefined ? text : readConfigFile(file);
  if (content !== undefined) {
    const name = file ?? "text";
    try {
      for (const { key, value, line } of parseProperties(content))
        entries.push({ key, value, where: `${name}:${line}`, flag: false });
    } catch (error) {
      if (error instanceof PropertiesError) throw new ConfigError(`${name}:${error.line}: ${error.message}`);
      throw error;
    }
  }
  for (const [key, value] of overrides) entries.push({ key, value, where: "--set", flag: true });
  return entries;
}

function readConfigFile(file: string): string {
  try {
    return decodeProperties(readFileSync(file));
  } catch (error) {
    throw new ConfigError(`read configuration ${file}: ${errorText(error)}`, { cause: error });
  }
}

const UNITS: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** `512m` as a number of bytes, for flags only: in a file it would not be Java's. */
function sizeInBytes(text: string, key: Key<unknown>): string {
  const size = /^(\d+)([kmg])b?$/i.exec(text);
  if (size === null || (key.type !== "int" && key.type !== "long")) return text;
  return String(Number(size[1]) * (UNITS[(size[2] ?? "").toLowerCase()] ?? 1));
}

function hint(word: string, candidates: readonly string[]): string {
  const close = nearest(word, candidates);
  return close === undefined || close === word ? "" : `; did you mean ${close}?`;
}

/** Secrets are not repeated in messages. */
function masked(name: string, text: string): string {
  return /credential|User$|password|secret/i.test(name) ? "***" : text;
}

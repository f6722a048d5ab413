import * as v from "valibot";
import type { DataVersion } from "./types.ts";

/**
 * What fastjson takes for a Java field when it reads a config file or a body: numbers as text, booleans as text or number
 * (remoting.md, "Parser accepts"). A value that Java could not take is an error here too.
 */
const INT_MIN = -2147483648;
const INT_MAX = 2147483647;

const decimal = v.pipe(
  v.string(),
  v.regex(/^\s*[+-]?\d+(\.0*)?\s*$/, "a number"),
  v.transform((text) => Number(text)),
);

/** Java long; beyond 2^53 it loses its last digits, which no table of a broker reaches. */
export const javaLong = v.union([
  v.pipe(v.number(), v.finite(), v.transform(Math.trunc)),
  v.pipe(v.bigint(), v.transform(Number)),
  decimal,
]);

export const javaInt = v.pipe(javaLong, v.minValue(INT_MIN), v.maxValue(INT_MAX));

export const javaBoolean = v.union([
  v.boolean(),
  v.pipe(
    v.number(),
    v.transform((value) => value === 1),
  ),
  v.pipe(
    v.string(),
    v.transform((text) => text.toLowerCase() === "true" || text === "1"),
  ),
]);

export const javaString = v.union([
  v.string(),
  v.pipe(v.union([v.number(), v.bigint(), v.boolean()]), v.transform(String)),
]);

/** A JSON object, whether the parser made a plain object or (for keys that are no strings) a Map of it. */
export const jsonObject = v.pipe(
  v.custom<object>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    "Expected a JSON object",
  ),
  v.transform((value): [string, unknown][] =>
    value instanceof Map
      ? [...value].map(([key, item]): [string, unknown] => [String(key), item])
      : Object.entries(value),
  ),
);

export const javaStringMap = v.pipe(
  jsonObject,
  v.transform((entries) =>
    Object.fromEntries(
      entries.filter(([, value]) => value !== null).map(([key, value]) => [key, v.parse(javaString, value)]),
    ),
  ),
);

const dataVersionSchema = v.looseObject({
  stateVersion: v.optional(javaLong, 0),
  timestamp: v.optional(javaLong, 0),
  counter: v.optional(javaLong, 0),
});

/** Reads a DataVersion; absent or null (files of 4.x brokers) is a new one. Throws when it is something else. */
export function parseDataVersion(value: unknown): DataVersion {
  if (value === undefined || value === null) return newDataVersion();
  const { stateVersion, timestamp, counter } = v.parse(dataVersionSchema, value);
  return { stateVersion, timestamp, counter };
}

export function newDataVersion(): DataVersion {
  return { stateVersion: 0, timestamp: Date.now(), counter: 0 };
}

export function sameDataVersion(a: DataVersion, b: DataVersion): boolean {
  return a.counter === b.counter && a.timestamp === b.timestamp && a.stateVersion === b.stateVersion;
}

/** [DataVersion#nextVersion] */
export function nextVersion(version: DataVersion): void {
  version.timestamp = Date.now();
  version.stateVersion = 0;
  version.counter++;
}

/** One member of a parsed JSON object, undefined when there is none. Throws when `value` is no object. */
export function member(value: unknown, name: string): unknown {
  return v.parse(jsonObject, value).find(([key]) => key === name)?.[1];
}

/** Members that the reader does not know: kept and written back, so that a newer broker's file survives an older one. */
export function unknownMembers(value: unknown, known: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(v.parse(jsonObject, value).filter(([key, item]) => !known.has(key) && item !== null));
}

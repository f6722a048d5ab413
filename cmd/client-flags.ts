import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { parseNamesrvAddr } from "../lib/client/client-options.ts";

/** Flags that every command which talks to a cluster has, with RocketMQ's letters. */
export const namesrvArg = {
  type: "string",
  alias: "n",
  description: "Name servers, host:port;host:port (default: NAMESRV_ADDR, else 127.0.0.1:9876)",
  valueHint: "addr",
} as const;

export const jsonArg = { type: "boolean", description: "Print JSON" } as const;

/** All values of a flag that may be given several times, in order; citty keeps only the last one. */
export function repeated(rawArgs: readonly string[], ...names: string[]): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawArgs.length; i++) {
    const arg = rawArgs[i] ?? "";
    if (arg === "--") break;
    for (const name of names) {
      if (arg === name) values.push(rawArgs[++i] ?? "");
      else if (arg.startsWith(`${name}=`)) values.push(arg.slice(name.length + 1));
    }
  }
  return values;
}

/** The flags as `schema` wants them. Throws UsageError that names the flag, what was found and what is wanted. */
export function parseFlags<E extends v.ObjectEntries>(
  schema: v.ObjectSchema<E, undefined>,
  args: Record<string, unknown>,
): v.InferOutput<v.ObjectSchema<E, undefined>> {
  // Every key is there, if only as undefined, so that a missing flag is reported by its own schema.
  const flags = Object.fromEntries(Object.keys(schema.entries).map((name) => [name, args[name]]));
  const result = v.safeParse(schema, flags);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const found = issue.input === undefined ? "is missing" : `is ${JSON.stringify(issue.input)}`;
  throw new UsageError(`--${v.getDotPath(issue) ?? ""} ${found}, want ${issue.message}`);
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UNIT_BYTES: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1024,
  kb: 1024,
  kib: 1024,
  m: 1024 ** 2,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
};

function unitNumber(units: Record<string, number>, otherwise: string, message: string) {
  return v.pipe(
    v.string(message),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(dataset.value.trim());
      const unit = units[(match?.[2] || otherwise).toLowerCase()];
      if (match === null || unit === undefined) {
        addIssue({ message });
        return NEVER;
      }
      return Number(match[1]) * unit;
    }),
  );
}

/** 10, 10s, 500ms, 2m, 1h as ms. */
export const duration = unitNumber(UNIT_MS, "s", "a time such as 10s, 500ms or 2m");

/** 100, 1k, 2MiB as bytes. */
export const byteSize = v.pipe(
  unitNumber(UNIT_BYTES, "", "a size such as 100, 1k or 2MiB"),
  v.integer("a whole number of bytes"),
);

/** Whole number in a range. */
export function wholeNumber(min: number, max: number) {
  const message =
    max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min} on` : `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.string(message),
    v.regex(/^-?\d+$/, message),
    v.transform(Number),
    v.minValue(min, message),
    v.maxValue(max, message),
  );
}

export const positiveNumber = v.pipe(
  v.string("a number above 0"),
  v.regex(/^\d+(\.\d+)?$/, "a number above 0"),
  v.transform(Number),
  v.check((value) => value > 0, "a number above 0"),
);

/** `host:port` lists of name servers, or nothing for the default. */
export const namesrvAddr = v.optional(
  v.pipe(
    v.string(),
    v.check((text) => {
      try {
        return parseNamesrvAddr(text).length > 0;
      } catch {
        return false;
      }
    }, "host:port, several ones with ; between"),
  ),
);

export const requiredName = (what: string) => v.pipe(v.string(what), v.nonEmpty(what));

/** The name of a topic or group as RocketMQ allows it. */
export function resourceName(what: string, lengthMax: number) {
  const message = `the name of a ${what}: letters, digits and %|_-, ${lengthMax} at most`;
  return v.pipe(v.string(message), v.regex(/^[%|a-zA-Z0-9_-]+$/, message), v.maxLength(lengthMax, message));
}

export const topicName = resourceName("topic", 127);

/**
 * A moment: ms since the epoch, yyyyMMddHHmmss in local time as RocketMQ writes it, ISO 8601, or a time ago such as 10m. As ms
 * since the epoch; undefined for anything else.
 */
export function parseMoment(text: string, now = Date.now()): number | undefined {
  if (/^\d{12,13}$/.test(text)) return Number(text);
  const compact = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text);
  if (compact !== null) {
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = compact.slice(1).map(Number);
    return new Date(year, month - 1, day, hour, minute, second).getTime();
  }
  const ago = v.safeParse(duration, text.replace(/^-/, ""));
  if (ago.success && /[a-z]$/i.test(text)) return now - ago.output;
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? undefined : parsed;
}

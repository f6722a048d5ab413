import type { Keys } from "./key.ts";

/**
 * `key=value` lines sorted by key, as `-p` and the get-config requests give them [Configuration#getAllConfigsFormatString]: values
 * as they are, texts that are not set left out. `extra` are keys that nobody knows and somebody set.
 */
export function configToProperties(
  keys: Keys,
  config: object,
  { importantOnly = false, extra = new Map<string, string>() } = {},
): string {
  const values = config as Readonly<Record<string, unknown>>;
  const lines = new Map(extra);
  for (const [name, key] of Object.entries(keys)) {
    if (importantOnly && !key.important) continue;
    const text = String(values[name]);
    if (!key.optional || text !== "") lines.set(name, text);
  }
  return [...lines.keys()]
    .sort()
    .map((name) => `${name}=${lines.get(name)}\n`)
    .join("");
}

import { defineCommand } from "citty";
import { UsageError } from "../lib/base/errors.ts";
import { nearest } from "../lib/base/suggest.ts";
import { brokerConfigKeys, loadBrokerConfig } from "../lib/config/broker-config.ts";
import { DEAD_KEYS, SPELLINGS } from "../lib/config/dead-keys.ts";
import type { Key, Keys } from "../lib/config/key.ts";
import type { LoadedConfig } from "../lib/config/load-config.ts";
import { loadNamesrvConfig, namesrvConfigKeys } from "../lib/config/namesrv-config.ts";
import { print, printJson } from "./out.ts";

interface Explanation {
  key: string;
  server: "broker" | "namesrv";
  meaning: string;
  type: string;
  allowed: string;
  default: string;
  value: string;
  /** `default`, or what set it. */
  source: string;
  effect: string;
}

const explainCommand = defineCommand({
  meta: { name: "explain", description: "What a key means, what it may be, its value and where that comes from." },
  args: {
    key: { type: "positional", description: "Name of a key", required: true },
    configFile: { type: "string", alias: "c", valueHint: "FILE", description: "RocketMQ properties file" },
    json: { type: "boolean", description: "Print JSON, one object for each server that has the key" },
  },
  run({ args }) {
    const name = SPELLINGS[args.key] ?? args.key;
    if (Object.hasOwn(DEAD_KEYS, name)) {
      const text = `RocketMQ does not read it: ${DEAD_KEYS[name]}`;
      if (args.json === true) printJson({ key: name, effect: text });
      else print(`${name}: ${text}`);
      return;
    }
    const found = explanations(name, args.configFile);
    if (found.length === 0) throw unknownKey(args.key);
    for (const explanation of found) {
      if (args.json === true) printJson(explanation);
      else printText(explanation);
    }
  },
});

export const configCommand = defineCommand({
  meta: { name: "config", description: "Explains keys of RocketMQ's properties files." },
  subCommands: { explain: explainCommand },
});

function explanations(name: string, file: string | undefined): Explanation[] {
  const source = { file, lenient: true };
  const found: Explanation[] = [];
  const broker = (brokerConfigKeys as Keys)[name];
  const namesrv = (namesrvConfigKeys as Keys)[name];
  const both = broker !== undefined && namesrv !== undefined;
  if (broker !== undefined) found.push(explain(name, "broker", broker, loadBrokerConfig(source)));
  if (namesrv !== undefined && !(both && file !== undefined))
    found.push(explain(name, "namesrv", namesrv, loadNamesrvConfig(source)));
  return found;
}

function explain(
  key: string,
  server: Explanation["server"],
  declared: Key<unknown>,
  { config, given }: LoadedConfig<object>,
): Explanation {
  const { meaning, type, allowed, standard } = declared;
  const values = config as Readonly<Record<string, unknown>>;
  return {
    key,
    server,
    meaning,
    type,
    allowed,
    default: String(typeof standard === "function" ? standard() : standard),
    value: String(values[key]),
    source: given.get(key)?.where ?? "default",
    effect: effectOf(declared),
  };
}

function effectOf({ unused, later }: Key<unknown>): string {
  if (unused) return "none: of use to the JVM only";
  return later ? "none in this version" : "yes, read at the start";
}

function printText({ key, server, meaning, allowed, value, source, effect, ...rest }: Explanation): void {
  const rows = [
    ["meaning", meaning],
    ["allowed", allowed],
    ["default", rest.default],
    ["value", `${value} (${source})`],
    ["effect", effect],
  ] as const;
  print(`${key} (${server})`);
  for (const [label, text] of rows) print(`  ${label.padEnd(8)} ${text}`);
}

function unknownKey(name: string): UsageError {
  const known = [...Object.keys(brokerConfigKeys), ...Object.keys(namesrvConfigKeys), ...Object.keys(DEAD_KEYS)];
  const close = nearest(name, known);
  return new UsageError(`unknown key ${name}${close === undefined ? "" : `; did you mean ${close}?`}`);
}

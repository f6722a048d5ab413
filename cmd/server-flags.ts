import { UsageError } from "../lib/base/errors.ts";
import { repeated } from "./client-flags.ts";

/** Flags that both servers have, with RocketMQ's letters and long names. */
export const serverArgs = {
  configFile: { type: "string", alias: "c", valueHint: "FILE", description: "RocketMQ properties file" },
  printConfigItem: { type: "boolean", alias: "p", description: "Print the whole effective configuration and exit" },
  printImportantConfig: { type: "boolean", alias: "m", description: "Print its important keys and exit" },
  set: { type: "string", valueHint: "KEY=VALUE", description: "A key that wins over the file; may be repeated" },
  lenient: { type: "boolean", description: "Unknown keys are warnings, not errors" },
  "check-config": { type: "boolean", description: "Check the configuration and exit: 0 good, 78 not" },
  "ready-file": {
    type: "string",
    valueHint: "FILE",
    description: "A file that is there while the server is ready (recovered, listening, registered)",
  },
  json: { type: "boolean", description: "Print the configuration as one JSON object" },
} as const;

/** `--set key=value` pairs in order. Throws UsageError for one without `=`. */
export function setOverrides(rawArgs: readonly string[]): [string, string][] {
  return repeated(rawArgs, "--set").map((pair) => {
    const equals = pair.indexOf("=");
    if (equals <= 0) throw new UsageError(`--set is ${JSON.stringify(pair)}, want KEY=VALUE`);
    return [pair.slice(0, equals).trim(), pair.slice(equals + 1)];
  });
}

import type { Keys } from "../lib/config/key.ts";
import type { LoadedConfig } from "../lib/config/load-config.ts";
import { configToProperties } from "../lib/config/print-config.ts";
import { printJson, say, warn } from "./out.ts";

interface PrintFlags {
  printConfigItem?: boolean | undefined;
  printImportantConfig?: boolean | undefined;
  "check-config"?: boolean | undefined;
  json?: boolean | undefined;
}

/** Says the notices, and prints what `-p`, `-m` or `--check-config` ask for. True when the command ends with that. */
export function endsAfterConfig<T extends object>(keys: Keys, loaded: LoadedConfig<T>, flags: PrintFlags): boolean {
  for (const notice of loaded.notices) warn(notice);
  if (flags.printConfigItem === true || flags.printImportantConfig === true) {
    printConfig(keys, loaded, flags);
    return true;
  }
  if (flags["check-config"] === true) {
    say("configuration is good");
    return true;
  }
  return false;
}

function printConfig<T extends object>(keys: Keys, loaded: LoadedConfig<T>, flags: PrintFlags): void {
  const importantOnly = flags.printConfigItem !== true;
  const values = { ...loaded.config } as Readonly<Record<string, unknown>>;
  if (flags.json !== true) {
    process.stdout.write(configToProperties(keys, values, { importantOnly, extra: new Map(loaded.unknown) }));
    return;
  }
  const names = Object.keys(keys).filter((name) => !importantOnly || keys[name]?.important === true);
  printJson(Object.fromEntries(names.sort().map((name) => [name, values[name]])));
}

import type { Keys } from "../lib/config/key.ts";
import { configEntries, type LoadedConfig } from "../lib/config/load-config.ts";
import { print, printJson, say, warn } from "./out.ts";

interface PrintFlags {
  printConfigItem?: boolean | undefined;
  printImportantConfig?: boolean | undefined;
  "check-config"?: boolean | undefined;
  json?: boolean | undefined;
}

/** Says the notices, and prints what `-p`, `-m` or `--check-config` ask for. True when the command ends with that. */
export function endsAfterConfig<T extends object>(keys: Keys, loaded: LoadedConfig<T>, flags: PrintFlags): boolean {
  for (const notice of loaded.notices) warn(notice);
  const wantsPrint = flags.printConfigItem === true || flags.printImportantConfig === true;
  if (wantsPrint) {
    const onlyImportant = flags.printConfigItem !== true;
    const entries = configEntries(keys, loaded.config, onlyImportant);
    if (flags.json === true) printJson(Object.fromEntries(entries));
    else for (const [name, value] of entries) print(`${name}=${value}`);
    return true;
  }
  if (flags["check-config"] === true) {
    say("configuration is good");
    return true;
  }
  return false;
}

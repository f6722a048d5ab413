import { authKeys } from "./auth-keys.ts";
import { controllerKeys } from "./controller-keys.ts";
import { type ConfigOf, standardValues } from "./key.ts";
import { type ConfigSource, type LoadedConfig, loadConfig } from "./load-config.ts";
import { namesrvKeys } from "./namesrv-keys.ts";
import { nettyClientKeys } from "./netty-client-keys.ts";
import { listenPort, nettyServerKeys } from "./netty-server-keys.ts";
import { NAMESRV_REFUSALS } from "./refusals.ts";

const NAMESRV_PORT = 9876;

/** Every key of a name server's file. */
export const namesrvConfigKeys = {
  ...namesrvKeys,
  listenPort: listenPort(NAMESRV_PORT),
  ...nettyServerKeys,
};

/** A name server's whole configuration under RocketMQ's names and units. */
export type NamesrvConfig = ConfigOf<typeof namesrvConfigKeys>;

/** RocketMQ's defaults with some keys replaced. For tests and embedding; files are read by `loadNamesrvConfig`. */
export function defaultNamesrvConfig(overrides: Partial<NamesrvConfig> = {}): NamesrvConfig {
  return { ...standardValues(namesrvConfigKeys), ...overrides };
}

/** Reads a name server's configuration. Throws ConfigError, one line for each mistake. */
export function loadNamesrvConfig(source: ConfigSource = {}): LoadedConfig<NamesrvConfig> {
  const foreign = { ...nettyClientKeys, ...controllerKeys, ...authKeys };
  const loaded = loadConfig({ keys: namesrvConfigKeys, foreign, refusals: NAMESRV_REFUSALS }, source);
  // Changes at run time are written where the configuration came from [NamesrvStartup#parseCommandlineAndConfigFile].
  if (source.file !== undefined) loaded.config.configStorePath = source.file;
  return loaded;
}

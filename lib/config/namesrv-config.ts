import { type ConfigOf, standardValues } from "./key.ts";
import { namesrvKeys } from "./namesrv-keys.ts";
import { listenPort, nettyServerKeys } from "./netty-server-keys.ts";

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

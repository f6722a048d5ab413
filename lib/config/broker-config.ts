import { ConfigError } from "../base/errors.ts";
import { authKeys } from "./auth-keys.ts";
import { brokerKeys } from "./broker-keys.ts";
import { type ConfigOf, standardValues } from "./key.ts";
import { type ConfigSource, type LoadedConfig, loadConfig } from "./load-config.ts";
import { messageStoreKeys } from "./message-store-keys.ts";
import { mqKeys } from "./mq-keys.ts";
import { nettyClientKeys } from "./netty-client-keys.ts";
import { listenPort, nettyServerKeys } from "./netty-server-keys.ts";
import { BROKER_REFUSALS } from "./refusals.ts";

const BROKER_PORT = 10911;
/** The master and one slave. */
const SYNC_REPLICAS = 2;

/** Every key of a broker's file: one flat table over all of RocketMQ's classes. */
export const brokerConfigKeys = {
  ...brokerKeys,
  listenPort: listenPort(BROKER_PORT),
  ...messageStoreKeys,
  ...nettyServerKeys,
  ...mqKeys,
};

/** A broker's whole configuration under RocketMQ's names and units; texts that are null in Java are "". */
export type BrokerConfig = ConfigOf<typeof brokerConfigKeys>;

/** The port for vipChannelEnabled clients lies this far below listenPort. */
export const FAST_PORT_DISTANCE = 2;

/** RocketMQ's defaults with some keys replaced, inSyncReplicas of a SYNC_MASTER among them as it is. For tests and embedding; files are read by `loadBrokerConfig`. */
export function defaultBrokerConfig(overrides: Partial<BrokerConfig> = {}): BrokerConfig {
  return { ...standardValues(brokerConfigKeys), ...overrides };
}

/** Reads a broker's configuration. Throws ConfigError, one line for each mistake. */
export function loadBrokerConfig(source: ConfigSource = {}): LoadedConfig<BrokerConfig> {
  const foreign = { ...nettyClientKeys, ...authKeys };
  const loaded = loadConfig({ keys: brokerConfigKeys, foreign, refusals: BROKER_REFUSALS }, source);
  const { config, given, notices } = loaded;
  if (source.file !== undefined) config.brokerConfigPath = source.file;
  // A master's id is 0 whatever the file says [BrokerStartup#buildBrokerController].
  if (config.brokerRole !== "SLAVE" && config.brokerId !== 0) {
    notices.push(`brokerId=${config.brokerId} becomes 0: brokerRole=${config.brokerRole} is a master`);
    config.brokerId = 0;
  }
  if (config.haListenPort === 0 && config.listenPort !== 0) config.haListenPort = config.listenPort + 1;
  const where = (name: string) => given.get(name)?.where ?? source.file ?? "configuration";
  if (config.brokerRole === "SLAVE" && config.brokerId <= 0)
    throw new ConfigError(
      `${where("brokerRole")}: brokerRole=SLAVE: want a brokerId above 0, found ${config.brokerId}`,
    );
  const mistake = replicationMistake(config);
  if (mistake !== undefined) {
    const { key, why } = mistake;
    throw new ConfigError(`${where(key)}: ${key}=${config[key]}: ${why}`);
  }
  // RocketMQ's default of 1 makes SYNC_MASTER wait for nobody: that must be asked for in so many words.
  if (config.brokerRole === "SYNC_MASTER" && !given.has("inSyncReplicas")) config.inSyncReplicas = SYNC_REPLICAS;
  if (config.inSyncReplicas > 1 && config.brokerRole === "ASYNC_MASTER")
    notices.push(`inSyncReplicas=${config.inSyncReplicas} has no effect: brokerRole=ASYNC_MASTER waits for no slave`);
  if (given.has("rmqAddressServerDomain") && !config.fetchNamesrvAddrByAddressServer) {
    notices.push("rmqAddressServerDomain is read only with fetchNamesrvAddrByAddressServer=true");
  }
  return loaded;
}

interface ReplicationMistake {
  key: "haListenPort" | "haMasterAddress" | "haHousekeepingInterval";
  why: string;
}

/** Keys of replication that do not go together, or would be found out only when a slave connects. */
function replicationMistake(config: BrokerConfig): ReplicationMistake | undefined {
  const { haHousekeepingInterval, haListenPort, haMasterAddress, haSendHeartbeatInterval, listenPort: port } = config;
  if (port !== 0 && haListenPort === port)
    return { key: "haListenPort", why: "listenPort is the same, want another one" };
  if (port !== 0 && haListenPort === port - FAST_PORT_DISTANCE)
    return { key: "haListenPort", why: `the fast port of listenPort=${port} is the same, want another one` };
  if (haMasterAddress !== "" && !/^\S+:[1-9]\d{0,4}$/.test(haMasterAddress))
    return { key: "haMasterAddress", why: "want host:port of the master's HA service" };
  if (haHousekeepingInterval <= haSendHeartbeatInterval) {
    const why = `want more than haSendHeartbeatInterval=${haSendHeartbeatInterval}: connections would be closed between two heartbeats`;
    return { key: "haHousekeepingInterval", why };
  }
  return undefined;
}

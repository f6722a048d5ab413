import { brokerKeys } from "./broker-keys.ts";
import { type ConfigOf, standardValues } from "./key.ts";
import { messageStoreKeys } from "./message-store-keys.ts";
import { mqKeys } from "./mq-keys.ts";
import { listenPort, nettyServerKeys } from "./netty-server-keys.ts";

const BROKER_PORT = 10911;

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

/** RocketMQ's defaults with some keys replaced. For tests and embedding; files are read by `loadBrokerConfig`. */
export function defaultBrokerConfig(overrides: Partial<BrokerConfig> = {}): BrokerConfig {
  return { ...standardValues(brokerConfigKeys), ...overrides };
}

import { homedir } from "node:os";
import { join } from "node:path";
import { key } from "./key.ts";

/** Keys of [NamesrvConfig]. */
export const namesrvKeys = {
  rocketmqHome: key.text(() => process.env.ROCKETMQ_HOME ?? "", "installation directory", {
    optional: true,
    unused: true,
  }),
  kvConfigPath: key.text(() => join(homedir(), "namesrv", "kvConfig.json"), "KV config file"),
  configStorePath: key.text(
    () => join(homedir(), "namesrv", "namesrv.properties"),
    "properties file (rewritten by code 318)",
  ),
  productEnvName: key.text("center", "name used in clusterTest mode", { unused: true }),
  clusterTest: key.boolean(false, "fetch missing routes from another environment", { unused: true }),
  orderMessageEnable: key.boolean(false, "add orderTopicConf to routes"),
  returnOrderTopicConfigToBroker: key.boolean(true, "registration response carries ORDER_TOPIC_CONFIG"),
  clientRequestThreadPoolNums: key.int(8, "thread count route requests", { unused: true }),
  defaultThreadPoolNums: key.int(16, "thread count others", { unused: true }),
  clientRequestThreadPoolQueueCapacity: key.int(50000, "queue limit route requests", { min: 0, unused: true }),
  defaultThreadPoolQueueCapacity: key.int(10000, "queue limit others", { min: 0, unused: true }),
  scanNotActiveBrokerInterval: key.long(5000, "ms between expiry scans", { min: 1 }),
  unRegisterBrokerQueueCapacity: key.int(3000, "batch unregister queue", { unused: true }),
  supportActingMaster: key.boolean(false, "present the smallest slave id as master in routes"),
  enableAllTopicList: key.boolean(true, "serve 206"),
  enableTopicList: key.boolean(true, "serve 224"),
  notifyMinBrokerIdChanged: key.boolean(false, "tell the brokers of a name that their lowest id changed (code 905)"),
  enableControllerInNamesrv: key.boolean(false, "embedded controller", { unused: true }),
  needWaitForService: key.boolean(false, "refuse routes shortly after start"),
  waitSecondsForService: key.int(45, "that time in s", { min: 0 }),
  deleteTopicWithBrokerRegistration: key.boolean(false, "drop topics missing in a full registration"),
  configBlackList: key.text("configBlackList;configStorePath;kvConfigPath", "properties that code 318 must refuse"),
};

import { key } from "./key.ts";

/** Keys of [ControllerConfig] that may stand in a name server's file; `enableControllerInNamesrv` decides whether they matter. */
export const controllerKeys = {
  controllerType: key.text("DLedger", "kind of controller", { later: true }),
  controllerDLegerGroup: key.optional("controller group", { later: true }),
  controllerDLegerPeers: key.optional("controllers of the group", { later: true }),
  controllerDLegerSelfId: key.optional("this controller's id", { later: true }),
  controllerStorePath: key.optional("directory of the controller", { later: true }),
  controllerThreadPoolNums: key.int(16, "controller threads", { unused: true }),
  controllerRequestThreadPoolQueueCapacity: key.int(50_000, "queue limit of the controller", { unused: true }),
  electMasterMaxRetryCount: key.int(3, "attempts to elect a master", { later: true }),
  enableElectUncleanMaster: key.boolean(false, "elect a master that may lack messages", { later: true }),
  mappedFileSize: key.int(1_073_741_824, "bytes per controller log file", { later: true }),
  notifyBrokerRoleChanged: key.boolean(true, "tell brokers their new role", { later: true }),
  processReadEvent: key.boolean(false, "reads go through the controller's log", { later: true }),
  scanInactiveMasterInterval: key.long(5000, "ms between looks at masters", { later: true }),
};

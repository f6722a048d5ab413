import type { HaConfig } from "./types.ts";

/** Every slave in sync must hold a message, one at least [MixAll#ALL_ACK_IN_SYNC_STATE_SET]. */
export const ALL_IN_SYNC = -1;

/** What the policy counts. */
export interface Replicas {
  readonly aliveReplicaNumInGroup: number;
  /** The master and its slaves in sync. */
  inSyncReplicasNums(): number;
}

function inSync(config: HaConfig, replicas: Replicas): number {
  const count = replicas.inSyncReplicasNums();
  return config.enableSlaveActingMaster ? Math.min(replicas.aliveReplicaNumInGroup, count) : count;
}

/** Replicas, the master included, that must hold a message before it is answered [CommitLog#calcNeedAckNums]; ALL_IN_SYNC, 1 = nobody waits. */
export function needAckNums(config: HaConfig, replicas: Replicas): number {
  if (config.brokerRole !== "SYNC_MASTER") return 1;
  if (config.allAckInSyncStateSet) return ALL_IN_SYNC;
  if (!config.enableAutoInSyncReplicas) return config.inSyncReplicas;
  return Math.max(config.minInSyncReplicas, Math.min(config.inSyncReplicas, inSync(config, replicas)));
}

/** Why a message must not be stored: IN_SYNC_REPLICAS_NOT_ENOUGH. Undefined when it may. */
export function shortage(config: HaConfig, replicas: Replicas): string | undefined {
  if (config.brokerRole !== "SYNC_MASTER") return undefined;
  const wanted = config.enableSlaveActingMaster
    ? Math.max(config.minInSyncReplicas, needAckNums(config, replicas))
    : config.minInSyncReplicas;
  if (wanted <= 1) return undefined;
  const count = inSync(config, replicas);
  return wanted > count ? `${count} replicas are in sync, the master included, wanted ${wanted}` : undefined;
}

/** What sends wait for, and when they are refused, in words. */
export function policyText(config: HaConfig): string {
  if (config.brokerRole === "SLAVE") return "takes no sends: copies its master";
  if (config.brokerRole === "ASYNC_MASTER") return "sends wait for no slave (ASYNC_MASTER)";
  return `${waitText(config)}${refusalText(config)}`;
}

function waitText(config: HaConfig): string {
  if (config.allAckInSyncStateSet) return "sends wait for every slave in sync, one at least (allAckInSyncStateSet)";
  const { enableAutoInSyncReplicas, inSyncReplicas, minInSyncReplicas } = config;
  if (inSyncReplicas <= 1) return "sends wait for no slave: SYNC_MASTER with inSyncReplicas=1";
  const slaves = inSyncReplicas === 2 ? "one slave" : `${inSyncReplicas - 1} slaves`;
  const less = enableAutoInSyncReplicas ? `, down to minInSyncReplicas=${minInSyncReplicas} while slaves are away` : "";
  return `sends wait for ${slaves} (SYNC_MASTER, inSyncReplicas=${inSyncReplicas}${less})`;
}

/** What `shortage` will do. */
function refusalText(config: HaConfig): string {
  const { allAckInSyncStateSet, enableAutoInSyncReplicas, enableSlaveActingMaster, inSyncReplicas } = config;
  const waits = enableSlaveActingMaster && !enableAutoInSyncReplicas && !allAckInSyncStateSet;
  const wanted = Math.max(config.minInSyncReplicas, waits ? inSyncReplicas : 1);
  if (wanted <= 1) return "";
  const key = wanted > config.minInSyncReplicas ? "enableSlaveActingMaster" : `minInSyncReplicas=${wanted}`;
  return `, and are refused while fewer than ${wanted} replicas are in sync, the master included (${key})`;
}

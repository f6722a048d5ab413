import type { PutMessageStatus, StoredRecord } from "../store/types.ts";

/** Why a slave's log, whose last record this is, is no copy of its master's; undefined when nothing says so. Throws when the master cannot be asked. */
export type CompareLog = (newest: StoredRecord) => Promise<string | undefined>;

/** The keys of MessageStoreConfig that replication reads, under RocketMQ's names and units (bytes, ms). Read anew at each use. */
export interface HaConfig {
  brokerRole: "ASYNC_MASTER" | "SYNC_MASTER" | "SLAVE";
  flushDiskType: "ASYNC_FLUSH" | "SYNC_FLUSH";
  bindAddress: string;
  haSendHeartbeatInterval: number;
  haHousekeepingInterval: number;
  haTransferBatchSize: number;
  haMaxGapNotInSync: number;
  haFlowControlEnable: boolean;
  maxHaTransferByteInSecond: number;
  slaveTimeout: number;
  inSyncReplicas: number;
  minInSyncReplicas: number;
  allAckInSyncStateSet: boolean;
  enableAutoInSyncReplicas: boolean;
  enableSlaveActingMaster: boolean;
}

/** One connected slave as its master sees it. */
export interface HaSlaveStatus {
  /** `host:port` of the slave's end. */
  addr: string;
  /** What the slave has said it holds; -1 before its first report. */
  slaveAckOffset: number;
  /** Bytes behind the master's log. */
  diff: number;
  /** `diff` is below haMaxGapNotInSync and nothing speaks against the slave. */
  inSync: boolean;
  /** What is sent next; -1 before the first report. */
  transferFromWhere: number;
  transferredByteInSecond: number;
  /** Why nothing is sent to it: its log is ahead of the master's, or begins where the master's is deleted. */
  refusal: string | undefined;
}

/** A slave's own end. */
export interface HaClientStatus {
  /** The master's HA address, "" while none is known. */
  masterAddr: string;
  connected: boolean;
  maxOffset: number;
  /** ms since the epoch, 0 for never. */
  lastReadTimestamp: number;
  lastWriteTimestamp: number;
  transferredByteInSecond: number;
  /** Why it cannot copy just now, in words; undefined while it does. */
  trouble: string | undefined;
}

/** What haStatus (code 907), code 28 and mq's listing print. */
export interface HaStatus {
  role: HaConfig["brokerRole"];
  /** End of this broker's own log. */
  maxOffset: number;
  /** Slaves in sync, without the master itself. */
  inSyncSlaveNums: number;
  /** Replicas, the master included, that a send waits for; 1 = nobody. */
  waitsFor: number;
  /** Connected slaves; a slave may have slaves as well. */
  slaves: HaSlaveStatus[];
  /** Only of a slave. */
  client: HaClientStatus | undefined;
}

/** Replication of the commit log [DefaultHAService]. Made by `createHaService`, wired by `broker/broker.ts`. */
export interface HaService {
  /** Listens for slaves; a slave begins to copy. Rejects with an MqError when the port is taken. After the store's `start`. */
  start(): Promise<void>;
  /** Closes every connection; who waits gets FLUSH_SLAVE_TIMEOUT. Before the store's `shutdown`. */
  stop(): Promise<void>;
  /** Port it listens on; 0 before `start`. */
  readonly port: number;
  status(): HaStatus;
  /** `host:port` where the master's HA service listens; undefined when nobody knows it: a connection that lives goes on. */
  updateHaMasterAddress(address: string | undefined): void;
  /** Brokers of the group that a name server sees, the master included; bounds enableSlaveActingMaster's count [getAliveReplicaNumInGroup]. */
  aliveReplicaNumInGroup: number;
  /** Whether a slave at this host is connected and in sync; of a slave, whether it copies from its master. */
  isConnected(host: string): boolean;
  /** The log grew: slaves get it in this turn of the loop. */
  appended(): void;
  /** More of the log is on the disk. */
  flushed(): void;
  /** Calls `done` once when as many replicas as configured hold the log up to `physicalEnd`, or after slaveTimeout. */
  awaitReplication(physicalEnd: number, done: (status: PutMessageStatus) => void): void;
  /** Why a message that is to be waited for must not be stored: too few slaves are in sync. Undefined when it may. */
  shortage(): string | undefined;
  /** The master and its slaves whose distance from `offset` is below haMaxGapNotInSync. */
  inSyncReplicasNums(offset: number): number;
  /** What sends wait for, in words, for the start-up line. */
  readonly policy: string;
}

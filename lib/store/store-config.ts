/**
 * The keys of MessageStoreConfig that the store reads, under RocketMQ's names and units (bytes, ms unless said). The broker's
 * whole configuration is assignable to it.
 */
export interface StoreConfig {
  storePathRootDir: string;
  /** One directory, or several joined by a comma; empty = `<root>/commitlog`. */
  storePathCommitLog?: string | undefined;
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;

  brokerRole: "ASYNC_MASTER" | "SYNC_MASTER" | "SLAVE";
  flushDiskType: "ASYNC_FLUSH" | "SYNC_FLUSH";
  flushIntervalCommitLog: number;
  flushCommitLogTimed: boolean;
  /** Pages of 4 KiB. */
  flushCommitLogLeastPages: number;
  flushCommitLogThoroughInterval: number;
  commitIntervalCommitLog: number;
  /** Pages of 4 KiB. */
  commitCommitLogLeastPages: number;
  commitCommitLogThoroughInterval: number;
  syncFlushTimeout: number;
  flushIntervalConsumeQueue: number;
  /** Pages of 4 KiB. */
  flushConsumeQueueLeastPages: number;
  flushConsumeQueueThoroughInterval: number;
  transientStorePoolEnable: boolean;
  transientStorePoolSize: number;
  warmMapedFileEnable: boolean;
  /** Of mq: the two above are locked in memory. */
  mqLockMemory: boolean;
  /** Pages of 4 KiB. */
  flushLeastPagesWhenWarmMapedFile: number;

  maxMessageSize: number;
  autoMessageVersionOnTopicLen: boolean;
  enabledAppendPropCRC: boolean;
  forceVerifyPropCRC: boolean;
  checkCRCOnRecover: boolean;
  /** Consumers see appended data before the policy (SYNC_FLUSH) holds. */
  readUnCommitted: boolean;
  messageDelayLevel: string;

  messageIndexEnable: boolean;
  messageIndexSafe: boolean;
  maxHashSlotNum: number;
  maxIndexNum: number;
  maxMsgsNumBatch: number;

  maxTransferBytesOnMessageInMemory: number;
  maxTransferCountOnMessageInMemory: number;
  maxTransferBytesOnMessageInDisk: number;
  maxTransferCountOnMessageInDisk: number;
  /** Percent of the machine's memory. */
  accessMessageInMemoryMaxRatio: number;

  cleanResourceInterval: number;
  deleteWhen: string;
  /** Hours. */
  fileReservedTime: number;
  deleteCommitLogFilesInterval: number;
  deleteConsumeQueueFilesInterval: number;
  destroyMapedFileIntervalForcibly: number;
  redeleteHangedFileInterval: number;
  deleteFileBatchMax: number;
  cleanFileForciblyEnable: boolean;
  /** Percent. */
  diskMaxUsedSpaceRatio: number;
  diskSpaceWarningLevelRatio: number;
  diskSpaceCleanForciblyRatio: number;
}

/** RocketMQ's defaults; `overrides` needs `storePathRootDir`. For tests and tools that open a store without a broker. */
export function storeConfig(overrides: Partial<StoreConfig> & { storePathRootDir: string }): StoreConfig {
  return { ...DEFAULTS, ...overrides };
}

const DEFAULTS: Omit<StoreConfig, "storePathRootDir"> = {
  mappedFileSizeCommitLog: 1024 * 1024 * 1024,
  mappedFileSizeConsumeQueue: 300000 * 20,
  brokerRole: "ASYNC_MASTER",
  flushDiskType: "ASYNC_FLUSH",
  flushIntervalCommitLog: 500,
  flushCommitLogTimed: true,
  flushCommitLogLeastPages: 4,
  flushCommitLogThoroughInterval: 10_000,
  commitIntervalCommitLog: 200,
  commitCommitLogLeastPages: 4,
  commitCommitLogThoroughInterval: 200,
  syncFlushTimeout: 5000,
  flushIntervalConsumeQueue: 1000,
  flushConsumeQueueLeastPages: 2,
  flushConsumeQueueThoroughInterval: 60_000,
  transientStorePoolEnable: false,
  transientStorePoolSize: 5,
  warmMapedFileEnable: false,
  mqLockMemory: true,
  flushLeastPagesWhenWarmMapedFile: 4096,
  maxMessageSize: 4 * 1024 * 1024,
  autoMessageVersionOnTopicLen: true,
  enabledAppendPropCRC: false,
  forceVerifyPropCRC: false,
  checkCRCOnRecover: true,
  readUnCommitted: false,
  messageDelayLevel: "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h",
  messageIndexEnable: true,
  messageIndexSafe: false,
  maxHashSlotNum: 5_000_000,
  maxIndexNum: 20_000_000,
  maxMsgsNumBatch: 64,
  maxTransferBytesOnMessageInMemory: 256 * 1024,
  maxTransferCountOnMessageInMemory: 32,
  maxTransferBytesOnMessageInDisk: 64 * 1024,
  maxTransferCountOnMessageInDisk: 8,
  accessMessageInMemoryMaxRatio: 40,
  cleanResourceInterval: 10_000,
  deleteWhen: "04",
  fileReservedTime: 72,
  deleteCommitLogFilesInterval: 100,
  deleteConsumeQueueFilesInterval: 100,
  destroyMapedFileIntervalForcibly: 120_000,
  redeleteHangedFileInterval: 120_000,
  deleteFileBatchMax: 10,
  cleanFileForciblyEnable: true,
  diskMaxUsedSpaceRatio: 75,
  diskSpaceWarningLevelRatio: 90,
  diskSpaceCleanForciblyRatio: 85,
};

/** Bytes of the log that are held in memory by mlock: the whole pool, or with warm files the one in use and the next; 0 where nothing is. */
export function lockedBytes(config: StoreConfig): number {
  if (!config.mqLockMemory) return 0;
  const { mappedFileSizeCommitLog: fileSize, transientStorePoolSize } = config;
  if (usesPool(config)) return fileSize * transientStorePoolSize;
  return config.warmMapedFileEnable ? fileSize * WARM_FILES : 0;
}

/** Whether records wait in memory for their file: ASYNC_FLUSH on a master only [MessageStoreConfig#isTransientStorePoolEnable]. */
export function usesPool(config: StoreConfig): boolean {
  return config.transientStorePoolEnable && config.flushDiskType === "ASYNC_FLUSH" && config.brokerRole !== "SLAVE";
}

/** Whether the records of a turn are written into the file by one call; warm files are wanted in memory, mapped. */
export function usesStage(config: StoreConfig): boolean {
  const { flushDiskType, brokerRole, warmMapedFileEnable } = config;
  return flushDiskType === "ASYNC_FLUSH" && brokerRole !== "SLAVE" && !usesPool(config) && !warmMapedFileEnable;
}

const WARM_FILES = 2;

/**
 * Keys of countless tutorials that RocketMQ itself does not read (no setter), or reads no more, with what to write instead. They are
 * ignored here as well: a store directory must stay exchangeable.
 */
export const DEAD_KEYS: Readonly<Record<string, string>> = {
  storePathConsumeQueue: "consume queues always lie in storePathRootDir/consumequeue: write storePathRootDir",
  storePathIndex: "the index always lies in storePathRootDir/index: write storePathRootDir",
  storeCheckpoint: "the checkpoint is always storePathRootDir/checkpoint: write storePathRootDir",
  abortFile: "the abort file is always storePathRootDir/abort: write storePathRootDir",
  mapedFileSizeCommitLog: "write mappedFileSizeCommitLog",
  mapedFileSizeConsumeQueue: "write mappedFileSizeConsumeQueue",
  destroyMapedFileInterval: "write destroyMapedFileIntervalForcibly",
  checkTransactionMessageEnable: "transactions are always checked: write transactionCheckInterval, transactionCheckMax",
  maxCommitLogFilesNumber: "write fileReservedTime and diskMaxUsedSpaceRatio",
  filterServerNums: "filter servers left RocketMQ with 5.1.1: remove it",
  clusterName: "write brokerClusterName",
  configName: "remove it",
  commercialBigCount: "left RocketMQ: remove it",
  commercialEnable: "left RocketMQ: remove it",
  commercialTimerCount: "left RocketMQ: remove it",
  commercialTransCount: "left RocketMQ: remove it",
  maxDelayTime: "write timerMaxDelaySec",
  isBrokerContainer: "it has no setter: remove it",
  isInBrokerContainer: "it has no setter: remove it",
};

/** Second spellings that are taken as well. */
export const SPELLINGS: Readonly<Record<string, string>> = {
  warmMappedFileEnable: "warmMapedFileEnable",
  flushLeastPagesWhenWarmMappedFile: "flushLeastPagesWhenWarmMapedFile",
};

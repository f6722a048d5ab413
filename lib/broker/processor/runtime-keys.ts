import type { BrokerConfig } from "../../config/broker-config.ts";

/**
 * Keys that code 25 may change: whoever uses them reads them anew each time, and no value of theirs can lose what was
 * acknowledged or take the broker away from its clients. Every other key waits for the file and a restart.
 */
const KEYS: readonly (keyof BrokerConfig)[] = [
  "autoCreateSubscriptionGroup",
  "autoCreateTopicEnable",
  "brokerPermission",
  "cleanFileForciblyEnable",
  "clearRetryTopicWhenDeleteTopic",
  "commitCommitLogLeastPages",
  "commitCommitLogThoroughInterval",
  "commitIntervalCommitLog",
  "consumerOffsetUpdateVersionStep",
  "defaultQueryMaxNum",
  "deleteFileBatchMax",
  "deleteWhen",
  "diskMaxUsedSpaceRatio",
  "diskSpaceCleanForciblyRatio",
  "diskSpaceWarningLevelRatio",
  "enableCreateSysGroup",
  "enableMixedMessageType",
  "enableSplitMetadata",
  "fileReservedTime",
  "flushCommitLogLeastPages",
  "flushCommitLogThoroughInterval",
  "flushConsumeQueueLeastPages",
  "flushConsumeQueueThoroughInterval",
  "flushIntervalCommitLog",
  "flushIntervalConsumeQueue",
  "litePullMessageEnable",
  "maxFilterMessageSize",
  "maxMsgsNumBatch",
  "maxTransferBytesOnMessageInDisk",
  "maxTransferBytesOnMessageInMemory",
  "maxTransferCountOnMessageInDisk",
  "maxTransferCountOnMessageInMemory",
  "registerBrokerTimeoutMills",
  "registerNameServerPeriod",
  "rejectTransactionMessage",
  "sendThreadPoolQueueCapacity",
  "slaveReadEnable",
  "splitMetadataSize",
  "startAcceptSendRequestTimeStamp",
  "storeReplyMessageEnable",
  "syncFlushTimeout",
  "transactionCheckInterval",
  "transactionCheckMax",
  "transactionOpBatchInterval",
  "transactionOpMsgMaxSize",
  "transactionTimeOut",
  "transferMsgByHeap",
  "travelCqFileNumWhenGetMessage",
  "useServerSideResetOffset",
  "validateSystemTopicWhenUpdateTopic",
];

export const RUNTIME_KEYS: ReadonlySet<string> = new Set(KEYS);

/** Keys that name the broker's own files: refused in RocketMQ's words, whatever the configured black list says. */
export const BLACK_LIST: readonly string[] = ["brokerConfigPath", "rocketmqHome", "configBlackList"];

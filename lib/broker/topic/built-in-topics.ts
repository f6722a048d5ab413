import {
  PERM_INHERIT,
  PERM_READ,
  PERM_WRITE,
  SCHEDULE_TOPIC,
  type TopicConfig,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
} from "../types.ts";
import { newTopicConfig } from "./topic-config.ts";
import {
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  BENCHMARK_TOPIC,
  OFFSET_MOVED_EVENT,
  REPLY_TOPIC_POSTFIX,
  REVIVE_TOPIC_PREFIX,
  SELF_TEST_TOPIC,
  SYNC_BROKER_MEMBER_PREFIX,
  TIMER_TOPIC,
} from "./topic-validator.ts";

/** Keys of the broker's configuration that decide which topics are built in. */
export interface BuiltInTopicSettings {
  brokerName: string;
  brokerClusterName: string;
  autoCreateTopicEnable: boolean;
  defaultTopicQueueNums: number;
  clusterTopicEnable: boolean;
  brokerTopicEnable: boolean;
  traceTopicEnable: boolean;
  msgTraceTopicName: string;
  reviveQueueNum: number;
  timerWheelEnable: boolean;
}

const PERM_ALL = PERM_READ | PERM_WRITE | PERM_INHERIT;
const SCHEDULE_QUEUES = 18;
const BENCHMARK_QUEUES = 1024;

/** The topics that every broker has from its start, in RocketMQ's order [TopicConfigManager#init]. */
export function builtInTopics(settings: BuiltInTopicSettings): TopicConfig[] {
  const topics: TopicConfig[] = [];
  const add = (name: string, queues: number, perm = PERM_READ | PERM_WRITE): void => {
    topics.push(newTopicConfig(name, { readQueueNums: queues, writeQueueNums: queues, perm }));
  };
  add(SELF_TEST_TOPIC, 1);
  if (settings.autoCreateTopicEnable) add(AUTO_CREATE_TOPIC_KEY_TOPIC, settings.defaultTopicQueueNums, PERM_ALL);
  add(BENCHMARK_TOPIC, BENCHMARK_QUEUES);
  add(settings.brokerClusterName, 16, settings.clusterTopicEnable ? PERM_ALL : PERM_INHERIT);
  add(settings.brokerName, 1, settings.brokerTopicEnable ? PERM_ALL : PERM_INHERIT);
  add(OFFSET_MOVED_EVENT, 1);
  add(SCHEDULE_TOPIC, SCHEDULE_QUEUES);
  if (settings.traceTopicEnable) add(settings.msgTraceTopicName, 1);
  add(`${settings.brokerClusterName}_${REPLY_TOPIC_POSTFIX}`, 1);
  add(REVIVE_TOPIC_PREFIX + settings.brokerClusterName, settings.reviveQueueNum);
  add(SYNC_BROKER_MEMBER_PREFIX + settings.brokerName, 1, PERM_INHERIT);
  add(TRANS_HALF_TOPIC, 1);
  add(TRANS_OP_HALF_TOPIC, 1);
  if (settings.timerWheelEnable) add(TIMER_TOPIC, 1);
  return topics;
}

import {
  DLQ_GROUP_TOPIC_PREFIX,
  RETRY_GROUP_TOPIC_PREFIX,
  SCHEDULE_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
} from "../types.ts";

/** Names and name rules of topics and groups [TopicValidator]. */
export const AUTO_CREATE_TOPIC_KEY_TOPIC = "TBW102";
export const BENCHMARK_TOPIC = "BenchmarkTest";
export const SELF_TEST_TOPIC = "SELF_TEST_TOPIC";
export const OFFSET_MOVED_EVENT = "OFFSET_MOVED_EVENT";
export const TRACE_TOPIC = "RMQ_SYS_TRACE_TOPIC";
export const ROCKSDB_OFFSET_TOPIC = "CHECKPOINT_TOPIC";
export const TIMER_TOPIC = "rmq_sys_wheel_timer";
export const SYSTEM_TOPIC_PREFIX = "rmq_sys_";
export const SYNC_BROKER_MEMBER_PREFIX = `${SYSTEM_TOPIC_PREFIX}SYNC_BROKER_MEMBER_`;
export const REVIVE_TOPIC_PREFIX = `${SYSTEM_TOPIC_PREFIX}REVIVE_LOG_`;
export const REPLY_TOPIC_POSTFIX = "REPLY_TOPIC";

const TOPIC_LENGTH_MAX = 127;
const GROUP_LENGTH_MAX = 120;
const RETRY_OR_DLQ_TOPIC_LENGTH_MAX = 255;

/** The same for every broker; a broker adds the names made of its own and its cluster's name. */
export const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  AUTO_CREATE_TOPIC_KEY_TOPIC,
  SCHEDULE_TOPIC,
  BENCHMARK_TOPIC,
  TRANS_HALF_TOPIC,
  TRACE_TOPIC,
  TRANS_OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT,
  ROCKSDB_OFFSET_TOPIC,
]);

const NOT_ALLOWED_SEND_TOPICS: ReadonlySet<string> = new Set([
  SCHEDULE_TOPIC,
  TRANS_HALF_TOPIC,
  TRANS_OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_EVENT,
]);

const LEGAL_NAME = /^[%|a-zA-Z0-9_-]+$/;

/** Why a topic name is refused, in RocketMQ's words; undefined when it is good. */
export function topicNameFault(topic: string): string | undefined {
  if (topic.trim() === "") return "The specified topic is blank.";
  if (!LEGAL_NAME.test(topic))
    return `The specified topic: ${topic}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  if (topic.startsWith(RETRY_GROUP_TOPIC_PREFIX) || topic.startsWith(DLQ_GROUP_TOPIC_PREFIX))
    return topic.length > RETRY_OR_DLQ_TOPIC_LENGTH_MAX
      ? `The specified topic is DLQ or Retry topic: ${topic}, and it's longer than topic max length: ${RETRY_OR_DLQ_TOPIC_LENGTH_MAX}`
      : undefined;
  return topic.length > TOPIC_LENGTH_MAX
    ? `The specified topic: ${topic}, is longer than topic max length: ${TOPIC_LENGTH_MAX}`
    : undefined;
}

/** Why a group name is refused, in RocketMQ's words; undefined when it is good. */
export function groupNameFault(group: string): string | undefined {
  if (group.trim() === "") return "The specified group is blank.";
  if (!LEGAL_NAME.test(group))
    return `The specified group: ${group}, contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  return group.length > GROUP_LENGTH_MAX
    ? `The specified group: ${group}, is longer than group max length: ${GROUP_LENGTH_MAX}`
    : undefined;
}

/** System topic by its name alone; `TopicConfigManager.isSystemTopic` knows this broker's own ones too. */
export function isSystemTopic(topic: string): boolean {
  return SYSTEM_TOPICS.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);
}

/** Topics that no client may send to (code 16). */
export function isNotAllowedSendTopic(topic: string): boolean {
  return NOT_ALLOWED_SEND_TOPICS.has(topic);
}

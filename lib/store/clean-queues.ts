import type { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";

/** Topics whose queues are never dropped for being unused or old [TopicValidator#isSystemTopic]. */
const SYSTEM_TOPIC =
  /^(rmq_sys_.*|RMQ_SYS_.*|SCHEDULE_TOPIC_XXXX|OFFSET_MOVED_EVENT|SELF_TEST_TOPIC|TRANS_CHECK_MAX_TIME_TOPIC|TBW102|BenchmarkTest|CHECKPOINT_TOPIC)$/;

/** Drops the queues of topics that no longer exist (code 316); returns how many topics. */
export function cleanUnusedTopic(queues: ConsumeQueueStore, topics: ReadonlySet<string>): number {
  let dropped = 0;
  for (const topic of [...queues.table.keys()])
    if (!topics.has(topic) && !SYSTEM_TOPIC.test(topic) && queues.destroy(topic)) dropped++;
  return dropped;
}

/** Drops queues whose last record is no longer in the log (code 306); returns how many. */
export function cleanExpiredConsumeQueue(queues: ConsumeQueueStore, minOffset: number): number {
  let dropped = 0;
  for (const [topic, table] of [...queues.table]) {
    if (SYSTEM_TOPIC.test(topic)) continue;
    for (const queue of [...table.values()]) {
      // Without entries it may just have been made.
      if (queue.maxPhysical < 0 || queue.maxPhysical >= minOffset) continue;
      queues.destroyQueue(queue);
      dropped++;
    }
  }
  return dropped;
}

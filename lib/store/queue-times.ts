import { RECORD_BYTES_MIN } from "../message/layout.ts";
import { recordStoreTimestamp } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { ConsumeQueue } from "./consumequeue/consume-queue.ts";
import type { BoundaryType } from "./types.ts";

/** Store time of the record that entry `index` stands for; -1 when there is none. Cold pages are read beside the loop. */
export async function storeTimestampOf(log: CommitLog, queue: ConsumeQueue, index: number): Promise<number> {
  if (index < queue.firstIndex || index >= queue.maxIndex) return -1;
  if (!queue.isWarm(index)) await queue.warm(index);
  const entry = queue.entry(index);
  if (entry === undefined || entry.physicalOffset < log.minOffset || entry.size < RECORD_BYTES_MIN) return -1;
  if (log.isInMemory(entry.physicalOffset, RECORD_BYTES_MIN)) return log.pickupStoreTimestamp(entry.physicalOffset);
  const head = await log.readCold(entry.physicalOffset, RECORD_BYTES_MIN);
  return head === undefined ? -1 : recordStoreTimestamp(head, 0);
}

/**
 * LOWER: the first entry stored at or after `timestamp`, the queue's end when there is none. UPPER: the last entry stored at or
 * before it, 0 when there is none [ConsumeQueue#binarySearchInQueueByTime].
 */
export async function offsetInQueueByTime(
  log: CommitLog,
  queue: ConsumeQueue,
  timestamp: number,
  boundary: BoundaryType,
): Promise<number> {
  const { minIndex } = queue;
  const first = await firstIndexWhere(minIndex, queue.maxIndex, async (index) => {
    const time = await storeTimestampOf(log, queue, index);
    return boundary === "LOWER" ? time >= timestamp : time > timestamp;
  });
  if (boundary === "LOWER") return first;
  return first > minIndex ? first - 1 : 0;
}

/** First index in [low, high) that holds; `high` when none does. `holds` must be false, then true. */
async function firstIndexWhere(low: number, high: number, holds: (index: number) => Promise<boolean>): Promise<number> {
  let left = low;
  let right = high;
  while (left < right) {
    const middle = Math.floor((left + right) / 2);
    if (await holds(middle)) right = middle;
    else left = middle + 1;
  }
  return left;
}

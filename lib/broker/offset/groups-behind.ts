import type { MessageStore } from "../../store/types.ts";

/** Offsets looked at; what lies beyond is not told. */
const OFFSETS_MAX = 20_000;
/** Offsets looked at before others have their turn. */
const SLICE_OFFSETS = 64;

type Queues = Pick<MessageStore, "getMinOffsetInQueue" | "getMaxOffsetInQueue" | "getQueueEntry">;

/**
 * Messages stored below `logEnd` that groups have not consumed, by group; of the offsets that are committed, `topic@group` →
 * queue → offset.
 */
export async function groupsBehind(
  offsetTable: ReadonlyMap<string, ReadonlyMap<number, number>>,
  store: Queues,
  logEnd: number,
): Promise<Map<string, number>> {
  const behind = new Map<string, number>();
  let looked = 0;
  for (const [key, queues] of offsetTable) {
    const topic = key.slice(0, key.indexOf("@"));
    const group = key.slice(topic.length + 1);
    for (const [queueId, offset] of queues) {
      if (looked++ >= OFFSETS_MAX) return behind;
      if (looked % SLICE_OFFSETS === 0) await new Promise((resolve) => setImmediate(resolve));
      const messages = messagesBelow(store, topic, queueId, offset, logEnd);
      if (messages > 0) behind.set(group, (behind.get(group) ?? 0) + messages);
    }
  }
  return behind;
}

/** Entries from `offset` on whose records lie below `logEnd`, by halving. */
function messagesBelow(store: Queues, topic: string, queueId: number, offset: number, logEnd: number): number {
  const first = Math.max(offset, store.getMinOffsetInQueue(topic, queueId));
  const isBelow = (index: number): boolean =>
    (store.getQueueEntry(topic, queueId, index)?.physicalOffset ?? logEnd) < logEnd;
  // Most groups have consumed what is that old: one look is enough.
  if (!isBelow(first)) return 0;
  let low = first + 1;
  let high = store.getMaxOffsetInQueue(topic, queueId);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isBelow(middle)) low = middle + 1;
    else high = middle;
  }
  return low - first;
}

import type { IndexService } from "../index/index-service.ts";
import { PropertySlot, PropertySlots } from "../message/properties.ts";
import { RecordView } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import { readLogRecord } from "./read-record.ts";
import type { StoredRecord } from "./types.ts";

export interface QueryMessageResult {
  records: StoredRecord[];
  indexLastUpdateTimestamp: number;
  indexLastUpdatePhyoffset: number;
}

/** Looks further into the past this often while the hits were of other keys only [DefaultMessageStore#queryMessage]. */
const ROUNDS_MAX = 3;

const view = new RecordView();
const slots = new PropertySlots();

/**
 * Records that have the key, in log order. The index knows hashes only: records of other topics or keys with the same hash are
 * dropped, as clients would do.
 */
export async function queryMessage(
  log: CommitLog,
  index: IndexService | undefined,
  topic: string,
  key: string,
  maxNum: number,
  begin: number,
  end: number,
): Promise<QueryMessageResult> {
  const records: StoredRecord[] = [];
  if (index === undefined) return { records, indexLastUpdateTimestamp: 0, indexLastUpdatePhyoffset: 0 };
  let until = end;
  for (let round = 0; round < ROUNDS_MAX && records.length === 0; round++) {
    const offsets = await index.query(topic, key, maxNum, begin, until);
    if (offsets.length === 0) break;
    let oldest = -1;
    // A record at which indexing began again stands there twice.
    for (const offset of [...new Set(offsets)].sort((a, b) => a - b)) {
      const record = await readLogRecord(log, offset);
      if (record === undefined || view.read(record.bytes, 0, record.bytes.length, offset) !== "record") continue;
      if (oldest < 0) oldest = view.storeTimestamp;
      if (view.topic === topic && viewHasKey(key)) records.push(record);
    }
    if (oldest < 0 || oldest >= until) break;
    until = oldest;
  }
  return {
    records,
    indexLastUpdateTimestamp: index.lastUpdateTimestamp,
    indexLastUpdatePhyoffset: index.lastUpdatePhyOffset,
  };
}

/** Whether the record in `view` has the key as its unique key or among its blank-separated keys. */
function viewHasKey(key: string): boolean {
  slots.scan(view.buffer, view.propertiesStart, view.propertiesEnd);
  if (slots.text(PropertySlot.UNIQ_KEY) === key) return true;
  return slots.text(PropertySlot.KEYS)?.split(" ").includes(key) ?? false;
}

import type { IndexService } from "../index/index-service.ts";
import { RecordView } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import { readLogRecord } from "./read-record.ts";
import type { StoredRecord } from "./types.ts";

export interface QueryMessageResult {
  records: StoredRecord[];
  indexLastUpdateTimestamp: number;
  indexLastUpdatePhyoffset: number;
}

const view = new RecordView();

/** Records whose `topic#key` hashes alike, in log order; those of other topics are dropped [DefaultMessageStore#queryMessage]. */
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
  const offsets = await index.query(topic, key, maxNum, begin, end);
  for (const offset of offsets.sort((a, b) => a - b)) {
    const record = await readLogRecord(log, offset);
    if (record === undefined || view.read(record.bytes, 0, record.bytes.length, offset) !== "record") continue;
    if (view.topic === topic) records.push(record);
  }
  return {
    records,
    indexLastUpdateTimestamp: index.lastUpdateTimestamp,
    indexLastUpdatePhyoffset: index.lastUpdatePhyOffset,
  };
}

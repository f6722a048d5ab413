import type { Logger } from "../base/log.ts";
import type { IndexService } from "../index/index-service.ts";
import { RecordView } from "../message/record.ts";
import { isConsumable } from "../message/sys-flag.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import type { DispatchRequest } from "./commitlog/dispatch-request.ts";
import type { ConsumeQueueStore } from "./consumequeue/consume-queue-store.ts";
import { recoverCommitLog } from "./recover.ts";
import type { StoreConfig } from "./store-config.ts";

export interface StoreParts {
  log: CommitLog;
  queues: ConsumeQueueStore;
  /** Absent with messageIndexEnable=false. */
  index: IndexService | undefined;
  config: StoreConfig;
  checkpoint: Checkpoint;
  /** The last stop was in order. */
  closedInOrder: boolean;
  dispatch: (request: DispatchRequest) => void;
  logger: Logger;
}

/** Brings loaded files together: where the log ends, and queues and index that lead to all of it and to nothing else. */
export async function recoverStore(parts: StoreParts): Promise<void> {
  const { log, queues, index, config, checkpoint, closedInOrder, dispatch, logger } = parts;
  if (log.files.files.length === 0) {
    await dropDerived(parts);
    return;
  }
  const { derivedOffset } = checkpoint;
  let queuesEnd = await queues.recoverInSlices(closedInOrder);
  const clean = closedInOrder && newestEntryIsRecord(log, queues);
  if (closedInOrder && !clean) {
    logger.warn("the newest consume-queue entry has no record in the log: the store is checked as after a kill");
    queuesEnd = await queues.recoverInSlices(false);
  }
  const tornEnds = [queues.tornEnd, index?.tornEnd].filter((torn) => torn !== undefined);
  if (clean && tornEnds.length === 0 && !queuesAsLeft(parts)) tornEnds.push(-1);
  let start = 0;
  const end = await withoutGaps(logger, tornEnds, (tornEnd) =>
    recoverCommitLog({
      log,
      config,
      clean,
      minTimestamp: checkpoint.minTimestamp,
      indexMsgTimestamp: checkpoint.indexMsgTimestamp,
      derivedOffset,
      queuesEnd,
      tornEnd,
      onStart: (offset) => {
        start = offset;
        if (clean) return;
        queues.truncateDirty(offset);
        index?.recover(offset);
      },
      dispatch: (request) => {
        if (start > log.minOffset) refuseGap(queues, request);
        dispatch(request);
      },
      logger,
    }),
  );
  queues.truncateDirty(end);
  index?.truncateDirty(end);
  queues.correctMinOffset(log.minOffset);
  checkpoint.confirmPhyOffset = end;
  // Once this store is open, a crash no longer leads back to where what was torn is made anew.
  if (tornEnds.length > 0) await Promise.all([queues.flush(0), index?.flush()]);
  checkpoint.derivedOffset = clean ? end : Math.min(derivedOffset ?? start, end);
  await checkpoint.flush();
}

/** A queue ends before the record that is dispatched: what lies between got lost, and is in the log. */
class QueueGap extends Error {
  /** Where the queue ends in the log, -1 without entries. */
  readonly queueEnd: number;

  constructor(queue: string, found: number, wanted: number, queueEnd: number) {
    super(`queue ${queue} ends at ${wanted}, the log goes on with ${found}`);
    this.queueEnd = queueEnd;
  }
}

function refuseGap(queues: ConsumeQueueStore, { topic, queueId, queueOffset, sysFlag }: DispatchRequest): void {
  if (topic === "" || !isConsumable(sysFlag)) return;
  const queue = queues.find(topic, queueId);
  const wanted = queue?.nextQueueOffset ?? 0;
  if (queueOffset > wanted)
    throw new QueueGap(`${topic}-${queueId}`, queueOffset, wanted, queue === undefined ? -1 : queue.maxPhysical);
}

/** Recovers; where that meets a gap, again from where the queue ends, and if that is not enough from the log's begin. */
async function withoutGaps(
  logger: Logger,
  tornEnds: number[],
  recover: (tornEnd: number | undefined) => Promise<number>,
): Promise<number> {
  for (let gaps = 0; ; gaps++) {
    try {
      return await recover(tornEnds.length > 0 ? Math.min(...tornEnds) : undefined);
    } catch (error) {
      if (!(error instanceof QueueGap)) throw error;
      logger.warn(error.message);
      tornEnds.push(gaps === 0 ? error.queueEnd : -1);
    }
  }
}

async function dropDerived({ queues, index, checkpoint, logger }: StoreParts): Promise<void> {
  if (queues.queueCount > 0) logger.warn("the commit log is empty; dropping consume queues and index");
  queues.destroyAll();
  index?.destroy();
  checkpoint.derivedOffset = 0;
  await checkpoint.flush();
}

/** A queue, or its last file, that is gone leaves no trace but in the count that the last stop made. */
function queuesAsLeft({ queues, checkpoint, logger }: StoreParts): boolean {
  const left = checkpoint.queues;
  const found = queues.census;
  if (left === undefined || (left.count === found.count && left.entries === found.entries)) return true;
  logger.warn("the consume queues are not as the last stop left them", {
    queues: found.count,
    queuesLeft: left.count,
    entries: found.entries,
    entriesLeft: left.entries,
  });
  return false;
}

/**
 * Whether the log and the queues are of one time: queues of a restored backup, or entries that a Java broker cut in memory only,
 * lead to places where the log has something else.
 */
function newestEntryIsRecord(log: CommitLog, queues: ConsumeQueueStore): boolean {
  const queue = queues.newestQueue;
  const entry = queue?.entry(queue.maxIndex - 1);
  if (queue === undefined || entry === undefined) return true;
  const file = log.files.findByOffset(entry.physicalOffset);
  if (file === undefined) return false;
  const record = new RecordView();
  const start = entry.physicalOffset - file.fileFromOffset;
  const found = record.read(file.buffer, start, file.fileSize, entry.physicalOffset) === "record";
  return found && record.size === entry.size && record.queueOffset === queue.maxIndex - 1 && record.bodyIntact;
}

const EMPTY = Buffer.alloc(0);

/**
 * One appended record as the consume queue, the index and waiting pulls need it [DispatchRequest]. Reused: valid during the
 * call only.
 */
export class DispatchRequest {
  topic = "";
  /** Java's hash of `topic#`. */
  keyPrefixHash = 0;
  queueId = 0;
  queueOffset = 0;
  physicalOffset = 0;
  size = 0;
  /** What the consume queue stores: tag hash or deliver time. */
  tagsCode = 0;
  storeTimestamp = 0;
  sysFlag = 0;
  /** Bytes that the key ranges point into. */
  buffer: Buffer = EMPTY;
  /** -1 when the message has none. */
  uniqKeyStart = -1;
  uniqKeyEnd = -1;
  keysStart = -1;
  keysEnd = -1;
}

/** What the commit log needs from those that follow it. */
export interface CommitLogFollower {
  /** Queue offset that the next record of the queue gets. */
  nextQueueOffset(topic: string, queueId: number): number;
  increaseQueueOffset(topic: string, queueId: number, by: number): void;
  /** Puts the record to consume queue, index and waiting pulls. */
  dispatch(request: DispatchRequest): void;
}

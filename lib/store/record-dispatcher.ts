import { javaHashCode, javaHashCodeBytes } from "../base/java.ts";
import { isTopicPathSafe } from "../message/layout.ts";
import { PropertySlot, PropertySlots } from "../message/properties.ts";
import { RecordView } from "../message/record.ts";
import type { CommitLog } from "./commitlog/commit-log.ts";
import { DispatchRequest } from "./commitlog/dispatch-request.ts";

/** Topic names kept as strings; a power of two. */
const TOPICS_CACHED = 1024;

/** Turns stored records into dispatch requests: what `CommitLog.append` knows from the message is read back from the record. */
export class RecordDispatcher {
  readonly record = new RecordView();
  private readonly slots = new PropertySlots();
  private readonly request = new DispatchRequest();
  private readonly log: CommitLog;
  private readonly topicNames: string[] = new Array(TOPICS_CACHED).fill("");
  private readonly prefixHashes = new Int32Array(TOPICS_CACHED);
  private readonly topicBytes: Buffer[] = new Array(TOPICS_CACHED).fill(Buffer.alloc(0));

  constructor(log: CommitLog) {
    this.log = log;
  }

  /** The request of the record that `record` has just read; reused. Its topic is empty when the record cannot have a queue. */
  toRequest(): DispatchRequest {
    const { record, request, slots } = this;
    const { buffer } = record;
    slots.scan(buffer, record.propertiesStart, record.propertiesEnd);
    const tags = slots.start[PropertySlot.TAGS]!;
    const tagsCode = tags < 0 ? 0 : javaHashCodeBytes(buffer, tags, slots.end[PropertySlot.TAGS]!);
    const delayLevel = slots.int(PropertySlot.DELAY, 0);
    const topic = this.topicSlot();
    request.topic = record.queueId < 0 ? "" : this.topicNames[topic]!;
    request.keyPrefixHash = this.prefixHashes[topic]!;
    request.queueId = record.queueId;
    request.queueOffset = record.queueOffset;
    request.physicalOffset = record.physicalOffset;
    request.size = record.size;
    request.tagsCode = this.log.storedTagsCode(request.topic, delayLevel, tagsCode, record.storeTimestamp);
    request.storeTimestamp = record.storeTimestamp;
    request.sysFlag = record.sysFlag;
    request.buffer = buffer;
    request.uniqKeyStart = slots.start[PropertySlot.UNIQ_KEY]!;
    request.uniqKeyEnd = slots.end[PropertySlot.UNIQ_KEY]!;
    request.keysStart = slots.start[PropertySlot.KEYS]!;
    request.keysEnd = slots.end[PropertySlot.KEYS]!;
    return request;
  }

  /** Where the record's topic is kept: no new string each time. */
  private topicSlot(): number {
    const { buffer, topicStart, topicEnd } = this.record;
    const slot = javaHashCodeBytes(buffer, topicStart, topicEnd) & (TOPICS_CACHED - 1);
    const known = this.topicBytes[slot]!;
    if (known.length > 0 && known.compare(buffer, topicStart, topicEnd) === 0) return slot;
    this.topicBytes[slot] = Buffer.from(buffer.subarray(topicStart, topicEnd));
    const { topic } = this.record;
    this.topicNames[slot] = isTopicPathSafe(topic) ? topic : "";
    this.prefixHashes[slot] = javaHashCode(`${topic}#`);
    return slot;
  }
}

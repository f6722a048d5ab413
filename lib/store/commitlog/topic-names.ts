import { javaHashCode } from "../../base/java.ts";
import { isTopicPathSafe, TOPIC_BYTES_MAX, TOPIC_BYTES_MAX_V1 } from "../../message/layout.ts";

/** Names whose bytes are kept; beyond it the cache starts anew. */
const TOPICS_CACHED_MAX = 65_536;

/** A topic's name as records carry it. */
export interface Topic {
  bytes: Buffer;
  v2: boolean;
  /** Java's hash of `topic#`, with which the hash of each of its keys begins. */
  keyPrefixHash: number;
  /** Why nothing can be stored under it; empty when it can. */
  refusal: string;
}

/** The bytes of topic names, encoded once. */
export class TopicNames {
  private readonly topics = new Map<string, Topic>();

  /** Long names make V2 records with `autoVersion` (autoMessageVersionOnTopicLen). */
  constructor(private readonly autoVersion: boolean) {}

  of(name: string): Topic {
    const known = this.topics.get(name);
    if (known !== undefined) return known;
    if (this.topics.size >= TOPICS_CACHED_MAX) this.topics.clear();
    const v2 = this.autoVersion && name.length > TOPIC_BYTES_MAX_V1;
    const bytes = Buffer.from(name, "utf8");
    const keyPrefixHash = javaHashCode(`${name}#`);
    const topic = { bytes, v2, keyPrefixHash, refusal: topicRefusal(name, bytes.length, v2) };
    this.topics.set(name, topic);
    return topic;
  }
}

function topicRefusal(name: string, bytes: number, v2: boolean): string {
  if (!isTopicPathSafe(name)) return `topic ${JSON.stringify(name)} cannot name a directory`;
  if (bytes > TOPIC_BYTES_MAX) return `topic of ${bytes} bytes, at most ${TOPIC_BYTES_MAX}`;
  if (v2 || bytes <= TOPIC_BYTES_MAX_V1) return "";
  return `topic of ${bytes} bytes, at most ${TOPIC_BYTES_MAX_V1} with autoMessageVersionOnTopicLen=false`;
}

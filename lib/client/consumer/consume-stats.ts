const BUCKET_MS = 10_000;
const BUCKETS = 6;
/** Topics counted; more are not shown. */
const TOPICS_MAX = 1024;

interface Bucket {
  at: number;
  pulled: number;
  pullMs: number;
  pulls: number;
  consumedOk: number;
  consumedFailed: number;
  consumeMs: number;
  consumes: number;
}

/** [ConsumeStatus] What one topic's consumption looks like over the last minute. */
export interface ConsumeStatus {
  pullRT: number;
  pullTPS: number;
  consumeRT: number;
  consumeOKTPS: number;
  consumeFailedTPS: number;
  consumeFailedMsgs: number;
}

/** [ConsumerStatsManager] Counters of a consumer by topic, over a sliding minute. */
export class ConsumeStats {
  readonly #topics = new Map<string, Bucket[]>();

  pulled(topic: string, count: number, elapsedMs: number): void {
    const bucket = this.#bucket(topic);
    if (bucket === undefined) return;
    bucket.pulled += count;
    bucket.pullMs += elapsedMs;
    bucket.pulls++;
  }

  consumed(topic: string, ok: number, failed: number, elapsedMs: number): void {
    const bucket = this.#bucket(topic);
    if (bucket === undefined) return;
    bucket.consumedOk += ok;
    bucket.consumedFailed += failed;
    bucket.consumeMs += elapsedMs;
    bucket.consumes++;
  }

  status(topic: string): ConsumeStatus {
    const since = Date.now() - BUCKETS * BUCKET_MS;
    const total = emptyBucket(0);
    for (const bucket of this.#topics.get(topic) ?? []) {
      if (bucket.at < since) continue;
      total.pulled += bucket.pulled;
      total.pullMs += bucket.pullMs;
      total.pulls += bucket.pulls;
      total.consumedOk += bucket.consumedOk;
      total.consumedFailed += bucket.consumedFailed;
      total.consumeMs += bucket.consumeMs;
      total.consumes += bucket.consumes;
    }
    const seconds = (BUCKETS * BUCKET_MS) / 1000;
    return {
      pullRT: total.pulls === 0 ? 0 : total.pullMs / total.pulls,
      pullTPS: total.pulled / seconds,
      consumeRT: total.consumes === 0 ? 0 : total.consumeMs / total.consumes,
      consumeOKTPS: total.consumedOk / seconds,
      consumeFailedTPS: total.consumedFailed / seconds,
      consumeFailedMsgs: total.consumedFailed,
    };
  }

  #bucket(topic: string): Bucket | undefined {
    let buckets = this.#topics.get(topic);
    if (buckets === undefined) {
      if (this.#topics.size >= TOPICS_MAX) return undefined;
      buckets = [];
      this.#topics.set(topic, buckets);
    }
    const at = Date.now() - (Date.now() % BUCKET_MS);
    let bucket = buckets.at(-1);
    if (bucket === undefined || bucket.at !== at) {
      bucket = emptyBucket(at);
      buckets.push(bucket);
      if (buckets.length > BUCKETS) buckets.shift();
    }
    return bucket;
  }
}

function emptyBucket(at: number): Bucket {
  return { at, pulled: 0, pullMs: 0, pulls: 0, consumedOk: 0, consumedFailed: 0, consumeMs: 0, consumes: 0 };
}

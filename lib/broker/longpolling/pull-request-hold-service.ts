import type { Connection } from "../../remoting/types.ts";
import type { MessageFilter } from "../../store/types.ts";
import type { PullRequestHoldService } from "../broker-context.ts";

/** With long polling on; off, a pull waits shortPollingTimeMills and no longer. */
export const LONG_POLLING_CHECK_PERIOD_MS = 5_000;
/** Most pulls that wait at once; one more is answered "nothing new" at once, which its client takes for a poll that ran out. */
export const HELD_PULLS_MAX = 200_000;

/** A pull that found nothing and waits for a message [PullRequest]. */
export interface HeldPull {
  readonly connection: Connection;
  readonly topic: string;
  readonly queueId: number;
  /** Waits for an entry at this offset or behind it. */
  readonly queueOffset: number;
  readonly filter: MessageFilter | undefined;
  /** ms since the epoch at which it is answered whether or not something came. */
  readonly deadline: number;
}

interface HoldServiceOptions<P extends HeldPull> {
  /** Runs the pull again, this time without waiting. */
  wake(pull: P): void;
  /** A queue's end offset. */
  maxOffset(topic: string, queueId: number): number;
  now(): number;
  checkPeriodMs: number;
}

/**
 * Waiting pulls per topic and queue [PullRequestHoldService]. The append that brings a message marks them; they run when the
 * socket's data callback that brought it has handled all its frames, so that one answer carries all of them.
 */
export class HeldPulls<P extends HeldPull> implements PullRequestHoldService {
  waiting = 0;
  private readonly topics = new Map<string, Map<number, P[]>>();
  private ready: P[] = [];
  private scheduled = false;
  private timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: HoldServiceOptions<P>) {}

  start(): void {
    this.timer ??= setInterval(() => this.check(), this.options.checkPeriodMs);
  }

  /** Stops waiting: every held pull is answered, so that clients turn to another broker at once. */
  shutdown(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.wakeAll();
  }

  /** False when too many wait already. */
  suspend(pull: P): boolean {
    if (this.waiting >= HELD_PULLS_MAX) return false;
    let queues = this.topics.get(pull.topic);
    if (queues === undefined) {
      queues = new Map();
      this.topics.set(pull.topic, queues);
    }
    const held = queues.get(pull.queueId);
    if (held === undefined) queues.set(pull.queueId, [pull]);
    else held.push(pull);
    this.waiting++;
    return true;
  }

  notifyMessageArriving(topic: string, queueId: number, maxOffset: number, tagsCode: number): void {
    const queues = this.topics.get(topic);
    const held = queues?.get(queueId);
    if (queues === undefined || held === undefined) return;
    let kept = 0;
    for (let i = 0; i < held.length; i++) {
      const pull = held[i]!;
      if (
        maxOffset > pull.queueOffset &&
        (pull.filter === undefined || pull.filter.isMatchedByConsumeQueue(tagsCode))
      ) {
        this.release(pull);
      } else held[kept++] = pull;
    }
    held.length = kept;
    if (kept === 0) this.drop(topic, queues, queueId);
  }

  /** Answers everyone who waits on the topic: it was deleted, or the broker stops. */
  wakeTopic(topic: string): void {
    const queues = this.topics.get(topic);
    if (queues === undefined) return;
    this.topics.delete(topic);
    for (const held of queues.values()) for (const pull of held) this.release(pull);
  }

  /** Answers everyone: the master is back, where they are to go on [notifyMasterOnline]. */
  wakeAll(): void {
    for (const topic of [...this.topics.keys()]) this.wakeTopic(topic);
  }

  private release(pull: P): void {
    this.waiting--;
    this.ready.push(pull);
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => this.run());
  }

  private run(): void {
    this.scheduled = false;
    const { ready } = this;
    this.ready = [];
    for (const pull of ready) if (!pull.connection.closed) this.options.wake(pull);
  }

  /** Finds what no arrival told: pulls out of time, dead connections, and queues that moved past unmatched messages. */
  private check(): void {
    const now = this.options.now();
    for (const [topic, queues] of this.topics) {
      for (const [queueId, held] of queues) {
        const maxOffset = this.options.maxOffset(topic, queueId);
        let kept = 0;
        for (let i = 0; i < held.length; i++) {
          const pull = held[i]!;
          if (pull.connection.closed) this.waiting--;
          else if (now >= pull.deadline || maxOffset > pull.queueOffset) this.release(pull);
          else held[kept++] = pull;
        }
        held.length = kept;
        if (kept === 0) this.drop(topic, queues, queueId);
      }
    }
  }

  private drop(topic: string, queues: Map<number, P[]>, queueId: number): void {
    queues.delete(queueId);
    if (queues.size === 0) this.topics.delete(topic);
  }
}

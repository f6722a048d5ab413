import type { RebalanceLockManager } from "../broker-context.ts";

/** A queue as lock requests name it. */
export interface MessageQueue {
  topic: string;
  brokerName: string;
  queueId: number;
}

/** Lives this long without a refresh [RebalanceLockManager#REBALANCE_LOCK_MAX_LIVE_TIME]. */
export const LOCK_MAX_LIVE_MS = 60_000;
/** After its owner's last connection is gone a lock stays this long: time for the client to come back on a new one. */
export const LOCK_GRACE_AFTER_CLOSE_MS = 5_000;
/** Most queues one group may hold locks for. */
export const LOCKS_PER_GROUP_MAX = 65_536;

interface LockEntry {
  clientId: string;
  expiresAt: number;
}

/** Queue locks of orderly consumers, per group [RebalanceLockManager]. */
export class QueueLocks implements RebalanceLockManager {
  private readonly groups = new Map<string, Map<string, LockEntry>>();

  constructor(
    private readonly now: () => number,
    private readonly maxLiveMs: number = LOCK_MAX_LIVE_MS,
  ) {}

  isLockAllExpired(group: string): boolean {
    const locks = this.groups.get(group);
    if (locks === undefined) return true;
    const now = this.now();
    for (const entry of locks.values()) if (entry.expiresAt > now) return false;
    return true;
  }

  /** Takes or refreshes what is free, expired or the caller's own; returns the queues that the caller owns now. */
  tryLockBatch(group: string, queues: readonly MessageQueue[], clientId: string): MessageQueue[] {
    let locks = this.groups.get(group);
    if (locks === undefined) {
      locks = new Map();
      this.groups.set(group, locks);
    }
    const now = this.now();
    const owned: MessageQueue[] = [];
    for (const queue of queues) {
      const key = keyOf(queue);
      const entry = locks.get(key);
      if (entry === undefined) {
        if (locks.size >= LOCKS_PER_GROUP_MAX) continue;
        locks.set(key, { clientId, expiresAt: now + this.maxLiveMs });
      } else if (entry.clientId === clientId || entry.expiresAt <= now) {
        entry.clientId = clientId;
        entry.expiresAt = now + this.maxLiveMs;
      } else continue;
      owned.push(queue);
    }
    return owned;
  }

  unlockBatch(group: string, queues: readonly MessageQueue[], clientId: string): void {
    const locks = this.groups.get(group);
    if (locks === undefined) return;
    for (const queue of queues) {
      const key = keyOf(queue);
      if (locks.get(key)?.clientId === clientId) locks.delete(key);
    }
    if (locks.size === 0) this.groups.delete(group);
  }

  /** The owner's last connection is gone: others need not wait the full minute. */
  ownerGone(group: string, clientId: string): void {
    const latest = this.now() + LOCK_GRACE_AFTER_CLOSE_MS;
    for (const entry of this.groups.get(group)?.values() ?? []) {
      if (entry.clientId === clientId && entry.expiresAt > latest) entry.expiresAt = latest;
    }
  }

  /** Drops expired locks, so that groups that are gone leave nothing behind. */
  sweep(): void {
    const now = this.now();
    for (const [group, locks] of this.groups) {
      for (const [key, entry] of locks) if (entry.expiresAt <= now) locks.delete(key);
      if (locks.size === 0) this.groups.delete(group);
    }
  }
}

function keyOf(queue: MessageQueue): string {
  return `${queue.topic}\n${queue.brokerName}\n${queue.queueId}`;
}

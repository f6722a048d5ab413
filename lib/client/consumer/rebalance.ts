import { errorText } from "../../base/errors.ts";
import { compareMessageQueues, type MessageQueue, messageQueueKey, messageQueueText } from "../message-queue.ts";
import { type ConsumerContext, isRetryTopic } from "./consumer-context.ts";
import { ProcessQueue } from "./process-queue.ts";
import type { QueueLocks } from "./queue-locks.ts";
import { computePullFromWhere } from "./start-offset.ts";

const LOCK_RETRY_MS = 500;
/** How long a running orderly listener is waited for before its queue stays with us for one more round. */
const UNLOCK_WAIT_MS = 500;
/** After this long without a lock renewal the queue is let go anyway [RebalancePushImpl#UNLOCK_DELAY_TIME_MILLS]. */
const FORCE_UNLOCK_MS = 20_000;
/** Rounds, a second apart, in which the retry topic is looked for; then the usual ones must do. */
const RETRY_TOPIC_ROUNDS = 15;
/** Rounds of not being listed before it is said. */
const UNLISTED_ROUNDS = 3;
/** How long new queues wait for a heartbeat that a dead broker holds up. */
const ANNOUNCE_WAIT_MS = 500;

/** [RebalanceImpl] Which queues this client consumes, as its members and the routes change. */
export class Rebalance {
  readonly #context: ConsumerContext;
  readonly #locks: QueueLocks;
  /** Begins to pull a queue just taken over. */
  readonly #startQueue: (processQueue: ProcessQueue) => void;
  readonly #subscribeInfo = new Map<string, MessageQueue[]>();
  /** Topics said to have no route: once when it starts, once when it ends. */
  readonly #withoutRoute = new Set<string>();

  #retryTopicRounds = 0;
  /** Rounds in a row that the brokers did not list this client, by topic. */
  readonly #unlisted = new Map<string, number>();

  constructor(context: ConsumerContext, locks: QueueLocks, startQueue: (processQueue: ProcessQueue) => void) {
    this.#context = context;
    this.#locks = locks;
    this.#startQueue = startQueue;
  }

  /** The topic's readable queues as the route now says; true when they changed. */
  setSubscribeQueues(topic: string, queues: MessageQueue[]): boolean {
    const before = this.#subscribeInfo.get(topic);
    this.#subscribeInfo.set(topic, queues);
    return before === undefined || before.map(messageQueueKey).join() !== queues.map(messageQueueKey).join();
  }

  subscribeQueues(topic: string): readonly MessageQueue[] | undefined {
    return this.#subscribeInfo.get(topic);
  }

  /** One round over all subscriptions; false when another one is needed soon. */
  async round(): Promise<boolean> {
    const { subscriptions, logger, group } = this.#context;
    let balanced = true;
    for (const topic of [...subscriptions.keys()]) {
      if (this.#context.stopped) return true;
      try {
        balanced = (await this.#topicRound(topic)) && balanced;
      } catch (error) {
        if (isRetryTopic(topic)) continue;
        logger.warn(`rebalance topic ${topic}: ${errorText(error)}`, { group });
        balanced = false;
      }
    }
    this.#dropForeignTopics();
    return balanced;
  }

  async #topicRound(topic: string): Promise<boolean> {
    const queues = await this.#queuesOf(topic);
    // The broker makes the retry topic at the first heartbeat; it takes a moment until the name servers know it.
    if (queues === undefined) return isRetryTopic(topic) && ++this.#retryTopicRounds > RETRY_TOPIC_ROUNDS;
    const wanted = await this.#allocate(topic, queues);
    if (wanted === undefined) return false;
    const taken: ProcessQueue[] = [];
    const changed = await this.#update(topic, wanted, taken);
    // A pull before the brokers know this member, or with a subscription newer than theirs, would be refused.
    if (changed) await Promise.race([this.#announce(topic), Bun.sleep(ANNOUNCE_WAIT_MS)]);
    for (const processQueue of taken) this.#startQueue(processQueue);
    const working = new Set<string>();
    for (const [key, { queue, dropped }] of this.#context.processQueues) {
      if (queue.topic === topic && !dropped) working.add(key);
    }
    return working.size === wanted.length && wanted.every((queue) => working.has(messageQueueKey(queue)));
  }

  async #queuesOf(topic: string): Promise<MessageQueue[] | undefined> {
    const { instance, logger, group } = this.#context;
    if (!this.#subscribeInfo.has(topic)) {
      const route = await instance.updateRoute(topic);
      // Known to the instance already through another of its clients: nobody told this one.
      if (route !== undefined && !this.#subscribeInfo.has(topic)) instance.tellConsumerRoute(topic, group);
    }
    const queues = this.#subscribeInfo.get(topic);
    if (queues === undefined) {
      if (!isRetryTopic(topic) && !this.#withoutRoute.has(topic)) {
        this.#withoutRoute.add(topic);
        logger.warn(`topic ${topic} has no route yet, waiting for it: ${instance.lastNoRoute}`, { group });
      }
      return undefined;
    }
    if (this.#withoutRoute.delete(topic)) logger.info(`topic ${topic} has a route now`, { group });
    return queues;
  }

  /** The queues that are ours; undefined when the members of the group cannot be found out. */
  async #allocate(topic: string, queues: MessageQueue[]): Promise<MessageQueue[] | undefined> {
    const { instance, group, options, logger } = this.#context;
    if (options.messageModel === "BROADCASTING") return queues;
    const members = await instance.findConsumerIdList(topic, group);
    if (!members.includes(instance.clientId)) {
      this.#sayUnlisted(topic, members.length);
      if (members.length === 0) return undefined;
    } else if (this.#unlisted.get(topic) !== undefined) {
      if ((this.#unlisted.get(topic) ?? 0) >= UNLISTED_ROUNDS)
        logger.info(`the brokers of topic ${topic} list this client now`, { group });
      this.#unlisted.delete(topic);
    }
    return options.allocateStrategy.allocate(
      instance.clientId,
      [...queues].sort(compareMessageQueues),
      [...new Set(members)].sort(),
    );
  }

  /** Once, when it lasts: a member that no broker lists gets no queue, and nothing else would tell. */
  #sayUnlisted(topic: string, members: number): void {
    const rounds = (this.#unlisted.get(topic) ?? 0) + 1;
    this.#unlisted.set(topic, rounds);
    if (rounds !== UNLISTED_ROUNDS || isRetryTopic(topic)) return;
    const { logger, group } = this.#context;
    logger.warn(
      `the brokers of topic ${topic} list ${members} members of the group and not this client: it gets no queue; does the group exist there (autoCreateSubscriptionGroup), do heartbeats arrive?`,
      { group },
    );
  }

  async #update(topic: string, wanted: MessageQueue[], takenOver: ProcessQueue[]): Promise<boolean> {
    const { processQueues, logger, group } = this.#context;
    const wantedKeys = new Set(wanted.map(messageQueueKey));
    let changed = false;
    for (const [key, processQueue] of [...processQueues]) {
      if (processQueue.queue.topic !== topic) continue;
      if (!wantedKeys.has(key)) processQueue.dropped = true;
      else if (processQueue.pullExpired && !this.#context.paused) {
        logger.warn(`${messageQueueText(processQueue.queue)} was not pulled for two minutes: taking it anew`, {
          group,
        });
        processQueue.dropped = true;
      } else continue;
      if (await this.#letGo(processQueue)) {
        if (processQueues.get(key) === processQueue) processQueues.delete(key);
        changed = true;
      }
    }
    let allLocked = true;
    for (const queue of wanted) {
      const taken = await this.#takeOver(queue, takenOver);
      if (taken === "not locked") allLocked = false;
      else if (taken === "taken") changed = true;
    }
    if (!allLocked) this.#context.instance.rebalanceLater(LOCK_RETRY_MS);
    return changed;
  }

  async #takeOver(queue: MessageQueue, takenOver: ProcessQueue[]): Promise<"taken" | "not locked" | "kept" | "failed"> {
    const { processQueues, options, orderly, offsets, logger, group } = this.#context;
    const key = messageQueueKey(queue);
    if (processQueues.has(key)) return "kept";
    if (orderly && options.messageModel === "CLUSTERING" && !(await this.#locks.lock(queue))) return "not locked";
    offsets.remove(queue);
    try {
      const processQueue = new ProcessQueue(queue, await computePullFromWhere(this.#context, queue));
      processQueue.locked = orderly;
      if (this.#context.stopped || !this.#context.subscriptions.has(queue.topic)) return "failed";
      processQueues.set(key, processQueue);
      // The group begins here even if it stops before the first message: what arrives meanwhile is not skipped next time.
      offsets.update(queue, processQueue.nextOffset, false);
      logger.info(`consuming ${messageQueueText(queue)} from offset ${processQueue.nextOffset}`, { group });
      takenOver.push(processQueue);
      return "taken";
    } catch (error) {
      // A stop closes the connections under a rebalance that is on its way: nothing was lost.
      if (!this.#context.stopped) logger.warn(`take over ${messageQueueText(queue)}: ${errorText(error)}`, { group });
      return "failed";
    }
  }

  /** [RebalancePushImpl#removeUnnecessaryMessageQueue] Commits and, orderly, unlocks; false when a listener still runs. */
  async #letGo(processQueue: ProcessQueue): Promise<boolean> {
    const { offsets, options, orderly, logger, group } = this.#context;
    const { queue } = processQueue;
    const persist = () =>
      offsets
        .persist(queue)
        .catch((error) => logger.warn(`commit ${messageQueueText(queue)}: ${errorText(error)}`, { group }));
    const locking = orderly && options.messageModel === "CLUSTERING";
    if (locking && Date.now() < processQueue.lastLockTimestamp + FORCE_UNLOCK_MS) {
      const until = Date.now() + UNLOCK_WAIT_MS;
      while (processQueue.listenersRunning > 0 && Date.now() < until) await Bun.sleep(10);
      if (processQueue.listenersRunning > 0) {
        await persist();
        processQueue.tryUnlockTimes++;
        return false;
      }
    }
    await persist();
    offsets.remove(queue);
    if (locking) {
      processQueue.locked = false;
      await this.#locks.unlock(queue);
    }
    logger.info(`no longer consuming ${messageQueueText(queue)}`, { group });
    return true;
  }

  /** Lets one queue go now, whoever should have it: its offset moved. The next round takes it over again. */
  async removeProcessQueue(processQueue: ProcessQueue): Promise<void> {
    const key = messageQueueKey(processQueue.queue);
    processQueue.dropped = true;
    if (this.#context.processQueues.get(key) === processQueue) this.#context.processQueues.delete(key);
    await this.#letGo(processQueue);
  }

  /** [RebalancePushImpl#messageQueueChanged] Tells the brokers at once; pulls use the new version when they know it. */
  async #announce(topic: string): Promise<void> {
    const { subscriptions, announcedVersions, options, processQueues, instance } = this.#context;
    if (processQueues.size > 0) {
      if (options.pullThresholdForTopic !== -1) {
        options.pullThresholdForQueue = Math.max(1, Math.floor(options.pullThresholdForTopic / processQueues.size));
      }
      if (options.pullThresholdSizeForTopic !== -1) {
        options.pullThresholdSizeForQueue = Math.max(
          1,
          Math.floor(options.pullThresholdSizeForTopic / processQueues.size),
        );
      }
    }
    const subscription = subscriptions.get(topic);
    if (subscription === undefined) return;
    subscription.subVersion = Math.max(Date.now(), subscription.subVersion + 1);
    const version = subscription.subVersion;
    await instance.sendHeartbeatToAllBrokers();
    announcedVersions.set(topic, version);
  }

  #dropForeignTopics(): void {
    const { processQueues, subscriptions } = this.#context;
    for (const [key, processQueue] of processQueues) {
      if (subscriptions.has(processQueue.queue.topic)) continue;
      processQueue.dropped = true;
      processQueues.delete(key);
    }
  }
}

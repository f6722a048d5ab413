import { errorText } from "../../base/errors.ts";
import { type MessageQueue, messageQueueKey } from "../message-queue.ts";
import type { ConsumerContext } from "./consumer-context.ts";
import type { ProcessQueue } from "./process-queue.ts";

const FIRST_RENEWAL_MS = 1_000;
/** [ProcessQueue#REBALANCE_LOCK_INTERVAL] */
const RENEWAL_MS = 20_000;

/** [RebalanceImpl#lock, #lockAll, #unlock] Locks at the brokers that let one client at a time consume a queue in order. */
export class QueueLocks {
  readonly #context: ConsumerContext;
  #timer: Timer | undefined;

  constructor(context: ConsumerContext) {
    this.#context = context;
  }

  /** Renews all locks after a second and every 20 s from then on. */
  start(): void {
    this.#timer = setTimeout(() => {
      void this.lockAll();
      this.#timer = setInterval(() => void this.lockAll(), RENEWAL_MS);
    }, FIRST_RENEWAL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
  }

  async lock(queue: MessageQueue): Promise<boolean> {
    const locked = await this.#lockOn(queue.brokerName, [queue]);
    return locked?.has(messageQueueKey(queue)) ?? false;
  }

  async lockAll(): Promise<void> {
    await Promise.all([...this.#byBroker()].map(([brokerName, queues]) => this.#lockOn(brokerName, queues)));
  }

  /** Keys of the queues owned now among `queues`; undefined when the broker could not be asked: then nothing changes. */
  async #lockOn(brokerName: string, queues: MessageQueue[]): Promise<Set<string> | undefined> {
    const { instance, group, processQueues, logger } = this.#context;
    const broker = instance.findBrokerAddressInSubscribe(brokerName, 0, true);
    if (broker === undefined) return undefined;
    try {
      const owned = await instance.api.lockBatchMQ(broker.address, {
        consumerGroup: group,
        clientId: instance.clientId,
        mqSet: queues,
      });
      const keys = new Set(owned.map(messageQueueKey));
      for (const queue of queues)
        this.#note(processQueues.get(messageQueueKey(queue)), keys.has(messageQueueKey(queue)));
      return keys;
    } catch (error) {
      logger.warn(`lock queues: ${errorText(error)}`, { group, broker: brokerName });
      return undefined;
    }
  }

  #note(processQueue: ProcessQueue | undefined, locked: boolean): void {
    if (processQueue === undefined) return;
    if (locked) processQueue.lastLockTimestamp = Date.now();
    processQueue.locked = locked;
  }

  async unlock(queue: MessageQueue): Promise<void> {
    await this.#unlockOn(queue.brokerName, [queue], true);
  }

  async unlockAll(): Promise<void> {
    await Promise.all([...this.#byBroker()].map(([brokerName, queues]) => this.#unlockOn(brokerName, queues, false)));
  }

  async #unlockOn(brokerName: string, queues: MessageQueue[], oneway: boolean): Promise<void> {
    const { instance, group, processQueues, logger } = this.#context;
    const broker = instance.findBrokerAddressInSubscribe(brokerName, 0, true);
    if (broker === undefined) return;
    for (const queue of queues) this.#note(processQueues.get(messageQueueKey(queue)), false);
    await instance.api
      .unlockBatchMQ(broker.address, { consumerGroup: group, clientId: instance.clientId, mqSet: queues }, oneway)
      .catch((error) => logger.warn(`unlock queues: ${errorText(error)}`, { group, broker: brokerName }));
  }

  #byBroker(): Map<string, MessageQueue[]> {
    const byBroker = new Map<string, MessageQueue[]>();
    for (const { queue, dropped } of this.#context.processQueues.values()) {
      if (dropped) continue;
      const queues = byBroker.get(queue.brokerName);
      if (queues === undefined) byBroker.set(queue.brokerName, [queue]);
      else queues.push(queue);
    }
    return byBroker;
  }
}

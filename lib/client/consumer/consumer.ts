import { errorText } from "../../base/errors.ts";
import { stringifyFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import {
  buildSubscription,
  type ConsumerData,
  type ConsumeType,
  type Subscription,
} from "../../protocol/body/heartbeat-data.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { ClientError } from "../broker-error.ts";
import { acquireInstance, type ClientInstance, type ConsumerInner } from "../client-instance.ts";
import { processInstanceName, resolveClientOptions } from "../client-options.ts";
import type { MessageExt } from "../message.ts";
import { type MessageQueue, messageQueueKey } from "../message-queue.ts";
import { checkGroup, checkTopic } from "../producer/validators.ts";
import { averagely } from "./allocate.ts";
import type { ConsumeService } from "./consume-service.ts";
import { ConsumeStats } from "./consume-stats.ts";
import {
  type ConsumerContext,
  type ConsumerOptions,
  isRetryTopic,
  ownedQueues,
  type ResolvedConsumerOptions,
  retryTopic,
} from "./consumer-context.ts";
import { LocalOffsetStore, localOffsetFile } from "./local-offset-store.ts";
import { type OffsetStore, RemoteOffsetStore } from "./offset-store.ts";
import type { ProcessQueue } from "./process-queue.ts";
import { PullApi } from "./pull-api.ts";
import { PullLoop } from "./pull-loop.ts";
import { QueueLocks } from "./queue-locks.ts";
import { Rebalance } from "./rebalance.ts";
import { encodeRunningInfo } from "./running-info.ts";
import { releaseInnerProducer } from "./send-back.ts";

/** Group names that would mix strangers [MixAll#DEFAULT_CONSUMER_GROUP]. */
const DEFAULT_CONSUMER_GROUP = "DEFAULT_CONSUMER";
const STOP_POLL_MS = 10;

/** What tells one kind of consumer from another. */
export interface ConsumerKind {
  consumeType: ConsumeType;
  orderly: boolean;
  /** Failed messages come back through `%RETRY%group`. */
  retries: boolean;
  /** Pulls as a lite pull consumer does. */
  litePull: boolean;
  service(context: ConsumerContext, locks: QueueLocks): ConsumeService;
}

/** What a stopped consumer leaves behind. */
export interface ShutdownReport {
  /** Messages pulled and not consumed; they come again. */
  unconsumed: number;
  /** Listener calls that did not end in time; their messages come again. */
  listenersRunning: number;
  /** Why the last commit failed, when it did. */
  commitFailure: string | undefined;
}

/** What push and pull consumers share: membership in a group, queues by rebalance, pulls, offsets. */
export class Consumer implements ConsumerInner {
  readonly group: string;
  readonly instance: ClientInstance;
  protected readonly context: ConsumerContext;
  readonly #kind: ConsumerKind;
  readonly #locks: QueueLocks;
  readonly #rebalance: Rebalance;
  protected readonly pulls: PullLoop;
  readonly #service: ConsumeService;
  readonly #logger: Logger;
  #started = false;
  /** The brokers were told of this member: queues may be taken over. */
  #joined = false;
  #startTimestamp = 0;

  constructor(options: ConsumerOptions, kind: ConsumerKind) {
    this.#kind = kind;
    checkGroup(options.group);
    if (options.group === DEFAULT_CONSUMER_GROUP) {
      throw new ClientError(`check the group: found "${DEFAULT_CONSUMER_GROUP}", want a name of your own`);
    }
    this.group = options.group;
    const resolved = resolveConsumerOptions(options);
    const broadcasting = resolved.messageModel === "BROADCASTING";
    // A broadcasting consumer's offset file is found by its client id: that must not change with the process.
    const clientOptions = resolveClientOptions(options, broadcasting ? "DEFAULT" : processInstanceName());
    this.instance = acquireInstance(clientOptions);
    this.#logger = clientOptions.logger;
    this.context = {
      group: options.group,
      instance: this.instance,
      options: resolved,
      logger: clientOptions.logger,
      offsets: offsetStore(this.instance, options.group, resolved),
      pullApi: new PullApi(this.instance, options.group),
      stats: new ConsumeStats(),
      subscriptions: new Map(),
      announcedVersions: new Map(),
      processQueues: new Map(),
      orderly: kind.orderly,
      litePull: kind.litePull,
      paused: false,
      stopped: false,
    };
    this.#locks = new QueueLocks(this.context);
    this.#service = kind.service(this.context, this.#locks);
    this.pulls = new PullLoop(
      this.context,
      () => this.#rebalance,
      (processQueue, messages) => this.#service.submit(processQueue, messages),
    );
    this.#rebalance = new Rebalance(this.context, this.#locks, (processQueue) => this.pulls.start(processQueue));
  }

  /** `expression`: `*`, tags joined by `||`, or with `expressionType` SQL92 a condition on properties. */
  subscribe(topic: string, expression = "*", expressionType: "TAG" | "SQL92" = "TAG"): void {
    checkTopic(topic);
    this.context.subscriptions.set(topic, buildSubscription(topic, expression, expressionType));
    if (!this.#started) return;
    void this.instance.sendHeartbeatToAllBrokers();
    this.instance.rebalanceImmediately();
  }

  unsubscribe(topic: string): void {
    this.context.subscriptions.delete(topic);
    this.instance.rebalanceImmediately();
  }

  /** Joins the group. Rejects when no name server answers or a broker refuses the subscription. */
  async start(): Promise<void> {
    if (this.#started) return;
    const { options, subscriptions, offsets } = this.context;
    if (this.#kind.retries && options.messageModel === "CLUSTERING") {
      const topic = retryTopic(this.group);
      subscriptions.set(topic, buildSubscription(topic, "*"));
    }
    await offsets.load();
    this.instance.registerConsumer(this);
    this.#started = true;
    this.#startTimestamp = Date.now();
    try {
      for (const [topic, subscription] of subscriptions) {
        if (isRetryTopic(topic)) continue;
        await this.instance.updateRoute(topic);
        if (subscription.expressionType !== "TAG") await this.#checkInBroker(subscription);
      }
    } catch (error) {
      await this.shutdown();
      throw error;
    }
    this.#service.start();
    await this.instance.sendHeartbeatToAllBrokers();
    this.#joined = true;
    this.instance.rebalanceImmediately();
  }

  /** [MQClientInstance#checkClientInBroker] Has a broker judge an SQL92 condition before anything is consumed by it. */
  async #checkInBroker(subscription: Subscription): Promise<void> {
    const { clientId } = this.instance;
    for (const { brokerAddrs } of this.instance.route(subscription.topic)?.brokerDatas ?? []) {
      const address = brokerAddrs.get(0) ?? brokerAddrs.values().next().value;
      if (address === undefined) continue;
      const body = stringifyFastjson({ clientId, group: this.group, namespace: "", subscriptionData: subscription });
      await this.instance.api.call(
        address,
        { code: RequestCode.CHECK_CLIENT_CONFIG, body },
        `subscribe to topic "${subscription.topic}"`,
      );
    }
  }

  /** Nothing new reaches the listener from here on, also not what is pulled already; `shutdown` comes next. */
  stopConsuming(): void {
    this.context.stopped = true;
  }

  /** Pulls pause; what is here is still consumed. */
  suspend(): void {
    this.context.paused = true;
  }

  resume(): void {
    this.context.paused = false;
    this.instance.rebalanceImmediately();
  }

  /** Waits for running listeners, commits, unlocks, leaves the group, and says what is left undone. */
  async shutdown(): Promise<ShutdownReport> {
    const report: ShutdownReport = { unconsumed: 0, listenersRunning: 0, commitFailure: undefined };
    if (!this.#started) return report;
    this.#started = false;
    this.#joined = false;
    this.context.stopped = true;
    this.pulls.stop();
    this.#service.stop();
    const until = Date.now() + this.context.options.awaitTerminationMillisWhenShutdown;
    while (this.#service.running > 0 && Date.now() < until) await Bun.sleep(STOP_POLL_MS);
    report.listenersRunning = this.#service.running;
    await this.context.offsets.persistAll(ownedQueues(this.context), true).catch((error) => {
      report.commitFailure = errorText(error);
      this.#logger.error(`${report.commitFailure}; messages consumed since the last commit come again`, {
        group: this.group,
      });
    });
    if (this.context.orderly && this.context.options.messageModel === "CLUSTERING") await this.#locks.unlockAll();
    for (const processQueue of this.context.processQueues.values()) {
      processQueue.dropped = true;
      report.unconsumed += processQueue.count;
    }
    this.context.processQueues.clear();
    await this.instance.unregisterConsumer(this.group);
    await releaseInnerProducer(this.instance);
    if (report.listenersRunning > 0) {
      this.#logger.warn(
        `stopped while ${report.listenersRunning} listener calls were running: their messages come again`,
        { group: this.group },
      );
    }
    return report;
  }

  // ConsumerInner

  consumerData(): ConsumerData {
    const { options, subscriptions } = this.context;
    return {
      groupName: this.group,
      consumeType: this.#kind.consumeType,
      messageModel: options.messageModel,
      consumeFromWhere: options.consumeFromWhere,
      subscriptionDataSet: [...subscriptions.values()],
      unitMode: false,
    };
  }

  subscribeTopics(): Iterable<string> {
    return this.context.subscriptions.keys();
  }

  setSubscribeQueues(topic: string, queues: MessageQueue[]): void {
    if (!this.context.subscriptions.has(topic)) return;
    if (this.#rebalance.setSubscribeQueues(topic, queues)) this.instance.rebalanceImmediately();
  }

  async doRebalance(): Promise<boolean> {
    if (!this.#joined || this.context.paused) return true;
    return this.#rebalance.round();
  }

  async persistOffsets(): Promise<void> {
    if (this.#started) await this.context.offsets.persistAll(ownedQueues(this.context), false);
  }

  /** [MQClientInstance#resetOffset] */
  async resetOffset(topic: string, offsets: readonly (readonly [MessageQueue, number])[]): Promise<void> {
    const { processQueues } = this.context;
    const byKey = new Map(offsets.map(([queue, offset]) => [messageQueueKey(queue), offset]));
    const affected: ProcessQueue[] = [];
    this.suspend();
    try {
      for (const [key, processQueue] of processQueues) {
        if (processQueue.queue.topic !== topic || !byKey.has(key)) continue;
        processQueue.dropped = true;
        processQueue.clear();
        affected.push(processQueue);
      }
      this.#logger.warn(
        `offsets of topic ${topic} are reset, ${affected.length} queues start over in ${this.context.options.resetOffsetWaitMs / 1000} s`,
        { group: this.group },
      );
      await Bun.sleep(this.context.options.resetOffsetWaitMs);
      for (const processQueue of affected) {
        const offset = byKey.get(messageQueueKey(processQueue.queue));
        if (offset === undefined || this.context.stopped) continue;
        this.context.offsets.update(processQueue.queue, offset, false);
        await this.#rebalance.removeProcessQueue(processQueue);
      }
    } finally {
      this.resume();
    }
  }

  consumerStatus(topic: string): Map<MessageQueue, number> {
    return this.context.offsets.clone(topic);
  }

  runningInfo(): string {
    return encodeRunningInfo(this.context, this.#kind.consumeType, this.#startTimestamp);
  }

  async consumeMessageDirectly(message: MessageExt, brokerName: string): Promise<string> {
    return stringifyFastjson(await this.#service.consumeMessageDirectly(message, brokerName));
  }
}

function offsetStore(instance: ClientInstance, group: string, options: ResolvedConsumerOptions): OffsetStore {
  const readOnly = !options.commitOffsets;
  if (options.messageModel === "BROADCASTING") {
    return new LocalOffsetStore(localOffsetFile(instance.clientId, group, options.localOffsetStoreDir), { readOnly });
  }
  return new RemoteOffsetStore(instance, group, { readOnly, strict: options.strictConsumeFrom });
}

export function resolveConsumerOptions(options: ConsumerOptions): ResolvedConsumerOptions {
  return {
    group: options.group,
    messageModel: options.messageModel ?? "CLUSTERING",
    consumeFromWhere: options.consumeFromWhere ?? "CONSUME_FROM_LAST_OFFSET",
    consumeTimestamp: options.consumeTimestamp ?? Date.now() - 30 * 60_000,
    strictConsumeFrom: options.strictConsumeFrom ?? false,
    allocateStrategy: options.allocateStrategy ?? averagely,
    consumeThreadMax: options.consumeThreadMax ?? 20,
    pullThresholdForQueue: options.pullThresholdForQueue ?? 1000,
    pullThresholdSizeForQueue: options.pullThresholdSizeForQueue ?? 100,
    pullThresholdForTopic: options.pullThresholdForTopic ?? -1,
    pullThresholdSizeForTopic: options.pullThresholdSizeForTopic ?? -1,
    consumeConcurrentlyMaxSpan: options.consumeConcurrentlyMaxSpan ?? 2000,
    pullInterval: options.pullInterval ?? 0,
    pullBatchSize: options.pullBatchSize ?? 32,
    pullBatchSizeInBytes: options.pullBatchSizeInBytes ?? 256 * 1024,
    consumeMessageBatchMaxSize: options.consumeMessageBatchMaxSize ?? 1,
    consumeTimeout: options.consumeTimeout ?? 15,
    maxReconsumeTimes: options.maxReconsumeTimes ?? -1,
    suspendCurrentQueueTimeMillis: options.suspendCurrentQueueTimeMillis ?? 1000,
    postSubscriptionWhenPull: options.postSubscriptionWhenPull ?? false,
    awaitTerminationMillisWhenShutdown: options.awaitTerminationMillisWhenShutdown ?? 5_000,
    resetOffsetWaitMs: options.resetOffsetWaitMs ?? 10_000,
    firstPullDelayMs: options.firstPullDelayMs ?? 500,
    commitOffsets: options.commitOffsets ?? true,
    localOffsetStoreDir: options.localOffsetStoreDir,
  };
}

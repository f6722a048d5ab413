import type { Logger } from "../../base/log.ts";
import type { ConsumeFromWhere, MessageModel, Subscription } from "../../protocol/body/heartbeat-data.ts";
import type { ClientInstance } from "../client-instance.ts";
import type { ClientOptions } from "../client-options.ts";
import type { MessageQueue } from "../message-queue.ts";
import { RETRY_GROUP_TOPIC_PREFIX } from "../names.ts";
import type { AllocateStrategy } from "./allocate.ts";
import type { ConsumeStats } from "./consume-stats.ts";
import type { OffsetStore } from "./offset-store.ts";
import type { ProcessQueue } from "./process-queue.ts";
import type { PullApi } from "./pull-api.ts";

/** [DefaultMQPushConsumer] with its names and defaults; times in ms unless the name says otherwise. */
export interface ConsumerOptions extends ClientOptions {
  group: string;
  messageModel?: MessageModel;
  consumeFromWhere?: ConsumeFromWhere;
  /** For CONSUME_FROM_TIMESTAMP: ms since the epoch; default half an hour ago. */
  consumeTimestamp?: number;
  /** Takes the broker's word that a new group has no offset, instead of its 0 while the first messages are in memory. */
  strictConsumeFrom?: boolean;
  allocateStrategy?: AllocateStrategy;
  /** Listener calls running at once. */
  consumeThreadMax?: number;
  /** Messages and MiB held per queue before pulling pauses. */
  pullThresholdForQueue?: number;
  pullThresholdSizeForQueue?: number;
  /** The same for all queues of a topic together; -1: no such limit. */
  pullThresholdForTopic?: number;
  pullThresholdSizeForTopic?: number;
  /** Offsets between the oldest and the newest message held before pulling pauses. */
  consumeConcurrentlyMaxSpan?: number;
  pullInterval?: number;
  pullBatchSize?: number;
  pullBatchSizeInBytes?: number;
  consumeMessageBatchMaxSize?: number;
  /** Minutes after which a message that a listener holds is sent back. */
  consumeTimeout?: number;
  /** -1: 16 for concurrent, no limit for orderly consumption. */
  maxReconsumeTimes?: number;
  suspendCurrentQueueTimeMillis?: number;
  postSubscriptionWhenPull?: boolean;
  /** ms that running listeners get at the end. */
  awaitTerminationMillisWhenShutdown?: number;
  /** ms between dropping the queues of an offset reset and starting over, so that running listeners end. */
  resetOffsetWaitMs?: number;
  /** ms between taking a queue over and the first pull. */
  firstPullDelayMs?: number;
  /** false: reads, and leaves the group's offsets as they are. */
  commitOffsets?: boolean;
  /** Where broadcasting offsets lie; default `$HOME/.rocketmq_offsets`. */
  localOffsetStoreDir?: string;
}

export type ResolvedConsumerOptions = Required<
  Omit<ConsumerOptions, keyof ClientOptions | "localOffsetStoreDir" | "consumeTimestamp">
> & { consumeTimestamp: number; localOffsetStoreDir: string | undefined };

/** What the parts of one consumer share. */
export interface ConsumerContext {
  readonly group: string;
  readonly instance: ClientInstance;
  readonly options: ResolvedConsumerOptions;
  readonly logger: Logger;
  readonly offsets: OffsetStore;
  readonly pullApi: PullApi;
  readonly stats: ConsumeStats;
  /** By topic. */
  readonly subscriptions: Map<string, Subscription>;
  /** By topic: the subscription's version that the brokers were told. */
  readonly announcedVersions: Map<string, number>;
  /** Queues owned now, by `messageQueueKey`. */
  readonly processQueues: Map<string, ProcessQueue>;
  readonly orderly: boolean;
  /** Pulls go as LITE_PULL_MESSAGE with the subscription in them. */
  readonly litePull: boolean;
  /** No pulls while set: an offset reset is under way, or the user paused. */
  paused: boolean;
  /** Nothing is pulled, consumed or retried any more. */
  stopped: boolean;
}

export function retryTopic(group: string): string {
  return RETRY_GROUP_TOPIC_PREFIX + group;
}

export function isRetryTopic(topic: string): boolean {
  return topic.startsWith(RETRY_GROUP_TOPIC_PREFIX);
}

export function ownedQueues(context: ConsumerContext): MessageQueue[] {
  return Array.from(context.processQueues.values(), ({ queue }) => queue);
}

import { errorText } from "../../base/errors.ts";
import { decompressBody } from "../../message/compression.ts";
import { PropertyName } from "../../message/properties.ts";
import { decodeRecord } from "../../message/record.ts";
import type { Subscription } from "../../protocol/body/heartbeat-data.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { longField } from "../broker-api.ts";
import { BrokerError, ClientError } from "../broker-error.ts";
import type { ClientInstance } from "../client-instance.ts";
import { MessageExt } from "../message.ts";
import { type MessageQueue, messageQueueKey, messageQueueText } from "../message-queue.ts";
import { MASTER_ID } from "../names.ts";

/** Bits of a pull's sysFlag [PullSysFlag]. */
const PULL_COMMIT_OFFSET = 1;
const PULL_SUSPEND = 2;
const PULL_SUBSCRIPTION = 4;
const PULL_LITE = 16;

export type PullStatus = "FOUND" | "NO_NEW_MSG" | "NO_MATCHED_MSG" | "OFFSET_ILLEGAL";

const STATUS_BY_CODE = new Map<number, PullStatus>([
  [ResponseCode.SUCCESS, "FOUND"],
  [ResponseCode.PULL_NOT_FOUND, "NO_NEW_MSG"],
  [ResponseCode.PULL_RETRY_IMMEDIATELY, "NO_MATCHED_MSG"],
  [ResponseCode.PULL_OFFSET_MOVED, "OFFSET_ILLEGAL"],
]);

/** [PullResult] */
export interface PullResult {
  status: PullStatus;
  nextBeginOffset: number;
  minOffset: number;
  maxOffset: number;
  /** Filtered by the exact tags; empty also for FOUND when none of them matched. */
  messages: MessageExt[];
}

export interface PullOptions {
  offset: number;
  maxNums: number;
  maxBytes: number;
  /** ms the broker may hold the pull when there is nothing; 0: it answers at once. */
  suspendMs: number;
  timeoutMs: number;
  /** Version of the subscription that the broker must know at least. */
  subVersion: number;
  /** Committed along with the pull when above 0. */
  commitOffset: number;
  /** Sends the subscription along: the group need not be known to the broker by a heartbeat. */
  withSubscription: boolean;
  /** As a lite pull consumer [LITE_PULL_MESSAGE]. */
  lite: boolean;
}

/** [PullAPIWrapper] Pulls, remembers which member of a broker to ask next, decodes and filters. */
export class PullApi {
  readonly #instance: ClientInstance;
  readonly #group: string;
  /** Which broker id answers for a queue, as the last answer suggested. */
  readonly #pullFromWhich = new Map<string, number>();

  constructor(instance: ClientInstance, group: string) {
    this.#instance = instance;
    this.#group = group;
  }

  forget(queue: MessageQueue): void {
    this.#pullFromWhich.delete(messageQueueKey(queue));
  }

  /** Rejects with BrokerError for any answer that is no PullStatus. */
  async pull(queue: MessageQueue, subscription: Subscription, options: PullOptions): Promise<PullResult> {
    const key = messageQueueKey(queue);
    const brokerId = this.#pullFromWhich.get(key) ?? MASTER_ID;
    const { address, slave } = await this.#instance.needBroker(queue, brokerId);
    // A slave learns offsets from its master: what is committed along with pulls goes there.
    const commit = options.commitOffset > 0 && !slave;
    const ext = {
      consumerGroup: this.#group,
      topic: queue.topic,
      queueId: queue.queueId,
      queueOffset: options.offset,
      maxMsgNums: options.maxNums,
      maxMsgBytes: options.maxBytes,
      sysFlag:
        (commit ? PULL_COMMIT_OFFSET : 0) |
        (options.suspendMs > 0 ? PULL_SUSPEND : 0) |
        (options.withSubscription ? PULL_SUBSCRIPTION : 0) |
        (options.lite ? PULL_LITE : 0),
      commitOffset: Math.max(0, options.commitOffset),
      suspendTimeoutMillis: options.suspendMs,
      subscription: options.withSubscription ? subscription.subString : undefined,
      subVersion: options.subVersion,
      expressionType: subscription.expressionType,
      bname: queue.brokerName,
    };
    const response = await this.#instance.remoting.invoke(
      address,
      { code: options.lite ? RequestCode.LITE_PULL_MESSAGE : RequestCode.PULL_MESSAGE, ext },
      options.timeoutMs,
    );
    const status = STATUS_BY_CODE.get(response.code);
    if (status === undefined) {
      throw new BrokerError(`pull ${messageQueueText(queue)}`, address, response.code, response.remark);
    }
    this.#pullFromWhich.set(key, longField(response, "suggestWhichBrokerId", address));
    const minOffset = longField(response, "minOffset", address);
    const maxOffset = longField(response, "maxOffset", address);
    const messages =
      status === "FOUND"
        ? decodeMessages(response.body ?? Buffer.alloc(0), queue, subscription, minOffset, maxOffset)
        : [];
    return { status, nextBeginOffset: longField(response, "nextBeginOffset", address), minOffset, maxOffset, messages };
  }
}

/** The records of a pull's answer, decompressed, without those whose tag nobody asked for. Throws ClientError for bytes that are none. */
function decodeMessages(
  body: Buffer,
  queue: MessageQueue,
  subscription: Subscription,
  minOffset: number,
  maxOffset: number,
): MessageExt[] {
  const tags =
    subscription.tagsSet.length === 0 || subscription.classFilterMode ? undefined : new Set(subscription.tagsSet);
  const messages: MessageExt[] = [];
  for (let at = 0; at < body.length; ) {
    const stored = decodeRecord(body, at);
    if (stored === undefined) {
      throw new ClientError(
        `decode what ${messageQueueText(queue)} holds: byte ${at} of ${body.length} begins no whole record with a right CRC`,
      );
    }
    at += stored.size;
    if (tags !== undefined && !tags.has(stored.properties[PropertyName.TAGS] ?? "")) continue;
    stored.properties[PropertyName.MIN_OFFSET] = String(minOffset);
    stored.properties[PropertyName.MAX_OFFSET] = String(maxOffset);
    messages.push(
      new MessageExt(stored, queue.brokerName, decompressed(stored.body, stored.sysFlag, stored.queueOffset, queue)),
    );
  }
  return messages;
}

function decompressed(body: Buffer, sysFlag: number, offset: number, queue: MessageQueue): Buffer {
  try {
    return decompressBody(body, sysFlag);
  } catch (error) {
    throw new ClientError(`decode offset ${offset} of ${messageQueueText(queue)}: ${errorText(error)}`, undefined, {
      cause: error,
    });
  }
}

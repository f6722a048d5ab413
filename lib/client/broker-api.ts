import * as v from "valibot";
import { decodeLockBatchResponse, encodeLockBatch, type LockBatch } from "../protocol/body/lock-batch.ts";
import { parseBody, text } from "../protocol/body/tolerant.ts";
import { RequestCode, ResponseCode } from "../remoting/codes.ts";
import type { RemotingClient, RemotingCommand, RemotingRequest } from "../remoting/types.ts";
import { BrokerError, ClientError, responseCodeName } from "./broker-error.ts";
import type { MessageQueue } from "./message-queue.ts";

/** ms for offset queries at the start of a queue [PullAPIWrapper, RemoteBrokerOffsetStore]. */
const OFFSET_QUERY_TIMEOUT_MS = 5_000;
const LOCK_TIMEOUT_MS = 1_000;
const SEND_BACK_TIMEOUT_MS = 5_000;

const consumerIdsSchema = v.object({ consumerIdList: v.nullish(v.array(text), () => []) });

/** [MQClientAPIImpl] One method per request a client sends to a broker; sends and pulls have files of their own. */
export class BrokerApi {
  readonly remoting: RemotingClient;
  readonly #timeoutMs: number;

  constructor(remoting: RemotingClient, timeoutMs: number) {
    this.remoting = remoting;
    this.#timeoutMs = timeoutMs;
  }

  /** The answer to `request` when its code is SUCCESS. Throws BrokerError that starts with `action`. */
  async call(
    address: string,
    request: RemotingRequest,
    action: string,
    timeoutMs = this.#timeoutMs,
  ): Promise<RemotingCommand> {
    const response = await this.remoting.invoke(address, request, timeoutMs);
    if (response.code !== ResponseCode.SUCCESS) throw new BrokerError(action, address, response.code, response.remark);
    return response;
  }

  async heartbeat(address: string, body: string): Promise<void> {
    await this.call(address, { code: RequestCode.HEART_BEAT, body }, "send a heartbeat");
  }

  async unregisterClient(
    address: string,
    clientID: string,
    groups: { producerGroup?: string; consumerGroup?: string },
  ): Promise<void> {
    await this.call(
      address,
      { code: RequestCode.UNREGISTER_CLIENT, ext: { clientID, ...groups } },
      `unregister client ${clientID}`,
    );
  }

  /** Client ids of the group's members; empty when the broker knows none. */
  async consumerIds(address: string, consumerGroup: string): Promise<string[]> {
    const response = await this.remoting.invoke(
      address,
      { code: RequestCode.GET_CONSUMER_LIST_BY_GROUP, ext: { consumerGroup } },
      this.#timeoutMs,
    );
    if (response.code !== ResponseCode.SUCCESS) return [];
    return parseBody(consumerIdsSchema, response.body, "the members of a group").consumerIdList;
  }

  /**
   * The group's offset of a queue; -1 when there is none [QUERY_NOT_FOUND]. `strict` keeps the broker from answering 0 for a new
   * group on a queue whose first messages are still in memory.
   */
  async queryConsumerOffset(
    address: string,
    consumerGroup: string,
    queue: MessageQueue,
    strict: boolean,
  ): Promise<number> {
    const response = await this.remoting.invoke(
      address,
      {
        code: RequestCode.QUERY_CONSUMER_OFFSET,
        ext: { consumerGroup, ...queueFields(queue), setZeroIfNotFound: strict ? false : undefined },
      },
      OFFSET_QUERY_TIMEOUT_MS,
    );
    if (response.code === ResponseCode.QUERY_NOT_FOUND) return -1;
    if (response.code !== ResponseCode.SUCCESS) {
      throw new BrokerError(`query the offset of group ${consumerGroup}`, address, response.code, response.remark);
    }
    return longField(response, "offset", address);
  }

  /** One-way, as RocketMQ's clients commit. */
  async updateConsumerOffsetOneway(
    address: string,
    consumerGroup: string,
    queue: MessageQueue,
    commitOffset: number,
  ): Promise<void> {
    await this.remoting.invokeOneway(address, updateOffsetRequest(consumerGroup, queue, commitOffset), this.#timeoutMs);
  }

  async updateConsumerOffset(
    address: string,
    consumerGroup: string,
    queue: MessageQueue,
    commitOffset: number,
  ): Promise<void> {
    const action = `commit offset ${commitOffset} of group ${consumerGroup}`;
    await this.call(address, updateOffsetRequest(consumerGroup, queue, commitOffset), action);
  }

  async maxOffset(address: string, queue: MessageQueue): Promise<number> {
    const ext = { ...queueFields(queue), committed: true };
    const response = await this.call(address, { code: RequestCode.GET_MAX_OFFSET, ext }, "query the max offset");
    return longField(response, "offset", address);
  }

  async minOffset(address: string, queue: MessageQueue): Promise<number> {
    const request = { code: RequestCode.GET_MIN_OFFSET, ext: queueFields(queue) };
    return longField(await this.call(address, request, "query the min offset"), "offset", address);
  }

  /** Offset of the first message stored at or after `timestamp`, in ms since the epoch. */
  async searchOffset(address: string, queue: MessageQueue, timestamp: number): Promise<number> {
    const request = {
      code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
      ext: { ...queueFields(queue), timestamp, boundaryType: "LOWER" },
    };
    return longField(await this.call(address, request, "search an offset by time"), "offset", address);
  }

  /** Those of the queues that this client owns now. */
  async lockBatchMQ(address: string, lock: LockBatch): Promise<MessageQueue[]> {
    const request = { code: RequestCode.LOCK_BATCH_MQ, body: encodeLockBatch(lock) };
    return decodeLockBatchResponse((await this.call(address, request, "lock queues", LOCK_TIMEOUT_MS)).body);
  }

  async unlockBatchMQ(address: string, lock: LockBatch, oneway: boolean): Promise<void> {
    const request = { code: RequestCode.UNLOCK_BATCH_MQ, body: encodeLockBatch(lock) };
    if (oneway) await this.remoting.invokeOneway(address, request, LOCK_TIMEOUT_MS);
    else await this.call(address, request, "unlock queues", LOCK_TIMEOUT_MS);
  }

  /** [CONSUMER_SEND_MSG_BACK] Has the broker deliver a message again later, or move it to the dead-letter topic. */
  async consumerSendMessageBack(
    address: string,
    back: {
      group: string;
      commitLogOffset: number;
      delayLevel: number;
      originMsgId: string;
      originTopic: string;
      maxReconsumeTimes: number;
      brokerName: string;
    },
  ): Promise<void> {
    const ext = {
      group: back.group,
      offset: back.commitLogOffset,
      delayLevel: back.delayLevel,
      originMsgId: back.originMsgId,
      originTopic: back.originTopic,
      unitMode: false,
      maxReconsumeTimes: back.maxReconsumeTimes,
      bname: back.brokerName,
    };
    await this.call(
      address,
      { code: RequestCode.CONSUMER_SEND_MSG_BACK, ext },
      "send a message back",
      SEND_BACK_TIMEOUT_MS,
    );
  }
}

export function queueFields(queue: MessageQueue): { topic: string; queueId: number; bname: string } {
  return { topic: queue.topic, queueId: queue.queueId, bname: queue.brokerName };
}

function updateOffsetRequest(consumerGroup: string, queue: MessageQueue, commitOffset: number): RemotingRequest {
  return { code: RequestCode.UPDATE_CONSUMER_OFFSET, ext: { consumerGroup, ...queueFields(queue), commitOffset } };
}

/** A whole number from a response's header. Throws ClientError when it is missing or no number. */
export function longField(response: RemotingCommand, name: string, address: string): number {
  const value = response.ext[name];
  const number = value === undefined ? Number.NaN : Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new ClientError(
    `read the answer of ${address}: header field ${name} is ${value === undefined ? "missing" : `"${value}"`} with ${responseCodeName(response.code)}, want a number`,
  );
}

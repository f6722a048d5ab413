import { errorText } from "../../base/errors.ts";
import { COMPRESS_LEVEL_DEFAULT } from "../../message/compression.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import { BrokerError, ClientError } from "../broker-error.ts";
import {
  AUTO_CREATE_TOPIC_KEY,
  acquireInstance,
  type ClientInstance,
  type ProducerInner,
  type TransactionCheck,
} from "../client-instance.ts";
import { type ClientOptions, processInstanceName, resolveClientOptions } from "../client-options.ts";
import type { Message } from "../message.ts";
import type { MessageQueue } from "../message-queue.ts";
import { LatencyFault } from "./latency-fault.ts";
import { type Outgoing, type OutgoingOptions, prepareBatch, prepareMessage, sendRequest } from "./outgoing.ts";
import { PublishInfo, selectOneMessageQueue, selectQueueByHash } from "./select-queue.ts";
import { type SendResult, sendResult } from "./send-result.ts";
import { checkGroup } from "./validators.ts";

/** Answers after which another broker is tried [DefaultMQProducer#retryResponseCodes]. */
const RETRY_RESPONSE_CODES: ReadonlySet<number> = new Set([
  ResponseCode.SYSTEM_ERROR,
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.NO_PERMISSION,
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.NO_BUYER_ID,
  ResponseCode.NOT_IN_CURRENT_UNIT,
  ResponseCode.GO_AWAY,
]);
const DETECT_PERIOD_MS = 3_000;
const DETECT_INTERVAL_MS = 2_000;

/** [DefaultMQProducer] with its names and defaults; times in ms, sizes in bytes. */
export interface ProducerOptions extends ClientOptions {
  group: string;
  sendMsgTimeout?: number;
  retryTimesWhenSendFailed?: number;
  retryTimesWhenSendAsyncFailed?: number;
  retryAnotherBrokerWhenNotStoreOK?: boolean;
  maxMessageSize?: number;
  compressMsgBodyOverHowmuch?: number;
  compressLevel?: number;
  defaultTopicQueueNums?: number;
  createTopicKey?: string;
  unitMode?: boolean;
  /** Passes over brokers that were slow or silent. */
  sendLatencyFaultEnable?: boolean;
  /** Probes silent brokers, so that they are used again as soon as they answer. */
  startDetectorEnable?: boolean;
}

/** Where and how one send goes. */
export interface SendOptions {
  /** ms for the whole send, retries included. */
  timeoutMs?: number;
  /** This queue, and no other one if it fails. */
  queue?: MessageQueue;
  /** The queue that Java's hash of this text picks, and no other one if it fails. */
  hashKey?: string;
  /** Async sends retry by `retryTimesWhenSendAsyncFailed`. */
  asynchronous?: boolean;
}

/** Sends messages. `start()` first, `shutdown()` at the end. */
export class Producer implements ProducerInner {
  readonly group: string;
  readonly instance: ClientInstance;
  readonly options: Required<Omit<ProducerOptions, keyof ClientOptions | "group">> & OutgoingOptions;
  readonly #publish = new Map<string, PublishInfo>();
  readonly #fault = new LatencyFault();
  #detector: Timer | undefined;
  #started = false;

  constructor(options: ProducerOptions, instance?: ClientInstance) {
    checkGroup(options.group);
    this.group = options.group;
    this.instance = instance ?? acquireInstance(resolveClientOptions(options, processInstanceName()));
    this.options = {
      producerGroup: options.group,
      sendMsgTimeout: options.sendMsgTimeout ?? 3_000,
      retryTimesWhenSendFailed: options.retryTimesWhenSendFailed ?? 2,
      retryTimesWhenSendAsyncFailed: options.retryTimesWhenSendAsyncFailed ?? 2,
      retryAnotherBrokerWhenNotStoreOK: options.retryAnotherBrokerWhenNotStoreOK ?? false,
      maxMessageSize: options.maxMessageSize ?? 4 * 1024 * 1024,
      compressMsgBodyOverHowmuch: options.compressMsgBodyOverHowmuch ?? 4096,
      compressLevel: options.compressLevel ?? COMPRESS_LEVEL_DEFAULT,
      defaultTopicQueueNums: options.defaultTopicQueueNums ?? 4,
      createTopicKey: options.createTopicKey ?? AUTO_CREATE_TOPIC_KEY,
      unitMode: options.unitMode ?? false,
      sendLatencyFaultEnable: options.sendLatencyFaultEnable ?? false,
      startDetectorEnable: options.startDetectorEnable ?? false,
    };
  }

  /** Registers with the client instance; the first connection is made by the first send. */
  start(): void {
    if (this.#started) return;
    this.instance.registerProducer(this);
    this.#started = true;
    if (this.options.startDetectorEnable)
      this.#detector = setInterval(() => void this.#detect(), DETECT_PERIOD_MS).unref();
  }

  async shutdown(): Promise<void> {
    if (!this.#started) return;
    this.#started = false;
    clearInterval(this.#detector);
    await this.instance.unregisterProducer(this.group);
  }

  publishTopics(): Iterable<string> {
    return this.#publish.keys();
  }

  setPublishQueues(topic: string, queues: MessageQueue[], ordered: boolean): void {
    if (this.#publish.has(topic)) this.#publish.set(topic, new PublishInfo(topic, queues, ordered));
  }

  /** Half messages are a transaction producer's. */
  checkTransactionState?(check: TransactionCheck): void;

  /** The queues that messages of the topic may go to. Throws ClientError when there are none. */
  async fetchPublishMessageQueues(topic: string): Promise<readonly MessageQueue[]> {
    return (await this.#publishInfo(topic)).queues;
  }

  /** Sends one message, or several of one topic as a batch. Throws BrokerError, ClientError or a RemotingError after the last try. */
  async send(message: Message | readonly Message[], options: SendOptions = {}): Promise<SendResult> {
    const deadline = Date.now() + (options.timeoutMs ?? this.options.sendMsgTimeout);
    const outgoing = await this.#prepare(message);
    const info = await this.#publishInfo(outgoing.topic);
    const chosen = this.#chosenQueue(info, options);
    if (chosen !== undefined) return this.#sendKernel(outgoing, chosen, deadline - Date.now());
    return this.#sendWithRetry(outgoing, info, deadline, options);
  }

  /** Sends without an answer: resolves when the bytes left, whatever the broker makes of them. */
  async sendOneway(message: Message | readonly Message[], options: SendOptions = {}): Promise<void> {
    const outgoing = await this.#prepare(message);
    const info = await this.#publishInfo(outgoing.topic);
    const queue = this.#chosenQueue(info, options) ?? info.next();
    if (queue === undefined) throw this.#noRoute(outgoing.topic);
    const address = await this.#address(queue);
    const timeoutMs = options.timeoutMs ?? this.options.sendMsgTimeout;
    await this.instance.remoting.invokeOneway(address, sendRequest(outgoing, queue, this.options), timeoutMs);
  }

  async #prepare(message: Message | readonly Message[]): Promise<Outgoing> {
    if (!this.#started) throw new ClientError(`send with producer "${this.group}": it is not started`);
    return Array.isArray(message)
      ? prepareBatch(message, this.options)
      : prepareMessage(message as Message, this.options);
  }

  #chosenQueue(info: PublishInfo, options: SendOptions): MessageQueue | undefined {
    if (options.queue !== undefined) return options.queue;
    return options.hashKey === undefined ? undefined : selectQueueByHash(info.queues, options.hashKey);
  }

  /** [DefaultMQProducerImpl#sendDefaultImpl] */
  async #sendWithRetry(
    outgoing: Outgoing,
    info: PublishInfo,
    deadline: number,
    options: SendOptions,
  ): Promise<SendResult> {
    const retries = options.asynchronous
      ? this.options.retryTimesWhenSendAsyncFailed
      : this.options.retryTimesWhenSendFailed;
    const fault = this.options.sendLatencyFaultEnable ? this.#fault : undefined;
    const tried: string[] = [];
    let lastError: unknown;
    let lastResult: SendResult | undefined;
    for (let times = 0; times <= retries; times++) {
      const left = deadline - Date.now();
      if (times > 0 && left <= 0) break;
      // Looked up anew: the route may have changed between two tries.
      const current = this.#publish.get(outgoing.topic) ?? info;
      const queue = selectOneMessageQueue(current, tried.at(-1), fault, times > 0);
      if (queue === undefined) break;
      tried.push(queue.brokerName);
      const begin = Date.now();
      try {
        lastResult = await this.#sendKernel(outgoing, queue, Math.max(1, left));
        fault?.update(queue.brokerName, Date.now() - begin, false, true);
        if (lastResult.status === "SEND_OK" || !this.options.retryAnotherBrokerWhenNotStoreOK) return lastResult;
      } catch (error) {
        lastError = error;
        this.#noteFault(fault, queue.brokerName, Date.now() - begin, error);
        if (error instanceof BrokerError && !RETRY_RESPONSE_CODES.has(error.code)) throw error;
        if (!(error instanceof BrokerError)) this.instance.routeInDoubt(outgoing.topic);
      }
    }
    if (lastResult !== undefined) return lastResult;
    if (lastError === undefined) throw this.#noRoute(outgoing.topic);
    throw new ClientError(
      `send to topic "${outgoing.topic}" failed after ${tried.length} ${tried.length === 1 ? "try" : "tries"} at ${[...new Set(tried)].join(", ")}: ${errorText(lastError)}`,
      undefined,
      { cause: lastError },
    );
  }

  #noteFault(fault: LatencyFault | undefined, brokerName: string, elapsedMs: number, error: unknown): void {
    if (error instanceof ClientError) fault?.update(brokerName, elapsedMs, false, true);
    else if (error instanceof BrokerError) fault?.update(brokerName, elapsedMs, true, false);
    else fault?.update(brokerName, elapsedMs, true, !this.options.startDetectorEnable);
  }

  async #sendKernel(outgoing: Outgoing, queue: MessageQueue, timeoutMs: number): Promise<SendResult> {
    const address = this.instance.findBrokerAddressInPublish(queue.brokerName) ?? (await this.#address(queue));
    const response = await this.instance.remoting.invoke(
      address,
      sendRequest(outgoing, queue, this.options),
      timeoutMs,
    );
    return sendResult(response, address, queue, outgoing.msgId);
  }

  async #address(queue: MessageQueue): Promise<string> {
    let address = this.instance.findBrokerAddressInPublish(queue.brokerName);
    if (address === undefined) {
      await this.instance.updateRoute(queue.topic);
      address = this.instance.findBrokerAddressInPublish(queue.brokerName);
    }
    if (address !== undefined) return address;
    throw new ClientError(`send to topic "${queue.topic}": broker ${queue.brokerName} has no master in the route`);
  }

  /** [DefaultMQProducerImpl#tryToFindTopicPublishInfo] */
  async #publishInfo(topic: string): Promise<PublishInfo> {
    const known = this.#publish.get(topic);
    if (known !== undefined && known.queues.length > 0) return known;
    if (known === undefined) this.#publish.set(topic, new PublishInfo(topic, [], false));
    let route = await this.instance.updateRoute(topic);
    route ??= await this.instance.updateRoute(topic, this.options.defaultTopicQueueNums);
    let info = this.#publish.get(topic);
    if (route !== undefined && info?.queues.length === 0) {
      // The route itself was known already, from another topic user of this instance: nobody told this producer.
      this.instance.tellRoute(topic, this);
      info = this.#publish.get(topic);
    }
    if (info !== undefined && info.queues.length > 0) return info;
    this.#publish.delete(topic);
    throw this.#noRoute(topic, route !== undefined);
  }

  #noRoute(topic: string, known = false): ClientError {
    if (known) {
      return new ClientError(
        `send to topic "${topic}": it has a route but no writable queue with a live master; look at: mq topic route --topic ${topic}`,
      );
    }
    return new ClientError(
      `No route info of this topic: "${topic}" (asked ${this.instance.nameServers.addresses.join(";")}; ${this.instance.lastNoRoute}); create it with: mq topic create --topic ${topic}, or let a broker with autoCreateTopicEnable=true join`,
    );
  }

  async #detect(): Promise<void> {
    const queue = this.#publish.values().next().value?.queues[0];
    for (const brokerName of this.#fault.dueForCheck(DETECT_INTERVAL_MS)) {
      const address = this.instance.findBrokerAddressInPublish(brokerName);
      if (address === undefined) this.#fault.remove(brokerName);
      else if (queue !== undefined) {
        await this.instance.api
          .maxOffset(address, { topic: queue.topic, brokerName, queueId: 0 })
          .then(() => this.#fault.markReachable(brokerName))
          .catch(() => undefined);
      }
    }
  }
}

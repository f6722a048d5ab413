import type { MessageInner } from "../../message/message-inner.ts";
import { PropertyName } from "../../message/properties.ts";
import { TRANSACTION_TYPE_MASK } from "../../message/sys-flag.ts";
import type { BrokerContext } from "../broker-context.ts";
import { appendUnwaited, changeProperties, copyOf, propertiesOf, type StoredMessage } from "../stored-message.ts";
import { TRANS_HALF_TOPIC } from "../types.ts";
import { HalfQueueCheck } from "./half-queue-check.ts";
import { OpBatch } from "./op-batch.ts";

/** Answers remembered, so that a repeated one does not deliver the message twice. */
const SETTLED_MAX = 20_000;

const NO_BATCH = { add: () => true, flush: () => {} };

export type TransactionEnd = "commit" | "rollback";

/** Half messages: kept aside until their producer commits them, asked for when it does not [TransactionalMessageServiceImpl]. */
export class TransactionalMessageService {
  readonly #context: BrokerContext;
  readonly #batch: OpBatch;
  readonly #checks = new Map<number, HalfQueueCheck>();
  /** `queueId:offset` of a half message → how it ended. */
  readonly #settled = new Map<string, TransactionEnd>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round: Promise<void> | undefined;
  #stopping = false;
  #running = false;

  constructor(context: BrokerContext) {
    this.#context = context;
    this.#batch = new OpBatch(context);
  }

  /** It checks back now; a slave does so only while it acts as the master. */
  get running(): boolean {
    return this.#running;
  }

  /** Begins to check back, every transactionCheckInterval. */
  start(): void {
    if (this.running) return;
    this.#running = true;
    this.#stopping = false;
    this.#sleep();
  }

  /** The interval is read each time: it may be changed while the broker runs. */
  #sleep(): void {
    this.#timer = setTimeout(async () => {
      await this.check();
      if (!this.#stopping) this.#sleep();
    }, this.#context.config.transactionCheckInterval);
  }

  /** Ends a running round; `start` may follow. */
  async pause(): Promise<void> {
    this.#running = false;
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#round;
    this.#checks.clear();
  }

  /** Ends a running round and writes the op records that are still collected. */
  async shutdown(): Promise<void> {
    await this.pause();
    this.#batch.stop();
  }

  /** Turns a message with TRAN_MSG into a half message, in place [TransactionalMessageBridge#parseHalfMessageInner]. Its delay level waits for the commit. */
  prepare(message: MessageInner): void {
    const change: Record<string, string> = {
      [PropertyName.REAL_TOPIC]: message.topic,
      [PropertyName.REAL_QID]: String(message.queueId),
    };
    const uniqKey = propertiesOf(message)[PropertyName.UNIQ_KEY];
    if (uniqKey !== undefined) change[PropertyName.TRANSACTION_ID] = uniqKey;
    changeProperties(message, change);
    message.sysFlag &= ~TRANSACTION_TYPE_MASK;
    message.topic = TRANS_HALF_TOPIC;
    message.queueId = 0;
    message.delayLevel = 0;
  }

  /** How the half message at this place was ended a short while ago, if it was. */
  endOf(queueId: number, halfOffset: number): TransactionEnd | undefined {
    return this.#settled.get(`${queueId}:${halfOffset}`);
  }

  /** Whether `settle` can record another decision now. */
  get canSettle(): boolean {
    return this.#batch.hasRoom;
  }

  /** The producer has decided: the half message is done. False when that cannot be recorded now. */
  settle(queueId: number, halfOffset: number, end: TransactionEnd): boolean {
    if (!this.#batch.add(queueId, halfOffset)) return false;
    this.#checks.get(queueId)?.settle(halfOffset);
    if (this.#settled.size >= SETTLED_MAX) {
      const oldest = this.#settled.keys().next();
      if (!oldest.done) this.#settled.delete(oldest.value);
    }
    this.#settled.set(`${queueId}:${halfOffset}`, end);
    return true;
  }

  /** Puts a message that was given up back among the half messages, unchecked; returns why that failed. */
  resume(message: StoredMessage): string | undefined {
    if (message.properties[PropertyName.REAL_TOPIC] === undefined) return "it is no half message";
    const properties = { ...message.properties, [PropertyName.TRANSACTION_CHECK_TIMES]: "0" };
    const copy = copyOf(message, properties, { topic: TRANS_HALF_TOPIC, queueId: 0 });
    const result = appendUnwaited(this.#context.store, copy);
    return result.status === "PUT_OK" ? undefined : `${result.status} ${result.reason}`;
  }

  /** Runs one round over all queues of the half topic, unless one is running; resolves at its end. */
  check(): Promise<void> {
    this.#round ??= this.#runRound().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #runRound(): Promise<void> {
    const queues = this.#context.topics.get(TRANS_HALF_TOPIC)?.readQueueNums ?? 1;
    for (let queueId = 0; queueId < queues && !this.#stopping; queueId++) {
      let check = this.#checks.get(queueId);
      if (check === undefined) {
        const settled = (queue: number, offset: number) => this.endOf(queue, offset) !== undefined;
        const { escapeBridge } = this.#context;
        // Nothing is written into a log that is another broker's copy.
        const batch = escapeBridge === undefined ? this.#batch : NO_BATCH;
        check = new HalfQueueCheck(queueId, { context: this.#context, batch, escapeBridge, settled });
        this.#checks.set(queueId, check);
      }
      await check.round(() => this.#stopping);
    }
  }
}

import type { Logger } from "../../base/log.ts";
import { setProperties } from "../../message/fill-from-properties.ts";
import { createUniqId } from "../../message/message-id.ts";
import { MessageInner } from "../../message/message-inner.ts";
import { PropertyName, propertiesToBytes } from "../../message/properties.ts";
import type { MessageStore } from "../../store/types.ts";
import { appendUnwaited } from "../stored-message.ts";
import { TRANS_OP_HALF_TOPIC } from "../types.ts";

/** Tag of an op record: the half messages it names are done [TransactionalMessageUtil#REMOVE_TAG]. */
export const REMOVE_TAG = "d";
export const OFFSET_SEPARATOR = ",";

/** Offsets held back while the store refuses writes; past it a transaction cannot end. */
const PENDING_MAX = 100_000;

export interface OpBatchEnvironment {
  readonly store: Pick<MessageStore, "append" | "awaitDurable">;
  readonly storeHost: Buffer;
  readonly logger: Logger;
  readonly config: { transactionOpMsgMaxSize: number; transactionOpBatchInterval: number };
}

/**
 * Op records: which half messages are committed, rolled back or replaced by a copy. Offsets of one half queue are collected and
 * written as one record, `1,2,3,`, when it is large enough or old enough [TransactionalMessageServiceImpl#batchSendOpMessage].
 */
export class OpBatch {
  readonly #environment: OpBatchEnvironment;
  /** Half queue → text of the next record. */
  readonly #texts = new Map<number, string>();
  #pending = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failing = false;

  constructor(environment: OpBatchEnvironment) {
    this.#environment = environment;
  }

  /** Whether another half message can be noted as done. */
  get hasRoom(): boolean {
    return this.#pending < PENDING_MAX;
  }

  /** Notes a half message as done; false when nothing more can be held. */
  add(queueId: number, halfOffset: number): boolean {
    if (!this.hasRoom) return false;
    const text = `${this.#texts.get(queueId) ?? ""}${halfOffset}${OFFSET_SEPARATOR}`;
    this.#texts.set(queueId, text);
    this.#pending++;
    const { config } = this.#environment;
    if (text.length >= config.transactionOpMsgMaxSize && !this.#failing) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), config.transactionOpBatchInterval);
    return true;
  }

  /** Writes what is pending; what the store refuses is kept for the next time. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [queueId, text] of this.#texts) {
      if (!this.#write(queueId, text)) break;
      this.#texts.delete(queueId);
    }
    if (this.#texts.size === 0) this.#pending = 0;
    else this.#timer = setTimeout(() => this.flush(), this.#environment.config.transactionOpBatchInterval);
  }

  /** Writes what is pending for the last time. */
  stop(): void {
    this.flush();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#texts.size > 0)
      this.#environment.logger.error("op records could not be written: their half messages will be checked again", {
        count: this.#pending,
      });
  }

  #write(queueId: number, text: string): boolean {
    const { store, storeHost, logger } = this.#environment;
    const message = new MessageInner();
    message.topic = TRANS_OP_HALF_TOPIC;
    message.queueId = queueId;
    message.bornTimestamp = Date.now();
    message.bornHost = storeHost;
    message.storeHost = storeHost;
    message.body = Buffer.from(text, "latin1");
    message.bodyEnd = message.body.length;
    const properties = {
      [PropertyName.TAGS]: REMOVE_TAG,
      [PropertyName.WAIT]: "false",
      [PropertyName.UNIQ_KEY]: createUniqId(),
    };
    setProperties(message, propertiesToBytes(properties));
    const result = appendUnwaited(store, message);
    const written = result.status === "PUT_OK";
    if (!written && !this.#failing)
      logger.error("op records cannot be written", { status: result.status, reason: result.reason });
    if (written && this.#failing) logger.info("op records are written again");
    this.#failing = !written;
    return written;
  }
}

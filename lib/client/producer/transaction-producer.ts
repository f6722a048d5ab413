import { errorText } from "../../base/errors.ts";
import { parseOffsetMsgId } from "../../message/message-id.ts";
import { PropertyName } from "../../message/properties.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { ClientError } from "../broker-error.ts";
import type { TransactionCheck } from "../client-instance.ts";
import type { Message, MessageExt } from "../message.ts";
import { Producer, type ProducerOptions, type SendOptions } from "./producer.ts";
import type { SendResult } from "./send-result.ts";
import { type LocalTransactionState, STATE_FLAGS } from "./transaction-state.ts";

const END_TRANSACTION_TIMEOUT_MS = 3_000;
/** Checks waiting for their turn; what comes beyond is asked again by the broker later. */
const CHECKS_MAX = 2000;

/** [TransactionListener] */
export interface TransactionListener {
  /** Runs when the half message is safe; an exception leaves the state unknown, and the broker asks again. */
  executeLocalTransaction(message: Message, result: SendResult): LocalTransactionState | Promise<LocalTransactionState>;
  /** What became of the transaction of a half message that nobody ended. */
  checkLocalTransaction(message: MessageExt): LocalTransactionState | Promise<LocalTransactionState>;
}

/** [TransactionMQProducer] Messages that appear only when a local transaction says so. */
export class TransactionProducer extends Producer {
  readonly #listener: TransactionListener;
  #checks: Promise<void> = Promise.resolve();
  #checksWaiting = 0;

  constructor(options: ProducerOptions, listener: TransactionListener) {
    super(options);
    this.#listener = listener;
  }

  /** [DefaultMQProducerImpl#sendMessageInTransaction] */
  async sendMessageInTransaction(
    message: Message,
    options: SendOptions = {},
  ): Promise<SendResult & { localTransactionState: LocalTransactionState }> {
    const properties: Record<string, string> = {
      ...message.properties,
      [PropertyName.TRAN_MSG]: "true",
      [PropertyName.PGROUP]: this.group,
    };
    for (const name of ["DELAY", "TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"]) delete properties[name];
    const half: Message = { ...message, properties, delayLevel: 0 };
    const result = await this.send(half, options);
    let state: LocalTransactionState = "ROLLBACK_MESSAGE";
    let remark: string | undefined;
    if (result.status === "SEND_OK") {
      try {
        state = await this.#listener.executeLocalTransaction(half, result);
      } catch (error) {
        state = "UNKNOW";
        remark = `executeLocalTransactionBranch exception: ${errorText(error)}`;
        this.instance.logger.warn(`local transaction failed, its state is unknown: ${errorText(error)}`, {
          group: this.group,
          msgId: result.msgId,
        });
      }
    }
    await this.#endTransaction(result, state, remark).catch((error) => {
      this.instance.logger.warn(`end a transaction: ${errorText(error)}; the broker will ask for its state`, {
        group: this.group,
        msgId: result.msgId,
      });
    });
    return { ...result, localTransactionState: state };
  }

  async #endTransaction(result: SendResult, state: LocalTransactionState, remark: string | undefined): Promise<void> {
    const { queue } = result;
    const address = this.instance.findBrokerAddressInPublish(queue.brokerName);
    if (address === undefined) throw new ClientError(`broker ${queue.brokerName} has no master in the route`);
    const ext = {
      topic: queue.topic,
      producerGroup: this.group,
      tranStateTableOffset: result.queueOffset,
      commitLogOffset: parseOffsetMsgId(result.offsetMsgId)?.physicalOffset ?? 0,
      commitOrRollback: STATE_FLAGS[state],
      fromTransactionCheck: false,
      msgId: result.msgId,
      transactionId: result.transactionId ?? result.msgId,
      bname: queue.brokerName,
    };
    await this.#sendEnd(address, ext, remark);
  }

  async #sendEnd(
    address: string,
    ext: Record<string, string | number | boolean>,
    remark: string | undefined,
  ): Promise<void> {
    const request = { code: RequestCode.END_TRANSACTION, ext, remark };
    await this.instance.remoting.invokeOneway(address, request, END_TRANSACTION_TIMEOUT_MS);
  }

  /** [DefaultMQProducerImpl#checkTransactionState] One check after the other. */
  override checkTransactionState(check: TransactionCheck): void {
    if (this.#checksWaiting >= CHECKS_MAX) {
      this.instance.logger.warn(
        `${CHECKS_MAX} transaction checks wait already, one more is left to the broker's next round`,
        { group: this.group },
      );
      return;
    }
    this.#checksWaiting++;
    this.#checks = this.#checks
      .then(() => this.#check(check))
      .catch((error) => this.instance.logger.warn(`check a transaction: ${errorText(error)}`, { group: this.group }))
      .finally(() => {
        this.#checksWaiting--;
      });
  }

  async #check({ address, message, header }: TransactionCheck): Promise<void> {
    let state: LocalTransactionState = "UNKNOW";
    let remark: string | undefined;
    try {
      state = await this.#listener.checkLocalTransaction(message);
    } catch (error) {
      remark = `checkLocalTransactionState Exception: ${errorText(error)}`;
    }
    const ext = {
      topic: message.topic,
      producerGroup: this.group,
      tranStateTableOffset: header.tranStateTableOffset ?? 0,
      commitLogOffset: header.commitLogOffset ?? 0,
      commitOrRollback: STATE_FLAGS[state],
      fromTransactionCheck: true,
      msgId: message.properties[PropertyName.UNIQ_KEY] ?? header.msgId ?? "",
      transactionId: header.transactionId ?? "",
    };
    await this.#sendEnd(address, ext, remark);
  }
}

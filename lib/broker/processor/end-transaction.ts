import { PropertyName } from "../../message/properties.ts";
import { TRANSACTION_COMMIT_TYPE, TRANSACTION_ROLLBACK_TYPE, TRANSACTION_TYPE_MASK } from "../../message/sys-flag.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalBoolean, requireInt, requireLong, requireString } from "../../remoting/headers.ts";
import { ResponseError } from "../../remoting/response-error.ts";
import type { Connection, ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { PutMessageStatus } from "../../store/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { copyOf, decodeStoredMessage, durable, type StoredMessage } from "../stored-message.ts";
import { topicNameFault } from "../topic/topic-validator.ts";
import { TRANS_HALF_TOPIC } from "../types.ts";

/** Response code of a commit that the store did not take as it should [EndTransactionProcessor#sendFinalMessage]. */
const PUT_FAILURES: Partial<Record<PutMessageStatus, number>> = {
  MESSAGE_ILLEGAL: ResponseCode.MESSAGE_ILLEGAL,
  PROPERTIES_SIZE_EXCEEDED: ResponseCode.MESSAGE_ILLEGAL,
  SERVICE_NOT_AVAILABLE: ResponseCode.SERVICE_NOT_AVAILABLE,
};

/** A half message that was acknowledged can be read after commitIntervalCommitLog (200 ms) at the latest. */
const READ_ATTEMPTS = 20;
const READ_PAUSE_MS = 25;

interface EndTransactionHeader {
  producerGroup: string;
  tranStateTableOffset: number;
  commitLogOffset: number;
  commitOrRollback: number;
  fromTransactionCheck: boolean;
  msgId: string;
}

/** END_TRANSACTION: a producer commits or rolls back a half message [EndTransactionProcessor]. */
export function endTransactionProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, logger, schedule, stats, store, transactions } = context;

  async function endTransaction(
    request: RemotingCommand,
    connection: Connection,
  ): Promise<RemotingResponse | undefined> {
    const header = decodeHeader(request);
    if (config.brokerRole === "SLAVE")
      return { code: ResponseCode.SLAVE_NOT_AVAILABLE, remark: "a slave does not end transactions: ask the master" };
    const commit = header.commitOrRollback === TRANSACTION_COMMIT_TYPE;
    if (!commit && header.commitOrRollback !== TRANSACTION_ROLLBACK_TYPE) {
      logger.debug("a producer leaves a transaction pending", {
        producer: connection.remoteAddress,
        group: header.producerGroup,
        fromCheck: header.fromTransactionCheck,
        remark: request.remark,
      });
      return undefined;
    }
    try {
      await end(header, commit);
    } catch (error) {
      if (error instanceof ResponseError)
        logger.warn("a transaction is not ended", {
          producer: connection.remoteAddress,
          group: header.producerGroup,
          msgId: header.msgId,
          commitLogOffset: header.commitLogOffset,
          reason: error.remark,
        });
      throw error;
    }
    return { code: ResponseCode.SUCCESS };
  }

  async function end(header: EndTransactionHeader, commit: boolean): Promise<void> {
    const half = await readHalf(header.commitLogOffset);
    if (half === undefined)
      throw refusal(
        `Find prepared transaction message failed: no record at commit-log offset ${header.commitLogOffset}, the log holds ${store.minPhyOffset} to ${store.maxPhyOffset}`,
      );
    refuseLateAnswer(header, half);
    verify(header, half);
    // From the read on without an await: an answer that came twice cannot pass here twice.
    const outcome = commit ? "commit" : "rollback";
    if (transactions.endOf(half.queueId, half.queueOffset) === outcome) return;
    // Asked before the copy is stored: a commit that is refused afterwards would be delivered again.
    if (!transactions.canSettle) throw refusal("op records cannot be written: the store refuses them");
    const physicalEnd = commit ? putCommitted(half, header.commitLogOffset) : 0;
    transactions.settle(half.queueId, half.queueOffset, outcome);
    // Neither a time-out of the flush nor an absent slave undoes the commit [EndTransactionProcessor#sendFinalMessage].
    if (commit) await durable(store, physicalEnd);
  }

  /** The message at the offset. One that is appended and not yet written through the transient store is waited for a little. */
  async function readHalf(offset: number): Promise<StoredMessage | undefined> {
    for (let attempt = 1; ; attempt++) {
      const record = await store.readRecord(offset);
      if (record !== undefined) return decodeStoredMessage(record);
      if (offset < 0 || offset >= store.maxPhyOffset || offset < store.flushedWhere || attempt >= READ_ATTEMPTS)
        return undefined;
      await new Promise((resolve) => setTimeout(resolve, READ_PAUSE_MS));
    }
  }

  /** A producer that set its own first check time may answer unasked only within it. */
  function refuseLateAnswer(header: EndTransactionHeader, half: StoredMessage): void {
    const text = half.properties[PropertyName.CHECK_IMMUNITY_TIME];
    if (header.fromTransactionCheck || text === undefined || text === "") return;
    const immunityMs = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : config.transactionTimeOut;
    const ageMs = Date.now() - half.bornTimestamp;
    if (ageMs > immunityMs)
      throw new ResponseError(
        ResponseCode.ILLEGAL_OPERATION,
        `the message is ${ageMs} ms old, its CHECK_IMMUNITY_TIME_IN_SECONDS allows ${immunityMs} ms: wait for the check`,
      );
  }

  function verify(header: EndTransactionHeader, half: StoredMessage): void {
    if (half.topic !== TRANS_HALF_TOPIC)
      throw refusal(
        `Find prepared transaction message failed: the record at ${header.commitLogOffset} belongs to topic ${half.topic}`,
      );
    const group = half.properties[PropertyName.PGROUP];
    if (group !== header.producerGroup)
      throw refusal(`The producer group wrong: the message was sent by ${group}, not by ${header.producerGroup}`);
    if (half.queueOffset !== header.tranStateTableOffset)
      throw refusal(
        `The transaction state table offset wrong: the message has ${half.queueOffset}, the request ${header.tranStateTableOffset}`,
      );
    if (half.physicalOffset !== header.commitLogOffset)
      throw refusal(
        `The commit log offset wrong: the message has ${half.physicalOffset}, the request ${header.commitLogOffset}`,
      );
  }

  /** Returns where the copy ends in the commit log. */
  function putCommitted(half: StoredMessage, commitLogOffset: number): number {
    // The copy keeps them, and TRAN_MSG, as RocketMQ's own does.
    const { [PropertyName.REAL_TOPIC]: topic = "", [PropertyName.REAL_QID]: queue = "" } = half.properties;
    const fault = topicNameFault(topic);
    if (fault !== undefined || !/^\d{1,9}$/.test(queue))
      throw refusal(`the half message has no usable place: ${fault ?? `queue id "${queue}"`}`);
    const message = copyOf(half, half.properties, {
      topic,
      queueId: Number(queue),
      sysFlag: (half.sysFlag & ~TRANSACTION_TYPE_MASK) | TRANSACTION_COMMIT_TYPE,
      reconsumeTimes: half.reconsumeTimes,
      preparedTransactionOffset: commitLogOffset,
    });
    schedule.transform(message);
    const result = store.append(message);
    if (result.status !== "PUT_OK")
      throw new ResponseError(
        PUT_FAILURES[result.status] ?? ResponseCode.SYSTEM_ERROR,
        `the committed message is not stored: ${result.status} ${result.reason}`,
      );
    stats.incTopicPutNums(message.topic, 1, result.physicalEnd - result.physicalOffset, message.queueId);
    stats.incBrokerPutNums(message.topic, 1);
    return result.physicalEnd;
  }

  return [[RequestCode.END_TRANSACTION, { processor: endTransaction }]];
}

function decodeHeader({ ext }: RemotingCommand): EndTransactionHeader {
  return {
    producerGroup: requireString(ext, "producerGroup"),
    tranStateTableOffset: requireLong(ext, "tranStateTableOffset"),
    commitLogOffset: requireLong(ext, "commitLogOffset"),
    commitOrRollback: requireInt(ext, "commitOrRollback"),
    fromTransactionCheck: optionalBoolean(ext, "fromTransactionCheck", false),
    msgId: requireString(ext, "msgId"),
  };
}

function refusal(remark: string): ResponseError {
  return new ResponseError(ResponseCode.SYSTEM_ERROR, remark);
}

import { ResponseCode } from "../../remoting/codes.ts";
import type { RemotingCommand } from "../../remoting/types.ts";
import { longField } from "../broker-api.ts";
import { BrokerError } from "../broker-error.ts";
import type { MessageQueue } from "../message-queue.ts";

/** [SendStatus] All four mean that the master has the message; three of them that it may not survive a crash. */
export type SendStatus = "SEND_OK" | "FLUSH_DISK_TIMEOUT" | "FLUSH_SLAVE_TIMEOUT" | "SLAVE_NOT_AVAILABLE";

const STATUS_BY_CODE = new Map<number, SendStatus>([
  [ResponseCode.SUCCESS, "SEND_OK"],
  [ResponseCode.FLUSH_DISK_TIMEOUT, "FLUSH_DISK_TIMEOUT"],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, "FLUSH_SLAVE_TIMEOUT"],
  [ResponseCode.SLAVE_NOT_AVAILABLE, "SLAVE_NOT_AVAILABLE"],
]);

/** [SendResult] */
export interface SendResult {
  status: SendStatus;
  /** UNIQ_KEY; of a batch all of them, joined with commas. */
  msgId: string;
  /** The broker's own id; of a batch all of them, joined with commas. */
  offsetMsgId: string;
  queue: MessageQueue;
  /** Of a batch: the first one's. */
  queueOffset: number;
  transactionId: string | undefined;
  regionId: string;
  traceOn: boolean;
}

/** The broker's answer to a send. Throws BrokerError for a refusal. */
export function sendResult(response: RemotingCommand, address: string, queue: MessageQueue, msgId: string): SendResult {
  const status = STATUS_BY_CODE.get(response.code);
  if (status === undefined) {
    throw new BrokerError(`send to topic "${queue.topic}"`, address, response.code, response.remark);
  }
  const { ext } = response;
  return {
    status,
    msgId: msgId || (ext.batchUniqId ?? ""),
    offsetMsgId: ext.msgId ?? "",
    queue: { topic: queue.topic, brokerName: queue.brokerName, queueId: longField(response, "queueId", address) },
    queueOffset: longField(response, "queueOffset", address),
    transactionId: ext.transactionId,
    regionId: ext.MSG_REGION || "DefaultRegion",
    traceOn: ext.TRACE_ON !== "false",
  };
}

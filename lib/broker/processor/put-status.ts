import { ResponseCode } from "../../remoting/codes.ts";
import type { RemotingResponse } from "../../remoting/types.ts";
import type { PutMessageStatus } from "../../store/types.ts";

/** Response code and beginning of the remark per PutMessageStatus [SendMessageProcessor#handlePutMessageResult]. */
const PUT_STATUS: Record<PutMessageStatus, { code: number; remark: string }> = {
  PUT_OK: { code: ResponseCode.SUCCESS, remark: "" },
  FLUSH_DISK_TIMEOUT: { code: ResponseCode.FLUSH_DISK_TIMEOUT, remark: "" },
  FLUSH_SLAVE_TIMEOUT: { code: ResponseCode.FLUSH_SLAVE_TIMEOUT, remark: "" },
  SLAVE_NOT_AVAILABLE: { code: ResponseCode.SLAVE_NOT_AVAILABLE, remark: "" },
  SERVICE_NOT_AVAILABLE: { code: ResponseCode.SERVICE_NOT_AVAILABLE, remark: "service not available now" },
  CREATE_MAPPED_FILE_FAILED: {
    code: ResponseCode.SYSTEM_ERROR,
    remark: "create mapped file failed, server is busy or broken",
  },
  MESSAGE_ILLEGAL: { code: ResponseCode.MESSAGE_ILLEGAL, remark: "the message is illegal" },
  PROPERTIES_SIZE_EXCEEDED: {
    code: ResponseCode.MESSAGE_ILLEGAL,
    remark: "the message is illegal, msg properties length limit 32KB",
  },
  OS_PAGE_CACHE_BUSY: {
    code: ResponseCode.SYSTEM_BUSY,
    remark: "[PC_SYNCHRONIZED]broker busy, start flow control for a while",
  },
  IN_SYNC_REPLICAS_NOT_ENOUGH: { code: ResponseCode.SYSTEM_ERROR, remark: "in-sync replicas not enough" },
  UNKNOWN_ERROR: { code: ResponseCode.SYSTEM_ERROR, remark: "UNKNOWN_ERROR" },
};

/** The message is in the log and the response carries the full send header, whatever became of flush and slave. */
export function isStored(status: PutMessageStatus): boolean {
  return (
    status === "PUT_OK" ||
    status === "FLUSH_DISK_TIMEOUT" ||
    status === "FLUSH_SLAVE_TIMEOUT" ||
    status === "SLAVE_NOT_AVAILABLE"
  );
}

export function putStatusCode(status: PutMessageStatus): number {
  return PUT_STATUS[status].code;
}

/** The refusal of an append: RocketMQ's beginning, then the store's own reason. */
export function putRefusal(status: PutMessageStatus, reason: string): RemotingResponse {
  const { code, remark } = PUT_STATUS[status];
  return { code, remark: reason === "" ? remark : `${remark}: ${reason}` };
}

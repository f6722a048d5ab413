import type { LocalTransactionState } from "../producer/transaction-state.ts";

/** Between the values of a record, and behind each record [TraceConstants]. */
const CONTENT_SPLITOR = "\u0001";
const FIELD_SPLITOR = "\u0002";
/** [TopicValidator.RMQ_SYS_TRACE_TOPIC] */
export const TRACE_TOPIC = "RMQ_SYS_TRACE_TOPIC";

/** Numbers of a message's kind in trace records [MessageType]. */
export const TraceMessageType = { normal: 0, half: 1, commit: 2, delay: 3 } as const;
/** [ConsumeReturnType] */
const CONTEXT_SUCCESS = 0;
const CONTEXT_FAILED = 4;

export interface PubTrace {
  /** ms since the epoch when it was sent. */
  timestamp: number;
  regionId: string;
  group: string;
  topic: string;
  /** UNIQ_KEY; of a batch those of all messages with commas between. */
  msgId: string;
  tags: string | undefined;
  keys: string | undefined;
  /** `host:port` of the broker. */
  storeHost: string;
  bodyLength: number;
  costMs: number;
  messageType: number;
  offsetMsgId: string;
  success: boolean;
}

/** One sent message [TraceDataEncoder#encoderFromContextBean]. */
export function pubTrace(trace: PubTrace): string {
  return record(
    "Pub",
    trace.timestamp,
    trace.regionId,
    trace.group,
    trace.topic,
    trace.msgId,
    trace.tags,
    trace.keys,
    trace.storeHost,
    trace.bodyLength,
    trace.costMs,
    trace.messageType,
    trace.offsetMsgId,
    trace.success,
  );
}

/** One ended transaction, and how. */
export function endTransactionTrace(
  trace: PubTrace,
  { transactionId, state }: { transactionId: string; state: LocalTransactionState },
): string {
  return record(
    "EndTransaction",
    trace.timestamp,
    trace.regionId,
    trace.group,
    trace.topic,
    trace.msgId,
    trace.tags,
    trace.keys,
    trace.storeHost,
    TraceMessageType.commit,
    transactionId,
    state,
    false,
  );
}

export interface SubTrace {
  timestamp: number;
  regionId: string;
  group: string;
  /** Joins the two records of one delivery. */
  requestId: string;
  msgId: string;
  retryTimes: number;
  keys: string | undefined;
  costMs: number;
  success: boolean;
}

/** One delivered message: before and after the listener had it. */
export function subTraces(trace: SubTrace): string {
  const { timestamp, regionId, group, requestId, msgId, retryTimes, keys, costMs, success } = trace;
  const code = success ? CONTEXT_SUCCESS : CONTEXT_FAILED;
  return (
    record("SubBefore", timestamp, regionId, group, requestId, msgId, retryTimes, keys) +
    record("SubAfter", requestId, msgId, costMs, success, keys, code, timestamp, group)
  );
}

/** What is not there reads `null`, as Java appends it. */
function record(...values: (string | number | boolean | undefined)[]): string {
  return values.map((value) => value ?? "null").join(CONTENT_SPLITOR) + FIELD_SPLITOR;
}

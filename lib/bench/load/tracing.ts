import { createLogger, type Logger } from "../../base/log.ts";
import type { LocalTransactionState } from "../../client/producer/transaction-state.ts";
import {
  endTransactionTrace,
  type PubTrace,
  pubTrace,
  subTraces,
  TraceMessageType,
} from "../../client/trace/trace-data.ts";
import { TraceDispatcher } from "../../client/trace/trace-dispatcher.ts";
import { propertiesToMap } from "../../message/properties.ts";
import type { RecordView } from "../../message/record.ts";
import type { LoadPlan, LoadQueue, MessageKind } from "./plan.ts";
import type { Recorder } from "./recorder.ts";

const MESSAGE_TYPES: Readonly<Record<MessageKind, number>> = {
  plain: TraceMessageType.normal,
  batch: TraceMessageType.normal,
  delay: TraceMessageType.delay,
  transaction: TraceMessageType.half,
};
/** Region of a broker that names none [MixAll.DEFAULT_TRACE_REGION_ID]. */
const DEFAULT_REGION = "DefaultRegion";

/** What was sent and how it was answered. */
export interface Published {
  ids: readonly string[];
  keys: string | undefined;
  queue: LoadQueue;
  bodyLength: number;
  /** ms of performance.now(). */
  sentAt: number;
  receivedAt: number;
  /** Fields of the answer. */
  ext: Readonly<Record<string, string>>;
}

/** RocketMQ's message trace of a load: what its clients send to the trace topic when they are told to, at the same cost. */
export class LoadTracing {
  readonly #plan: LoadPlan;
  readonly #publishing: TraceDispatcher | undefined;
  readonly #consuming: TraceDispatcher | undefined;
  #requests = 0;

  constructor(plan: LoadPlan, namesrvAddr: string, recorder: Recorder) {
    this.#plan = plan;
    const dispatcher = (kind: "PRODUCE" | "CONSUME") =>
      new TraceDispatcher({
        group: plan.group,
        kind,
        namesrvAddr,
        credentials: plan.credentials,
        logger: troubleOnly(),
        onDropped: (records, why) => recorder.count(`trace records dropped: ${why}`, records),
      });
    if (plan.producers > 0) this.#publishing = dispatcher("PRODUCE");
    if (plan.consumers > 0) this.#consuming = dispatcher("CONSUME");
  }

  published({ ids, keys, queue, bodyLength, sentAt, receivedAt, ext }: Published): PubTrace | undefined {
    // The broker says where it wants no trace.
    if (ext.TRACE_ON === "false") return undefined;
    const { kind, group, topic, tags } = this.#plan;
    const trace: PubTrace = {
      timestamp: epochMillis(sentAt),
      regionId: ext.MSG_REGION ?? DEFAULT_REGION,
      group,
      topic,
      msgId: ids.join(","),
      tags: tags === "" ? undefined : tags,
      keys,
      storeHost: `${queue.host}:${queue.port}`,
      bodyLength,
      costMs: Math.round(receivedAt - sentAt),
      messageType: MESSAGE_TYPES[kind],
      offsetMsgId: ext.msgId ?? "",
      success: true,
    };
    this.#publishing?.append(pubTrace(trace), keys === undefined ? ids : [...ids, keys]);
    return trace;
  }

  ended(half: PubTrace, transactionId: string, state: LocalTransactionState): void {
    this.#publishing?.append(endTransactionTrace(half, { transactionId, state }), [half.msgId]);
  }

  /** One received message, good until the next record is read. */
  consumed(record: RecordView, buffer: Buffer, group: string, success: boolean): void {
    const properties = propertiesToMap(buffer, record.propertiesStart, record.propertiesEnd);
    const msgId = properties.UNIQ_KEY;
    if (msgId === undefined || properties.TRACE_ON === "false") return;
    const data = subTraces({
      timestamp: Date.now(),
      regionId: properties.MSG_REGION ?? DEFAULT_REGION,
      group,
      requestId: `${this.#plan.run.toString(16)}-${(this.#requests++).toString(16)}`.toUpperCase(),
      msgId,
      retryTimes: record.reconsumeTimes,
      keys: properties.KEYS,
      costMs: 0,
      success,
    });
    this.#consuming?.append(data, properties.KEYS === undefined ? [msgId] : [msgId, properties.KEYS]);
  }

  async end(): Promise<void> {
    await Promise.all([this.#publishing?.shutdown(), this.#consuming?.shutdown()]);
  }
}

/** That a client comes and goes is no news in a load. */
function troubleOnly(): Logger {
  return { ...createLogger("trace"), debug: () => {}, info: () => {} };
}

function epochMillis(performanceMs: number): number {
  return Math.floor(performance.timeOrigin + performanceMs);
}

import { errorText } from "../../base/errors.ts";
import { giveBack } from "../../base/give-back.ts";
import { RecordView } from "../../message/record.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { OPAQUE_BASE, requestFrame } from "../raw/frames.ts";
import { ResponseHeader } from "../raw/response-reader.ts";
import type { ClockCorrection } from "./clock.ts";
import { FrameReader, remarkOf } from "./frame-reader.ts";
import { type Ledger, ledgerNumber } from "./ledger.ts";
import { Link } from "./link.ts";
import { epochMicros, PayloadView } from "./payload.ts";
import type { LoadPlan, LoadQueue } from "./plan.ts";
import type { Recorder } from "./recorder.ts";
import { groupName, retryTopicOf, SendBacks } from "./send-back.ts";
import { isKeyOf } from "./send-frame.ts";
import { isPicked } from "./spread.ts";
import type { LoadTracing } from "./tracing.ts";

/** Bits of a pull's sysFlag [PullSysFlag]: wait for new messages, and the subscription is in the request. */
const SUSPEND = 2;
const SUBSCRIPTION = 4;
const SUSPEND_MS = 15_000;
/** Offset of the opaque in a frame with a ROCKETMQ header. */
const OPAQUE_AT = 13;
/** Answers to a pull that is at the queue's end, or beyond. */
const CODES_AT_END: ReadonlySet<number> = new Set([
  ResponseCode.PULL_NOT_FOUND,
  ResponseCode.PULL_RETRY_IMMEDIATELY,
  ResponseCode.PULL_OFFSET_MOVED,
]);
const NEXT_BEGIN_OFFSET = Buffer.from("nextBeginOffset");
const NEXT_BEGIN_OFFSET_JSON = Buffer.from('"nextBeginOffset":');
const RETRY_MS = 100;
/** Answers while no message of the group has failed yet: its retry topic is made by the first one. */
const NOT_YET: ReadonlySet<number> = new Set([ResponseCode.TOPIC_NOT_EXIST, ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST]);
const SILENT_MS_MAX = 60_000;

export interface ReceiveOptions {
  /** Number of its consumer group. */
  group: number;
  /** Reads what its group has failed at this broker. */
  readsRetries: boolean;
  tracing: LoadTracing | undefined;
  /** Of other processes' messages. */
  clocks: ClockCorrection | undefined;
}

interface Reading extends LoadQueue {
  topic: string;
  isRetry: boolean;
  name: string;
  /** Queue offset that the next record must have; -1 when a filter leaves out others. */
  expected: number;
  sentAt: number;
}

/** One consumer: a connection to one broker with a pull waiting at each of its queues, checking all that comes. */
export class ReceiveConnection {
  readonly #plan: LoadPlan;
  readonly #recorder: Recorder;
  readonly #ledger: Ledger;
  readonly #queues: readonly Reading[];
  readonly #link: Link;
  #reader = this.#newReader();
  readonly #header = new ResponseHeader();
  readonly #record = new RecordView();
  readonly #payload = new PayloadView();
  readonly #filtered: boolean;
  readonly #tracing: LoadTracing | undefined;
  readonly #clocks: ClockCorrection | undefined;
  readonly #group: number;
  readonly #groupName: string;
  readonly #sendBacks: SendBacks;
  /** Until when the consumer is at work, ms of performance.now(). */
  #busyUntil = 0;
  #pending: Buffer[] = [];
  #receivedAt = 0;
  #stopping = false;

  constructor(
    plan: LoadPlan,
    queues: readonly LoadQueue[],
    recorder: Recorder,
    ledger: Ledger,
    { group, readsRetries, tracing, clocks }: ReceiveOptions,
  ) {
    this.#tracing = tracing;
    this.#clocks = clocks;
    this.#group = group;
    this.#groupName = groupName(plan, group);
    this.#sendBacks = new SendBacks(plan, this.#groupName, OPAQUE_BASE);
    this.#plan = plan;
    this.#recorder = recorder;
    this.#ledger = ledger;
    this.#filtered = plan.expression !== "*";
    const suffix = plan.groups > 1 ? ` of ${this.#groupName}` : "";
    const retries = readsRetries ? [{ ...queues[0]!, queueId: 0, offset: 0 }] : [];
    this.#queues = [...queues, ...retries].map((queue, i) => ({
      ...queue,
      topic: i < queues.length ? plan.topic : retryTopicOf(this.#groupName),
      isRetry: i >= queues.length,
      name: `${i < queues.length ? "" : "%RETRY% of "}${queue.brokerName}/${queue.queueId}${suffix}`,
      expected: queue.offset,
      sentAt: 0,
    }));
    const { host, port } = queues[0]!;
    this.#link = new Link(
      {
        host,
        port,
        who: "consumer",
        onOpen: () => this.#begin(),
        onData: (chunk) => this.#data(chunk),
        onDrain: () => this.#write(),
        onLost: () => this.#sendBacks.clear(),
      },
      recorder,
    );
  }

  get address(): string {
    const { host, port } = this.#queues[0]!;
    return `${host}:${port}`;
  }

  /** ms of performance.now() since when it has no connection. */
  get downSince(): number | undefined {
    return this.#link.downSince;
  }

  /** Throws when the broker cannot be reached. */
  connect(): Promise<void> {
    return this.#link.open();
  }

  /** Pulls are answered after `SUSPEND_MS` at the latest: a broker that is silent for long is not there. */
  check(now: number): void {
    if (this.#link.up && now - this.#receivedAt > SILENT_MS_MAX)
      this.#link.drop(`no answer in ${SILENT_MS_MAX / 1000} s`);
  }

  /** From where it was; what was on its way when a connection was lost is asked for again. */
  #begin(): void {
    this.#reader = this.#newReader();
    this.#pending = [];
    const now = performance.now();
    this.#receivedAt = now;
    for (let i = 0; i < this.#queues.length; i++) this.#pull(i, now);
    this.#write();
  }

  #newReader(): FrameReader {
    return new FrameReader((buffer, start, end, frameEnd) => this.#answer(buffer, start, end, frameEnd));
  }

  close(): void {
    this.#stopping = true;
    this.#link.close();
  }

  #pull(index: number, now: number): void {
    const queue = this.#queues[index]!;
    const { pullBatch, expression, expressionType } = this.#plan;
    queue.sentAt = now;
    const fields = {
      consumerGroup: this.#groupName,
      topic: queue.topic,
      queueId: String(queue.queueId),
      queueOffset: String(queue.offset),
      maxMsgNums: String(pullBatch),
      sysFlag: String(SUSPEND | SUBSCRIPTION),
      commitOffset: "0",
      suspendTimeoutMillis: String(SUSPEND_MS),
      subVersion: "0",
      subscription: queue.isRetry ? "*" : expression,
      expressionType: queue.isRetry ? "TAG" : expressionType,
    };
    const bytes = requestFrame(RequestCode.PULL_MESSAGE, fields, this.#plan.credentials);
    bytes.writeInt32BE(OPAQUE_BASE + index, OPAQUE_AT);
    this.#pending.push(bytes);
  }

  /** Pulls are few bytes: what the kernel does not take at once goes with the next. */
  #write(): void {
    if (this.#pending.length === 0 || !this.#link.up) return;
    const bytes = this.#pending.length === 1 ? this.#pending[0]! : Buffer.concat(this.#pending);
    const taken = this.#link.write(bytes, 0, bytes.length);
    this.#pending = taken < bytes.length ? [bytes.subarray(Math.max(0, taken))] : [];
  }

  #data(chunk: Buffer): void {
    this.#receivedAt = performance.now();
    this.#recorder.counts.bytesReceived += chunk.length;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#link.drop(errorText(error));
      return;
    }
    giveBack(chunk);
    this.#write();
  }

  #answer(buffer: Buffer, headerStart: number, headerEnd: number, frameEnd: number): void {
    const header = this.#header;
    header.read(buffer, headerStart, headerEnd);
    const index = header.opaque - OPAQUE_BASE;
    const queue = this.#queues[index];
    if (this.#stopping) return;
    if (queue === undefined) {
      const isTaken = header.code === ResponseCode.SUCCESS;
      if (!isTaken) this.#recorder.countCode(header.code, () => remarkOf(buffer, headerStart, frameEnd));
      else this.#recorder.retried++;
      this.#sendBacks.answered(header.opaque, isTaken);
      return;
    }
    const next = header.number(NEXT_BEGIN_OFFSET, NEXT_BEGIN_OFFSET_JSON);
    if (header.code === ResponseCode.SUCCESS) {
      this.#recorder.histograms.pull.record((this.#receivedAt - queue.sentAt) * 1000);
      this.#records(queue, buffer, headerEnd, frameEnd);
    } else if (queue.isRetry && NOT_YET.has(header.code)) {
      setTimeout(() => this.#again(index), RETRY_MS);
      return;
    } else if (!CODES_AT_END.has(header.code)) {
      this.#recorder.countCode(header.code, () => remarkOf(buffer, headerStart, frameEnd));
      setTimeout(() => this.#again(index), RETRY_MS);
      return;
    }
    if (next >= 0) queue.offset = next;
    if (queue.expected > queue.offset && header.code === ResponseCode.PULL_OFFSET_MOVED) queue.expected = queue.offset;
    const busyMs = this.#busyUntil - this.#receivedAt;
    if (busyMs > 0) setTimeout(() => this.#again(index), busyMs);
    else this.#pull(index, this.#receivedAt);
  }

  #again(index: number): void {
    if (this.#stopping || !this.#link.up) return;
    this.#pull(index, performance.now());
    this.#write();
  }

  #records(queue: Reading, buffer: Buffer, start: number, end: number): void {
    const record = this.#record;
    for (let at = start; at < end; at += record.size) {
      if (record.read(buffer, at, end, -1) !== "record") {
        this.#ledger.corrupt(`answer to a pull of ${queue.name} at ${queue.offset}: ${record.reason}`);
        return;
      }
      this.#one(queue, buffer);
    }
  }

  #one(queue: Reading, buffer: Buffer): void {
    const record = this.#record;
    const { counts, histograms } = this.#recorder;
    const { queueOffset } = record;
    if (!this.#filtered && queueOffset !== queue.expected && queue.expected >= 0)
      this.#ledger.gap(queue.name, queue.expected, queueOffset);
    queue.expected = queueOffset + 1;
    counts.received++;
    this.#recorder.received++;
    this.#recorder.lastReceivedAt = this.#receivedAt;
    const began = this.#plan.consumeDelayMs > 0 ? Math.max(this.#receivedAt, this.#busyUntil) : this.#receivedAt;
    this.#busyUntil = began + this.#plan.consumeDelayMs;
    const nowUs = epochMicros(began);
    histograms.b2c.record(nowUs - record.bornTimestamp * 1000);
    histograms.s2c.record(nowUs - record.storeTimestamp * 1000);
    const payload = this.#payload;
    const found = payload.readRecord(buffer, record);
    // Where nothing is sent, every load's messages are what is received.
    const isShared = this.#plan.producers > 0;
    // What a broker keeps as it was sent and does not decompress is somebody else's, unless its key says otherwise.
    const isStrange = found === "unreadable" && record.bodyIntact && !isKeyOf(this.#plan.run, buffer, record);
    if (found === "foreign" || isStrange || (found === "ours" && isShared && payload.run !== this.#plan.run)) {
      this.#ledger.foreign();
      return;
    }
    if (found === "unreadable" || !payload.intact || !record.bodyIntact) {
      const why = found === "unreadable" ? "its body does not decompress" : "its CRC differs";
      this.#ledger.corrupt(`message at offset ${queueOffset} of ${queue.name}: ${why}`);
      return;
    }
    const isFailed = record.reconsumeTimes === 0 && isPicked(this.#plan.failRate, payload.sequence);
    this.#tracing?.consumed(record, buffer, this.#groupName, !isFailed);
    if (isFailed) {
      this.#fail(queue, payload.producer, payload.sequence, queueOffset);
      return;
    }
    const correctionUs = this.#clocks?.correctionUs(payload.clock) ?? 0;
    histograms.e2e.record(epochMicros(this.#busyUntil) - payload.intended + correctionUs);
    // Brokers count in whole milliseconds.
    if (this.#plan.delayMs > 0)
      histograms.late.record(nowUs - (Math.floor(payload.sent / 1000) + this.#plan.delayMs) * 1000);
    // What was failed and comes again is out of order by intent.
    const order = record.reconsumeTimes === 0 ? queue.name : `${queue.name} ${payload.sequence}`;
    if (isShared)
      this.#ledger.received(ledgerNumber(payload.producer, this.#group), payload.sequence, order, queueOffset);
  }

  /** Gives a message back; where that does not work it is done, as a client that has nobody to give it to goes on. */
  #fail(queue: Reading, producer: number, sequence: number, queueOffset: number): void {
    const number = ledgerNumber(producer, this.#group);
    // Numbers of loads that others sent are not one run's.
    const done = () => {
      if (this.#plan.producers > 0) this.#ledger.received(number, sequence, queue.name, queueOffset);
    };
    this.#pending.push(this.#sendBacks.frame(this.#record.physicalOffset, done));
  }
}

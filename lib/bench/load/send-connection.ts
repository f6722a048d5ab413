import { errorText } from "../../base/errors.ts";
import { giveBack } from "../../base/give-back.ts";
import type { PubTrace } from "../../client/trace/trace-data.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { decodeCommand } from "../../remoting/command.ts";
import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";
import { OPAQUE_BASE, writeFrame } from "../raw/frames.ts";
import { ResponseHeader } from "../raw/response-reader.ts";
import { signFrame } from "../raw/signing.ts";
import { SEQUENCE_MAX } from "./bitmap.ts";
import { FrameReader, remarkOf } from "./frame-reader.ts";
import { type Ledger, ledgerNumber } from "./ledger.ts";
import { Link } from "./link.ts";
import { epochMicros, PAYLOAD_HEADER_BYTES, stamp } from "./payload.ts";
import type { LoadPlan, LoadQueue } from "./plan.ts";
import type { Recorder } from "./recorder.ts";
import { compressFrame, type SendTemplate, sendTemplate, writeHex, writeMillis } from "./send-frame.ts";
import { tagsOf } from "./tag-filter.ts";
import type { LoadTracing, Published } from "./tracing.ts";
import { HEARTBEAT_OPAQUE, Transactions } from "./transactions.ts";

/** With a rate, requests that may wait for answers on one connection: what is due beyond them is sent late, and that is measured. */
export const OPEN_IN_FLIGHT_MAX = 4096;
/** Bytes of an END_TRANSACTION, names of topic and group included. */
const END_BYTES_MAX = 1024;
const OUT_BYTES_MAX = 16 * 1024 * 1024;
const SILENT_MS_MAX = 60_000;
/** [ClientConfig] heartbeatBrokerInterval. */
const HEARTBEAT_MS = 30_000;

/** Every queue gets every size and every tag in turn. */
function templatesOf(plan: LoadPlan, queues: readonly LoadQueue[], producer: number): SendTemplate[] {
  const sizes = plan.bodySizes ?? [plan.bodyBytes];
  return tagsOf(plan).flatMap((tag) =>
    sizes.flatMap((_, round) =>
      queues.map((queue, i) => sendTemplate(plan, queue, producer, tag, sizes[(round + i) % sizes.length]!)),
    ),
  );
}

/** As `writeHex` writes it. */
function hexText(value: number): string {
  return (value >>> 0).toString(16).toUpperCase().padStart(8, "0");
}

/** One producer: a connection to one broker, its requests in flight in slots, its messages numbered from 0. */
export class SendConnection {
  readonly #plan: LoadPlan;
  readonly #producer: number;
  readonly #recorder: Recorder;
  readonly #ledger: Ledger;
  readonly #templates: readonly SendTemplate[];
  readonly #queue: LoadQueue;
  readonly #tracing: LoadTracing | undefined;
  readonly #transactions: Transactions | undefined;
  #heartbeats: Timer | undefined;
  readonly #slots: number;
  readonly #sentAt: Float64Array;
  readonly #intendedAt: Float64Array;
  readonly #sequenceOf: Float64Array;
  readonly #templateOf: Int32Array;
  readonly #free: Int32Array;
  readonly #out: Buffer;
  readonly #link: Link;
  #reader = this.#newReader();
  readonly #header = new ResponseHeader();
  readonly #perRequest: number;
  #outStart = 0;
  #outEnd = 0;
  #begun = false;
  #open = 0;
  #next: number;
  #sequence = 0;
  #answered = 0;
  #receivedAt = 0;
  /** When the broker last answered, or the first request that is under way was sent. */
  #waitingSince = 0;
  #stopping = false;
  /** Requests that may still be sent; the load's count. */
  #budget: number;

  /** All `queues` are on one broker. `budget` is in messages. */
  constructor(
    plan: LoadPlan,
    producer: number,
    queues: readonly LoadQueue[],
    budget: number | undefined,
    recorder: Recorder,
    ledger: Ledger,
    tracing?: LoadTracing | undefined,
  ) {
    this.#tracing = tracing;
    this.#plan = plan;
    this.#producer = producer;
    this.#recorder = recorder;
    this.#ledger = ledger;
    this.#queue = queues[0]!;
    if (plan.kind === "transaction") this.#transactions = new Transactions(plan, producer, recorder, ledger, tracing);
    this.#templates = templatesOf(plan, queues, producer);
    this.#perRequest = plan.kind === "batch" ? plan.batch : 1;
    this.#budget = budget === undefined ? Number.POSITIVE_INFINITY : Math.ceil(budget / this.#perRequest);
    const largest = this.#templates.reduce((most, { frameBytesMax }) => Math.max(most, frameBytesMax), 1024);
    const wanted = plan.rate === undefined ? plan.inFlight : OPEN_IN_FLIGHT_MAX;
    this.#slots = Math.max(1, Math.min(wanted, Math.max(plan.inFlight, Math.floor(OUT_BYTES_MAX / largest))));
    this.#sentAt = new Float64Array(this.#slots);
    this.#intendedAt = new Float64Array(this.#slots);
    this.#sequenceOf = new Float64Array(this.#slots);
    this.#templateOf = new Int32Array(this.#slots);
    this.#free = Int32Array.from({ length: this.#slots }, (_, slot) => slot);
    // A transaction's second request goes out beside the next first one.
    this.#out = Buffer.alloc((largest + (plan.kind === "transaction" ? END_BYTES_MAX : 0)) * this.#slots * 2);
    this.#next = producer % this.#templates.length;
    const { host, port } = this.#queue;
    this.#link = new Link(
      {
        host,
        port,
        who: "producer",
        onOpen: () => this.#reopened(),
        onData: (chunk) => this.#data(chunk),
        onDrain: () => this.#write(),
        onLost: () => this.#lost(),
      },
      recorder,
    );
  }

  get address(): string {
    return `${this.#queue.host}:${this.#queue.port}`;
  }

  /** ms of performance.now() since when it has no connection. */
  get downSince(): number | undefined {
    return this.#link.downSince;
  }

  /** A broker that answers nothing for long while requests wait is not there. */
  check(now: number): void {
    if (this.#open > 0 && now - this.#waitingSince > SILENT_MS_MAX)
      this.#link.drop(`no answer in ${SILENT_MS_MAX / 1000} s`);
  }

  get inFlight(): number {
    return this.#open;
  }

  /** Messages that may be sent now. */
  get room(): number {
    return this.#stopping || !this.#link.up ? 0 : Math.min(this.#slots - this.#open, this.#budget);
  }

  get finished(): boolean {
    return this.#open === 0 && (this.#stopping || this.#budget === 0);
  }

  /** Throws when the broker cannot be reached. */
  connect(): Promise<void> {
    if (this.#plan.unknownRate > 0) this.#heartbeats = setInterval(() => this.#beat(), HEARTBEAT_MS);
    return this.#link.open();
  }

  /** Closed loop: fills the pipe for the first time. */
  begin(): void {
    this.#begun = true;
    this.#issueNow(this.#slots);
  }

  /** Open loop: one request that was due at `intended` (ms of performance.now). The caller calls `flush` when it has issued all. */
  issue(intended: number, now: number): void {
    this.#issue(intended, now);
  }

  flush(): void {
    this.#write();
  }

  stop(): void {
    this.#stopping = true;
  }

  /** Leaves the broker's checks unanswered. */
  settle(): void {
    this.#transactions?.settle();
  }

  close(): void {
    this.#stopping = true;
    this.#open = 0;
    clearInterval(this.#heartbeats);
    this.#link.close();
  }

  #issueNow(count: number): void {
    const now = performance.now();
    for (let i = Math.min(count, this.room); i > 0; i--) this.#issue(now, now);
    this.#write();
  }

  #issue(intended: number, now: number): void {
    if (this.#open === 0) this.#waitingSince = now;
    const slot = this.#free[this.#slots - ++this.#open]!;
    const template = this.#templates[this.#next]!;
    this.#templateOf[slot] = this.#next;
    this.#next = this.#next + 1 === this.#templates.length ? 0 : this.#next + 1;
    this.#makeRoom(template.frameBytesMax);
    const at = this.#outEnd;
    const first = this.#sequence;
    this.#outEnd = writeFrame(template.frame, this.#out, at, OPAQUE_BASE + slot, first);
    if (template.keyAt >= 0) writeHex(this.#out, at + template.keyAt, first % this.#plan.keyCardinality);
    const intendedUs = epochMicros(intended);
    const sentUs = epochMicros(now);
    writeMillis(this.#out, at + template.bornAt, Math.floor(sentUs / 1000));
    const { small } = template;
    for (const { start, end, counterAt, stampAt } of template.bodies) {
      if (counterAt >= 0) writeHex(this.#out, at + counterAt, this.#sequence);
      if (small === undefined) stamp(this.#out, at + start, at + end, this.#sequence++, intendedUs, sentUs);
      else {
        stamp(small, 0, small.length, this.#sequence++, intendedUs, sentUs);
        this.#out.write(small.toString("hex", 0, PAYLOAD_HEADER_BYTES), at + stampAt, "latin1");
      }
    }
    this.#outEnd = compressFrame(template, this.#out, at, this.#outEnd);
    if (template.frame.signing !== undefined) signFrame(template.frame.signing, this.#out, at, this.#outEnd);
    this.#sentAt[slot] = now;
    this.#intendedAt[slot] = intended;
    this.#sequenceOf[slot] = first;
    this.#budget--;
    if (this.#sequence + this.#perRequest > SEQUENCE_MAX) this.#budget = 0;
    const { counts, histograms } = this.#recorder;
    counts.sent += this.#perRequest;
    counts.bytesSent += this.#outEnd - at;
    if (this.#plan.rate !== undefined) histograms.lag.record(Math.max(0.5, (now - intended) * 1000));
  }

  /** What the kernel has taken makes room; requests in flight are bounded, and with them what is not taken. */
  #makeRoom(bytes: number): void {
    if (this.#outEnd + bytes <= this.#out.length) return;
    this.#out.copyWithin(0, this.#outStart, this.#outEnd);
    this.#outEnd -= this.#outStart;
    this.#outStart = 0;
  }

  #write(): void {
    if (this.#outEnd === this.#outStart || !this.#link.up) return;
    const taken = this.#link.write(this.#out, this.#outStart, this.#outEnd - this.#outStart);
    if (taken > 0) this.#outStart += taken;
    if (this.#outStart === this.#outEnd) this.#outStart = this.#outEnd = 0;
  }

  #data(chunk: Buffer): void {
    this.#receivedAt = this.#waitingSince = performance.now();
    this.#answered = 0;
    this.#recorder.counts.bytesReceived += chunk.length;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#link.drop(errorText(error));
      return;
    }
    giveBack(chunk);
    if (this.#answered > 0 && this.#plan.rate === undefined) this.#issueNext(this.#answered);
    else this.#write();
  }

  #issueNext(count: number): void {
    const { sendIntervalMs = 0 } = this.#plan;
    if (sendIntervalMs === 0) this.#issueNow(count);
    else {
      // What ends a transaction does not wait for the next one.
      this.#write();
      setTimeout(() => this.#issueNow(count), sendIntervalMs);
    }
  }

  #answer(buffer: Buffer, headerStart: number, headerEnd: number, frameEnd: number): void {
    const header = this.#header;
    header.read(buffer, headerStart, headerEnd);
    const slot = header.opaque - OPAQUE_BASE;
    // The one request of a broker; no answer has such a code.
    if (header.code === RequestCode.CHECK_TRANSACTION_STATE) {
      this.#checked(buffer, headerStart, frameEnd);
      return;
    }
    if (header.opaque === HEARTBEAT_OPAQUE) {
      // Without it the broker asks for no transaction on this connection.
      if (header.code !== ResponseCode.SUCCESS)
        this.#recorder.countCode(header.code, () => `heartbeat: ${remarkOf(buffer, headerStart, frameEnd) ?? ""}`);
      return;
    }
    if (!(slot >= 0 && slot < this.#slots) || this.#open === 0) {
      this.#recorder.count("answer to a request that was not sent");
      return;
    }
    this.#free[this.#slots - this.#open--] = slot;
    this.#answered++;
    const { counts, histograms } = this.#recorder;
    this.#recorder.answered += this.#perRequest;
    if (header.code !== ResponseCode.SUCCESS) {
      counts.failed += this.#perRequest;
      this.#recorder.countCode(header.code, () => remarkOf(buffer, headerStart, frameEnd));
      return;
    }
    counts.acked += this.#perRequest;
    histograms.service.record((this.#receivedAt - this.#sentAt[slot]!) * 1000);
    if (this.#plan.rate !== undefined) histograms.response.record((this.#receivedAt - this.#intendedAt[slot]!) * 1000);
    const first = this.#sequenceOf[slot]!;
    if (this.#plan.kind !== "transaction" && this.#templates[this.#templateOf[slot]!]!.expected)
      for (let i = 0; i < this.#perRequest; i++) this.#acked(first + i);
    if (this.#plan.kind !== "transaction" && this.#tracing === undefined) return;
    const { ext } = decodeCommand(buffer, headerStart - FRAME_PREFIX_BYTES, frameEnd);
    const half = this.#tracing?.published(this.#published(slot, first, ext));
    if (this.#plan.kind === "transaction") this.#endTransaction(slot, ext, half);
  }

  #published(slot: number, first: number, ext: Readonly<Record<string, string>>): Published {
    const { keyCardinality } = this.#plan;
    const { bodyBytes } = this.#templates[this.#templateOf[slot]!]!;
    return {
      ids: Array.from({ length: this.#perRequest }, (_, i) => this.#uniqKey(first + i)),
      keys: keyCardinality === 0 ? undefined : `k${hexText(first % keyCardinality)}`,
      queue: this.#queue,
      bodyLength: bodyBytes * this.#perRequest,
      sentAt: this.#sentAt[slot]!,
      receivedAt: this.#receivedAt,
      ext,
    };
  }

  /** Every group is to get it. */
  #acked(sequence: number): void {
    for (let group = 0; group < this.#plan.groups; group++)
      this.#ledger.acked(ledgerNumber(this.#producer, group), sequence);
  }

  #uniqKey(sequence: number): string {
    return this.#templates[0]!.uniqKeyPrefix + hexText(sequence);
  }

  #endTransaction(slot: number, ext: Readonly<Record<string, string>>, trace: PubTrace | undefined): void {
    const sequence = this.#sequenceOf[slot]!;
    const { expected } = this.#templates[this.#templateOf[slot]!]!;
    this.#append(this.#transactions?.end({ sequence, uniqKey: this.#uniqKey(sequence), expected, ext, trace }));
  }

  /** Half of the buffer is for what the requests in flight need. */
  #checked(buffer: Buffer, headerStart: number, frameEnd: number): void {
    const hasRoom = (bytes: number) => this.#outEnd - this.#outStart + bytes <= this.#out.length / 2;
    this.#append(this.#transactions?.check(buffer, headerStart - FRAME_PREFIX_BYTES, frameEnd, hasRoom));
  }

  #beat(): void {
    this.#append(this.#transactions?.heartbeat());
    this.#write();
  }

  #append(frame: Buffer | undefined): void {
    if (frame === undefined) return;
    this.#makeRoom(frame.length);
    this.#outEnd += frame.copy(this.#out, this.#outEnd);
  }

  /** Nobody will answer what was under way; whether it was stored the consumers may tell. */
  #lost(): void {
    this.#recorder.counts.failed += this.#open * this.#perRequest;
    this.#recorder.answered += this.#open * this.#perRequest;
    this.#open = 0;
    for (let slot = 0; slot < this.#slots; slot++) this.#free[slot] = slot;
    this.#outStart = this.#outEnd = 0;
  }

  #reopened(): void {
    this.#reader = this.#newReader();
    this.#beat();
    if (this.#begun) this.#issueNow(this.#slots);
  }

  #newReader(): FrameReader {
    return new FrameReader((buffer, start, end, frameEnd) => this.#answer(buffer, start, end, frameEnd));
  }
}

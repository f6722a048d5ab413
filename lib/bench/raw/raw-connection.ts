import type { Socket } from "bun";
import { errorText, MqError } from "../../base/errors.ts";
import { giveBack } from "../../base/give-back.ts";
import { ResponseCode } from "../../remoting/codes.ts";
import type { Histogram } from "../histogram.ts";
import { type FrameTemplate, OPAQUE_BASE, writeFrame } from "./frames.ts";
import type { QueueTarget, RawCounts, RawPlan } from "./plan.ts";
import { PullFrames } from "./pull-frames.ts";
import { ResponseHeader, ResponseReader } from "./response-reader.ts";
import { signFrame } from "./signing.ts";

/** Answers to a pull that is at the queue's end, or beyond. */
const PULL_CODES_AT_END: ReadonlySet<number> = new Set([
  ResponseCode.PULL_NOT_FOUND,
  ResponseCode.PULL_RETRY_IMMEDIATELY,
  ResponseCode.PULL_OFFSET_MOVED,
]);
const NEXT_BEGIN_OFFSET = Buffer.from("nextBeginOffset");
const NEXT_BEGIN_OFFSET_JSON = Buffer.from('"nextBeginOffset":');
/** With a rate, requests that may wait for answers on one connection. */
const OPEN_IN_FLIGHT = 8192;

/** What all connections of a worker write to. The histogram and the counts are replaced from outside when an interval ends. */
export interface RawRecorder {
  latencies: Histogram;
  counts: RawCounts;
  errors: Map<string, number>;
}

function isPull({ kind }: RawPlan): boolean {
  return kind === "pull" || kind === "poll";
}

/** One connection that keeps its requests in flight. */
export class RawConnection {
  readonly #plan: RawPlan;
  readonly #recorder: RawRecorder;
  readonly #templates: readonly FrameTemplate[];
  readonly #pulls: readonly PullFrames[];
  readonly #targets: readonly QueueTarget[];
  readonly #offsets: number[];
  readonly #slots: number;
  /** ms when the request of a slot was (or should have been) sent. */
  readonly #sentAt: Float64Array;
  /** Which of the targets a slot's request was for. */
  readonly #targetOf: Int32Array;
  readonly #out: Buffer;
  readonly #reader: ResponseReader;
  readonly #header = new ResponseHeader();
  #outStart = 0;
  #outEnd = 0;
  #socket: Socket | undefined;
  #next = 0;
  /** Slots without a request: a stack of which the first `#slots - #open` are valid. */
  readonly #free: Int32Array;
  #counter: number;
  #open = 0;
  #answered = 0;
  #stopping = false;
  #receivedAt = 0;

  /** `number` tells its group from the others'; `first` is the target it begins with, so that not all write to the same queue. */
  constructor(
    plan: RawPlan,
    recorder: RawRecorder,
    targets: readonly QueueTarget[],
    templates: readonly FrameTemplate[],
    first: number,
    number: number,
  ) {
    this.#plan = plan;
    this.#recorder = recorder;
    this.#targets = targets;
    this.#templates = templates;
    this.#offsets = targets.map(() => 0);
    const { batch: maxMessages, credentials } = plan;
    const pulls = { consumerGroup: `${plan.group}${number}`, maxMessages, waits: plan.kind === "poll", credentials };
    this.#pulls = isPull(plan) ? targets.map((target) => new PullFrames({ ...pulls, ...target })) : [];
    const wanted = plan.rate === undefined ? plan.inFlight : OPEN_IN_FLIGHT;
    this.#slots = wanted;
    this.#free = Int32Array.from({ length: wanted }, (_, slot) => slot);
    this.#sentAt = new Float64Array(this.#slots);
    this.#targetOf = new Int32Array(this.#slots);
    const sizes = [...templates.map(({ bytes }) => bytes.length), ...this.#pulls.map(({ bytesMax }) => bytesMax)];
    const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 1024);
    this.#out = Buffer.alloc(largest * wanted);
    this.#next = first;
    this.#counter = (first * 0x01000193) >>> 0;
    this.#reader = new ResponseReader((buffer, start, end) => this.#response(buffer, start, end));
  }

  get inFlight(): number {
    return this.#open;
  }

  async connect(): Promise<void> {
    const { host, port } = this.#plan;
    this.#socket = await Bun.connect({
      hostname: host,
      port,
      socket: {
        binaryType: "buffer",
        data: (_, chunk) => this.#data(chunk),
        drain: () => this.#write(),
        error: (_, error) => this.#fail(errorText(error)),
        close: () => {
          if (!this.#stopping) this.#fail("connection closed");
        },
      },
    }).catch((cause: unknown) => {
      throw new MqError(`connect to ${host}:${port}: ${errorText(cause)}`);
    });
    this.#socket.setNoDelay(true);
  }

  /** Fills the pipe for the first time (closed loop). */
  begin(): void {
    this.#issue(this.#plan.inFlight, performance.now());
    this.#write();
  }

  /** Open loop: sends `count` requests that were due at `intended` and every `stepMs` after; what finds no room is not sent. */
  send(count: number, intended: number, stepMs: number): number {
    const room = Math.min(count, OPEN_IN_FLIGHT - this.#open);
    for (let i = 0; i < room; i++) this.#issue(1, intended + i * stepMs);
    this.#write();
    return Math.max(0, room);
  }

  stop(): void {
    this.#stopping = true;
  }

  close(): void {
    this.#stopping = true;
    this.#socket?.terminate();
  }

  #data(chunk: Buffer): void {
    this.#receivedAt = performance.now();
    this.#answered = 0;
    this.#recorder.counts.bytesReceived += chunk.length;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#fail(errorText(error));
      this.#socket?.terminate();
      return;
    }
    giveBack(chunk);
    if (this.#answered === 0 || this.#stopping) return;
    if (this.#plan.rate === undefined && !isPull(this.#plan)) this.#issue(this.#answered, this.#receivedAt);
    this.#write();
  }

  #issue(count: number, at: number): void {
    const { counts } = this.#recorder;
    for (let i = 0; i < count; i++) {
      const slot = this.#free[this.#slots - ++this.#open]!;
      const target = this.#next;
      this.#next = target + 1 === this.#targets.length ? 0 : target + 1;
      this.#sentAt[slot] = at;
      this.#targetOf[slot] = target;
      const before = this.#outEnd;
      if (isPull(this.#plan)) this.#appendPull(slot, target);
      else {
        const template = this.#templates[target]!;
        this.#makeRoom(template.bytes.length);
        const at = this.#outEnd;
        this.#outEnd = writeFrame(template, this.#out, at, OPAQUE_BASE + slot, this.#counter++);
        if (template.signing !== undefined) signFrame(template.signing, this.#out, at, this.#outEnd);
        counts.sent += this.#plan.kind === "batch" ? this.#plan.batch : 1;
      }
      counts.bytesSent += this.#outEnd - before;
    }
  }

  #appendPull(slot: number, target: number): void {
    const pulls = this.#pulls[target]!;
    this.#makeRoom(pulls.bytesMax);
    this.#outEnd = pulls.write(this.#out, this.#outEnd, OPAQUE_BASE + slot, this.#offsets[target]!);
  }

  /** What the kernel has taken makes room; requests in flight are bounded, and with them what is not taken. */
  #makeRoom(bytes: number): void {
    if (this.#outEnd + bytes <= this.#out.length) return;
    this.#out.copyWithin(0, this.#outStart, this.#outEnd);
    this.#outEnd -= this.#outStart;
    this.#outStart = 0;
  }

  #write(): void {
    if (this.#outEnd === this.#outStart || this.#socket === undefined) return;
    const taken = this.#socket.write(this.#out, this.#outStart, this.#outEnd - this.#outStart);
    if (taken > 0) this.#outStart += taken;
    if (this.#outStart === this.#outEnd) this.#outStart = this.#outEnd = 0;
  }

  #response(buffer: Buffer, start: number, end: number): void {
    const header = this.#header;
    header.read(buffer, start, end);
    const { code, opaque } = header;
    const slot = opaque - OPAQUE_BASE;
    if (!(slot >= 0 && slot < this.#slots)) {
      this.#count(`answer to request ${opaque}, which was not sent`);
      return;
    }
    this.#free[this.#slots - this.#open--] = slot;
    this.#answered++;
    const us = (this.#receivedAt - this.#sentAt[slot]!) * 1000;
    if (isPull(this.#plan)) this.#pulled(code, us, this.#targetOf[slot]!);
    else this.#sent(code, us);
  }

  #sent(code: number, us: number): void {
    const messages = this.#plan.kind === "batch" ? this.#plan.batch : 1;
    if (code === ResponseCode.SUCCESS) {
      this.#recorder.counts.acked += messages;
      this.#recorder.latencies.record(us);
    } else {
      this.#recorder.counts.failed += messages;
      this.#count(`code ${code}`);
    }
  }

  #pulled(code: number, us: number, target: number): void {
    const next = this.#header.number(NEXT_BEGIN_OFFSET, NEXT_BEGIN_OFFSET_JSON);
    if (code === ResponseCode.SUCCESS && next >= 0) {
      this.#recorder.counts.received += next - this.#offsets[target]!;
      this.#recorder.latencies.record(us);
      this.#offsets[target] = next;
    } else if (!PULL_CODES_AT_END.has(code)) this.#count(`code ${code}`);
    else if (this.#plan.kind === "pull") {
      // Begins again at the next queue.
      this.#offsets[target] = 0;
      this.#next = target + 1 === this.#targets.length ? 0 : target + 1;
    }
    if (this.#plan.kind === "poll" || this.#offsets[target]! > 0) this.#next = target;
    // Every pull is followed by the next one of its queue, so a poller has all its queues waiting.
    if (!this.#stopping) this.#issue(1, this.#receivedAt);
  }

  #fail(what: string): void {
    this.#recorder.counts.failed += this.#open;
    this.#open = 0;
    this.#count(what);
  }

  #count(what: string): void {
    const { errors } = this.#recorder;
    errors.set(what, (errors.get(what) ?? 0) + 1);
  }
}

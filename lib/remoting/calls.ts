import { RemotingTimeoutError } from "./errors.ts";
import type { RemotingCommand } from "./types.ts";

/** Granularity of time-outs. */
const TICK_MS = 10;
const BUCKETS = 1024;

/** A request that waits for its response. Calls of one bucket of the wheel form a ring through their `next` and `previous`. */
class Call {
  next: Call = this;
  previous: Call = this;
  readonly owner: Calls | undefined;
  readonly opaque: number;
  readonly code: number;
  readonly timeoutMs: number;
  readonly deadlineTick: number;
  readonly resolve: (response: RemotingCommand) => void;
  readonly reject: (error: Error) => void;

  constructor(
    owner: Calls | undefined,
    opaque: number,
    code: number,
    timeoutMs: number,
    deadlineTick: number,
    resolve: (response: RemotingCommand) => void,
    reject: (error: Error) => void,
  ) {
    this.owner = owner;
    this.opaque = opaque;
    this.code = code;
    this.timeoutMs = timeoutMs;
    this.deadlineTick = deadlineTick;
    this.resolve = resolve;
    this.reject = reject;
  }

  unlink(): void {
    this.previous.next = this.next;
    this.next.previous = this.previous;
    this.next = this;
    this.previous = this;
  }
}

const nothing = () => {};
const newBucket = () => new Call(undefined, 0, 0, 0, 0, nothing, nothing);

/** Time-outs of all calls of the process: one timer, which runs only while calls wait. */
const wheel = {
  buckets: Array.from({ length: BUCKETS }, newBucket),
  waiting: 0,
  tick: 0,
  timer: undefined as ReturnType<typeof setInterval> | undefined,
};

function currentTick(): number {
  return Math.floor(performance.now() / TICK_MS);
}

function enterWheel(call: Call): void {
  const bucket = wheel.buckets[call.deadlineTick % BUCKETS]!;
  call.previous = bucket.previous;
  call.next = bucket;
  bucket.previous.next = call;
  bucket.previous = call;
  if (wheel.waiting++ > 0) return;
  wheel.tick = currentTick();
  wheel.timer = setInterval(turnWheel, TICK_MS);
  wheel.timer.unref();
}

function leaveWheel(call: Call): void {
  call.unlink();
  if (--wheel.waiting === 0) {
    clearInterval(wheel.timer);
    wheel.timer = undefined;
  }
}

function turnWheel(): void {
  const last = currentTick();
  // After a long stall one round over all buckets finds everything that is due.
  const first = Math.max(wheel.tick + 1, last - BUCKETS + 1);
  wheel.tick = last;
  for (let tick = first; tick <= last; tick++) {
    const bucket = wheel.buckets[tick % BUCKETS]!;
    let call = bucket.next;
    while (call !== bucket) {
      const next = call.next;
      if (call.deadlineTick <= last) call.owner?.expire(call.opaque);
      call = next;
    }
  }
}

let lastOpaque = 0;

/** Number of the next request: unique in the process, as peers key their tables by it alone. int32, wraps. */
export function nextOpaque(): number {
  lastOpaque = (lastOpaque + 1) | 0;
  return lastOpaque;
}

/** Requests of one connection that wait for a response. */
export class Calls {
  readonly #address: string;
  readonly #calls = new Map<number, Call>();

  constructor(address: string) {
    this.#address = address;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** The response to `opaque`; rejects with RemotingTimeoutError after `timeoutMs`. */
  wait(opaque: number, code: number, timeoutMs: number): Promise<RemotingCommand> {
    return new Promise((resolve, reject) => {
      const deadlineTick = currentTick() + Math.max(1, Math.ceil(timeoutMs / TICK_MS));
      const call = new Call(this, opaque, code, timeoutMs, deadlineTick, resolve, reject);
      this.#calls.set(opaque, call);
      enterWheel(call);
    });
  }

  /** False when nobody waits for this response (any more). */
  complete(response: RemotingCommand): boolean {
    const call = this.#take(response.opaque);
    call?.resolve(response);
    return call !== undefined;
  }

  expire(opaque: number): void {
    const call = this.#take(opaque);
    call?.reject(
      new RemotingTimeoutError(
        `wait for the response of ${this.#address} to request code ${call.code}: none in ${call.timeoutMs} ms`,
        this.#address,
      ),
    );
  }

  /** The connection is gone: nobody will be answered. */
  failAll(error: Error): void {
    for (const opaque of Array.from(this.#calls.keys())) this.#take(opaque)?.reject(error);
  }

  #take(opaque: number): Call | undefined {
    const call = this.#calls.get(opaque);
    if (call === undefined) return undefined;
    this.#calls.delete(opaque);
    leaveWheel(call);
    return call;
  }
}

import type { MessageExt } from "../message.ts";
import type { ConsumeService } from "./consume-service.ts";
import type { ConsumerContext } from "./consumer-context.ts";
import type { ConsumeMessageDirectlyResult } from "./listener.ts";
import type { ProcessQueue } from "./process-queue.ts";

interface Polled {
  processQueue: ProcessQueue;
  message: MessageExt;
}

/** Holds what was pulled until somebody polls; what was polled counts as consumed with the next poll or commit. */
export class PollBuffer implements ConsumeService {
  readonly running = 0;
  readonly #context: ConsumerContext;
  /** Bounded by the pull thresholds: every message in it stands in a process queue. */
  #ready: Polled[] = [];
  #handedOut: Polled[] = [];
  #wake: (() => void) | undefined;

  constructor(context: ConsumerContext) {
    this.#context = context;
  }

  start(): void {}

  stop(): void {
    this.#ready = [];
    this.#wake?.();
  }

  submit(processQueue: ProcessQueue, messages: readonly MessageExt[]): void {
    for (const message of messages) this.#ready.push({ processQueue, message });
    this.#wake?.();
  }

  /** Up to `countMax` messages; empty when none came within `timeoutMs` or the consumer stopped. */
  async poll(countMax: number, timeoutMs: number): Promise<MessageExt[]> {
    this.acknowledge();
    const until = Date.now() + timeoutMs;
    for (;;) {
      const messages = this.#take(countMax);
      const left = until - Date.now();
      if (messages.length > 0 || left <= 0 || this.#context.stopped) return messages;
      await this.#arrival(left);
    }
  }

  #take(countMax: number): MessageExt[] {
    let looked = 0;
    for (const polled of this.#ready) {
      if (this.#handedOut.length === countMax) break;
      looked++;
      // A queue lost or sought elsewhere meanwhile: its next owner pulls this message again.
      if (!polled.processQueue.dropped) this.#handedOut.push(polled);
    }
    this.#ready.splice(0, looked);
    return this.#handedOut.map(({ message }) => message);
  }

  /** The messages of the last poll are done. */
  acknowledge(): void {
    for (const { processQueue, message } of this.#handedOut) {
      const offset = processQueue.remove([message]);
      if (offset >= 0 && !processQueue.dropped) this.#context.offsets.update(processQueue.queue, offset, true);
    }
    this.#handedOut = [];
  }

  #arrival(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async consumeMessageDirectly(): Promise<ConsumeMessageDirectlyResult> {
    return {
      autoCommit: true,
      consumeResult: "CR_LATER",
      order: false,
      remark: "a pull consumer has no listener",
      spentTimeMills: 0,
    };
  }
}

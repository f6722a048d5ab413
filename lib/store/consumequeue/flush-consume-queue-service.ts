import type { ConsumeQueueStore } from "./consume-queue-store.ts";

export interface FlushConsumeQueueSettings {
  /** ms */
  flushIntervalConsumeQueue: number;
  /** Pages of 4 KiB. */
  flushConsumeQueueLeastPages: number;
  /** ms */
  flushConsumeQueueThoroughInterval: number;
}

/** Brings the consume queues to the disk by the clock [DefaultMessageStore.FlushConsumeQueueService]. */
export class FlushConsumeQueueService {
  readonly #settings: FlushConsumeQueueSettings;
  readonly #queues: ConsumeQueueStore;
  readonly #onThorough: (flushedTimestamp: number) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastThorough = performance.now();
  #stopped = true;

  /** @param onThorough told the store's new `flushedTimestamp` after each thorough flush, for the checkpoint. */
  constructor(
    settings: FlushConsumeQueueSettings,
    queues: ConsumeQueueStore,
    onThorough: (flushedTimestamp: number) => void,
  ) {
    this.#settings = settings;
    this.#queues = queues;
    this.#onThorough = onThorough;
  }

  start(): void {
    this.#stopped = false;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#round(), this.#settings.flushIntervalConsumeQueue);
  }

  async #round(): Promise<void> {
    const thorough = performance.now() >= this.#lastThorough + this.#settings.flushConsumeQueueThoroughInterval;
    try {
      await this.#queues.flush(thorough ? 0 : this.#settings.flushConsumeQueueLeastPages);
      if (thorough) {
        this.#lastThorough = performance.now();
        this.#onThorough(this.#queues.flushedTimestamp);
      }
    } catch {
      // The store of queues has logged it and holds the checkpoint back.
    }
    this.#schedule();
  }

  /** Stops the clock; the last flush is the store's `shutdown`. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }
}

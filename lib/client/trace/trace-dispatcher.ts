import type { ClientOptions } from "../client-options.ts";
import { Producer } from "../producer/producer.ts";
import { TRACE_TOPIC } from "./trace-data.ts";

/** Records in a message [ClientConfig#traceMsgBatchNum]. */
const BATCH_RECORDS = 10;
/** How long a record waits for others [AsyncTraceDispatcher#flushTraceIntervalInterval]. */
const FLUSH_MS = 5_000;
/** Messages under way; beyond them records are dropped. */
const OPEN_MAX = 200;

export interface TraceDispatcherOptions extends ClientOptions {
  /** Group of the client that is traced, and what it does. */
  group: string;
  kind: "PRODUCE" | "CONSUME";
  /** Told of records that were not kept: too many, or refused. */
  onDropped: (records: number, why: string) => void;
}

/** [AsyncTraceDispatcher] Gathers trace records and sends them to RMQ_SYS_TRACE_TOPIC, where `queryMsgTraceById` finds them by message id. */
export class TraceDispatcher {
  readonly #producer: Producer;
  readonly #onDropped: TraceDispatcherOptions["onDropped"];
  readonly #timer: Timer;
  readonly #open = new Set<Promise<void>>();
  #text = "";
  #records = 0;
  #keys = new Set<string>();

  constructor({ group, kind, onDropped, ...client }: TraceDispatcherOptions) {
    this.#producer = new Producer({ ...client, group: `_INNER_TRACE_PRODUCER-${group}-${kind}-1` });
    this.#producer.start();
    this.#onDropped = onDropped;
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS).unref();
  }

  /** One record, or the two of a delivery, to be found by these keys. */
  append(data: string, keys: readonly string[]): void {
    this.#text += data;
    this.#records++;
    for (const key of keys) this.#keys.add(key);
    if (this.#records >= BATCH_RECORDS) this.#flush();
  }

  /** Sends what is left, waits for all answers, and ends. */
  async shutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#flush();
    await Promise.all(this.#open);
    await this.#producer.shutdown();
  }

  #flush(): void {
    if (this.#records === 0) return;
    const records = this.#records;
    const message = { topic: TRACE_TOPIC, body: Buffer.from(this.#text), keys: [...this.#keys] };
    this.#text = "";
    this.#records = 0;
    this.#keys = new Set();
    if (this.#open.size >= OPEN_MAX) {
      this.#onDropped(records, "the broker takes them too slowly");
      return;
    }
    const sending: Promise<void> = this.#producer
      .send(message, { asynchronous: true })
      .then(
        () => {},
        (error: unknown) => this.#onDropped(records, error instanceof Error ? error.message : String(error)),
      )
      .finally(() => this.#open.delete(sending));
    this.#open.add(sending);
  }
}

import { ClientError } from "../broker-error.ts";
import type { MessageExt } from "../message.ts";
import { type MessageQueue, messageQueueKey, messageQueueText } from "../message-queue.ts";
import { Consumer } from "./consumer.ts";
import { type ConsumerOptions, ownedQueues } from "./consumer-context.ts";
import { PollBuffer } from "./poll-buffer.ts";
import { ProcessQueue } from "./process-queue.ts";

const POLL_COUNT_MAX = 32;
const POLL_TIMEOUT_MS = 5_000;

/**
 * [DefaultLitePullConsumer] The user polls; queues, offsets and group membership are taken care of. What a poll gave counts as
 * consumed with the next poll or `commit`, not with `shutdown`. Failed messages are the user's matter.
 */
export class PullConsumer extends Consumer {
  readonly #buffer: PollBuffer;

  constructor(options: ConsumerOptions) {
    let buffer!: PollBuffer;
    super(options, {
      consumeType: "CONSUME_ACTIVELY",
      orderly: false,
      retries: false,
      litePull: true,
      service: (context) => {
        buffer = new PollBuffer(context);
        return buffer;
      },
    });
    this.#buffer = buffer;
  }

  /** The next messages; those of the poll before count as consumed now. Empty when none came in `timeoutMs`. */
  poll(timeoutMs = POLL_TIMEOUT_MS, countMax = POLL_COUNT_MAX): Promise<MessageExt[]> {
    return this.#buffer.poll(countMax, timeoutMs);
  }

  /** What was polled so far counts as consumed. */
  acknowledge(): void {
    this.#buffer.acknowledge();
  }

  /** Commits what was polled so far and waits for the brokers. */
  async commit(): Promise<void> {
    this.acknowledge();
    await this.context.offsets.persistAll(ownedQueues(this.context), true);
  }

  /** Queues owned now. */
  assignment(): MessageQueue[] {
    return ownedQueues(this.context);
  }

  /** Goes on at `offset`; messages of the queue that were pulled and not polled are dropped. */
  seek(queue: MessageQueue, offset: number): void {
    const key = messageQueueKey(queue);
    const owned = this.context.processQueues.get(key);
    if (owned === undefined) throw new ClientError(`seek ${messageQueueText(queue)}: it is not this consumer's now`);
    owned.dropped = true;
    const fresh = new ProcessQueue(queue, offset);
    this.context.processQueues.set(key, fresh);
    this.context.offsets.remove(queue);
    this.context.offsets.update(queue, offset, false);
    this.pulls.start(fresh);
  }
}

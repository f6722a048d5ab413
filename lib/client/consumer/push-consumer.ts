import { ConsumeConcurrently } from "./consume-concurrently.ts";
import { ConsumeOrderly } from "./consume-orderly.ts";
import { Consumer } from "./consumer.ts";
import type { ConsumerOptions } from "./consumer-context.ts";
import type { MessageListenerConcurrently, MessageListenerOrderly } from "./listener.ts";

/** How messages reach the user: one of the two. */
export type Listener = { concurrently: MessageListenerConcurrently } | { orderly: MessageListenerOrderly };

/** [DefaultMQPushConsumer] Messages are handed to a listener as they arrive; under it every owned queue is pulled by long polling. */
export class PushConsumer extends Consumer {
  constructor(options: ConsumerOptions, listener: Listener) {
    super(options, {
      consumeType: "CONSUME_PASSIVELY",
      orderly: "orderly" in listener,
      retries: true,
      litePull: false,
      service: (context, locks) =>
        "orderly" in listener
          ? new ConsumeOrderly(context, listener.orderly, locks)
          : new ConsumeConcurrently(context, listener.concurrently),
    });
  }
}

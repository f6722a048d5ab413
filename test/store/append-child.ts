import { beforeOutput } from "../../lib/base/before-output.ts";
import { createMessageStore } from "../../lib/store/message-store.ts";
import { LogLines, message, smallConfig } from "./store-fixture.ts";

/**
 * Appends until it is killed: `append-child.ts ROOT SYNC_FLUSH|ASYNC_FLUSH`. Prints the number of each message once it is
 * acknowledged; body and queue follow from the number.
 */
const [root, flushDiskType] = process.argv.slice(2);
const config = smallConfig(root!, { flushDiskType: flushDiskType as "SYNC_FLUSH" | "ASYNC_FLUSH" });
const store = createMessageStore(config, {}, new LogLines());
await store.load();
store.start();
let next = 0;
for (const queueId of [0, 1, 2, 3]) next += store.getMaxOffsetInQueue("T", queueId);
process.stdout.write(`start ${next}\n`);
for (;;) {
  const acknowledged: number[] = [];
  for (let i = 0; i < 20; i++) {
    const number = next++;
    const { physicalEnd } = store.append(
      message("T", number % 4, `body of ${number}`, { TAGS: "t", KEYS: `k${number}` }),
    );
    store.awaitDurable(physicalEnd, true, () => acknowledged.push(number));
  }
  while (acknowledged.length < 20) await new Promise((resolve) => setImmediate(resolve));
  beforeOutput();
  process.stdout.write(`${acknowledged.join("\n")}\n`);
}

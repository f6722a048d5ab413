import { describe, expect, test } from "bun:test";
import type { MessageQueue } from "../../lib/client/message-queue.ts";
import { LatencyFault } from "../../lib/client/producer/latency-fault.ts";
import { PublishInfo, selectOneMessageQueue, selectQueueByHash } from "../../lib/client/producer/select-queue.ts";
import golden from "../golden/client-5.3.3.json";

function queues(...names: string[]): MessageQueue[] {
  return names.map((name) => {
    const colon = name.lastIndexOf(":");
    return { topic: "T", brokerName: name.slice(0, colon), queueId: Number(name.slice(colon + 1)) };
  });
}

const two = queues("a:0", "a:1", "b:0", "b:1");

test("a key goes to the queue that Java's selector picks", () => {
  const all = queues(...golden.selectByHashQueues);
  for (const [key, expected] of Object.entries(golden.selectByHash)) {
    const queue = selectQueueByHash(all, key);
    expect([key, `${queue?.brokerName}:${queue?.queueId}`]).toEqual([key, expected]);
  }
});

describe("choice of a queue", () => {
  test("all queues in turn", () => {
    const info = new PublishInfo("T", two, false);
    const seen = Array.from({ length: 8 }, () => selectOneMessageQueue(info, undefined, undefined, false));
    for (const queue of two) expect(seen.filter((candidate) => candidate === queue)).toHaveLength(2);
    expect(new Set(seen.slice(0, 4)).size).toBe(4);
  });

  test("not the broker that just failed, as long as there is another one", () => {
    const info = new PublishInfo("T", two, false);
    for (let i = 0; i < 10; i++) expect(selectOneMessageQueue(info, "a", undefined, true)?.brokerName).toBe("b");
    const alone = new PublishInfo("T", queues("a:0"), false);
    expect(selectOneMessageQueue(alone, "a", undefined, true)?.brokerName).toBe("a");
  });

  test("slow brokers last, unreachable ones last of all", () => {
    const fault = new LatencyFault(() => 0);
    const info = new PublishInfo("T", queues("a:0", "b:0", "c:0"), false);
    fault.update("a", 600, false, true);
    fault.update("b", 10, true, false);
    for (let i = 0; i < 6; i++) expect(selectOneMessageQueue(info, undefined, fault, false)?.brokerName).toBe("c");
    for (let i = 0; i < 6; i++) expect(selectOneMessageQueue(info, "c", fault, true)?.brokerName).toBe("a");
  });

  test("nothing from an empty route", () => {
    expect(selectOneMessageQueue(new PublishInfo("T", [], false), undefined, undefined, false)).toBeUndefined();
    expect(selectQueueByHash([], "k")).toBeUndefined();
  });
});

import { describe, expect, test } from "bun:test";
import { ProcessQueue } from "../../lib/client/consumer/process-queue.ts";
import { MessageExt } from "../../lib/client/message.ts";

function message(queueOffset: number, bytes = 10): MessageExt {
  const stored = {
    topic: "T",
    queueId: 0,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 0,
    bornHost: "1.2.3.4:5",
    storeTimestamp: 0,
    storeHost: "1.2.3.4:5",
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.alloc(bytes),
    properties: {},
    queueOffset,
    physicalOffset: queueOffset * 100,
    bodyCRC: 0,
    size: 100,
  };
  return new MessageExt(stored, "b", stored.body);
}

function filled(...offsets: number[]): { queue: ProcessQueue; messages: MessageExt[] } {
  const queue = new ProcessQueue({ topic: "T", brokerName: "b", queueId: 0 }, 0);
  const messages = offsets.map((offset) => message(offset));
  queue.put(messages);
  return { queue, messages };
}

describe("concurrent", () => {
  test("the offset to commit is the smallest one not done", () => {
    const { queue, messages } = filled(5, 6, 7, 9);
    const [five, six, seven, nine] = messages as [MessageExt, MessageExt, MessageExt, MessageExt];
    expect(queue.remove([six])).toBe(5);
    expect(queue.remove([five])).toBe(7);
    expect(queue.remove([nine])).toBe(7);
    expect(queue.remove([seven])).toBe(10);
    expect(queue.remove([seven])).toBe(-1);
    expect([queue.count, queue.bytes]).toEqual([0, 0]);
  });

  test("span, count and bytes are those of what is here", () => {
    const { queue, messages } = filled(5, 6, 105);
    expect([queue.count, queue.bytes, queue.span]).toEqual([3, 30, 100]);
    queue.remove(messages.slice(0, 2));
    expect([queue.count, queue.bytes, queue.span]).toEqual([1, 10, 0]);
  });

  test("a message that is here already changes nothing, an older one takes its place in order", () => {
    const { queue } = filled(5, 6);
    queue.put([message(6), message(3)]);
    expect([queue.count, queue.firstOffset, queue.lastOffset]).toEqual([3, 3, 6]);
  });
});

describe("orderly", () => {
  test("what was taken is committed up to its last", () => {
    const { queue } = filled(1, 2, 3);
    expect(queue.take(2).map(({ queueOffset }) => queueOffset)).toEqual([1, 2]);
    expect(queue.count).toBe(3);
    expect(queue.commit()).toBe(3);
    expect([queue.count, queue.bytes, queue.commit()]).toEqual([1, 10, -1]);
  });

  test("what comes again comes first", () => {
    const { queue } = filled(1, 2, 3);
    queue.consumeAgain(queue.take(2));
    expect(queue.take(3).map(({ queueOffset }) => queueOffset)).toEqual([1, 2, 3]);
    queue.rollback();
    expect(queue.take(1).map(({ queueOffset }) => queueOffset)).toEqual([1]);
  });

  test("a suspended batch does not take back what an earlier one left uncommitted", () => {
    const { queue } = filled(1, 2, 3);
    queue.take(1);
    queue.consumeAgain(queue.take(1));
    expect(queue.take(1).map(({ queueOffset }) => queueOffset)).toEqual([2]);
    expect(queue.commit()).toBe(3);
  });
});

test("ids of a message without UNIQ_KEY come from its place in the store", () => {
  expect(message(7).msgId).toBe("010203040000000500000000000002BC");
});

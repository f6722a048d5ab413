import { describe, expect, test } from "bun:test";
import { decodeRecord } from "../../lib/message/record.ts";
import { QueueReads } from "../../lib/store/queue-reads.ts";
import type { GetMessageResult, MessageFilter } from "../../lib/store/types.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

function reads(store: Store, root: string, overrides: object = {}, logger = new LogLines()): QueueReads {
  return new QueueReads({ ...smallConfig(root), ...overrides }, store.log, store.queues, logger);
}

/** Bodies of a result's records; releases it. */
function bodies(result: GetMessageResult): string[] {
  const all = Buffer.concat(result.ranges.map((range) => range.buffer.subarray(range.start, range.end)));
  expect(all.length).toBe(result.bytes);
  const found: string[] = [];
  for (let at = 0; at < all.length; ) {
    const record = decodeRecord(all.subarray(at))!;
    found.push(record.body.toString());
    at += record.size;
  }
  expect(found.length).toBe(result.messageCount);
  result.release();
  return found;
}

const range = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `m${from + i}`);

describe("a pull", () => {
  test("answers every case of the offset with RocketMQ's status and next offset", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    const reader = reads(store, dir.path);
    for (let i = 0; i < 1000; i++) store.append(message("T", 0, `m${i}`.padEnd(100, "x")));
    store.queues.queue("E", 0);
    store.log.files.removeFirst();
    const min = reader.getMinOffsetInQueue("T", 0);
    expect(min).toBeGreaterThan(100);
    const cases: [string, number, string, number][] = [
      ["N", 5, "NO_MATCHED_LOGIC_QUEUE", 0],
      ["E", 5, "NO_MESSAGE_IN_QUEUE", 0],
      ["T", min - 1, "OFFSET_TOO_SMALL", min],
      ["T", 1000, "OFFSET_OVERFLOW_ONE", 1000],
      ["T", 1001, "OFFSET_OVERFLOW_BADLY", 1000],
      ["T", min, "FOUND", min + 32],
      ["T", 990, "FOUND", 1000],
    ];
    for (const [topic, offset, status, next] of cases) {
      const result = await reader.getMessage(topic, 0, offset, 32, undefined);
      expect([topic, offset, result.status, result.nextBeginOffset]).toEqual([topic, offset, status, next]);
      result.release();
    }
    const slave = reads(store, dir.path, { brokerRole: "SLAVE" });
    expect((await slave.getMessage("T", 0, 1001, 32, undefined)).nextBeginOffset).toBe(1001);
    await store.shutdown();
  });

  test("gives as many records as are wanted, each in its place, and begins anew with the next pull", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { mappedFileSizeConsumeQueue: 20_000 }));
    const settings = { maxTransferCountOnMessageInMemory: 10_000, maxTransferBytesOnMessageInMemory: 10_000_000 };
    const reader = reads(store, dir.path, settings);
    for (let i = 0; i < 700; i++) for (const queueId of [0, 1]) store.append(message("T", queueId, `m${i}`));
    const first = reader.getMinOffsetInQueue("T", 0);
    for (const count of [600, 3]) {
      const result = await reader.getMessage("T", 0, first + 20, count, undefined);
      expect(result.ranges.length).toBe(count);
      expect(bodies(result)).toEqual(range(first + 20, first + 20 + count));
    }
    await store.shutdown();
  });

  test("joins neighbours of the log into one range and gives the others their own", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    const reader = reads(store, dir.path);
    for (let i = 0; i < 5; i++) store.append(message("T", 0, `m${i}`));
    store.append(message("U", 0, "other"));
    for (let i = 5; i < 8; i++) store.append(message("T", 0, `m${i}`));
    const result = (await reader.getMessage("T", 0, 0, 32, undefined)) as GetMessageResult;
    expect(result.ranges.length).toBe(2);
    expect(bodies(result)).toEqual(range(0, 8));
    await store.shutdown();
  });

  test("stays within the limits of count and bytes, but always gives the first message", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    for (let i = 0; i < 50; i++) store.append(message("T", 0, `m${i}`));
    const pull = async (overrides: object, maxMsgNums: number): Promise<number> => {
      const result = await reads(store, dir.path, overrides).getMessage("T", 0, 0, maxMsgNums, undefined);
      result.release();
      return result.messageCount;
    };
    expect(await pull({}, 100)).toBe(32);
    expect(await pull({}, 5)).toBe(5);
    expect(await pull({}, 0)).toBe(1);
    expect(await pull({ maxTransferCountOnMessageInMemory: 7 }, 100)).toBe(7);
    expect(await pull({ maxTransferBytesOnMessageInMemory: 1 }, 100)).toBe(1);
    expect(await pull({ accessMessageInMemoryMaxRatio: 0 }, 100)).toBe(8);
    expect(await pull({ accessMessageInMemoryMaxRatio: 0, maxTransferBytesOnMessageInDisk: 300 }, 100)).toBe(3);
    await store.shutdown();
  });

  test("filters by tag code, moves on behind what it looked at, and looks at no more than the limit", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { mappedFileSizeConsumeQueue: 20_000 }));
    const reader = reads(store, dir.path);
    for (let i = 0; i < 1000; i++) store.append(message("T", 0, `m${i}`, i % 10 === 0 ? { TAGS: "A" } : { TAGS: "B" }));
    const onlyA: MessageFilter = { isMatchedByConsumeQueue: (code) => code === 65 };
    const result = await reader.getMessage("T", 0, 1, 4, onlyA);
    expect(bodies(result)).toEqual(["m10", "m20", "m30", "m40"]);
    expect(result.nextBeginOffset).toBe(41);
    const none: MessageFilter = { isMatchedByConsumeQueue: () => false };
    const empty = await reader.getMessage("T", 0, 0, 32, none);
    expect([empty.status, empty.nextBeginOffset]).toEqual(["NO_MATCHED_MESSAGE", 800]);
    const fewer = await reads(store, dir.path, { maxFilterMessageSize: 100 }).getMessage("T", 0, 0, 2, none);
    expect(fewer.nextBeginOffset).toBe(5);
    await store.shutdown();
  });

  test("ends at the end of a queue file unless told to travel", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    for (let i = 0; i < 250; i++) store.append(message("T", 0, `m${i}`));
    const none: MessageFilter = { isMatchedByConsumeQueue: () => false };
    expect((await reads(store, dir.path).getMessage("T", 0, 90, 32, none)).nextBeginOffset).toBe(100);
    const far = reads(store, dir.path, { travelCqFileNumWhenGetMessage: 3 });
    expect((await far.getMessage("T", 0, 90, 32, none)).nextBeginOffset).toBe(250);
    expect(bodies(await reads(store, dir.path).getMessage("T", 0, 90, 32, undefined))).toEqual(range(90, 100));
    await store.shutdown();
  });

  test("keeps the mapping of a file that is deleted while its bytes are under way", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    const reader = reads(store, dir.path);
    for (let i = 0; i < 1000; i++) store.append(message("T", 0, `m${i}`));
    const result = (await reader.getMessage("T", 0, 0, 8, undefined)) as GetMessageResult;
    store.log.files.removeFirst();
    expect(bodies(result)).toEqual(range(0, 8));
    expect((await reader.getMessage("T", 0, 0, 8, undefined)).status).toBe("OFFSET_TOO_SMALL");
    await store.shutdown();
  });

  test("reads what is not in memory from the disk into the heap", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    for (let i = 0; i < 600; i++) {
      store.append(message("T", 0, `m${i}`));
      if (i % 7 === 0) store.append(message("U", 0, "other".padEnd(i, "x")));
    }
    const cold = new Proxy(store.log, {
      get(log, name) {
        if (name === "isInMemory") return () => false;
        const value = Reflect.get(log, name, log);
        return typeof value === "function" ? value.bind(log) : value;
      },
    });
    const reader = new QueueReads(smallConfig(dir.path), cold, store.queues, new LogLines());
    const found: string[] = [];
    for (let at = 0; at < 600; ) {
      const result = await reader.getMessage("T", 0, at, 32, undefined);
      at = result.nextBeginOffset;
      expect(result.ranges.length).toBe(1);
      found.push(...bodies(result));
    }
    expect(found).toEqual(range(0, 600));
    await store.shutdown();
  });

  test("does not deliver a record whose size is not what the queue says", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    const logger = new LogLines();
    const reader = reads(store, dir.path, {}, logger);
    for (let i = 0; i < 10; i++) store.append(message("T", 0, `m${i}`));
    const entry = reader.getQueueEntry("T", 0, 4)!;
    store.log.settle();
    store.log.files.first!.view.setInt32(entry.physicalOffset, 7);
    const first = await reader.getMessage("T", 0, 0, 32, undefined);
    expect(first.nextBeginOffset).toBe(4);
    expect(bodies(first)).toEqual(range(0, 4));
    const bad = await reader.getMessage("T", 0, 4, 32, undefined);
    expect([bad.status, bad.nextBeginOffset, bad.bytes]).toEqual(["MESSAGE_WAS_REMOVING", 5, 0]);
    bad.release();
    expect(bodies(await reader.getMessage("T", 0, 5, 32, undefined))).toEqual(range(5, 10));
    expect(logger.lines.join()).toContain("has size 7, wanted");
    await store.shutdown();
  });

  test("nor among more records than are looked at together, or in another file", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { mappedFileSizeConsumeQueue: 100_000 }));
    for (let i = 0; i < 400; i++) store.append(message("T", 0, `m${i}`));
    const reader = reads(store, dir.path, { maxTransferCountOnMessageInMemory: 1000 });
    const damaged = reader.getQueueEntry("T", 0, 390)!.physicalOffset;
    store.log.settle();
    const file = store.log.files.findByOffset(damaged)!;
    file.view.setInt32(damaged - file.fileFromOffset, 7);
    const result = await reader.getMessage("T", 0, 0, 400, undefined);
    expect([result.nextBeginOffset, result.messageCount]).toEqual([390, 390]);
    expect(bodies(result)).toEqual(range(0, 390));
    await store.shutdown();
  });
});

describe("offset by time", () => {
  test("follows RocketMQ's rules of LOWER and UPPER", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    const reader = reads(store, dir.path);
    const times = [100, 200, 200, 200, 300, 500];
    for (const time of times) {
      const { physicalOffset } = store.append(message("T", 0, "body"));
      store.log.settle();
      const file = store.log.files.findByOffset(physicalOffset)!;
      file.view.setInt32(physicalOffset - file.fileFromOffset + 56, 0);
      file.view.setInt32(physicalOffset - file.fileFromOffset + 60, time);
    }
    const at = (time: number, boundary: "LOWER" | "UPPER") => reader.getOffsetInQueueByTime("T", 0, time, boundary);
    expect(await Promise.all([50, 100, 150, 200, 201, 400, 500, 600].map((time) => at(time, "LOWER")))).toEqual([
      0, 0, 1, 1, 4, 5, 5, 6,
    ]);
    expect(await Promise.all([50, 100, 150, 200, 201, 400, 500, 600].map((time) => at(time, "UPPER")))).toEqual([
      0, 0, 0, 3, 3, 4, 5, 5,
    ]);
    expect(await reader.getOffsetInQueueByTime("N", 0, 1, "LOWER")).toBe(0);
    expect(await reader.getMessageStoreTimestamp("T", 0, 4)).toBe(300);
    expect(await reader.getMessageStoreTimestamp("T", 0, 6)).toBe(-1);
    await store.shutdown();
  });
});

test("two pulls that waited for their queues' entries each get their own records", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path, { mappedFileSizeConsumeQueue: 100_000 }));
  for (let i = 0; i < 100; i++) for (const queueId of [0, 1]) store.append(message("T", queueId, `q${queueId} m${i}`));
  for (const queueId of [0, 1]) {
    const queue = store.queues.find("T", queueId)!;
    queue.isWarm = () => false;
    queue.warm = () => Promise.resolve();
  }
  const reader = reads(store, dir.path);
  const results = await Promise.all([0, 1].map((queueId) => reader.getMessage("T", queueId, 10, 2, undefined)));
  expect(results.map(bodies)).toEqual([
    ["q0 m10", "q0 m11"],
    ["q1 m10", "q1 m11"],
  ]);
  await store.shutdown();
});

test("entries that are not in memory are read before they are looked at", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path, { mappedFileSizeConsumeQueue: 100_000 }));
  for (let i = 0; i < 6000; i++) store.append(message("T", 0, `m${i}`));
  const queue = store.queues.find("T", 0)!;
  let asked = 0;
  queue.isWarm = () => {
    asked++;
    return false;
  };
  const reader = reads(store, dir.path);
  const min = reader.getMinOffsetInQueue("T", 0);
  const result = await reader.getMessage("T", 0, min + 10, 5, undefined);
  expect(asked).toBe(1);
  expect(bodies(result)).toEqual(range(min + 10, min + 15));
  await store.shutdown();
});

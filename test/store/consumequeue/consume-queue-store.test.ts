import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../../lib/base/log.ts";
import { ConsumeQueueStore } from "../../../lib/store/consumequeue/consume-queue-store.ts";
import { EntryStage } from "../../../lib/store/consumequeue/entry-stage.ts";
import { FlushConsumeQueueService } from "../../../lib/store/consumequeue/flush-consume-queue-service.ts";
import { until } from "../../support/until.ts";

const PER_FILE = 50;
const FILE_BYTES = PER_FILE * 20;

let root: string;
let lines: string[];
let logger: Logger;
const log = { minOffset: 0, dispatchedOffset: 0, maxOffset: 0 };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-cq-"));
  lines = [];
  const add = (message: string): void => void lines.push(message);
  logger = { debug: add, info: add, warn: add, error: add };
  log.minOffset = 0;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(clean = true, stage?: EntryStage): ConsumeQueueStore {
  const settings = { storePathRootDir: root, mappedFileSizeConsumeQueue: FILE_BYTES };
  const store = new ConsumeQueueStore(settings, log, logger, undefined, stage);
  store.load();
  store.recover(clean);
  return store;
}

function fill(store: ConsumeQueueStore, topic: string, queueId: number, from: number, to: number): void {
  for (let i = from; i < to; i++) store.put(topic, queueId, i, 1000 + i * 100, 100, i % 3 === 0 ? -5 : i, 7000 + i);
}

function file(topic: string, queueId: number, number: number): string {
  return join(root, "consumequeue", topic, String(queueId), (number * FILE_BYTES).toString().padStart(20, "0"));
}

describe("entries", () => {
  test("stand in the file as RocketMQ writes them", async () => {
    const store = open();
    // TagA hashes to 2598919 in Java (store.md, consume queue).
    store.put("T", 3, 0, 0x123456789a, 200, 2598919, 1);
    store.put("T", 3, 1, 0x1234567962, 91, -2, 2);
    store.put("T", 3, 2, 0x12345679bd, 91, 1795421954742, 3);
    await store.shutdown();
    const bytes = readFileSync(file("T", 3, 0));
    expect(bytes.length).toBe(FILE_BYTES);
    expect(bytes.subarray(0, 60).toString("hex")).toBe(
      "000000123456789a000000c8000000000027a807" +
        "00000012345679620000005bfffffffffffffffe" +
        "00000012345679bd0000005b000001a2077ce2b6",
    );
    expect(bytes.subarray(60).every((byte) => byte === 0)).toBe(true);
  });

  test("survive a reopening, over several files, by both ways of recovery", async () => {
    const first = open();
    fill(first, "T", 0, 0, 3 * PER_FILE + 7);
    fill(first, "T", 1, 0, PER_FILE);
    await first.shutdown();
    for (const clean of [true, false]) {
      const store = open(clean);
      expect(store.nextOffset("T", 0)).toBe(3 * PER_FILE + 7);
      expect(store.nextOffset("T", 1)).toBe(PER_FILE);
      expect(store.find("T", 0)?.entry(3)).toEqual({ physicalOffset: 1300, size: 100, tagsCode: -5 });
      expect(store.find("T", 0)?.entry(157)).toBeUndefined();
      await store.shutdown();
    }
  });

  test("of records known already are skipped", () => {
    const store = open();
    fill(store, "T", 0, 0, 60);
    fill(store, "T", 0, 0, 70);
    expect(store.nextOffset("T", 0)).toBe(70);
    expect(store.find("T", 0)?.maxPhysical).toBe(1000 + 70 * 100);
  });

  test("start at the record's offset when the queue is new, filled up with blanks", async () => {
    const store = open();
    fill(store, "T", 0, 2 * PER_FILE + 5, 2 * PER_FILE + 8);
    const queue = store.find("T", 0);
    expect(queue?.minIndex).toBe(2 * PER_FILE + 5);
    await store.shutdown();
    expect(
      readFileSync(file("T", 0, 2))
        .subarray(0, 20)
        .toString("hex"),
    ).toBe(`${"00".repeat(8)}7fffffff${"00".repeat(8)}`);
    const again = open(false);
    expect(again.find("T", 0)?.minIndex).toBe(2 * PER_FILE + 5);
    expect(again.nextOffset("T", 0)).toBe(2 * PER_FILE + 8);
  });

  test("behind a gap keep their offset, and the gap is reported", () => {
    const store = open();
    fill(store, "T", 0, 0, 3);
    fill(store, "T", 0, 8, 9);
    expect(store.find("T", 0)?.entry(8)?.physicalOffset).toBe(1800);
    expect(lines.join("\n")).toContain("queue offset 8, wanted 3");
  });

  test("of a topic deleted and made anew start over when the log is dispatched again", () => {
    const store = open();
    fill(store, "T", 0, 0, 5);
    store.put("T", 0, 0, 9000, 50, 1, 1);
    expect(store.nextOffset("T", 0)).toBe(1);
    expect(store.find("T", 0)?.entry(0)?.physicalOffset).toBe(9000);
  });
});

describe("truncation", () => {
  test("removes what lies beyond the log's end and leaves zeros", async () => {
    const store = open();
    fill(store, "T", 0, 0, 3 * PER_FILE + 7);
    store.truncateDirty(1000 + 61 * 100);
    expect(store.nextOffset("T", 0)).toBe(61);
    expect(store.find("T", 0)?.maxPhysical).toBe(1000 + 61 * 100);
    fill(store, "T", 0, 61, 63);
    await store.shutdown();
    expect(existsSync(file("T", 0, 2))).toBe(false);
    const bytes = readFileSync(file("T", 0, 1));
    expect(bytes.subarray(13 * 20).every((byte) => byte === 0)).toBe(true);
    expect(open(false).nextOffset("T", 0)).toBe(63);
  });

  test("of files that are not mapped does the same", async () => {
    const store = open();
    fill(store, "T", 0, 0, 2 * PER_FILE + 7);
    await store.shutdown();
    const again = open();
    again.truncateDirty(1000 + 30 * 100);
    expect(again.nextOffset("T", 0)).toBe(30);
    await again.shutdown();
    expect(
      readFileSync(file("T", 0, 0))
        .subarray(600)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  test("of everything leaves a queue that goes on at its offset", () => {
    const store = open();
    fill(store, "T", 0, 0, 10);
    store.truncateDirty(0);
    expect(store.nextOffset("T", 0)).toBe(0);
    fill(store, "T", 0, 0, 4);
    expect(store.nextOffset("T", 0)).toBe(4);
  });
});

describe("recovery", () => {
  test("opens any prefix of the last file", async () => {
    const store = open();
    fill(store, "T", 0, 0, PER_FILE + 10);
    await store.shutdown();
    const whole = readFileSync(file("T", 0, 1));
    for (let bytes = 0; bytes <= 240; bytes++) {
      writeFileSync(file("T", 0, 1), whole.subarray(0, bytes));
      const cut = open(false);
      expect(cut.nextOffset("T", 0)).toBe(PER_FILE + Math.min(10, Math.floor(bytes / 20)));
      cut.truncateDirty(Number.MAX_SAFE_INTEGER);
    }
  });

  test("stops at a hole between pages and forgets what follows", async () => {
    const store = open();
    fill(store, "T", 0, 0, 40);
    await store.shutdown();
    const bytes = readFileSync(file("T", 0, 0));
    bytes.fill(0, 20 * 20, 25 * 20);
    writeFileSync(file("T", 0, 0), bytes);
    const again = open(false);
    expect(again.nextOffset("T", 0)).toBe(20);
    await again.shutdown();
    expect(
      readFileSync(file("T", 0, 0))
        .subarray(400)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  test("does not take a stale entry behind the newest for a newer one", async () => {
    const store = open();
    fill(store, "T", 0, 0, 10);
    await store.shutdown();
    const bytes = readFileSync(file("T", 0, 0));
    bytes.copy(bytes, 10 * 20, 3 * 20, 6 * 20);
    writeFileSync(file("T", 0, 0), bytes);
    expect(open(false).nextOffset("T", 0)).toBe(10);
  });

  test("puts files aside from a hole or a bad one in the middle on, and says up to where the queue is whole", async () => {
    for (const bad of [0, 1, 2])
      for (const bytes of [undefined, 0, 7, 400, FILE_BYTES + 20]) {
        rmSync(join(root, "consumequeue"), { recursive: true, force: true });
        const store = open();
        fill(store, "T", 0, 0, 3 * PER_FILE + 5);
        await store.shutdown();
        if (bytes === undefined) rmSync(file("T", 0, bad));
        else truncateSync(file("T", 0, bad), bytes);
        const again = open();
        // A first file that is missing may have been too old.
        const first = bytes === undefined && bad === 0;
        expect(again.nextOffset("T", 0)).toBe(first ? 3 * PER_FILE + 5 : bad * PER_FILE);
        expect(again.tornEnd).toBe(first ? undefined : bad === 0 ? -1 : 1000 + bad * PER_FILE * 100);
        const aside = join(root, "consumequeue/T/0/quarantine");
        expect(existsSync(aside)).toBe(!first);
        if (!first) expect(readdirSync(aside).length).toBe(bytes === undefined ? 3 - bad : 4 - bad);
        await again.shutdown();
      }
  });

  test("refuses files that all have one other size, with found and wanted", async () => {
    const store = open();
    fill(store, "T", 0, 0, 2 * PER_FILE);
    await store.shutdown();
    for (const number of [0, 1]) truncateSync(file("T", 0, number), 400);
    expect(() => open()).toThrow(`found 400 bytes, wanted ${FILE_BYTES}`);
  });

  test("drops a next file that has no entry", async () => {
    const store = open();
    fill(store, "T", 0, 0, PER_FILE);
    await store.shutdown();
    writeFileSync(file("T", 0, 1), Buffer.alloc(FILE_BYTES));
    for (const clean of [true, false]) {
      const again = open(clean);
      expect(again.nextOffset("T", 0)).toBe(PER_FILE);
      expect(again.find("T", 0)?.maxPhysical).toBe(1000 + PER_FILE * 100);
      fill(again, "T", 0, PER_FILE, PER_FILE + 1);
      expect(again.nextOffset("T", 0)).toBe(PER_FILE + 1);
      again.truncateDirty(1000 + PER_FILE * 100);
      await again.shutdown();
    }
  });
});

describe("old entries", () => {
  test("go with the log: min offset moves at once, files are given for removal, never the last", () => {
    const store = open();
    fill(store, "T", 0, 0, 3 * PER_FILE + 7);
    const queue = store.find("T", 0);
    log.minOffset = 1000 + 75 * 100 - 50;
    expect(queue?.minIndex).toBe(75);
    expect(store.detachExpired(log.minOffset)).toEqual([file("T", 0, 0)]);
    expect(queue?.minIndex).toBe(75);
    log.minOffset = 1_000_000;
    expect(queue?.minIndex).toBe(3 * PER_FILE + 7);
    expect(store.detachExpired(log.minOffset).length).toBe(2);
    expect(queue?.fileCount).toBe(1);
    expect(queue?.maxIndex).toBe(3 * PER_FILE + 7);
  });

  test("of a deleted topic are gone from the table at once and from the disk soon", async () => {
    const store = open();
    fill(store, "T", 0, 0, 10);
    fill(store, "U", 0, 0, 10);
    expect(store.destroy("T")).toBe(true);
    expect(store.nextOffset("T", 0)).toBe(0);
    fill(store, "T", 0, 0, 2);
    expect(store.nextOffset("T", 0)).toBe(2);
    await store.shutdown();
    while (readdirSync(join(root, "consumequeue")).length > 2) await new Promise((resolve) => setImmediate(resolve));
    expect(open().nextOffset("T", 0)).toBe(2);
  });
});

describe("flush", () => {
  test("moves the flushed timestamp only when thorough", async () => {
    const store = open();
    fill(store, "T", 0, 0, 10);
    await store.flush(2);
    expect(store.flushedTimestamp).toBe(0);
    expect(store.find("T", 0)?.dirtyBytes).toBe(200);
    await store.flush(0);
    expect(store.flushedTimestamp).toBe(7009);
    expect(store.find("T", 0)?.dirtyBytes).toBe(0);
    fill(store, "T", 0, 10, 11);
    expect(store.find("T", 0)?.dirty).toBe(true);
    await store.shutdown();
  });
});

test("after a failed flush the stamp stays, and closing is not in order though later flushes work", async () => {
  const store = open();
  fill(store, "T", 0, 0, 10);
  const queue = store.find("T", 0)!;
  const { flush } = queue;
  queue.flush = () => Promise.reject(new Error("EIO"));
  await expect(store.flush(0)).rejects.toThrow("EIO");
  queue.flush = flush;
  fill(store, "T", 0, 10, 20);
  await store.flush(0);
  expect(store.flushedTimestamp).toBe(0);
  await expect(store.shutdown()).rejects.toThrow("an earlier flush");
});

test("the flush clock tells the flushed timestamp after thorough flushes", async () => {
  const store = open();
  fill(store, "T", 0, 0, 10);
  const told: number[] = [];
  const clock = new FlushConsumeQueueService(
    { flushIntervalConsumeQueue: 1, flushConsumeQueueLeastPages: 2, flushConsumeQueueThoroughInterval: 0 },
    store,
    (timestamp) => void told.push(timestamp),
  );
  clock.start();
  await until(() => told.length > 0);
  fill(store, "T", 0, 10, 20);
  await until(() => told.at(-1) === 7019);
  clock.stop();
  expect(told[0]).toBe(7009);
  await store.shutdown();
});

test("no more files are mapped than allowed, and those unmapped while dirty lose nothing", async () => {
  const settings = { storePathRootDir: root, mappedFileSizeConsumeQueue: FILE_BYTES };
  const store = new ConsumeQueueStore(settings, log, logger, 40);
  for (let i = 0; i < 120; i++)
    for (let queue = 0; queue < 100; queue++) {
      store.put(`T${queue}`, 0, i, (i * 100 + queue) * 10, 10, queue, i);
      expect(store.mappedFiles).toBeLessThanOrEqual(41);
      if (i % 40 === 20 && queue === 50) await store.flush(queue % 2);
    }
  for (let queue = 0; queue < 100; queue++)
    for (const i of [0, 49, 50, 119])
      expect(store.find(`T${queue}`, 0)?.entry(i)).toEqual({
        physicalOffset: (i * 100 + queue) * 10,
        size: 10,
        tagsCode: queue,
      });
  await store.shutdown();
  const again = open(false);
  for (let queue = 0; queue < 100; queue++) expect(again.nextOffset(`T${queue}`, 0)).toBe(120);
});

test("entries of the newest records are in the files after a flush, and what only memory had is dispatched again", async () => {
  const store = open();
  fill(store, "T", 0, 0, 20);
  expect(store.find("T", 0)?.entry(19)?.physicalOffset).toBe(2900);
  fill(store, "T", 0, 20, 23);
  await store.flush(0);
  fill(store, "T", 0, 23, 28);
  // As after a kill: the files alone.
  const reopened = open(false);
  const known = reopened.find("T", 0)?.maxIndex ?? 0;
  expect(known).toBeGreaterThanOrEqual(23);
  fill(reopened, "T", 0, 20, 30);
  expect(reopened.find("T", 0)?.maxIndex).toBe(30);
  for (let i = 0; i < 30; i++) expect(reopened.find("T", 0)?.entry(i)?.physicalOffset).toBe(1000 + i * 100);
  await reopened.shutdown();
});

test("random operations agree with a model", async () => {
  const seed = Number(process.env.MQ_SEED ?? Date.now() % 1_000_000);
  let state = seed;
  const random = (bound: number): number => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * bound);
  };
  // Four slots for nine queues: some entries go into the files at once.
  let store = open(true, new EntryStage(4));
  let physical = 0;
  let minPhysical = 0;
  const model = new Map<string, { first: number; entries: { physical: number; size: number; tags: number }[] }>();
  for (let step = 0; step < 600; step++) {
    const action = random(100);
    if (action < 88) {
      const topic = `T${random(3)}`;
      const queueId = random(3);
      const queue = model.get(`${topic}-${queueId}`) ?? { first: 0, entries: [] };
      model.set(`${topic}-${queueId}`, queue);
      for (let count = 1 + random(40); count > 0; count--) {
        const size = 91 + random(500);
        const tags = random(2) === 0 ? -random(2 ** 31) : random(2 ** 40);
        store.put(topic, queueId, queue.entries.length, physical, size, tags, step);
        queue.entries.push({ physical, size, tags });
        physical += size;
      }
    } else if (action < 92) await store.flush(random(3));
    else if (action < 95) {
      await store.shutdown();
      store = open(random(2) === 0, new EntryStage(4));
    } else if (action < 97) {
      physical -= random(Math.min(physical - minPhysical, 5000) + 1);
      store.truncateDirty(physical);
      for (const queue of model.values())
        while (queue.entries.length > 0 && (queue.entries.at(-1)?.physical ?? -1) >= physical) queue.entries.pop();
      for (const queue of model.values()) {
        const last = queue.entries.at(-1);
        if (last !== undefined) physical = Math.max(physical, last.physical + last.size);
      }
    } else {
      minPhysical += random(physical - minPhysical + 1) >> 2;
      log.minOffset = minPhysical;
      for (const path of store.detachExpired(minPhysical)) rmSync(path);
    }
    for (const [name, queue] of model) {
      const [topic = "", queueId = ""] = name.split("-");
      const found = store.find(topic, Number(queueId));
      const problem = `seed ${seed} step ${step} ${name}`;
      expect(`${problem}: ${found?.maxIndex}`).toBe(`${problem}: ${queue.entries.length}`);
      const min = queue.entries.findIndex((entry) => entry.physical >= minPhysical);
      expect(`${problem}: ${found?.minIndex}`).toBe(`${problem}: ${min < 0 ? queue.entries.length : min}`);
      const at = random(queue.entries.length + 1);
      const entry = at >= (found?.firstIndex ?? 0) ? queue.entries[at] : undefined;
      expect(found?.entry(at)).toEqual(
        entry && { physicalOffset: entry.physical, size: entry.size, tagsCode: entry.tags },
      );
    }
  }
  await store.shutdown();
});

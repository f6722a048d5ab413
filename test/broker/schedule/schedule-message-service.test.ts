import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrokerContext } from "../../../lib/broker/broker-context.ts";
import { ScheduleMessageService } from "../../../lib/broker/schedule/schedule-message-service.ts";
import { BrokerStats } from "../../../lib/broker/stats/broker-stats.ts";
import { decodeStoredMessage, type StoredMessage } from "../../../lib/broker/stored-message.ts";
import { SCHEDULE_TOPIC } from "../../../lib/broker/types.ts";
import { setProperties } from "../../../lib/message/fill-from-properties.ts";
import { MessageInner } from "../../../lib/message/message-inner.ts";
import { propertiesToBytes } from "../../../lib/message/properties.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { type QuietLogger, quietLogger } from "../../support/quiet-logger.ts";
import { until } from "../../support/until.ts";

const HOST = Buffer.from([10, 0, 0, 1, 0, 0, 0x2a, 0x9f]);

let store: MemoryStore;
let logger: QuietLogger;
let root: string;
let service: ScheduleMessageService;

beforeEach(() => {
  store = new MemoryStore();
  logger = quietLogger();
  root = mkdtempSync(join(tmpdir(), "mq-schedule-"));
  mkdirSync(join(root, "config"));
  service = create();
  store.onArrive = (topic, queueId, tagsCode) => {
    if (topic === SCHEDULE_TOPIC) service.notifyArriving(queueId, tagsCode);
  };
});

afterEach(async () => {
  await service.shutdown();
  rmSync(root, { recursive: true, force: true });
});

function create(messageDelayLevel = "0s 1s 1h"): ScheduleMessageService {
  const config = {
    storePathRootDir: root,
    messageDelayLevel,
    flushDelayOffsetInterval: 10_000,
    delayOffsetUpdateVersionStep: 2,
  };
  const stats = new BrokerStats({ brokerClusterName: "c" });
  return new ScheduleMessageService({
    config: config as BrokerContext["config"],
    store: store.asMessageStore,
    stats,
    logger,
  });
}

function message(body: string, level: number, properties: Record<string, string> = {}): MessageInner {
  const inner = new MessageInner();
  inner.topic = "T";
  inner.queueId = 3;
  inner.bornTimestamp = 1000;
  inner.bornHost = HOST;
  inner.storeHost = HOST;
  inner.body = Buffer.from(body);
  inner.bodyEnd = inner.body.length;
  setProperties(inner, propertiesToBytes({ UNIQ_KEY: body, ...properties, DELAY: String(level) }));
  return inner;
}

function send(body: string, level: number, properties?: Record<string, string>): number {
  const inner = message(body, level, properties);
  service.transform(inner);
  return store.append(inner).physicalOffset;
}

function stored(topic: string, queueId: number): StoredMessage[] {
  return store.queue(topic, queueId).entries.map((entry) => {
    const bytes = store.records.get(entry.physicalOffset);
    return decodeStoredMessage({ bytes: bytes!, physicalOffset: entry.physicalOffset })!;
  });
}

const bodies = () => stored("T", 3).map(({ body }) => body.toString());

describe("transform", () => {
  test("moves a message into the queue of its level, its own place in the properties", () => {
    const inner = message("a", 2, { TAGS: "x", REAL_TOPIC: "older" });
    const before = Date.now();
    service.transform(inner);
    expect(inner.topic).toBe(SCHEDULE_TOPIC);
    expect(inner.queueId).toBe(1);
    expect(inner.tagsCode).toBeGreaterThanOrEqual(before + 1000);
    store.append(inner);
    expect({ ...stored(SCHEDULE_TOPIC, 1)[0]!.properties }).toEqual({
      UNIQ_KEY: "a",
      TAGS: "x",
      REAL_TOPIC: "T",
      REAL_QID: "3",
      DELAY: "2",
    });
    const { properties, uniqKeyStart, uniqKeyEnd } = inner;
    expect(properties.toString("utf8", uniqKeyStart, uniqKeyEnd)).toBe("a");
  });

  test("lowers a level above the highest", () => {
    const inner = message("a", 99);
    service.transform(inner);
    expect(inner.queueId).toBe(2);
    store.append(inner);
    expect(stored(SCHEDULE_TOPIC, 2)[0]!.properties.DELAY).toBe("3");
  });

  test("keeps what the broker adds behind the properties", () => {
    const inner = message("a", 1);
    inner.propertiesSuffix = Buffer.from("CLUSTER\u0001c\u0002");
    service.transform(inner);
    store.append(inner);
    expect(stored(SCHEDULE_TOPIC, 0)[0]!.properties.CLUSTER).toBe("c");
  });

  test("leaves a message without a level alone", () => {
    const inner = message("a", 0);
    service.transform(inner);
    expect(inner.topic).toBe("T");
  });
});

describe("delivery", () => {
  test("in order, under the message's own topic and queue, its properties as they are", async () => {
    service.load();
    service.start();
    for (const body of ["a", "b", "c"]) send(body, 1, { TAGS: "TagA", TIMER_DELAY_SEC: "5" });
    await until(() => bodies().length === 3);
    expect(bodies()).toEqual(["a", "b", "c"]);
    const [first] = stored("T", 3);
    expect({ ...first!.properties }).toEqual({
      UNIQ_KEY: "a",
      TAGS: "TagA",
      TIMER_DELAY_SEC: "5",
      DELAY: "1",
      REAL_TOPIC: "T",
      REAL_QID: "3",
    });
    expect(first!.bornTimestamp).toBe(1000);
    expect(first!.bornHost).toEqual(HOST);
    expect(store.queue("T", 3).entries[0]!.tagsCode).toBe(2598919);
  });

  test("a message that is not due holds up later ones of its level only", async () => {
    service.load();
    service.start();
    send("late", 3);
    send("soon", 1);
    await until(() => bodies().length === 1);
    expect(bodies()).toEqual(["soon"]);
    expect(service.offsets.offsetTable.get(3)).toBeUndefined();
  });

  test("a due time further away than the level's delay counts as now", async () => {
    const inner = message("a", 2);
    service.transform(inner);
    inner.tagsCode = Date.now() + 86_400_000;
    store.append(inner);
    service.load();
    service.start();
    await until(() => bodies().length === 1);
  });

  test("wakes up for messages that were there at the start", async () => {
    send("a", 1);
    service.load();
    service.start();
    await until(() => bodies().length === 1);
  });

  test("skips records that are missing, damaged or of another topic, and goes on", async () => {
    const missing = send("missing", 1);
    const damaged = send("damaged", 1);
    store.records.delete(missing);
    const bytes = store.records.get(damaged)!;
    bytes[90]! ^= 0xff;
    const stranger = message("stranger", 0);
    stranger.topic = "Other";
    store.append(stranger);
    store.queue(SCHEDULE_TOPIC, 0).entries.push(...store.queue("Other", 3).entries);
    send("good", 1);
    service.load();
    service.start();
    await until(() => bodies().length === 1);
    expect(bodies()).toEqual(["good"]);
    const skips = logger.lines.filter(({ message: text }) => text === "a delayed message is skipped");
    expect(skips.map(({ fields }) => fields!.offset)).toEqual([0, 1, 2]);
  });

  test("skips a message whose topic could name a path", async () => {
    const inner = message("a", 1);
    service.transform(inner);
    setProperties(inner, propertiesToBytes({ REAL_TOPIC: "../../etc", REAL_QID: "0", DELAY: "1" }));
    inner.tagsCode = 0;
    store.append(inner);
    send("good", 1);
    service.load();
    service.start();
    await until(() => bodies().length === 1);
    expect([...store.queues.keys()].some((key) => key.includes(".."))).toBe(false);
  });

  test("tries a read that failed again, and gives the record up at last", async () => {
    store.unreadable.add(send("a", 1));
    send("b", 1);
    service.load();
    service.start();
    await until(() => bodies().length === 1);
    expect(bodies()).toEqual(["b"]);
    expect(logger.lines.map((line) => line.message)).toContain("delayed messages are delivered again");
  });

  test("the offset advances only after a put that succeeded", async () => {
    service.load();
    service.start();
    send("a", 1);
    store.refusal = "SERVICE_NOT_AVAILABLE";
    await until(() => logger.lines.some((line) => line.message === "delayed messages of a level are held up"));
    expect(service.offsets.offsetTable.get(1)).toBeUndefined();
    store.refusal = undefined;
    await until(() => bodies().length === 1);
    await until(() => service.offsets.offsetTable.get(1) === 1);
    expect(logger.lines.filter((line) => line.level === "error")).toHaveLength(1);
  });
});

describe("delayOffset.json", () => {
  const path = () => join(root, "config", "delayOffset.json");

  test("is RocketMQ's shape, and read again", async () => {
    service.load();
    service.start();
    for (let i = 0; i < 4; i++) send(`m${i}`, 1);
    await until(() => service.offsets.offsetTable.get(1) === 4);
    await service.shutdown();
    await service.writeOffsets();
    const text = readFileSync(path(), "utf8");
    expect(text).toMatch(
      /^\{\n\t"dataVersion":\{\n\t\t"counter":2,\n\t\t"stateVersion":0,\n\t\t"timestamp":\d+\n\t\},\n\t"offsetTable":\{1:4\n\t\}\n\}$/,
    );
    service = create();
    service.load();
    expect(service.offsets.offsetTable.get(1)).toBe(4);
    expect(service.encode()).toContain('"offsetTable":{1:4}');
    expect(service.runtimeInfo()).toEqual({ scheduleMessageOffset_1: "4,4" });
  });

  test("an offset outside the queue is moved into it, and said", async () => {
    writeFileSync(path(), '{"offsetTable":{1:10,2:0}}');
    send("a", 1);
    const second = store.queue(SCHEDULE_TOPIC, 1);
    second.min = 7;
    service.load();
    service.start();
    expect(service.offsets.offsetTable.get(1)).toBe(1);
    expect(service.offsets.offsetTable.get(2)).toBe(7);
    expect(logger.lines.filter((line) => line.level === "warn")).toHaveLength(2);
  });

  test("an offset is not written before the log is flushed past the delivered copy", async () => {
    service.load();
    service.start();
    store.flushedWhere = 0;
    send("a", 1);
    await until(() => service.offsets.offsetTable.get(1) === 1);
    await service.offsets.persistFlushed(store);
    await service.offsets.persistFlushed(store);
    expect(() => readFileSync(path())).toThrow();
    store.flushedWhere = store.maxPhyOffset;
    await service.offsets.persistFlushed(store);
    expect(readFileSync(path(), "utf8")).toContain("{1:1");
  });

  test("offsets of copies that the last flush did not bring to the disk are not written", async () => {
    service.load();
    service.start();
    send("a", 1);
    await until(() => service.offsets.offsetTable.get(1) === 1);
    await service.offsets.persistFlushed(store);
    store.flushedWhere = 0;
    send("b", 1);
    await until(() => service.offsets.offsetTable.get(1) === 2);
    await service.shutdown();
    await service.writeOffsets();
    expect(readFileSync(path(), "utf8")).toContain("{1:1");
  });
});

test("a messageDelayLevel that cannot be read is an error that says so", () => {
  expect(() => create("1s 5x")).toThrow('read messageDelayLevel: found "1s 5x"');
});

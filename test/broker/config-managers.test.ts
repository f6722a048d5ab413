import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseFastjson } from "../../lib/base/fastjson.ts";
import { SubscriptionGroupManager } from "../../lib/broker/client/subscription-group-manager.ts";
import type { ConfigManager } from "../../lib/broker/config-manager.ts";
import { ConsumerOffsetManager } from "../../lib/broker/offset/consumer-offset-manager.ts";
import { newTopicConfig } from "../../lib/broker/topic/topic-config.ts";
import { TopicConfigManager } from "../../lib/broker/topic/topic-config-manager.ts";
import type { TopicConfig } from "../../lib/broker/types.ts";
import { type QuietLogger, quietLogger } from "../support/quiet-logger.ts";

/** A store that the Java broker wrote; test/golden/record.mjs says how. */
const ARCHIVE = join(import.meta.dir, "../golden/store.tar.gz");

let root: string;
let logger: QuietLogger;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-config-"));
  logger = quietLogger();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function settings(overrides: Record<string, unknown> = {}) {
  return {
    storePathRootDir: root,
    brokerName: "broker-a",
    brokerClusterName: "DefaultCluster",
    autoCreateTopicEnable: true,
    defaultTopicQueueNums: 8,
    clusterTopicEnable: true,
    brokerTopicEnable: true,
    traceTopicEnable: false,
    msgTraceTopicName: "RMQ_SYS_TRACE_TOPIC",
    reviveQueueNum: 8,
    timerWheelEnable: true,
    autoCreateSubscriptionGroup: true,
    enableCreateSysGroup: true,
    consumerOffsetUpdateVersionStep: 500,
    useServerSideResetOffset: true,
    ...overrides,
  };
}

const topics = (overrides = {}) => new TopicConfigManager(settings(overrides), logger);
const groups = (overrides = {}) => new SubscriptionGroupManager(settings(overrides), logger);
const offsets = (overrides = {}) => new ConsumerOffsetManager(settings(overrides), logger);

function loaded<M extends ConfigManager>(manager: M): M {
  manager.load();
  return manager;
}

function text(name: string): string {
  return readFileSync(join(root, "config", name), "utf8");
}

function logged(): string {
  return logger.lines.map((line) => `${line.level} ${line.message}`).join("\n");
}

describe("files of the Java broker", () => {
  const names = ["topics.json", "subscriptionGroup.json", "consumerOffset.json"] as const;
  const make = {
    "topics.json": topics,
    "subscriptionGroup.json": groups,
    "consumerOffset.json": offsets,
  };

  function unpack(): void {
    expect(Bun.spawnSync(["tar", "xzf", ARCHIVE, "-C", root, "--strip-components=1", "store/config"]).exitCode).toBe(0);
  }

  for (const name of names)
    test(`${name} loads and is written again with the same content`, async () => {
      unpack();
      const before = parseFastjson(text(name)) as Record<string, unknown>;
      const manager = loaded(make[name]());
      await manager.stop();
      const after = parseFastjson(text(name)) as Record<string, unknown>;
      expect(Object.keys(after)).toEqual(Object.keys(before));
      // What is built in under this test's broker name comes on top; groupTopicMap repeats offsetTable in any order.
      for (const [key, table] of Object.entries(before))
        if (key !== "groupTopicMap") expect(after[key]).toMatchObject(table as object);
    });

  test("are written in the same form, line by line", async () => {
    unpack();
    // Java lists the topics of a group in the order of their hashes.
    const lines = (name: string) =>
      new Set(
        text(name)
          .split("\n")
          .map((line) => line.replace(/\[(.*)\]/, (_, list) => list.split(",").sort().join())),
      );
    const before = lines("consumerOffset.json");
    await loaded(offsets()).stop();
    const changed = [...lines("consumerOffset.json")].filter((line) => !before.has(line));
    expect(changed).toEqual([]);
  });

  for (const name of names)
    test(`${name} cut anywhere falls back to .bak and says so`, () => {
      unpack();
      const path = join(root, "config", name);
      const whole = readFileSync(path);
      const wanted = loaded(make[name]()).encode();
      const step = Math.max(1, Math.floor(whole.length / 400));
      for (let length = 0; length < whole.length; length += step) {
        writeFileSync(path, whole.subarray(0, length));
        logger.lines.length = 0;
        expect(loaded(make[name]()).encode()).toBe(wanted);
        expect(logged()).toContain(`loaded ${path}.bak instead`);
      }
    });
});

describe("loading and writing", () => {
  test("a bad file never becomes the .bak", async () => {
    const manager = loaded(offsets());
    manager.commitOffset("c", "g", "T", 0, 5);
    await manager.stop();
    writeFileSync(`${manager.path}.bak`, text("consumerOffset.json"));
    writeFileSync(manager.path, "{broken");
    const again = loaded(offsets());
    expect(again.queryOffset("g", "T", 0)).toBe(5);
    again.commitOffset("c", "g", "T", 0, 6);
    await again.persist();
    expect(readFileSync(`${manager.path}.bak`, "utf8")).toContain("{0:5");
    again.commitOffset("c", "g", "T", 0, 7);
    await again.persist();
    expect(readFileSync(`${manager.path}.bak`, "utf8")).toContain("{0:6");
    expect(text("consumerOffset.json")).toContain("{0:7");
  });

  test("two bad files stop the start; one bad file without .bak is kept aside", () => {
    mkdirSync(join(root, "config"));
    const path = join(root, "config", "topics.json");
    writeFileSync(path, "{");
    expect(loaded(topics()).get("TBW102")?.perm).toBe(7);
    expect(readdirSync(join(root, "config")).some((name) => name.startsWith("topics.json.bad-"))).toBe(true);
    writeFileSync(path, "{");
    writeFileSync(`${path}.bak`, "\0\0\0");
    expect(() => topics().load()).toThrow("topics.json.bak");
  });

  test("nothing is written before loading has ended", async () => {
    const manager = topics();
    expect(await manager.persist()).toBe(false);
    expect(existsSync(manager.path)).toBe(false);
  });

  test("unknown members and fields come back", async () => {
    mkdirSync(join(root, "config"));
    writeFileSync(
      join(root, "config", "topics.json"),
      '{"dataVersion":{"counter":3,"stateVersion":0,"timestamp":9},"future":{"a":[1]},"topicConfigTable":{"T":{"topicName":"T","perm":"6","later":7}}}',
    );
    writeFileSync(
      join(root, "config", "subscriptionGroup.json"),
      '{"subscriptionGroupTable":{"g":{"groupName":"g","retryMaxTimes":3,"groupRetryPolicy":{"type":"EXPONENTIAL"},"x":1}}}',
    );
    const manager = loaded(topics());
    expect(manager.get("T")).toEqual(newTopicConfig("T"));
    await manager.stop();
    expect(text("topics.json")).toContain('"later":7');
    expect(text("topics.json")).toContain('"future"');
    const group = loaded(groups());
    expect(group.findSubscriptionGroupConfig("g")?.rest).toEqual({ groupRetryPolicy: { type: "EXPONENTIAL" }, x: 1 });
    await group.stop();
    expect(text("subscriptionGroup.json")).toContain('"x":1');
  });

  test("changes of one turn make one file; a write that fails is reported once and once when it works again", async () => {
    const manager = loaded(groups());
    mkdirSync(manager.path, { recursive: true });
    manager.findSubscriptionGroupConfig("a");
    expect(await manager.persist()).toBe(false);
    manager.findSubscriptionGroupConfig("b");
    expect(await manager.persist()).toBe(false);
    expect(logger.lines.filter((line) => line.level === "error").length).toBe(1);
    rmSync(manager.path, { recursive: true });
    expect(await manager.persist()).toBe(true);
    expect(logged()).toContain("can be written again");
    expect(readdirSync(join(root, "config")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

test("a large table is encoded in slices to the text that one go gives", async () => {
  const empty = loaded(offsets());
  empty.commitOffset("c", "g", "T", 0, 1);
  empty.offsetTable.clear();
  expect(await empty.persist()).toBe(true);
  expect(text("consumerOffset.json")).toBe(empty.encode(true));
  const manager = loaded(offsets());
  for (let i = 0; i < 1003; i++)
    for (const queueId of [0, 5]) manager.commitOffset("c", `g${i % 7}`, `T${i}`, queueId, i);
  expect(await manager.persist()).toBe(true);
  expect(text("consumerOffset.json")).toBe(manager.encode(true));
  const many = loaded(topics());
  for (let i = 0; i < 401; i++) many.createTopicInSendMessageMethod(`T${i}`, "TBW102", "c", 4, 0);
  expect(await many.persist()).toBe(true);
  expect(text("topics.json")).toBe(many.encode(true));
});

describe("topics", () => {
  test("built in ones have RocketMQ's queues and permissions", () => {
    const { table } = topics();
    const found = [...table.values()].map((t) => `${t.topicName} ${t.readQueueNums} ${t.writeQueueNums} ${t.perm}`);
    expect(found.sort()).toEqual(
      [
        "BenchmarkTest 1024 1024 6",
        "DefaultCluster 16 16 7",
        "DefaultCluster_REPLY_TOPIC 1 1 6",
        "OFFSET_MOVED_EVENT 1 1 6",
        "RMQ_SYS_TRANS_HALF_TOPIC 1 1 6",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC 1 1 6",
        "SCHEDULE_TOPIC_XXXX 18 18 6",
        "SELF_TEST_TOPIC 1 1 6",
        "TBW102 8 8 7",
        "broker-a 1 1 7",
        "rmq_sys_REVIVE_LOG_DefaultCluster 8 8 6",
        "rmq_sys_SYNC_BROKER_MEMBER_broker-a 1 1 1",
        "rmq_sys_wheel_timer 1 1 6",
      ].sort(),
    );
  });

  test("are created on the first message from the default topic", () => {
    const manager = loaded(topics());
    const told: TopicConfig[][] = [];
    manager.onChange = (changed) => void told.push(changed);
    const before = manager.dataVersion.counter;
    const topic = manager.createTopicInSendMessageMethod("T", "TBW102", "1.1.1.1:1", 4, 0);
    expect(topic).toEqual(newTopicConfig("T", { readQueueNums: 4, writeQueueNums: 4, perm: 6 }));
    expect(manager.createTopicInSendMessageMethod("U", "TBW102", "1.1.1.1:1", 99, 1)?.writeQueueNums).toBe(8);
    expect(manager.createTopicInSendMessageMethod("V", "TBW102", "1.1.1.1:1", -3, 0)?.writeQueueNums).toBe(0);
    expect(told.map((changed) => changed.map((t) => t.topicName))).toEqual([["T"], ["U"], ["V"]]);
    expect(manager.dataVersion.counter).toBe(before + 3);
  });

  test("are not created when the default topic is missing or does not inherit, which is logged once a topic", () => {
    const manager = loaded(topics({ autoCreateTopicEnable: false }));
    expect(manager.createTopicInSendMessageMethod("T", "TBW102", "1.1.1.1:1", 4, 0)).toBeUndefined();
    manager.createTopicInSendMessageMethod("T", "TBW102", "1.1.1.1:1", 4, 0);
    expect(manager.createTopicInSendMessageMethod("U", "SELF_TEST_TOPIC", "1.1.1.1:1", 4, 0)).toBeUndefined();
    expect(logger.lines.map((line) => line.message)).toEqual([
      "topic T is not created for 1.1.1.1:1: the default topic TBW102 does not exist",
      "topic U is not created for 1.1.1.1:1: the default topic SELF_TEST_TOPIC has permission 6",
    ]);
  });

  test("TBW102 of earlier times gives nothing on once automatic creation is off", async () => {
    await loaded(topics()).stop();
    const manager = loaded(topics({ autoCreateTopicEnable: false }));
    expect(manager.get("TBW102")?.perm).toBe(6);
    expect(manager.createTopicInSendMessageMethod("T", "TBW102", "c", 4, 0)).toBeUndefined();
  });

  test("attributes are changed by + and -, and refused in RocketMQ's words", async () => {
    const manager = loaded(topics());
    const update = (attributes: Record<string, string>) =>
      manager.updateTopicConfig(newTopicConfig("T", { attributes }));
    expect(await update({ "+message.type": "FIFO" })).toBe(true);
    expect(manager.get("T")?.attributes).toEqual({ "message.type": "FIFO" });
    await update({});
    expect(manager.get("T")?.attributes).toEqual({ "message.type": "FIFO" });
    expect(() => update({ "+queue.type": "BatchCQ" })).toThrow(
      "attempt to update an unchangeable attribute. key: queue.type",
    );
    expect(() => update({ "+nothing": "1" })).toThrow("unsupported key: nothing");
    expect(() => update({ "+message.type": "ODD" })).toThrow("value is not in set");
    await update({ "-message.type": "" });
    expect(manager.get("T")?.attributes).toEqual({});
    expect(manager.isSystemTopic("broker-a")).toBe(true);
    expect(manager.isSystemTopic("T")).toBe(false);
  });

  test("deleted ones stay deleted after a restart", async () => {
    const manager = loaded(topics());
    await manager.updateTopicConfig(newTopicConfig("T"));
    await manager.deleteTopicConfig("T");
    await manager.stop();
    expect(loaded(topics()).get("T")).toBeUndefined();
    expect(existsSync(`${manager.path}.bak`)).toBe(true);
  });
});

describe("groups", () => {
  test("are created on first use only where that is allowed and the name is good", () => {
    expect(loaded(groups()).findSubscriptionGroupConfig("g")?.retryMaxTimes).toBe(16);
    expect(loaded(groups()).findSubscriptionGroupConfig("g b")).toBeUndefined();
    const closed = loaded(groups({ autoCreateSubscriptionGroup: false }));
    expect(closed.findSubscriptionGroupConfig("g")).toBeUndefined();
    expect(closed.findSubscriptionGroupConfig("CID_RMQ_SYS_X")).toBeDefined();
    expect(closed.findSubscriptionGroupConfig("TOOLS_CONSUMER")).toBeDefined();
  });

  test("forbidden bits are kept per topic", async () => {
    const manager = loaded(groups());
    await manager.updateForbidden("g", "T", 2);
    await manager.updateForbidden("g", "U", 1);
    await manager.updateForbidden("g", "U", 0);
    await manager.stop();
    const again = loaded(groups());
    expect(again.isForbidden("g", "T", 1)).toBe(true);
    expect(again.forbidden("g", "U")).toBe(0);
  });
});

describe("offsets", () => {
  test("lower ones are taken and logged with the client and both values", () => {
    const manager = loaded(offsets());
    manager.commitOffset("1.1.1.1:5", "g", "T", 3, 10);
    manager.commitOffset("1.1.1.1:5", "g", "T", 3, 4);
    expect(manager.queryOffset("g", "T", 3)).toBe(4);
    expect(logged()).toContain("1.1.1.1:5 commits offset 4 for T@g queue 3, below the stored 10");
    for (let i = 0; i < 500; i++) manager.commitOffset("c", "g", "T", 3, 9);
    expect(logger.lines.length).toBe(1);
    expect(manager.dataVersion.counter).toBe(1);
  });

  test("a reset comes first until the client was told", () => {
    const manager = loaded(offsets());
    manager.assignResetOffset("T", "g", 0, 42);
    manager.commitOffset("c", "g", "T", 0, 50);
    expect(manager.queryOffset("g", "T", 0)).toBe(42);
    expect(manager.hasOffsetReset("T", "g", 0)).toBe(true);
    expect(manager.queryThenEraseResetOffset("T", "g", 0)).toBe(42);
    expect(manager.queryThenEraseResetOffset("T", "g", 0)).toBeUndefined();
    expect(manager.queryOffset("g", "T", 0)).toBe(50);
  });

  test("beyond the queue's end are set to it at start, and logged", () => {
    const manager = loaded(offsets());
    manager.commitOffset("c", "g", "T", 0, 50);
    manager.commitOffset("c", "g", "U", 1, 7);
    expect(manager.clampToQueueMax((topic) => (topic === "T" ? 30 : undefined))).toBe(1);
    expect(manager.queryOffset("g", "T", 0)).toBe(30);
    expect(manager.queryOffset("g", "U", 1)).toBe(7);
    expect(logged()).toContain("offset of T@g queue 0 was 50, beyond the queue's end 30");
  });

  test("are found by group and by topic, cloned and removed", () => {
    const manager = loaded(offsets());
    manager.commitOffset("c", "g", "T", 0, 5);
    manager.commitOffset("c", "h", "T", 0, 3);
    manager.commitOffset("c", "g", "U", 0, 1);
    expect([...manager.whichTopicByConsumer("g")]).toEqual(["T", "U"]);
    expect([...manager.whichGroupByTopic("T")]).toEqual(["g", "h"]);
    expect(manager.queryMinOffsetInAllGroup("T", new Set(["x"]), () => 0)).toEqual(new Map([[0, 3]]));
    manager.cloneOffset("g", "k", "T");
    expect(manager.queryOffset("k", "T", 0)).toBe(5);
    manager.cleanOffsetByTopic("T");
    manager.removeOffset("g");
    expect(manager.offsetTable.size).toBe(0);
  });
});

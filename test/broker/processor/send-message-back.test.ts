import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { decodeStoredMessage, type StoredMessage } from "../../../lib/broker/stored-message.ts";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient } from "../../../lib/remoting/types.ts";
import { until } from "../../support/until.ts";
import { BrokerFixture, sendRequest } from "../support/broker-fixture.ts";

let fixture: BrokerFixture;
let client: RemotingClient;

beforeAll(async () => {
  fixture = await BrokerFixture.start({ messageDelayLevel: "0s 1h 1h 1h 1h" });
  client = fixture.client();
});

afterAll(() => fixture.close());

/** Sends a message and returns its server id and commit-log offset. */
async function send(body: string): Promise<{ msgId: string; offset: number }> {
  const request = sendRequest({ topic: "T", body, properties: { UNIQ_KEY: body, TAGS: "TagA", KEYS: "k" } });
  const { ext } = await client.invoke(fixture.address, request, 5000);
  const msgId = ext.msgId ?? "";
  return { msgId, offset: Number.parseInt(msgId.slice(16), 16) };
}

const back = (offset: number, change: Record<string, string | number> = {}) =>
  client.invoke(
    fixture.address,
    {
      code: RequestCode.CONSUMER_SEND_MSG_BACK,
      ext: { offset, group: "G", delayLevel: 0, originTopic: "T", unitMode: false, ...change },
    },
    5000,
  );

async function stored(topic: string, queueId: number): Promise<StoredMessage[]> {
  const { store } = fixture.broker.context;
  const messages: StoredMessage[] = [];
  for (let at = 0; at < store.getMaxOffsetInQueue(topic, queueId); at++) {
    const record = await store.readRecord(store.getQueueEntry(topic, queueId, at)!.physicalOffset);
    messages.push(decodeStoredMessage(record!)!);
  }
  return messages;
}

const last = async (topic: string, queueId: number) => (await stored(topic, queueId)).at(-1)!;

test("the first retry waits at level 3, each further one a level more", async () => {
  const { msgId, offset } = await send("first");
  expect((await back(offset)).code).toBe(0);
  const waiting = await last("SCHEDULE_TOPIC_XXXX", 2);
  expect({ ...waiting.properties }).toMatchObject({
    UNIQ_KEY: "first",
    TAGS: "TagA",
    KEYS: "k",
    RETRY_TOPIC: "T",
    ORIGIN_MESSAGE_ID: msgId,
    DELAY: "3",
    WAIT: "false",
    REAL_TOPIC: "%RETRY%G",
    REAL_QID: "0",
  });
  expect(waiting.reconsumeTimes).toBe(1);
  expect(waiting.body.toString()).toBe("first");
  expect((await back(waiting.physicalOffset)).code).toBe(0);
  const again = await last("SCHEDULE_TOPIC_XXXX", 3);
  expect(again.reconsumeTimes).toBe(2);
  expect(again.properties.ORIGIN_MESSAGE_ID).toBe(msgId);
  expect(fixture.broker.context.topics.get("%RETRY%G")).toMatchObject({ readQueueNums: 1, perm: 6 });
});

test("a level of 0 s brings it back to the retry topic at once", async () => {
  const { offset } = await send("soon");
  expect((await back(offset, { delayLevel: 1 })).code).toBe(0);
  await until(() => fixture.broker.context.store.getMaxOffsetInQueue("%RETRY%G", 0) > 0);
  const message = await last("%RETRY%G", 0);
  expect(message.body.toString()).toBe("soon");
  expect(message.reconsumeTimes).toBe(1);
});

describe("dead letters", () => {
  test.each([
    ["retried often enough", { maxReconsumeTimes: 0 }],
    ["told so by a negative level", { delayLevel: -1 }],
  ])("%s", async (name, change) => {
    const { offset } = await send(name as string);
    expect((await back(offset, change as Record<string, number>)).code).toBe(0);
    const dead = await last("%DLQ%G", 0);
    expect(dead.body.toString()).toBe(name as string);
    expect(dead.properties.RETRY_TOPIC).toBe("T");
    expect(fixture.logger.find("warn", "a message went to the dead-letter topic").at(-1)?.fields).toMatchObject({
      topic: "%DLQ%G",
      originTopic: "T",
      uniqKey: name,
    });
  });
});

describe("refused", () => {
  test("a group that cannot be, or that nobody may create", async () => {
    const { offset } = await send("x");
    expect(await back(offset, { group: "../x" })).toMatchObject({ code: 26 });
    fixture.broker.context.config.autoCreateSubscriptionGroup = false;
    expect(await back(offset, { group: "unknown" })).toMatchObject({
      code: 26,
      remark: "subscription group not exist, unknown",
    });
    fixture.broker.context.config.autoCreateSubscriptionGroup = true;
  });

  test("a place where no message is", async () => {
    const refused = await back(3);
    expect(refused.code).toBe(1);
    expect(refused.remark).toStartWith("look message by offset failed, 3: the commit log holds 0 to ");
    expect((await back(-5)).code).toBe(1);
  });

  test("a broker or retry topic without write permission", async () => {
    const { offset } = await send("y");
    const { config, topics } = fixture.broker.context;
    config.brokerPermission = 4;
    expect((await back(offset)).code).toBe(16);
    config.brokerPermission = 6;
    topics.get("%RETRY%G")!.perm = 4;
    expect((await back(offset)).remark).toContain("the topic[%RETRY%G] sending message is forbidden");
    topics.get("%RETRY%G")!.perm = 6;
  });

  test("a group without retry queues takes it and drops it", async () => {
    const { groups, store } = fixture.broker.context;
    groups.findSubscriptionGroupConfig("NoRetry")!.retryQueueNums = 0;
    const { offset } = await send("z");
    const before = store.maxPhyOffset;
    expect((await back(offset, { group: "NoRetry" })).code).toBe(0);
    expect(store.maxPhyOffset).toBe(before);
  });
});

test.each([
  ["SYNC_FLUSH", {}],
  ["a transient store", { transientStorePoolEnable: true, transientStorePoolSize: 2, commitIntervalCommitLog: 20 }],
] as const)("with %s delayed messages come due too, by themselves", async (_name, overrides) => {
  const flushDiskType = "transientStorePoolEnable" in overrides ? "ASYNC_FLUSH" : "SYNC_FLUSH";
  const other = await BrokerFixture.start({ messageDelayLevel: "0s", flushDiskType, ...overrides });
  const { store } = other.broker.context;
  for (const body of ["a", "b", "c"])
    await other.client().invoke(other.address, sendRequest({ topic: "T", body, properties: { DELAY: "1" } }), 5000);
  await until(() => store.getMaxOffsetInQueue("T", 0) === 3);
  await other.close();
});

test("delayed messages and their offsets are there after a restart", async () => {
  const { offset } = await send("late");
  expect((await back(offset, { delayLevel: 5 })).code).toBe(0);
  const delivered = fixture.broker.context.schedule.offsets.offsetTable.get(1);
  expect(delivered).toBeGreaterThan(0);
  await fixture.restart();
  client = fixture.client();
  expect(fixture.broker.context.schedule.offsets.offsetTable.get(1)).toBe(delivered!);
  expect((await last("SCHEDULE_TOPIC_XXXX", 4)).body.toString()).toBe("late");
  const { store } = fixture.broker.context;
  expect(store.getMaxOffsetInQueue("%RETRY%G", 0)).toBe(1);
});

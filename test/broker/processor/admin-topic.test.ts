import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient } from "../../../lib/remoting/types.ts";
import { BrokerFixture, bodyText, sendRequest } from "../support/broker-fixture.ts";

let fixture: BrokerFixture;
let client: RemotingClient;

beforeAll(async () => {
  fixture = await BrokerFixture.start();
  client = fixture.client();
});

afterAll(() => fixture.close());

type Ext = Record<string, string | number | boolean | undefined>;

const ask = (code: number, ext: Ext = {}, body?: string) => client.invoke(fixture.address, { code, ext, body }, 5000);

const create = (topic: string, change: Ext = {}) =>
  ask(RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic,
    defaultTopic: "TBW102",
    readQueueNums: 4,
    writeQueueNums: 4,
    perm: 6,
    topicFilterType: "SINGLE_TAG",
    topicSysFlag: 0,
    order: false,
    ...change,
  });

describe("create", () => {
  test("is in the table, on disk, and the same again changes nothing", async () => {
    expect((await create("Made", { attributes: "+message.type=FIFO" })).code).toBe(0);
    const version = { ...fixture.broker.context.topics.dataVersion };
    expect((await create("Made")).code).toBe(0);
    expect(fixture.broker.context.topics.dataVersion).toEqual(version);
    expect(readFileSync(join(fixture.folder, "config", "topics.json"), "utf8")).toContain('"Made":{');
    const got = await ask(RequestCode.GET_TOPIC_CONFIG, { topic: "Made", lo: true });
    expect(bodyText(got)).toBe(
      '{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"Made","topicSysFlag":0,"writeQueueNums":4}',
    );
  });

  test.each([
    ["", {}, "The specified topic is blank."],
    ["../../etc/passwd", {}, "contains illegal characters"],
    ["a/b", {}, "contains illegal characters"],
    ["x".repeat(128), {}, "is longer than topic max length"],
    ["TBW102", {}, "is conflict with system topic"],
    ["Huge", { readQueueNums: 2_000_000_000 }, "readQueueNums of topic Huge is 2000000000, wanted 0 to 65536"],
    ["Negative", { writeQueueNums: -1 }, "writeQueueNums of topic Negative is -1"],
    ["Perm", { perm: 64 }, "perm of topic Perm is 64"],
    ["Mixed", { attributes: "+message.type=MIXED" }, "MIXED message type is not supported."],
  ])("%p %p is refused", async (topic, change, remark) => {
    const refused = await create(topic as string, change as Ext);
    expect(refused.code).toBe(29);
    expect(refused.remark).toContain(remark as string);
    expect(fixture.broker.context.topics.get(topic as string)?.readQueueNums ?? 8).toBe(8);
  });

  test("attributes that cannot be are refused in RocketMQ's words", async () => {
    expect(await create("Attr", { attributes: "cleanup.policy=DELETE" })).toMatchObject({
      code: 1,
      remark: "add/alter attribute format is wrong: cleanup.policy",
    });
    expect(await create("Attr", { attributes: "+cleanup.policy=NEVER" })).toMatchObject({ code: 1 });
  });

  test("a header without its fields is refused with the field's name", async () => {
    const refused = await ask(RequestCode.UPDATE_AND_CREATE_TOPIC, { topic: "X" });
    expect(refused.code).toBe(1);
    expect(refused.remark).toContain("readQueueNums");
  });

  test("a list is all or nothing", async () => {
    const list = [{ topicName: "L1" }, { topicName: "bad/name" }];
    expect(
      (await ask(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, {}, JSON.stringify({ topicConfigList: list }))).code,
    ).toBe(29);
    expect(fixture.broker.context.topics.get("L1")).toBeUndefined();
    list[1]!.topicName = "L2";
    expect(
      (await ask(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, {}, JSON.stringify({ topicConfigList: list }))).code,
    ).toBe(0);
    expect(fixture.broker.context.topics.get("L2")?.readQueueNums).toBe(16);
  });

  test("a body that is no list is refused", async () => {
    for (const body of ["", "{", '{"topicConfigList":7}', '{"topicConfigList":[{}]}'])
      expect((await ask(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, {}, body)).code).toBe(1);
  });
});

describe("delete", () => {
  test("takes queues, offsets and counters along", async () => {
    const { context } = fixture.broker;
    await client.invoke(fixture.address, sendRequest({ topic: "Doomed" }), 5000);
    context.offsets.commitOffset("test", "G", "Doomed", 0, 1);
    const queues = join(fixture.folder, "consumequeue", "Doomed");
    expect(existsSync(queues)).toBe(true);
    expect((await ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic: "Doomed" })).code).toBe(0);
    expect(context.topics.get("Doomed")).toBeUndefined();
    expect(context.offsets.queryOffset("G", "Doomed", 0)).toBe(-1);
    expect(context.stats.item("TOPIC_PUT_NUMS", "Doomed")).toBeUndefined();
    expect(existsSync(queues)).toBe(false);
  });

  test.each(["", "SCHEDULE_TOPIC_XXXX", "DefaultCluster", "..", "%RETRY%../x"])("%p is refused", async (topic) => {
    expect((await ask(RequestCode.DELETE_TOPIC_IN_BROKER, { topic })).code).toBe(29);
    expect(existsSync(join(fixture.folder, "config"))).toBe(true);
  });
});

describe("tables", () => {
  test("all topics, with the versions that a slave compares", async () => {
    const all = await ask(RequestCode.GET_ALL_TOPIC_CONFIG);
    expect(all.ext.totalTopicNum).toBe(String(fixture.broker.context.topics.table.size));
    const body = JSON.parse(bodyText(all));
    expect(Object.keys(body)).toEqual([
      "dataVersion",
      "mappingDataVersion",
      "topicConfigTable",
      "topicQueueMappingDetailMap",
      "topicQueueMappingInfoMap",
    ]);
    expect(body.topicConfigTable.TBW102.perm).toBe(7);
  });

  test("offsets of every queue, with objects as keys", async () => {
    await create("Stats");
    await client.invoke(fixture.address, sendRequest({ topic: "Stats", queueId: 1 }), 5000);
    const { body } = await ask(RequestCode.GET_TOPIC_STATS_INFO, { topic: "Stats" });
    const text = body!.toString();
    expect(text).toStartWith(
      '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"Stats"}:{"lastUpdateTimestamp":0,',
    );
    expect(text).toMatch(/"queueId":1,"topic":"Stats"\}:\{"lastUpdateTimestamp":\d{13},"maxOffset":1,"minOffset":0\}/);
    expect(text).toEndWith('"topicPutTps":0.0}');
  });

  test("an unknown topic is 17, an impossible one 29", async () => {
    for (const code of [RequestCode.GET_TOPIC_STATS_INFO, RequestCode.GET_TOPIC_CONFIG]) {
      expect(await ask(code, { topic: "Nowhere" })).toMatchObject({ code: 17, remark: "topic[Nowhere] not exist" });
      expect((await ask(code, { topic: "../x" })).code).toBe(29);
    }
  });

  test("system topics of this broker", async () => {
    const { topicList } = JSON.parse(bodyText(await ask(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER)));
    expect(topicList).toContain("broker-a");
    expect(topicList).toContain("RMQ_SYS_TRANS_HALF_TOPIC");
    expect(topicList).not.toContain("Made");
  });

  test("queues of unknown topics are cleaned", async () => {
    expect((await ask(RequestCode.CLEAN_UNUSED_TOPIC)).code).toBe(0);
    expect(fixture.broker.context.store.getMaxOffsetInQueue("Stats", 1)).toBe(1);
  });
});

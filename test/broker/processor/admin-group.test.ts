import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient } from "../../../lib/remoting/types.ts";
import { BrokerFixture, bodyText, heartbeatRequest, sendRequest } from "../support/broker-fixture.ts";

let fixture: BrokerFixture;
let client: RemotingClient;

beforeAll(async () => {
  fixture = await BrokerFixture.start();
  client = fixture.client();
  for (let i = 0; i < 3; i++) await client.invoke(fixture.address, sendRequest({ topic: "T", queueId: 0 }), 5000);
});

afterAll(() => fixture.close());

type Ext = Record<string, string | number | boolean | undefined>;

const ask = (code: number, ext: Ext = {}, body?: string) => client.invoke(fixture.address, { code, ext, body }, 5000);

const MQ0 = '{"brokerName":"broker-a","queueId":0,"topic":"T"}';

describe("groups", () => {
  test("create, read back, list, delete with offsets", async () => {
    const group = { groupName: "made", retryMaxTimes: 3, somethingNew: [1] };
    expect((await ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, JSON.stringify(group))).code).toBe(0);
    const got = JSON.parse(bodyText(await ask(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: "made" })));
    expect(got).toMatchObject({ groupName: "made", retryMaxTimes: 3, retryQueueNums: 1, somethingNew: [1] });
    const all = await ask(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
    expect(all.ext.totalGroupNum).toBe(String(fixture.broker.context.groups.table.size));
    expect(JSON.parse(bodyText(all)).subscriptionGroupTable.made.retryMaxTimes).toBe(3);
    fixture.broker.context.offsets.commitOffset("test", "made", "T", 0, 1);
    const gone = await ask(RequestCode.DELETE_SUBSCRIPTIONGROUP, { groupName: "made", cleanOffset: true });
    expect(gone.code).toBe(0);
    expect(fixture.broker.context.offsets.queryOffset("made", "T", 0)).toBe(-1);
    expect((await ask(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, { group: "made" })).code).toBe(26);
  });

  test("a list", async () => {
    const body = JSON.stringify({ groupConfigList: [{ groupName: "l1" }, { groupName: "l2" }] });
    expect((await ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, {}, body)).code).toBe(0);
    expect(fixture.broker.context.groups.table.has("l2")).toBe(true);
  });

  test.each([
    ['{"groupName":"a/b"}', 29],
    ['{"groupName":"x","retryQueueNums":5000}', 29],
    ['{"groupName":"x","attributes":{"+no.such":"1"}}', 1],
    ["{}", 1],
    ["{", 1],
  ])("%p is refused", async (body, code) => {
    expect((await ask(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, body)).code).toBe(code);
    expect(fixture.broker.context.groups.table.has("x")).toBe(false);
  });

  test("a topic is closed to a group and opened again", async () => {
    const forbid = (readable?: boolean) =>
      ask(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, { group: "l1", topic: "T", readable });
    expect(bodyText(await forbid())).toBe('{"group":"l1","readable":true,"topic":"T"}');
    expect(bodyText(await forbid(false))).toBe('{"group":"l1","readable":false,"topic":"T"}');
    expect(fixture.broker.context.groups.isForbidden("l1", "T", 2)).toBe(true);
    expect(bodyText(await forbid(true))).toContain('"readable":true');
  });
});

describe("who consumes", () => {
  test("connections, subscriptions, topics and groups", async () => {
    await client.invoke(fixture.address, heartbeatRequest("id1", "online", "T", "A || B"), 5000);
    const online = JSON.parse(
      bodyText(await ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: "online" })),
    );
    expect(online).toMatchObject({
      connectionSet: [{ clientId: "id1", language: "JAVA", version: 479 }],
      consumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
      consumeType: "CONSUME_PASSIVELY",
      messageModel: "CLUSTERING",
    });
    expect(online.subscriptionTable.T).toMatchObject({ subString: "A || B", expressionType: "TAG", topic: "T" });
    const producers = JSON.parse(
      bodyText(await ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: "PG" })),
    );
    expect(producers.connectionSet).toHaveLength(1);
    const info = JSON.parse(bodyText(await ask(RequestCode.GET_ALL_PRODUCER_INFO)));
    expect(info.data.PG[0]).toMatchObject({ clientId: "id1", language: "JAVA", version: 479 });
    fixture.broker.context.offsets.commitOffset("test", "offline", "T", 0, 2);
    const { groupList } = JSON.parse(bodyText(await ask(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic: "T" })));
    expect(groupList.sort()).toEqual(["offline", "online"]);
    expect(bodyText(await ask(RequestCode.QUERY_TOPICS_BY_CONSUMER, { group: "offline" }))).toBe(
      `{"brokerAddr":"${fixture.address}","topicList":["T"]}`,
    );
    const subscription = await ask(RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, { group: "online", topic: "T" });
    expect(JSON.parse(bodyText(subscription)).subscriptionData.subString).toBe("A || B");
  });

  test("nobody there is 206, an unknown producer group 1", async () => {
    expect(await ask(RequestCode.GET_CONSUMER_CONNECTION_LIST, { consumerGroup: "nobody" })).toMatchObject({
      code: 206,
      remark: "the consumer group[nobody] not online",
    });
    expect((await ask(RequestCode.GET_PRODUCER_CONNECTION_LIST, { producerGroup: "nobody" })).code).toBe(1);
  });
});

describe("progress", () => {
  test("of one group", async () => {
    const text = bodyText(await ask(RequestCode.GET_CONSUME_STATS, { consumerGroup: "offline", topic: "T" }));
    expect(text).toStartWith(
      `{"consumeTps":0.0,"offsetTable":{${MQ0}:{"brokerOffset":3,"consumerOffset":2,"lastTimestamp":1`,
    );
    expect(text).toContain('"pullOffset":2}');
  });

  test("of all groups", async () => {
    fixture.broker.context.groups.findSubscriptionGroupConfig("offline");
    const text = bodyText(await ask(RequestCode.GET_BROKER_CONSUME_STATS, { isOrder: false }));
    expect(text).toContain(`"brokerAddr":"${fixture.address}"`);
    expect(text).toContain(`{"offline":[{"consumeTps":0.0,"offsetTable":{${MQ0}:{"brokerOffset":3,"consumerOffset":2,`);
    expect(text).toEndWith('"totalDiff":1,"totalInflightDiff":0}');
    expect((await ask(RequestCode.GET_BROKER_CONSUME_STATS)).code).toBe(1);
  });

  test("in time", async () => {
    const span = JSON.parse(bodyText(await ask(RequestCode.QUERY_CONSUME_TIME_SPAN, { topic: "T", group: "offline" })));
    const [first] = span.consumeTimeSpanSet;
    expect(first.messageQueue).toEqual({ brokerName: "broker-a", queueId: 0, topic: "T" });
    expect(first.maxTimeStamp).toBeGreaterThanOrEqual(first.minTimeStamp);
    expect(first.minTimeStampStr).toMatch(/^\d{4}-\d\d-\d\d#\d\d:\d\d:\d\d:\d{3}$/);
  });
});

describe("offsets", () => {
  test("max, min, earliest time, by time", async () => {
    const queue = { topic: "T", queueId: 0 };
    expect((await ask(RequestCode.GET_MAX_OFFSET, queue)).ext.offset).toBe("3");
    expect((await ask(RequestCode.GET_MIN_OFFSET, queue)).ext.offset).toBe("0");
    const earliest = Number((await ask(RequestCode.GET_EARLIEST_MSG_STORETIME, queue)).ext.timestamp);
    expect(Date.now() - earliest).toBeLessThan(60_000);
    const search = (timestamp: number, boundaryType?: string) =>
      ask(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, { ...queue, timestamp, boundaryType });
    expect((await search(0)).ext.offset).toBe("0");
    expect((await search(Date.now() + 60_000)).ext.offset).toBe("3");
    expect((await search(Date.now() + 60_000, "upper")).ext.offset).toBe("2");
  });

  test("names and queues that cannot be are refused before anything looks them up", async () => {
    const codes = [
      RequestCode.GET_MAX_OFFSET,
      RequestCode.GET_MIN_OFFSET,
      RequestCode.GET_EARLIEST_MSG_STORETIME,
      RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
      RequestCode.QUERY_CONSUME_QUEUE,
    ];
    for (const code of codes) expect((await ask(code, { topic: "../../x", queueId: 0, timestamp: 0 })).code).toBe(29);
    expect((await ask(RequestCode.GET_MAX_OFFSET, { topic: "T", queueId: -1 })).code).toBe(29);
    expect((await ask(RequestCode.GET_MAX_OFFSET, { topic: "T", queueId: "x" })).code).toBe(1);
    expect((await ask(RequestCode.GET_MAX_OFFSET, { topic: "T", queueId: 7 })).ext.offset).toBe("0");
  });

  test("reset on the server: to the end, to the begin, to an offset", async () => {
    const { offsets, groups } = fixture.broker.context;
    groups.findSubscriptionGroupConfig("offline");
    const reset = (ext: Ext) =>
      ask(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, { topic: "T", group: "offline", isForce: true, ...ext });
    expect(bodyText(await reset({ timestamp: -1 }))).toStartWith(`{"offsetTable":{${MQ0}:3,`);
    expect(offsets.hasOffsetReset("T", "offline", 0)).toBe(true);
    expect(bodyText(await reset({ timestamp: 0 }))).toStartWith(`{"offsetTable":{${MQ0}:0,`);
    expect(bodyText(await reset({ timestamp: 0, queueId: 0, offset: 2 }))).toBe(`{"offsetTable":{${MQ0}:2}}`);
    expect(offsets.queryOffset("offline", "T", 0)).toBe(2);
    expect(await reset({ timestamp: 0, queueId: 0, offset: 9 })).toMatchObject({
      code: 1,
      remark: "Target offset 9 not in consume queue range [0-3]",
    });
    expect((await reset({ timestamp: 0, queueId: 99, offset: 0 })).code).toBe(29);
    expect((await reset({ timestamp: 0, topic: "Nowhere" })).code).toBe(17);
    expect((await reset({ timestamp: 0, group: "unheardof" })).code).toBe(26);
  });

  test("clone to another group", async () => {
    const clone = { srcGroup: "offline", destGroup: "heir", topic: "T", offline: true };
    expect((await ask(RequestCode.CLONE_GROUP_OFFSET, clone)).code).toBe(0);
    expect(fixture.broker.context.offsets.queryOffset("heir", "T", 0)).toBe(2);
    expect((await ask(RequestCode.CLONE_GROUP_OFFSET, { ...clone, destGroup: "a@b" })).code).toBe(29);
  });

  test("both tables as files have them", async () => {
    expect(bodyText(await ask(RequestCode.GET_ALL_CONSUMER_OFFSET))).toContain('"T@heir":{0:2');
    expect(bodyText(await ask(RequestCode.GET_ALL_DELAY_OFFSET))).toMatch(
      /^\{"dataVersion":\{.*\},"offsetTable":\{\}\}$/,
    );
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import type { RemotingClient, RemotingCommand } from "../../../lib/remoting/types.ts";
import { BrokerFixture, bodyText, heartbeatRequest, sendRequest } from "../support/broker-fixture.ts";

const FILE = "# my broker\nbrokerName=broker-a\n\n! kept\nfileReservedTime = 7\\\n2\n";

let fixture: BrokerFixture;
let client: RemotingClient;
let folder: string;
let file: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mq-config-"));
  file = join(folder, "broker.properties");
  writeFileSync(file, FILE);
  fixture = await BrokerFixture.start({ brokerConfigPath: file });
  client = fixture.client();
});

afterAll(async () => {
  await fixture.close();
  rmSync(folder, { recursive: true, force: true });
});

type Ext = Record<string, string | number | boolean | undefined>;

const ask = (code: number, ext: Ext = {}, body?: string, by = client) =>
  by.invoke(fixture.address, { code, ext, body }, 5000);

describe("configuration", () => {
  const update = (body: string) => ask(RequestCode.UPDATE_BROKER_CONFIG, {}, body);

  test("what runs, sorted, with a version", async () => {
    const got = await ask(RequestCode.GET_BROKER_CONFIG);
    const lines = bodyText(got).trimEnd().split("\n");
    expect(lines).toEqual([...lines].sort((a, b) => (a.split("=")[0]! < b.split("=")[0]! ? -1 : 1)));
    expect(lines).toContain("brokerName=broker-a");
    expect(JSON.parse(got.ext.version!)).toMatchObject({ counter: 0, stateVersion: 0 });
  });

  test("a change is in use at once and in the file, whose other lines stay", async () => {
    expect((await update("fileReservedTime=48\ntransactionCheckMax=3\n")).code).toBe(0);
    expect(fixture.broker.context.config.fileReservedTime).toBe(48);
    expect(readFileSync(file, "utf8")).toBe(
      "# my broker\nbrokerName=broker-a\n\n! kept\nfileReservedTime=48\ntransactionCheckMax=3\n",
    );
    expect(readFileSync(`${file}.bak`, "utf8")).toBe(FILE);
    const got = await ask(RequestCode.GET_BROKER_CONFIG);
    expect(bodyText(got)).toContain("\nfileReservedTime=48\n");
    expect(JSON.parse(got.ext.version!).counter).toBe(1);
  });

  test("a permission takes effect and is told to name servers by a new version", async () => {
    const before = fixture.broker.context.topics.dataVersion.counter;
    expect((await update("brokerPermission=4")).code).toBe(0);
    expect(fixture.broker.context.topics.dataVersion.counter).toBe(before + 1);
    expect((await update("brokerPermission=6")).code).toBe(0);
  });

  test.each([
    ["brokerConfigPath=/tmp/x", 16, "Can not update config in black list"],
    ["listenPort=1", 16, "listenPort can not be changed while the broker runs: it is read at the start only"],
    ["storePathRootDir=/etc", 16, "read at the start only"],
    ["fileReservedTme=1", 1, "fileReservedTme is no key of a broker; did you mean fileReservedTime?"],
    ["fileReservedTime=soon", 1, "fileReservedTime=soon: want a whole number"],
    ["brokerPermission=99", 1, "brokerPermission=99: want"],
    ["fileReservedTime=12\nlistenPort=1", 16, "listenPort"],
    ["__proto__=1", 1, "is no key of a broker"],
    ["a=\\u12", 1, "string2Properties error"],
  ])("%p is refused, and nothing of it is applied", async (body, code, remark) => {
    const text = readFileSync(file, "utf8");
    const refused = await update(body);
    expect(refused.code).toBe(code);
    expect(refused.remark).toContain(remark);
    expect(fixture.broker.context.config.fileReservedTime).toBe(48);
    expect(readFileSync(file, "utf8")).toBe(text);
  });
});

describe("figures", () => {
  test("every key that clusterList and brokerStatus read", async () => {
    await client.invoke(fixture.address, sendRequest({ topic: "T" }), 5000);
    const { table } = JSON.parse(bodyText(await ask(RequestCode.GET_BROKER_RUNTIME_INFO)));
    for (const key of [
      "bootTimestamp brokerActive brokerVersionDesc commitLogDirCapacity commitLogDiskRatio commitLogMaxOffset",
      "commitLogMinOffset consumeQueueDiskRatio dispatchBehindBytes earliestMessageTimeStamp getFoundTps getMissTps",
      "getTotalTps getTransferredTps msgGetTotalTodayMorning msgGetTotalTodayNow msgGetTotalYesterdayMorning",
      "msgPutTotalTodayMorning msgPutTotalTodayNow msgPutTotalYesterdayMorning pageCacheLockTimeMills",
      "pullThreadPoolQueueHeadWaitTimeMills pullThreadPoolQueueSize putTps remainHowManyDataToFlush runtime",
      "sendThreadPoolQueueCapacity sendThreadPoolQueueHeadWaitTimeMills sendThreadPoolQueueSize timerReadBehind",
      "timerCongestNum timerDequeueTps timerEnqueueTps timerOffsetBehind putMessageTimesTotal putMessageSizeTotal",
    ].flatMap((line) => line.split(" ")))
      expect([key, typeof table[key]]).toEqual([key, "string"]);
    expect(table.brokerVersionDesc).toBe("V5_3_3");
    expect(table.putTps).toMatch(/^[\d.]+ [\d.]+ [\d.]+$/);
    expect(Number(table.earliestMessageTimeStamp)).toBeGreaterThan(Date.now() - 60_000);
    expect(Number(table.commitLogDiskRatio)).toBeWithin(0, 1.01);
    expect(table.commitLogDirCapacity).toMatch(/^Total : [\d.]+ [KMGTPE]iB, Free : [\d.]+ [KMGTPE]iB\.$/);
  });

  test("one counter with its windows", async () => {
    const got = await ask(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: "TOPIC_PUT_NUMS", statsKey: "T" });
    expect(bodyText(got)).toMatch(
      /^\{"statsDay":\{"avgpt":[\d.]+,"sum":\d+,"tps":[\d.]+\},"statsHour":\{.*\},"statsMinute":\{.*\}\}$/,
    );
    expect(await ask(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: "TOPIC_PUT_NUMS", statsKey: "x" })).toMatchObject(
      {
        code: 1,
        remark: "The stats <TOPIC_PUT_NUMS> <x> not exist",
      },
    );
    expect((await ask(RequestCode.VIEW_BROKER_STATS_DATA, { statsName: "NONE", statsKey: "x" })).code).toBe(1);
  });

  test("a master without slaves", async () => {
    const { store } = fixture.broker.context;
    expect(JSON.parse(bodyText(await ask(RequestCode.GET_BROKER_HA_STATUS)))).toMatchObject({
      haConnectionInfo: [],
      inSyncSlaveNums: 0,
      master: true,
      masterCommitLogMaxOffset: store.maxPhyOffset,
    });
  });

  test("cleaning on request", async () => {
    expect((await ask(RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE)).code).toBe(0);
    expect((await ask(RequestCode.DELETE_EXPIRED_COMMITLOG)).code).toBe(0);
  });

  test("consume modes: pulling only", async () => {
    const set = (mode: string) =>
      ask(RequestCode.SET_MESSAGE_REQUEST_MODE, {}, JSON.stringify({ topic: "T", consumerGroup: "g", mode }));
    expect((await set("PULL")).code).toBe(0);
    expect((await set("POP")).remark).toContain("PULL only");
    expect(bodyText(await ask(RequestCode.GET_ALL_MESSAGE_REQUEST_MODE))).toBe('{"messageRequestModeMap":{}}');
  });
});

describe("queries", () => {
  const query = (ext: Ext) =>
    ask(RequestCode.QUERY_MESSAGE, {
      topic: "Q",
      maxNum: 10,
      beginTimestamp: 0,
      endTimestamp: "9223372036854775807",
      ...ext,
    });

  test("by key, by unique key, by place", async () => {
    const sent: RemotingCommand[] = [];
    for (const i of [1, 2])
      sent.push(
        await client.invoke(
          fixture.address,
          sendRequest({ topic: "Q", body: `body${i}`, properties: { UNIQ_KEY: `ID${i}`, KEYS: "order both" } }),
          5000,
        ),
      );
    const found = await query({ key: "both" });
    expect(found.code).toBe(0);
    expect(bodyText(found)).toContain("body1");
    expect(bodyText(found)).toContain("body2");
    expect(Number(found.ext.indexLastUpdatePhyoffset)).toBeGreaterThan(0);
    const one = await query({ key: "ID2", _UNIQUE_KEY_QUERY: "true" });
    expect(bodyText(one)).toContain("body2");
    expect(bodyText(one)).not.toContain("body1");
    const offset = Number.parseInt(sent[1]!.ext.msgId!.slice(16), 16);
    expect(bodyText(await ask(RequestCode.VIEW_MESSAGE_BY_ID, { topic: "Q", offset }))).toContain("body2");
  });

  test("nothing there is said with RocketMQ's codes and words", async () => {
    expect(await query({ key: "none" })).toMatchObject({
      code: 22,
      remark: "can not find message, maybe time range not correct",
    });
    for (const offset of [-1, 7, "9223372036854775807"])
      expect(await ask(RequestCode.VIEW_MESSAGE_BY_ID, { offset })).toMatchObject({ code: 1 });
    expect((await query({ key: "k", topic: "../x" })).code).toBe(29);
    expect((await query({ topic: "Q" })).code).toBe(1);
  });

  test("entries of a consume queue", async () => {
    const got = JSON.parse(
      bodyText(
        await ask(RequestCode.QUERY_CONSUME_QUEUE, { topic: "Q", queueId: 0, index: 0, count: 5, consumerGroup: "g" }),
      ),
    );
    expect(got).toMatchObject({ maxQueueIndex: 2, minQueueIndex: 0, filterData: "g@Q is not online!" });
    expect(got.queueData).toHaveLength(2);
    expect((await ask(RequestCode.QUERY_CONSUME_QUEUE, { topic: "Q", queueId: 99 })).remark).toBe("99@Q is not exist!");
  });
});

describe("relays to clients", () => {
  test("running info, a message to consume, offsets: asked of the client, answered as it answers", async () => {
    const asked: RemotingCommand[] = [];
    const answer = (body: string) => (request: RemotingCommand) => {
      asked.push(request);
      return { code: 0, body };
    };
    const consumer = fixture.client(0, {
      processors: new Map([
        [RequestCode.GET_CONSUMER_RUNNING_INFO, { processor: answer('{"jstack":"x"}') }],
        [RequestCode.CONSUME_MESSAGE_DIRECTLY, { processor: answer('{"consumeResult":"CR_SUCCESS"}') }],
        [
          RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT,
          { processor: answer('{"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"Q"}:5}}') },
        ],
      ]),
    });
    await consumer.invoke(fixture.address, heartbeatRequest("relay", "RG", "Q"), 5000);
    const target = { consumerGroup: "RG", clientId: "relay" };
    const info = await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, { ...target, jstackEnable: false });
    expect(bodyText(info)).toBe('{"jstack":"x"}');
    expect(asked[0]!.ext).toMatchObject({ ...target, jstackEnable: "false" });

    const sent = await client.invoke(fixture.address, sendRequest({ topic: "Q", body: "directly" }), 5000);
    const direct = await ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, { ...target, msgId: sent.ext.msgId, topic: "Q" });
    expect(bodyText(direct)).toBe('{"consumeResult":"CR_SUCCESS"}');
    expect(asked[1]!.ext).toMatchObject({ brokerName: "broker-a", topicSysFlag: "0", groupSysFlag: "0" });
    expect(asked[1]!.body?.toString()).toContain("directly");

    const status = await ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: "Q", group: "RG" });
    expect(bodyText(status)).toBe('{"consumerTable":{"relay":{{"brokerName":"broker-a","queueId":0,"topic":"Q"}:5}}}');
  });

  test("who is not there is named", async () => {
    const absent = { consumerGroup: "RG", clientId: "nobody" };
    expect((await ask(RequestCode.GET_CONSUMER_RUNNING_INFO, absent)).remark).toBe(
      "The Consumer <RG> <nobody> not online",
    );
    expect((await ask(RequestCode.CONSUME_MESSAGE_DIRECTLY, { ...absent, msgId: "zz" })).remark).toContain("wanted 32");
    expect(
      (await ask(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, { topic: "Q", group: "nobody" })).remark,
    ).toContain("No Any Consumer online");
  });
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { HeldPulls } from "../../lib/broker/longpolling/pull-request-hold-service.ts";
import { PullMessageProcessor } from "../../lib/broker/processor/pull-message.ts";
import { brokerProcessors } from "../../lib/broker/processors.ts";
import { decodeStoredMessage, type StoredMessage } from "../../lib/broker/stored-message.ts";
import { UNSUPPORTED_CODES } from "../../lib/broker/unsupported-codes.ts";
import { encodeBatch } from "../../lib/message/batch.ts";
import { propertiesToBytes, propertiesToMap } from "../../lib/message/properties.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import type { RemotingClient, RemotingCommand } from "../../lib/remoting/types.ts";
import { BrokerFixture, bodyText, heartbeatRequest, pullRequest, sendRequest } from "./support/broker-fixture.ts";

let fixture: BrokerFixture;
let client: RemotingClient;

beforeAll(async () => {
  fixture = await BrokerFixture.start();
  client = fixture.client();
});

afterAll(() => fixture.close());

const ask = (request: Parameters<RemotingClient["invoke"]>[1], by = client): Promise<RemotingCommand> =>
  by.invoke(fixture.address, request, 5_000);

/** Records of a pull's body. */
function records(response: RemotingCommand): StoredMessage[] {
  const found: StoredMessage[] = [];
  const body = response.body ?? Buffer.alloc(0);
  for (let at = 0; at < body.length; at += body.readInt32BE(at)) {
    const bytes = body.subarray(at, at + body.readInt32BE(at));
    const message = decodeStoredMessage({ bytes, physicalOffset: Number(bytes.readBigInt64BE(28)) });
    if (message !== undefined) found.push(message);
  }
  return found;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

test("every request code is served or listed as unsupported, none is both", () => {
  const held = new HeldPulls({ wake() {}, maxOffset: () => 0, now: () => 0, checkPeriodMs: 1000 });
  const table = brokerProcessors(
    fixture.broker.context,
    new PullMessageProcessor(fixture.broker.context, held as never),
  );
  const wrong = Object.entries(RequestCode).filter(([, code]) => table.has(code) === UNSUPPORTED_CODES.has(code));
  expect(wrong).toEqual([]);
});

test("an unsupported code is answered with 3", async () => {
  const response = await ask({ code: RequestCode.POP_MESSAGE });
  expect(response.code).toBe(3);
  expect(response.remark).toContain("request type 200050 not supported");
});

describe("send and pull", () => {
  for (const serializeType of [0, 1] as const) {
    for (const code of [RequestCode.SEND_MESSAGE, RequestCode.SEND_MESSAGE_V2]) {
      test(`code ${code}, serialize type ${serializeType}: stored as sent, answered with its place`, async () => {
        const by = fixture.client(serializeType);
        const topic = `Send${code}s${serializeType}`;
        const properties = { UNIQ_KEY: "0A00000100010002", KEYS: "k1 k2", TAGS: "TagA", own: "ü" };
        const sent = await ask(sendRequest({ topic, queueId: 2, body: "body", properties }, code), by);
        expect(sent).toMatchObject({ code: 0, serializeType });
        expect({ ...sent.ext }).toMatchObject({
          queueId: "2",
          queueOffset: "0",
          transactionId: "0A00000100010002",
          MSG_REGION: "DefaultRegion",
          TRACE_ON: "true",
        });
        expect(sent.ext.msgId).toMatch(/^7F000001[0-9A-F]{24}$/);
        const pulled = await ask(pullRequest({ topic, queueId: 2 }), by);
        expect(pulled).toMatchObject({ code: 0, remark: "FOUND" });
        expect({ ...pulled.ext }).toEqual({
          suggestWhichBrokerId: "0",
          nextBeginOffset: "1",
          minOffset: "0",
          maxOffset: "1",
          topicSysFlag: "0",
          groupSysFlag: "0",
        });
        const [message] = records(pulled);
        expect(message).toMatchObject({ topic, queueId: 2, flag: 7, bornTimestamp: 1_700_000_000_000, queueOffset: 0 });
        expect(message?.body.toString()).toBe("body");
        expect({ ...message?.properties }).toEqual({
          ...properties,
          MSG_REGION: "DefaultRegion",
          TRACE_ON: "true",
          CLUSTER: "DefaultCluster",
        });
      });
    }
  }

  test("a message without an id gets one; POP_CK and the broker's own properties of an earlier life go", async () => {
    const properties = { POP_CK: "x", MSG_REGION: "Elsewhere", CLUSTER: "Other", KEYS: "k" };
    const sent = await ask(sendRequest({ topic: "Rewritten", properties }));
    expect(sent.ext.transactionId).toMatch(/^[0-9A-F]{32}$/);
    const [message] = records(await ask(pullRequest({ topic: "Rewritten" })));
    expect({ ...message?.properties }).toEqual({
      KEYS: "k",
      UNIQ_KEY: sent.ext.transactionId ?? "",
      MSG_REGION: "DefaultRegion",
      TRACE_ON: "true",
      CLUSTER: "DefaultCluster",
    });
  });

  test("a batch is stored item by item and answered with all ids", async () => {
    const items = ["one", "two", "three"].map((text, i) => ({
      flag: 0,
      body: Buffer.from(text),
      properties: propertiesToBytes({ UNIQ_KEY: `ID${i}`, TAGS: "TagA" }),
    }));
    const request = sendRequest({ topic: "Batch", ext: { m: true } }, RequestCode.SEND_BATCH_MESSAGE);
    const sent = await ask({ ...request, body: encodeBatch(items) });
    expect(sent.code).toBe(0);
    expect(sent.ext.msgId?.split(",")).toHaveLength(3);
    expect(sent.ext.queueOffset).toBe("0");
    const pulled = await ask(pullRequest({ topic: "Batch" }));
    expect(records(pulled).map((message) => message.body.toString())).toEqual(["one", "two", "three"]);
    expect(pulled.ext.nextBeginOffset).toBe("3");
  });

  test("a oneway send is stored and never answered", async () => {
    await client.invokeOneway(fixture.address, sendRequest({ topic: "Oneway" }), 1_000);
    await until(() => fixture.broker.context.store.getMaxOffsetInQueue("Oneway", 0) === 1);
  });

  test("hundreds of sends in flight are answered each with its own place", async () => {
    const sends = Array.from({ length: 500 }, (_, i) => ask(sendRequest({ topic: "Many", body: `m${i}` })));
    const offsets = (await Promise.all(sends)).map((sent) => Number(sent.ext.queueOffset));
    expect(offsets).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  test("tags are filtered by hash", async () => {
    for (const tag of ["TagA", "TagB", "TagA"]) {
      await ask(sendRequest({ topic: "Tags", body: tag, properties: { UNIQ_KEY: "1", TAGS: tag } }));
    }
    const pulled = await ask(pullRequest({ topic: "Tags", tags: "TagA || TagC" }));
    expect(records(pulled).map((message) => message.body.toString())).toEqual(["TagA", "TagA"]);
    expect(pulled.ext.nextBeginOffset).toBe("3");
    const none = await ask(pullRequest({ topic: "Tags", tags: "TagX" }));
    expect(none).toMatchObject({ code: 20, remark: "NO_MATCHED_MESSAGE" });
    expect(none.ext.nextBeginOffset).toBe("3");
  });

  test("offsets that are not there", async () => {
    await ask(sendRequest({ topic: "Offsets" }));
    expect(await ask(pullRequest({ topic: "Offsets", offset: 1 }))).toMatchObject({ code: 19 });
    const badly = await ask(pullRequest({ topic: "Offsets", offset: 5 }));
    expect(badly).toMatchObject({ code: 21, remark: "OFFSET_OVERFLOW_BADLY" });
    expect(badly.ext.nextBeginOffset).toBe("1");
    expect(await ask(pullRequest({ topic: "Offsets", queueId: 1 }))).toMatchObject({ code: 19 });
    expect(await ask(pullRequest({ topic: "Offsets", queueId: 1, offset: 3 }))).toMatchObject({ code: 21 });
  });

  test("lite pull is the same", async () => {
    await ask(sendRequest({ topic: "Lite" }));
    expect(await ask(pullRequest({ topic: "Lite" }, RequestCode.LITE_PULL_MESSAGE))).toMatchObject({ code: 0 });
  });
});

describe("long polling", () => {
  test("a waiting pull gets the message of its tag, not another's", async () => {
    await ask(sendRequest({ topic: "Poll", properties: { UNIQ_KEY: "1", TAGS: "TagA" } }));
    let answered = false;
    const waiting = ask(pullRequest({ topic: "Poll", offset: 1, tags: "TagB", suspendMs: 10_000 }));
    void waiting.then(() => {
      answered = true;
    });
    await until(() => fixture.broker.context.holdService.waiting === 1);
    await ask(sendRequest({ topic: "Poll", properties: { UNIQ_KEY: "2", TAGS: "TagA" } }));
    expect(answered).toBe(false);
    await ask(sendRequest({ topic: "Poll", body: "wanted", properties: { UNIQ_KEY: "3", TAGS: "TagB" } }));
    const pulled = await waiting;
    expect(pulled).toMatchObject({ code: 0 });
    expect(records(pulled).map((message) => message.body.toString())).toEqual(["wanted"]);
    expect(pulled.ext.nextBeginOffset).toBe("3");
  });

  test("a pull whose client is gone leaves nothing behind", async () => {
    const by = fixture.client();
    await ask(sendRequest({ topic: "PollGone" }));
    const waiting = ask(pullRequest({ topic: "PollGone", offset: 1, suspendMs: 10_000 }), by).catch(() => undefined);
    await until(() => fixture.broker.context.holdService.waiting === 1);
    await by.close();
    await waiting;
    await ask(sendRequest({ topic: "PollGone" }));
    await until(() => fixture.broker.context.holdService.waiting === 0);
  });
});

describe("refusals name the state and keep RocketMQ's code", () => {
  const cases: [string, () => ReturnType<typeof sendRequest>, number, string][] = [
    ["illegal topic name", () => sendRequest({ topic: "a b" }), 29, "contains illegal characters"],
    ["system topic", () => sendRequest({ topic: "SCHEDULE_TOPIC_XXXX" }), 16, "is forbidden"],
    [
      "unknown default topic",
      () => sendRequest({ topic: "NoDefault", ext: { c: "NoSuch" } }),
      17,
      "topic[NoDefault] not exist, apply first please! default topic[NoSuch]",
    ],
    ["queue id too large", () => sendRequest({ queueId: 99 }), 29, "request queueId[99] is illegal"],
    ["no body", () => sendRequest({ body: "" }), 13, "body is empty"],
    ["timer", () => sendRequest({ properties: { UNIQ_KEY: "1", TIMER_DELAY_SEC: "5" } }), 1, "WHEEL_TIMER_NOT_ENABLE"],
    ["inner batch", () => sendRequest({ properties: { UNIQ_KEY: "1", INNER_NUM: "2" } }), 13, "INNER_NUM"],
    ["missing field", () => sendRequest({ ext: { b: undefined } }), 1, "b/topic"],
    ["no number", () => sendRequest({ ext: { e: "x" } }), 1, "want an integer"],
    ["body too large", () => sendRequest({ body: "x".repeat(4 * 1024 * 1024 + 1) }), 13, "the message is illegal"],
    [
      "batch to a retry topic",
      () => sendRequest({ topic: "%RETRY%CG", ext: { m: true } }, RequestCode.SEND_BATCH_MESSAGE),
      13,
      "batch request does not support retry group",
    ],
  ];
  for (const [name, request, code, remark] of cases) {
    test(`send: ${name}`, async () => {
      const response = await ask(request());
      expect(response.code).toBe(code);
      expect(response.remark).toContain(remark);
    });
  }

  test("pull: topic, queue, permission, subscription, SQL92", async () => {
    await ask(sendRequest({ topic: "Refuse" }));
    expect(await ask(pullRequest({ topic: "NoSuchTopic" }))).toMatchObject({ code: 17 });
    expect(await ask(pullRequest({ topic: "Refuse", queueId: 4 }))).toMatchObject({ code: 29 });
    expect(await ask(pullRequest({ topic: "Refuse", tags: "||" }))).toMatchObject({ code: 23 });
    const sql = await ask(pullRequest({ topic: "Refuse", tags: "a > 1", ext: { expressionType: "SQL92" } }));
    expect(sql.code).toBe(1);
    expect(sql.remark).toStartWith("The broker does not support consumer to filter message by SQL92");
    expect(sql.remark).toContain("enablePropertyFilter");
    const offline = await ask(pullRequest({ topic: "Refuse", group: "Nobody", ext: { sysFlag: 0 } }));
    expect(offline).toMatchObject({ code: 24 });
    const { context } = fixture.broker;
    const topicConfig = context.topics.get("Refuse");
    if (topicConfig !== undefined) topicConfig.perm = 2;
    const forbidden = await ask(pullRequest({ topic: "Refuse" }));
    expect(forbidden).toMatchObject({ code: 16 });
    expect(forbidden.ext.forbiddenType).toBe("3");
    const groupConfig = context.groups.findSubscriptionGroupConfig("Stopped");
    if (groupConfig !== undefined) groupConfig.consumeEnable = false;
    const stopped = await ask(pullRequest({ topic: "Refuse", group: "Stopped" }));
    expect(stopped.ext.forbiddenType).toBe("2");
  });
});

describe("retry, dead letters, delay and transactions", () => {
  test("a message retried too often, or of an orderly group, goes to the dead-letter queue", async () => {
    const topic = "%RETRY%DlqGroup";
    expect(await ask(sendRequest({ topic, ext: { j: 3, l: 5 } }))).toMatchObject({ code: 0 });
    expect(fixture.broker.context.topics.get("%DLQ%DlqGroup")).toBeUndefined();
    expect(await ask(sendRequest({ topic, body: "dead", ext: { j: 6, l: 5 } }))).toMatchObject({ code: 0 });
    const [dead] = records(await ask(pullRequest({ topic: "%DLQ%DlqGroup" })));
    expect(dead?.body.toString()).toBe("dead");
    expect(dead?.properties.DELAY).toBe("-1");
    const lock = JSON.stringify({
      clientId: "c",
      consumerGroup: "DlqGroup",
      mqSet: [{ topic: "T", brokerName: "broker-a", queueId: 0 }],
    });
    const locked = await ask({ code: RequestCode.LOCK_BATCH_MQ, body: lock });
    expect(JSON.parse(bodyText(locked))).toEqual({ lockOKMQSet: [{ brokerName: "broker-a", queueId: 0, topic: "T" }] });
    await ask(sendRequest({ topic, body: "orderly", ext: { j: 0, l: 5 } }));
    const pulled = await ask(pullRequest({ topic: "%DLQ%DlqGroup" }));
    expect(records(pulled).map((message) => message.body.toString())).toEqual(["dead", "orderly"]);
    await ask({ code: RequestCode.UNLOCK_BATCH_MQ, body: lock });
    expect(fixture.broker.context.locks.isLockAllExpired("DlqGroup")).toBe(true);
  });

  test("a delayed message waits in the schedule topic and is answered with the queue asked for", async () => {
    const sent = await ask(sendRequest({ topic: "Delayed", queueId: 3, properties: { UNIQ_KEY: "1", DELAY: "18" } }));
    expect({ ...sent.ext }).toMatchObject({ queueId: "3", queueOffset: "0" });
    const entry = fixture.broker.context.store.getQueueEntry("SCHEDULE_TOPIC_XXXX", 17, 0);
    expect(entry?.tagsCode).toBeGreaterThan(Date.now() + 7_100_000);
    expect(fixture.broker.context.store.getMaxOffsetInQueue("Delayed", 3)).toBe(0);
  });

  test("a half message is kept aside", async () => {
    await ask(sendRequest({ topic: "Trans", properties: { UNIQ_KEY: "1", TRAN_MSG: "true", PGROUP: "PG" } }));
    expect(fixture.broker.context.store.getMaxOffsetInQueue("RMQ_SYS_TRANS_HALF_TOPIC", 0)).toBe(1);
    expect(fixture.broker.context.store.getMaxOffsetInQueue("Trans", 0)).toBe(0);
  });
});

describe("clients and offsets", () => {
  test("heartbeat, members, notice on the next member, unregister", async () => {
    const notices: string[] = [];
    const notice = {
      processor: (request: RemotingCommand) => {
        notices.push(request.ext.consumerGroup ?? "");
        return undefined;
      },
    };
    const processors = new Map([[RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, notice]]);
    const [a, b] = [fixture.client(0, { processors }), fixture.client(1)];
    const first = await ask(heartbeatRequest("a", "Members"), a);
    expect({ ...first.ext }).toEqual({ IS_SUPPORT_HEART_BEAT_V2: "true", IS_SUB_CHANGE: "true" });
    expect(first.version).toBeGreaterThan(400);
    expect(fixture.broker.context.topics.get("%RETRY%Members")).toMatchObject({ readQueueNums: 1, perm: 6 });
    await until(() => notices.length === 1);
    await ask(heartbeatRequest("b", "Members"), b);
    await until(() => notices.length === 2);
    const list = { code: RequestCode.GET_CONSUMER_LIST_BY_GROUP, ext: { consumerGroup: "Members" } };
    expect(JSON.parse(bodyText(await ask(list)))).toEqual({ consumerIdList: ["a", "b"] });
    const bye = { code: RequestCode.UNREGISTER_CLIENT, ext: { clientID: "b", consumerGroup: "Members" } };
    expect(await ask(bye, b)).toMatchObject({ code: 0 });
    await until(() => notices.length === 3);
    await a.close();
    await until(() => fixture.broker.context.consumers.group("Members") === undefined);
    const nobody = await ask(list);
    expect(nobody).toMatchObject({ code: 1, remark: "no consumer for this group, Members" });
    expect(fixture.broker.context.consumers.groups.has("Members")).toBe(false);
  });

  test("a heartbeat that is no JSON is refused and harms nobody", async () => {
    const refused = await ask({ code: RequestCode.HEART_BEAT, body: "{" });
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.remark).toContain("HEART_BEAT");
  });

  test("offsets: unknown, committed, refused", async () => {
    const query = (topic: string, extra = {}) => ({
      code: RequestCode.QUERY_CONSUMER_OFFSET,
      ext: { consumerGroup: "OffsetGroup", topic, queueId: 0, ...extra },
    });
    const commit = (group: string, topic: string, extra: Record<string, number | undefined> = {}) => ({
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      ext: { consumerGroup: group, topic, queueId: 0, commitOffset: 5, ...extra },
    });
    await ask(sendRequest({ topic: "Offs" }));
    expect(await ask(query("Offs", { setZeroIfNotFound: false }))).toMatchObject({ code: 22 });
    expect((await ask(query("Offs"))).ext.offset).toBe("0");
    expect(await ask(query("Offs", { queueId: 1 }))).toMatchObject({ code: 22 });
    expect(await ask(commit("NoSuchGroup", "Offs"))).toMatchObject({ code: 26 });
    fixture.broker.context.groups.findSubscriptionGroupConfig("OffsetGroup");
    expect(await ask(commit("OffsetGroup", "NoSuchTopic"))).toMatchObject({ code: 17 });
    expect(await ask(commit("OffsetGroup", "Offs", { commitOffset: undefined }))).toMatchObject({ code: 29 });
    expect(await ask(commit("OffsetGroup", "Offs", { queueId: undefined }))).toMatchObject({ code: 29 });
    expect(await ask(commit("OffsetGroup", "Offs", { queueId: 4 }))).toMatchObject({ code: 29 });
    expect(await ask(commit("OffsetGroup", "Offs", { commitOffset: 2 ** 60 }))).toMatchObject({ code: 29 });
    expect(await ask(commit("OffsetGroup", "Offs"))).toMatchObject({ code: 0 });
    expect((await ask(query("Offs"))).ext.offset).toBe("5");
  });

  test("a pull commits the offset that it brings", async () => {
    await ask(sendRequest({ topic: "PullCommit" }));
    await ask(pullRequest({ topic: "PullCommit", group: "PullCommitGroup", ext: { sysFlag: 5, commitOffset: 1 } }));
    expect(fixture.broker.context.offsets.queryOffset("PullCommitGroup", "PullCommit", 0)).toBe(1);
  });

  test("a reset offset reaches the consumer with its next pull, once", async () => {
    await ask(sendRequest({ topic: "Reset" }));
    fixture.broker.context.offsets.assignResetOffset("Reset", "ResetGroup", 0, 0);
    const moved = await ask(pullRequest({ topic: "Reset", group: "ResetGroup", offset: 1 }));
    expect(moved).toMatchObject({ code: 21 });
    expect(moved.ext.nextBeginOffset).toBe("0");
    expect(await ask(pullRequest({ topic: "Reset", group: "ResetGroup" }))).toMatchObject({ code: 0 });
  });

  test("the client config check takes tags and refuses SQL92 by name", async () => {
    const check = (expressionType: string) => ({
      code: RequestCode.CHECK_CLIENT_CONFIG,
      body: JSON.stringify({
        clientId: "c",
        group: "g",
        subscriptionData: { topic: "T", subString: "a", expressionType },
      }),
    });
    expect(await ask(check("TAG"))).toMatchObject({ code: 0 });
    const refused = await ask(check("SQL92"));
    expect(refused.code).toBe(1);
    expect(refused.remark).toStartWith("The broker does not support consumer to filter message by SQL92");
  });
});

test("a reply reaches the producer that asked, and is stored", async () => {
  const pushed: RemotingCommand[] = [];
  const push = {
    processor: (request: RemotingCommand) => {
      pushed.push(request);
      return { code: 0 };
    },
  };
  const requester = fixture.client(0, { processors: new Map([[RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, push]]) });
  await ask(heartbeatRequest("requester", "ReplyGroup"), requester);
  const properties = { CORRELATION_ID: "c-1", REPLY_TO_CLIENT: "requester", MSG_TYPE: "reply", TTL: "3000" };
  const reply = { topic: "DefaultCluster_REPLY_TOPIC", body: "answer", properties };
  for (const code of [RequestCode.SEND_REPLY_MESSAGE, RequestCode.SEND_REPLY_MESSAGE_V2]) {
    const sent = await ask(sendRequest(reply, code));
    expect(sent).toMatchObject({ code: 0 });
    expect(sent.ext.msgId).toMatch(/^[0-9A-F]{32}$/);
    const request = pushed.at(-1);
    expect(request?.body?.toString()).toBe("answer");
    expect(request?.ext.bornHost).toStartWith("127.0.0.1:");
    const told = propertiesToMap(request?.ext.properties ?? "");
    expect(told.CORRELATION_ID).toBe("c-1");
    expect(Number(told.PUSH_REPLY_TIME)).toBeGreaterThan(0);
  }
  const lost = await ask(
    sendRequest({ ...reply, properties: { ...properties, REPLY_TO_CLIENT: "gone" } }, RequestCode.SEND_REPLY_MESSAGE),
  );
  expect(lost).toMatchObject({ code: 1, remark: "push reply message fail, channel of <gone> not found." });
});

test("the fast port serves sends and no pulls", async () => {
  const { fastListenPort } = fixture.broker;
  if (fastListenPort === 0) return;
  const address = `127.0.0.1:${fastListenPort}`;
  expect(await client.invoke(address, sendRequest({ topic: "Fast" }), 3_000)).toMatchObject({ code: 0 });
  expect(await client.invoke(address, pullRequest({ topic: "Fast" }), 3_000)).toMatchObject({ code: 3 });
});

test("what was stored, created and committed is there after a restart", async () => {
  const own = await BrokerFixture.start();
  try {
    const by = own.client();
    await by.invoke(own.address, sendRequest({ topic: "Kept", body: "kept" }), 3_000);
    await by.invoke(
      own.address,
      pullRequest({ topic: "Kept", group: "KeptGroup", ext: { sysFlag: 5, commitOffset: 1 } }),
      3_000,
    );
    await own.restart();
    const pulled = await by.invoke(own.address, pullRequest({ topic: "Kept", group: "KeptGroup" }), 3_000);
    expect(records(pulled).map((message) => message.body.toString())).toEqual(["kept"]);
    expect(own.broker.context.offsets.queryOffset("KeptGroup", "Kept", 0)).toBe(1);
    expect(own.broker.context.topics.get("Kept")).toMatchObject({ writeQueueNums: 4 });
  } finally {
    await own.close();
  }
});

test("sends are refused while memory is short, with the reason; pulls are not", async () => {
  const { load } = fixture.broker.context;
  load.memoryShort = "900 MiB of own memory, want less than 850 MiB";
  try {
    const refused = await ask(sendRequest({ topic: "Short", body: "x" }));
    expect(refused.code).toBe(2);
    expect(refused.remark).toBe(
      "[MEMORY]system busy, start flow control for a while: 900 MiB of own memory, want less than 850 MiB",
    );
  } finally {
    load.memoryShort = "";
  }
  expect((await ask(sendRequest({ topic: "Short", body: "x" }))).code).toBe(0);
});

test("SYNC_FLUSH answers after the flush, in order", async () => {
  const own = await BrokerFixture.start({ flushDiskType: "SYNC_FLUSH" });
  try {
    const by = own.client(1);
    const sends = Array.from({ length: 50 }, (_, i) =>
      by.invoke(own.address, sendRequest({ topic: "Sync", body: `${i}` }), 5_000),
    );
    for (const sent of await Promise.all(sends)) expect(sent.code).toBe(0);
    expect(own.broker.context.load.waitingSends).toBe(0);
    expect(own.broker.context.store.flushedWhere).toBe(own.broker.context.store.maxPhyOffset);
  } finally {
    await own.close();
  }
});

test("limits and closed ways are named: waiting senders, creation switched off, order topics, transactions", async () => {
  const own = await BrokerFixture.start({
    sendThreadPoolQueueCapacity: 0,
    autoCreateTopicEnable: false,
    autoCreateSubscriptionGroup: false,
    rejectTransactionMessage: true,
    brokerPermission: 4,
    clusterTopicEnable: false,
  });
  try {
    const by = own.client();
    const send = (fields: Parameters<typeof sendRequest>[0]) => by.invoke(own.address, sendRequest(fields), 3_000);
    const busy = await send({ topic: "BenchmarkTest" });
    expect(busy.code).toBe(2);
    expect(busy.remark).toStartWith("[OVERLOAD]system busy, start flow control for a while");
    expect(busy.remark).toContain("sendThreadPoolQueueCapacity=0");
    const config = own.broker.context.config as {
      sendThreadPoolQueueCapacity: number;
      startAcceptSendRequestTimeStamp: number;
    };
    config.sendThreadPoolQueueCapacity = 10;
    expect(await send({ topic: "BenchmarkTest" })).toMatchObject({ code: 0 });
    expect((await send({ topic: "NotThere" })).remark).toContain("autoCreateTopicEnable=false");
    expect(await send({ topic: "%RETRY%NoGroup" })).toMatchObject({ code: 26 });
    expect(own.broker.context.topics.get("%RETRY%NoGroup")).toBeUndefined();
    const half = await send({ topic: "BenchmarkTest", properties: { UNIQ_KEY: "1", TRAN_MSG: "true" } });
    expect(half).toMatchObject({ code: 16 });
    expect(half.remark).toContain("rejectTransactionMessage=true");
    const topicConfig = own.broker.context.topics.get("BenchmarkTest");
    if (topicConfig !== undefined) topicConfig.order = true;
    const order = await send({ topic: "BenchmarkTest" });
    expect(order).toMatchObject({ code: 16 });
    expect(order.remark).toContain("brokerPermission=4");
    if (topicConfig !== undefined) topicConfig.order = false;
    config.startAcceptSendRequestTimeStamp = Date.now() + 60_000;
    expect((await send({ topic: "BenchmarkTest" })).remark).toStartWith("broker unable to service, until ");
  } finally {
    await own.close();
  }
});

test("a broker that stops answers held pulls and refuses new work", async () => {
  const own = await BrokerFixture.start();
  const by = own.client();
  await by.invoke(own.address, sendRequest({ topic: "Stop" }), 3_000);
  const held = by.invoke(own.address, pullRequest({ topic: "Stop", offset: 1, suspendMs: 20_000 }), 20_000);
  await until(() => own.broker.context.holdService.waiting === 1);
  const stopped = own.broker.stop();
  const refused = by.invoke(own.address, sendRequest({ topic: "Stop" }), 3_000);
  expect(await held).toMatchObject({ code: 19 });
  const answer = await refused.catch((error: unknown) => error);
  if (!(answer instanceof Error)) {
    expect(answer).toMatchObject({ code: 14 });
    expect((answer as RemotingCommand).remark).toContain("is shutting down");
  }
  await stopped;
  expect(own.broker.stop()).toBe(stopped);
  await own.close();
});

for (const flushDiskType of ["ASYNC_FLUSH", "SYNC_FLUSH"] as const) {
  test(`${flushDiskType}: what is acknowledged while the broker stops is there after the restart, once and in order`, async () => {
    const own = await BrokerFixture.start({ flushDiskType });
    try {
      const by = own.client(1);
      await by.invoke(own.address, sendRequest({ topic: "Stopped", body: "first" }), 3_000);
      const acknowledged: string[] = ["first"];
      const sends: Promise<unknown>[] = [];
      for (let i = 0; i < 400; i++) {
        const body = `m${i}`;
        const send = by.invoke(own.address, sendRequest({ topic: "Stopped", body }), 5_000).then(
          (sent) => {
            if (sent.code === 0) acknowledged.push(body);
          },
          () => undefined,
        );
        sends.push(send);
        if (i % 40 === 0) await Bun.sleep(0);
      }
      await own.restart();
      await Promise.all(sends);
      const stored: string[] = [];
      const reader = own.client();
      for (;;) {
        const request = pullRequest({ topic: "Stopped", offset: stored.length });
        const pulled = await reader.invoke(own.address, request, 3_000);
        if (pulled.code !== 0) break;
        stored.push(...records(pulled).map((message) => message.body.toString()));
      }
      expect(new Set(stored).size).toBe(stored.length);
      expect(stored).toEqual(expect.arrayContaining(acknowledged));
      const known = new Set(acknowledged);
      expect(stored.filter((body) => known.has(body))).toEqual(acknowledged);
    } finally {
      await own.close();
    }
  });
}

test("keys that this build cannot honour stop the start", async () => {
  const { createBroker } = await import("../../lib/broker/broker.ts");
  const { defaultBrokerConfig } = await import("../../lib/config/broker-config.ts");
  const refused: [Parameters<typeof defaultBrokerConfig>[0], string][] = [
    [{ enablePropertyFilter: true }, "enablePropertyFilter"],
    [{ duplicationEnable: true }, "duplicationEnable=true"],
  ];
  for (const [overrides, text] of refused) expect(() => createBroker(defaultBrokerConfig(overrides))).toThrow(text);
});

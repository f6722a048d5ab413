import { afterEach, describe, expect, test } from "bun:test";
import { Producer, type ProducerOptions } from "../../lib/client/producer/producer.ts";
import { RequestCode, ResponseCode } from "../../lib/remoting/codes.ts";
import type { RemotingResponse } from "../../lib/remoting/types.ts";
import { type FakePeer, fakePeer } from "../support/fake-peer.ts";
import { quietLogger } from "../support/quiet-logger.ts";

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const OK: RemotingResponse = {
  code: ResponseCode.SUCCESS,
  ext: { msgId: "7F00000100002A9F0000000000000000", queueId: 0, queueOffset: 5, MSG_REGION: "R", TRACE_ON: "false" },
};

async function broker(send: Parameters<typeof fakePeer>[0][number]): Promise<FakePeer> {
  const peer = await fakePeer({
    [RequestCode.SEND_MESSAGE_V2]: send,
    [RequestCode.SEND_BATCH_MESSAGE]: send,
    [RequestCode.HEART_BEAT]: { code: 0 },
    [RequestCode.UNREGISTER_CLIENT]: { code: 0 },
  });
  closing.push(peer.stop);
  return peer;
}

/** Route with one queue on each broker; the old rendering with bare numbers as keys. */
function routeBody(brokers: Record<string, FakePeer>, queues = 1): string {
  const names = Object.keys(brokers);
  const queueDatas = names.map(
    (name) => `{"brokerName":"${name}","perm":6,"readQueueNums":${queues},"topicSysFlag":0,"writeQueueNums":${queues}}`,
  );
  const brokerDatas = names.map(
    (name) => `{"brokerAddrs":{0:"${brokers[name]?.address}"},"brokerName":"${name}","cluster":"c"}`,
  );
  return `{"brokerDatas":[${brokerDatas}],"filterServerTable":{},"queueDatas":[${queueDatas}]}`;
}

async function start(
  brokers: Record<string, FakePeer>,
  options: Partial<ProducerOptions> = {},
  known: (topic: string) => boolean = (topic) => topic === "T",
  queues = 1,
): Promise<{ producer: Producer; namesrv: FakePeer }> {
  const namesrv = await fakePeer({
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: ({ ext }) =>
      known(ext.topic ?? "")
        ? { code: 0, body: routeBody(brokers, queues) }
        : { code: ResponseCode.TOPIC_NOT_EXIST, remark: "No topic route info in name server for the topic" },
  });
  closing.push(namesrv.stop);
  const producer = new Producer({ group: "pg", namesrvAddr: namesrv.address, logger: quietLogger(), ...options });
  producer.start();
  closing.push(() => producer.shutdown());
  return { producer, namesrv };
}

const message = { topic: "T", body: Buffer.from("x") };

function sends(peer: FakePeer) {
  return peer.requests.filter(({ code }) => code === RequestCode.SEND_MESSAGE_V2);
}

describe("a send", () => {
  test("carries the fields of SEND_MESSAGE_V2", async () => {
    const a = await broker(OK);
    const { producer } = await start({ a });
    const result = await producer.send({ ...message, tags: "tag", keys: ["k", "l"], delayLevel: 3, flag: 9 });
    const [request] = sends(a);
    expect(request?.ext).toMatchObject({
      a: "pg",
      b: "T",
      c: "TBW102",
      d: "4",
      e: "0",
      f: "0",
      h: "9",
      j: "0",
      k: "false",
      m: "false",
      n: "a",
    });
    expect(request?.ext.i).toBe(
      `TAGS\u0001tag\u0002KEYS\u0001k l\u0002DELAY\u00013\u0002WAIT\u0001true\u0002UNIQ_KEY\u0001${result.msgId}\u0002`,
    );
    expect(result).toEqual({
      status: "SEND_OK",
      msgId: expect.stringMatching(/^[0-9A-F]{32}$/),
      offsetMsgId: "7F00000100002A9F0000000000000000",
      queue: { topic: "T", brokerName: "a", queueId: 0 },
      queueOffset: 5,
      transactionId: undefined,
      regionId: "R",
      traceOn: false,
    });
  });

  test("is compressed from 4096 bytes on", async () => {
    const a = await broker(OK);
    const { producer } = await start({ a });
    await producer.send({ topic: "T", body: Buffer.alloc(4095, "x") });
    await producer.send({ topic: "T", body: Buffer.alloc(4096, "x") });
    expect(sends(a).map(({ ext }) => ext.f)).toEqual(["0", String(0x1 | 0x300)]);
    expect(sends(a).map(({ body }) => (body?.length ?? 0) < 100)).toEqual([false, true]);
  });

  test.each([
    [ResponseCode.FLUSH_DISK_TIMEOUT, "FLUSH_DISK_TIMEOUT"],
    [ResponseCode.SLAVE_NOT_AVAILABLE, "SLAVE_NOT_AVAILABLE"],
    [ResponseCode.FLUSH_SLAVE_TIMEOUT, "FLUSH_SLAVE_TIMEOUT"],
  ])("code %p is the status %p, not a failure", async (code, status) => {
    const a = await broker({ ...OK, code });
    const { producer } = await start({ a });
    expect((await producer.send(message)).status).toBe(status as never);
  });

  test("with retryAnotherBrokerWhenNotStoreOK goes on until a broker says SEND_OK", async () => {
    const a = await broker({ ...OK, code: ResponseCode.FLUSH_DISK_TIMEOUT });
    const b = await broker(OK);
    const { producer } = await start({ a, b }, { retryAnotherBrokerWhenNotStoreOK: true });
    for (let i = 0; i < 4; i++) expect((await producer.send(message)).status).toBe("SEND_OK");
  });
});

describe("a refused send", () => {
  test.each([1, 2, 14, 16, 17, 204, 205, 1500])("with code %p is tried at another broker", async (code) => {
    const a = await broker({ code, remark: "not now" });
    const b = await broker(OK);
    const { producer } = await start({ a, b });
    for (let i = 0; i < 4; i++) expect((await producer.send(message)).queue.brokerName).toBe("b");
    expect(sends(a).length).toBeGreaterThan(0);
  });

  test("with another code is not tried again", async () => {
    const a = await broker({ code: ResponseCode.MESSAGE_ILLEGAL, remark: "too long" });
    const { producer } = await start({ a });
    await expect(producer.send(message)).rejects.toThrow(
      `send to topic "T": ${a.address} refused with MESSAGE_ILLEGAL (13): too long`,
    );
    expect(sends(a)).toHaveLength(1);
  });

  test("everywhere fails after three tries with the last remark", async () => {
    const a = await broker({ code: ResponseCode.SYSTEM_BUSY, remark: "[PCBUSY]" });
    const b = await broker({ code: ResponseCode.SYSTEM_BUSY, remark: "[PCBUSY]" });
    const { producer } = await start({ a, b });
    await expect(producer.send(message)).rejects.toThrow(
      /^send to topic "T" failed after 3 tries at (a, b|b, a): .*SYSTEM_BUSY \(2\): \[PCBUSY\]/,
    );
    expect(sends(a).length + sends(b).length).toBe(3);
    // Each try went to another broker than the one before.
    expect(Math.abs(sends(a).length - sends(b).length)).toBe(1);
  });

  test("to a chosen queue is not tried elsewhere", async () => {
    const a = await broker({ code: ResponseCode.SYSTEM_BUSY, remark: "busy" });
    const b = await broker(OK);
    const { producer } = await start({ a, b });
    const queue = { topic: "T", brokerName: "a", queueId: 0 };
    await expect(producer.send(message, { queue })).rejects.toThrow("SYSTEM_BUSY");
    expect([sends(a).length, sends(b).length]).toEqual([1, 0]);
  });
});

describe("a broker without an answer", () => {
  test("costs no more than the time given", async () => {
    const a = await broker(undefined);
    const { producer } = await start({ a });
    await expect(producer.send(message, { timeoutMs: 100 })).rejects.toThrow(/failed after \d (try|tries) at a: .*\S/);
    // A timer that fires a millisecond early leaves time for one more try.
    expect(sends(a).length).toBeLessThanOrEqual(2);
  });

  test("that is gone is passed over for the others", async () => {
    const a = await broker(OK);
    const b = await broker(OK);
    const { producer } = await start({ a, b });
    // Only now: the name server must not get its port.
    await a.stop();
    for (let i = 0; i < 6; i++) expect((await producer.send(message)).queue.brokerName).toBe("b");
  });

  test("is not asked again while sendLatencyFaultEnable holds it away", async () => {
    const a = await broker({ code: ResponseCode.SYSTEM_BUSY, remark: "busy" });
    const b = await broker(OK);
    const { producer } = await start({ a, b }, { sendLatencyFaultEnable: true });
    for (let i = 0; i < 12; i++) expect((await producer.send(message)).queue.brokerName).toBe("b");
    expect(sends(a).length).toBe(1);
  });
});

describe("a topic that no name server knows", () => {
  test("borrows the route of TBW102, four queues a broker at most", async () => {
    const a = await broker(OK);
    const { producer } = await start({ a }, {}, (topic) => topic === "TBW102", 16);
    const used = new Set<string | undefined>();
    for (let i = 0; i < 8; i++) await producer.send(message);
    for (const { ext } of sends(a)) used.add(ext.e);
    expect([...used].sort()).toEqual(["0", "1", "2", "3"]);
  });

  test("and without TBW102 is an error that says who was asked and what to do", async () => {
    const a = await broker(OK);
    const { producer, namesrv } = await start({ a }, {}, () => false);
    const failure = producer.send(message);
    await expect(failure).rejects.toThrow(/No route info of this topic: "T"/);
    await expect(failure).rejects.toThrow(namesrv.address);
    await expect(failure).rejects.toThrow("mq topic create --topic T");
  });
});

describe("a message that no broker would take", () => {
  test.each([
    [{ topic: "T", body: Buffer.alloc(0) }, "the body is empty"],
    [{ topic: "a b", body: Buffer.from("x") }, 'found "a b"'],
    [{ topic: "T".repeat(128), body: Buffer.from("x") }, "128 characters, want 127 at most"],
    [{ topic: "T", body: Buffer.alloc(4 * 1024 * 1024 + 1) }, "4194305 bytes, want 4194304 at most"],
    [{ topic: "T", body: Buffer.from("x"), properties: { a: "b\u0002c" } }, 'property "a"'],
  ])("is refused here: %#", async (bad, text) => {
    const a = await broker(OK);
    const { producer } = await start({ a });
    await expect(producer.send(bad)).rejects.toThrow(text);
    expect(sends(a)).toHaveLength(0);
  });

  test("a batch of two topics, or with a delay, is refused", async () => {
    const a = await broker(OK);
    const { producer } = await start({ a });
    await expect(producer.send([message, { ...message, topic: "U" }])).rejects.toThrow('topic "U" beside "T"');
    await expect(producer.send([message, { ...message, delayLevel: 1 }])).rejects.toThrow("a delayed message");
    await expect(producer.send([])).rejects.toThrow("found no message");
  });
});

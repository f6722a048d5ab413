import { afterEach, describe, expect, test } from "bun:test";
import { PullApi, type PullOptions } from "../../lib/client/consumer/pull-api.ts";
import { Producer } from "../../lib/client/producer/producer.ts";
import { encodeProperties } from "../../lib/message/properties.ts";
import { buildSubscription } from "../../lib/protocol/body/heartbeat-data.ts";
import { RequestCode, ResponseCode } from "../../lib/remoting/codes.ts";
import type { RemotingResponse } from "../../lib/remoting/types.ts";
import { type FakePeer, fakePeer } from "../support/fake-peer.ts";
import { quietLogger } from "../support/quiet-logger.ts";

const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const queue = { topic: "T", brokerName: "b", queueId: 0 };

function pulled(suggestWhichBrokerId: number, code: number, body?: Buffer): RemotingResponse {
  return { code, ext: { suggestWhichBrokerId, nextBeginOffset: 8, minOffset: 0, maxOffset: 9 }, body };
}

/** One record in RocketMQ's layout, IPv4 hosts, its CRC left to `crc`. */
function record(body: string, tags: string): Buffer {
  const properties = encodeProperties({ TAGS: tags });
  const size = 91 + body.length + 1 + properties.length;
  const buffer = Buffer.alloc(size);
  buffer.writeInt32BE(size, 0);
  buffer.writeUInt32BE(0xdaa320a7, 4);
  buffer.writeUInt32BE(Bun.hash.crc32(body) & 0x7fffffff, 8);
  buffer.writeInt32BE(body.length, 84);
  buffer.write(body, 88);
  buffer[88 + body.length] = 1;
  buffer.write("T", 89 + body.length);
  buffer.writeInt16BE(properties.length, 90 + body.length);
  buffer.write(properties, 92 + body.length);
  return buffer;
}

async function setUp(
  master: RemotingResponse,
  slave: RemotingResponse,
): Promise<{ api: PullApi; master: FakePeer; slave: FakePeer }> {
  const peers = await Promise.all(
    [master, slave].map((answer) => fakePeer({ [RequestCode.PULL_MESSAGE]: answer, 34: { code: 0 }, 35: { code: 0 } })),
  );
  const [first, second] = peers as [FakePeer, FakePeer];
  const route = {
    brokerDatas: [{ brokerName: "b", cluster: "c", brokerAddrs: { 0: first.address, 1: second.address } }],
    queueDatas: [{ brokerName: "b", perm: 6, readQueueNums: 1, writeQueueNums: 1, topicSysFlag: 0 }],
  };
  const namesrv = await fakePeer({
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: { code: 0, body: JSON.stringify(route) },
  });
  const producer = new Producer({ group: "pg", namesrvAddr: namesrv.address, logger: quietLogger() });
  producer.start();
  closing.push(namesrv.stop, first.stop, second.stop, () => producer.shutdown());
  return { api: new PullApi(producer.instance, "g"), master: first, slave: second };
}

const options: PullOptions = {
  offset: 5,
  maxNums: 32,
  maxBytes: 262144,
  suspendMs: 15_000,
  timeoutMs: 5_000,
  subVersion: 7,
  commitOffset: 4,
  withSubscription: false,
  lite: false,
};

const pulls = (peer: FakePeer) => peer.requests.filter(({ code }) => code === RequestCode.PULL_MESSAGE);

describe("a pull", () => {
  test("carries RocketMQ's fields", async () => {
    const { api, master } = await setUp(pulled(0, ResponseCode.PULL_NOT_FOUND), pulled(0, 0));
    const result = await api.pull(queue, buildSubscription("T", "A"), options);
    expect(result).toEqual({ status: "NO_NEW_MSG", nextBeginOffset: 8, minOffset: 0, maxOffset: 9, messages: [] });
    expect(pulls(master)[0]?.ext).toMatchObject({
      consumerGroup: "g",
      topic: "T",
      queueId: "0",
      queueOffset: "5",
      maxMsgNums: "32",
      maxMsgBytes: "262144",
      sysFlag: "3",
      commitOffset: "4",
      suspendTimeoutMillis: "15000",
      subVersion: "7",
      expressionType: "TAG",
    });
  });

  test("goes to the slave when told so, and commits nothing there", async () => {
    const { api, master, slave } = await setUp(
      pulled(1, ResponseCode.PULL_RETRY_IMMEDIATELY),
      pulled(0, ResponseCode.PULL_RETRY_IMMEDIATELY),
    );
    for (let i = 0; i < 3; i++) await api.pull(queue, buildSubscription("T", "*"), options);
    expect(pulls(master).map(({ ext }) => ext.sysFlag)).toEqual(["3", "3"]);
    expect(pulls(slave).map(({ ext }) => ext.sysFlag)).toEqual(["2"]);
  });

  test("gives only messages with exactly the tags wanted: the broker compares hashes alone", async () => {
    const body = Buffer.concat([record("1", "Aa"), record("2", "BB"), record("3", "Aa")]);
    const { api } = await setUp(pulled(0, 0, body), pulled(0, 0));
    const { status, messages } = await api.pull(queue, buildSubscription("T", "Aa"), options);
    expect([status, messages.map((message) => message.body.toString())]).toEqual(["FOUND", ["1", "3"]]);
    expect(messages[0]?.properties).toMatchObject({ MIN_OFFSET: "0", MAX_OFFSET: "9" });
  });

  test("with a record whose CRC is wrong is an error, not a gap", async () => {
    const bad = record("x", "A");
    bad[88] = 0x79;
    const { api } = await setUp(pulled(0, 0, Buffer.concat([record("1", "A"), bad])), pulled(0, 0));
    await expect(api.pull(queue, buildSubscription("T", "*"), options)).rejects.toThrow(/begins no whole record/);
  });

  test("refused is an error that names queue, broker, code and remark", async () => {
    const refusal = {
      code: ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      remark: "subscription group [g] does not exist",
    };
    const { api, master } = await setUp(refusal, pulled(0, 0));
    await expect(api.pull(queue, buildSubscription("T", "*"), options)).rejects.toThrow(
      `pull MessageQueue [topic=T, brokerName=b, queueId=0]: ${master.address} refused with SUBSCRIPTION_GROUP_NOT_EXIST (26): subscription group [g] does not exist`,
    );
  });
});

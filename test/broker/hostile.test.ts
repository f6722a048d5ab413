import { afterAll, beforeAll, expect, test } from "bun:test";
import { encodeBatch } from "../../lib/message/batch.ts";
import { propertiesToBytes } from "../../lib/message/properties.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import type { RemotingRequest } from "../../lib/remoting/types.ts";
import { BrokerFixture, heartbeatRequest, pullRequest, sendRequest } from "./support/broker-fixture.ts";

/** Broken peers: mutated frames of every kind of request. The broker must answer or close, never stop, and serve others on. */

const ROUNDS = 60;
const seed = Number(process.env.MQ_SEED ?? Math.floor(Math.random() * 2 ** 31));

let fixture: BrokerFixture;

beforeAll(async () => {
  fixture = await BrokerFixture.start();
});

afterAll(() => fixture.close());

/** [mulberry32] */
function random(state: number): () => number {
  let a = state;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function prefixed(type: number, header: Buffer, body: Buffer): Buffer {
  const prefix = Buffer.alloc(8);
  prefix.writeInt32BE(4 + header.length + body.length, 0);
  prefix.writeInt32BE(header.length | (type << 24), 4);
  return Buffer.concat([prefix, header, body]);
}

function entries(ext: RemotingRequest["ext"]): [string, string][] {
  return Object.entries(ext ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]));
}

function jsonFrame(request: RemotingRequest, opaque: number): Buffer {
  const extFields = Object.fromEntries(entries(request.ext));
  const header = { code: request.code, extFields, flag: 0, language: "JAVA", opaque, version: 479 };
  return prefixed(0, Buffer.from(JSON.stringify(header)), Buffer.from(request.body ?? ""));
}

function binaryFrame(request: RemotingRequest, opaque: number): Buffer {
  const parts = entries(request.ext).map(([name, value]) => {
    const part = Buffer.alloc(6 + name.length + Buffer.byteLength(value));
    part.writeUInt16BE(name.length, 0);
    part.write(name, 2);
    part.writeInt32BE(Buffer.byteLength(value), 2 + name.length);
    part.write(value, 6 + name.length);
    return part;
  });
  const ext = Buffer.concat(parts);
  const head = Buffer.alloc(21);
  head.writeInt16BE(request.code & 0x7fff, 0);
  head.writeInt16BE(479, 3);
  head.writeInt32BE(opaque, 5);
  head.writeInt32BE(ext.length, 17);
  return prefixed(1, Buffer.concat([head, ext]), Buffer.from(request.body ?? ""));
}

function requests(): RemotingRequest[] {
  const items = [{ flag: 0, body: Buffer.from("item"), properties: propertiesToBytes({ UNIQ_KEY: "1" }) }];
  const lock = { clientId: "c", consumerGroup: "g", mqSet: [{ topic: "T", brokerName: "b", queueId: 0 }] };
  return [
    sendRequest({ topic: "Hostile", properties: { UNIQ_KEY: "1", TAGS: "a", DELAY: "3" } }),
    sendRequest({ topic: "Hostile" }, RequestCode.SEND_MESSAGE),
    {
      ...sendRequest({ topic: "Hostile", ext: { m: true } }, RequestCode.SEND_BATCH_MESSAGE),
      body: encodeBatch(items),
    },
    sendRequest({ topic: "Hostile" }, RequestCode.SEND_REPLY_MESSAGE_V2),
    pullRequest({ topic: "Hostile", tags: "a || b" }),
    pullRequest({ topic: "Hostile", offset: 3, suspendMs: 50 }),
    heartbeatRequest("hostile", "HostileGroup", "Hostile"),
    { code: RequestCode.LOCK_BATCH_MQ, body: JSON.stringify(lock) },
    {
      code: RequestCode.UPDATE_CONSUMER_OFFSET,
      ext: { consumerGroup: "g", topic: "Hostile", queueId: 0, commitOffset: 1 },
    },
    { code: RequestCode.QUERY_CONSUMER_OFFSET, ext: { consumerGroup: "g", topic: "Hostile", queueId: 0 } },
    { code: RequestCode.CONSUMER_SEND_MSG_BACK, ext: { offset: 0, group: "g", delayLevel: 3 } },
    {
      code: RequestCode.END_TRANSACTION,
      ext: { producerGroup: "g", tranStateTableOffset: 0, commitLogOffset: 0, commitOrRollback: 8, msgId: "m" },
    },
    {
      code: RequestCode.QUERY_MESSAGE,
      ext: { topic: "Hostile", key: "k", maxNum: 32, beginTimestamp: 0, endTimestamp: 9e15 },
    },
    { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset: 17 } },
    { code: RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext: { topic: "Hostile", queueId: 0, timestamp: 5 } },
  ];
}

function mutate(frame: Buffer, next: () => number): Buffer {
  const copy = Buffer.from(frame);
  const kind = Math.floor(next() * 4);
  if (kind === 0) return copy.subarray(0, Math.floor(next() * copy.length));
  const times = kind === 1 ? 1 : 1 + Math.floor(next() * 8);
  // The length field stays: a broken one only ends the connection before anything else is tried.
  for (let i = 0; i < times; i++) copy[4 + Math.floor(next() * (copy.length - 4))] = Math.floor(next() * 256);
  return copy;
}

/** Sends bytes on a connection of their own and waits until the peer is done with them. */
async function throwAt(bytes: Buffer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port: fixture.broker.listenPort,
    socket: { data: () => resolve(), close: () => resolve(), end: () => resolve(), error: () => resolve() },
  });
  socket.write(bytes);
  await Promise.race([promise, Bun.sleep(20)]);
  socket.end();
}

test(`mutated frames of every kind harm nobody (MQ_SEED=${seed})`, async () => {
  const next = random(seed);
  const client = fixture.client();
  await client.invoke(fixture.address, sendRequest({ topic: "Hostile" }), 3_000);
  for (let round = 0; round < ROUNDS; round++) {
    const all = requests();
    const frames = all.map((request, i) => (next() < 0.5 ? jsonFrame(request, i) : binaryFrame(request, i)));
    await Promise.all(frames.map((frame) => throwAt(mutate(frame, next))));
  }
  const sent = await client.invoke(fixture.address, sendRequest({ topic: "Hostile", body: "alive" }), 3_000);
  expect(sent.code).toBe(0);
  expect(fixture.logger.find("error", "must not")).toEqual([]);
  const { clients, load } = fixture.broker.context;
  expect(load.waitingSends).toBe(0);
  expect(clients.consumers.groups.size).toBeLessThan(ROUNDS);
}, 60_000);

test("after all of it the store opens again and holds what was answered", async () => {
  const max = fixture.broker.context.store.getMaxOffsetInQueue("Hostile", 0);
  await fixture.restart();
  expect(fixture.broker.context.store.getMaxOffsetInQueue("Hostile", 0)).toBe(max);
});

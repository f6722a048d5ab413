import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminClient } from "../../lib/client/admin/admin-client.ts";
import type { ConsumerOptions } from "../../lib/client/consumer/consumer-context.ts";
import { PullConsumer } from "../../lib/client/consumer/pull-consumer.ts";
import { type Listener, PushConsumer } from "../../lib/client/consumer/push-consumer.ts";
import type { MessageExt } from "../../lib/client/message.ts";
import { Producer } from "../../lib/client/producer/producer.ts";
import { TransactionProducer } from "../../lib/client/producer/transaction-producer.ts";
import { createRemotingClient } from "../../lib/remoting/client.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import { type Cluster, type OwnCluster, startCluster, startOwnCluster } from "../support/cluster.ts";
import { quietLogger } from "../support/quiet-logger.ts";
import { until } from "../support/until.ts";

/** The client library against a name server and a broker: ours, or with MQ_TEST_NAMESRV those that listen there. */
let cluster: Cluster;
let producer: Producer;
let admin: AdminClient;
const logger = quietLogger();
const stops: (() => Promise<unknown>)[] = [];
const TIMEOUT_MS = 60_000;

beforeAll(async () => {
  cluster = await startCluster();
  producer = new Producer({ group: "e2e-producers", namesrvAddr: cluster.namesrvAddr, logger });
  producer.start();
  admin = new AdminClient({ namesrvAddr: cluster.namesrvAddr });
}, TIMEOUT_MS);

afterAll(async () => {
  for (const stop of stops) await stop();
  await producer.shutdown();
  await admin.close();
  await cluster.stop();
}, TIMEOUT_MS);

let serial = 0;
function unique(name: string): string {
  return `${name}-${process.pid}-${Date.now().toString(36)}-${serial++}`;
}

async function newTopic(queues = 4): Promise<string> {
  const topicName = unique("topic");
  for (const { address } of await admin.masters()) {
    await admin.createTopic(address, {
      topicName,
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: 6,
      topicFilterType: "SINGLE_TAG",
      topicSysFlag: 0,
      order: false,
    });
  }
  return topicName;
}

function consumerOptions(options: Partial<ConsumerOptions>): ConsumerOptions {
  return {
    group: unique("group"),
    namesrvAddr: cluster.namesrvAddr,
    consumeFromWhere: "CONSUME_FROM_FIRST_OFFSET",
    firstPullDelayMs: 0,
    logger,
    ...options,
  };
}

async function startConsumer(
  topic: string,
  listener: Listener,
  options: Partial<ConsumerOptions> = {},
  expression = "*",
): Promise<PushConsumer> {
  const consumer = new PushConsumer(consumerOptions(options), listener);
  stops.push(() => consumer.shutdown());
  consumer.subscribe(topic, expression);
  await consumer.start();
  return consumer;
}

/** A listener that keeps what it gets. */
function collector(): { seen: MessageExt[]; bodies: () => string[]; listener: Listener } {
  const seen: MessageExt[] = [];
  return {
    seen,
    bodies: () => seen.map(({ body }) => body.toString()),
    listener: {
      concurrently: (messages) => {
        seen.push(...messages);
        return "CONSUME_SUCCESS";
      },
    },
  };
}

async function sendTexts(topic: string, count: number, prefix = "m"): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  for (const text of texts) await producer.send({ topic, body: Buffer.from(text) });
  return texts;
}

describe("producer", () => {
  test(
    "what was sent arrives: keys, tags, properties, flag, compressed and plain bodies",
    async () => {
      const topic = await newTopic();
      const big = Buffer.alloc(20_000, "abc");
      const result = await producer.send({
        topic,
        body: big,
        tags: "T",
        keys: ["k1", "k2"],
        properties: { name: "värde" },
        flag: 7,
      });
      expect(result.status).toBe("SEND_OK");
      expect(result.msgId).toMatch(/^[0-9A-F]{32}$/);
      const got = collector();
      await startConsumer(topic, got.listener);
      await until(() => got.seen.length === 1);
      const message = got.seen[0] as MessageExt;
      expect(message.body.equals(big)).toBe(true);
      expect(message.size).toBeLessThan(1000);
      expect([message.tags, message.keys, message.properties.name, message.flag]).toEqual(["T", "k1 k2", "värde", 7]);
      expect([message.msgId, message.offsetMsgId, message.queueOffset]).toEqual([
        result.msgId,
        result.offsetMsgId,
        result.queueOffset,
      ]);
    },
    TIMEOUT_MS,
  );

  test(
    "a batch keeps its order and each message its own id",
    async () => {
      const topic = await newTopic(1);
      const texts = ["a", "b", "c"];
      const result = await producer.send(texts.map((text) => ({ topic, body: Buffer.from(text), keys: text })));
      const got = collector();
      await startConsumer(topic, got.listener);
      await until(() => got.seen.length === 3);
      expect(got.bodies()).toEqual(texts);
      expect(got.seen.map(({ msgId }) => msgId).join(",")).toBe(result.msgId);
      expect(got.seen.map(({ offsetMsgId }) => offsetMsgId).join(",")).toBe(result.offsetMsgId);
    },
    TIMEOUT_MS,
  );

  test(
    "a key keeps its queue, round robin uses all of them",
    async () => {
      const topic = await newTopic(4);
      const byKey = new Set<number>();
      const inTurn = new Set<number>();
      for (let i = 0; i < 8; i++) {
        byKey.add((await producer.send({ topic, body: Buffer.from("x") }, { hashKey: "customer-7" })).queue.queueId);
        inTurn.add((await producer.send({ topic, body: Buffer.from("x") })).queue.queueId);
      }
      expect(byKey.size).toBe(1);
      expect(inTurn.size).toBe(4);
    },
    TIMEOUT_MS,
  );

  test(
    "one-way messages arrive",
    async () => {
      const topic = await newTopic();
      await producer.sendOneway({ topic, body: Buffer.from("gone") });
      const got = collector();
      await startConsumer(topic, got.listener);
      await until(() => got.seen.length === 1);
      expect(got.bodies()).toEqual(["gone"]);
    },
    TIMEOUT_MS,
  );

  test(
    "an unknown topic is made by the first send",
    async () => {
      const topic = unique("auto");
      const result = await producer.send({ topic, body: Buffer.from("first") });
      expect(result.status).toBe("SEND_OK");
      expect((await admin.topicConfig((await admin.masters())[0]?.address ?? "", topic))?.writeQueueNums).toBe(4);
    },
    TIMEOUT_MS,
  );

  test(
    "a name server that is away is passed over",
    async () => {
      const topic = await newTopic();
      for (let i = 0; i < 4; i++) {
        const other = new Producer({ group: unique("pg"), namesrvAddr: `127.0.0.1:1;${cluster.namesrvAddr}`, logger });
        other.start();
        expect((await other.send({ topic, body: Buffer.from("x") })).status).toBe("SEND_OK");
        await other.shutdown();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "a refusal names topic, broker, code and remark, and is not retried when that is useless",
    async () => {
      const topic = await newTopic(1);
      const queue = { topic, brokerName: (await admin.masters())[0]?.brokerName ?? "", queueId: 99 };
      const failure = producer.send({ topic, body: Buffer.from("x") }, { queue });
      await expect(failure).rejects.toThrow(new RegExp(`send to topic "${topic}".*refused with .*queueId`, "s"));
    },
    TIMEOUT_MS,
  );
});

describe("push consumer", () => {
  test(
    "goes on where it stopped",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      const first = collector();
      const texts = await sendTexts(topic, 20);
      const consumer = await startConsumer(topic, first.listener, { group });
      await until(() => first.seen.length === 20);
      expect(await consumer.shutdown()).toEqual({ unconsumed: 0, listenersRunning: 0, commitFailure: undefined });
      expect(first.bodies().sort()).toEqual(texts.sort());
      const more = await sendTexts(topic, 5, "n");
      const second = collector();
      await startConsumer(topic, second.listener, { group });
      await until(() => second.seen.length >= 5);
      expect(second.bodies().sort()).toEqual(more);
    },
    TIMEOUT_MS,
  );

  test(
    "messages that came while a new group was away are not skipped",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      const options: Partial<ConsumerOptions> = {
        group,
        consumeFromWhere: "CONSUME_FROM_LAST_OFFSET",
        strictConsumeFrom: true,
      };
      await sendTexts(topic, 4, "old");
      const first = collector();
      const consumer = await startConsumer(topic, first.listener, options);
      await until(() => consumer.consumerStatus(topic).size === 4);
      await consumer.shutdown();
      const texts = await sendTexts(topic, 4, "new");
      const second = collector();
      await startConsumer(topic, second.listener, options);
      await until(() => second.seen.length >= 4);
      expect([first.bodies(), second.bodies().sort()]).toEqual([[], texts]);
    },
    TIMEOUT_MS,
  );

  test(
    "gets only the tags it wants",
    async () => {
      const topic = await newTopic();
      for (const tags of ["A", "B", "C", "A"]) await producer.send({ topic, body: Buffer.from(tags), tags });
      const got = collector();
      await startConsumer(topic, got.listener, {}, "A || C");
      await until(() => got.seen.length >= 3);
      expect(got.bodies().sort()).toEqual(["A", "A", "C"]);
    },
    TIMEOUT_MS,
  );

  test(
    "a second member takes its share, and gives it back when it goes",
    async () => {
      const topic = await newTopic(4);
      const group = unique("group");
      const one = collector();
      const two = collector();
      const first = await startConsumer(topic, one.listener, { group });
      await until(() => first.consumerStatus(topic).size === 4);
      const second = await startConsumer(topic, two.listener, { group });
      await until(() => first.consumerStatus(topic).size === 2 && second.consumerStatus(topic).size === 2);
      const texts = await sendTexts(topic, 16);
      await until(() => one.seen.length + two.seen.length >= 16);
      expect([...one.bodies(), ...two.bodies()].sort()).toEqual(texts.sort());
      expect(Math.min(one.seen.length, two.seen.length)).toBeGreaterThan(0);
      await second.shutdown();
      await until(() => first.consumerStatus(topic).size === 4);
    },
    TIMEOUT_MS,
  );

  test(
    "a failed message comes again, then goes to the dead-letter topic",
    async () => {
      const topic = await newTopic(1);
      const group = unique("group");
      const tries: number[] = [];
      await producer.send({ topic, body: Buffer.from("poison") });
      await startConsumer(
        topic,
        {
          concurrently: (messages, context) => {
            const message = messages[0] as MessageExt;
            expect(message.topic).toBe(topic);
            tries.push(message.reconsumeTimes);
            context.delayLevelWhenNextConsume = message.reconsumeTimes === 0 ? 1 : -1;
            if (message.reconsumeTimes === 0) throw new Error("not today");
            return "RECONSUME_LATER";
          },
        },
        { group },
      );
      await until(() => tries.length === 2);
      expect(tries).toEqual([0, 1]);
      const dead = collector();
      const dlq = `%DLQ%${group}`;
      await until(() => tries.length === 2);
      await startConsumer(dlq, dead.listener);
      await until(() => dead.seen.length === 1);
      expect(dead.bodies()).toEqual(["poison"]);
    },
    TIMEOUT_MS,
  );

  test(
    "in order: one at a time per queue, a suspended message comes first again",
    async () => {
      const topic = await newTopic(2);
      for (let i = 0; i < 20; i++) await producer.send({ topic, body: Buffer.from(`${i}`) }, { hashKey: `${i % 2}` });
      const seen: { queueId: number; number: number }[] = [];
      let running = 0;
      let suspended = false;
      const consumer = await startConsumer(
        topic,
        {
          orderly: async (messages) => {
            const message = messages[0] as MessageExt;
            expect(++running).toBeLessThanOrEqual(2);
            await Bun.sleep(1);
            running--;
            const number = Number(message.body.toString());
            if (number === 6 && !suspended) {
              suspended = true;
              return "SUSPEND_CURRENT_QUEUE_A_MOMENT";
            }
            seen.push({ queueId: message.queueId, number });
            return "SUCCESS";
          },
        },
        { suspendCurrentQueueTimeMillis: 50 },
      );
      await until(() => seen.length === 20);
      for (const odd of [0, 1]) {
        const numbers = seen.map(({ number }) => number).filter((number) => number % 2 === odd);
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      }
      expect(suspended).toBe(true);
      expect((await consumer.shutdown()).unconsumed).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "in order: a message that failed too often goes to the dead-letter topic, the queue goes on",
    async () => {
      const topic = await newTopic(1);
      const group = unique("group");
      for (const text of ["ok1", "poison", "ok2"]) await producer.send({ topic, body: Buffer.from(text) });
      const tries: string[] = [];
      await startConsumer(
        topic,
        {
          orderly: (messages) => {
            const text = (messages[0] as MessageExt).body.toString();
            tries.push(text);
            return text === "poison" ? "SUSPEND_CURRENT_QUEUE_A_MOMENT" : "SUCCESS";
          },
        },
        { group, suspendCurrentQueueTimeMillis: 10, maxReconsumeTimes: 2 },
      );
      await until(() => tries.includes("ok2"));
      expect(tries).toEqual(["ok1", "poison", "poison", "poison", "ok2"]);
      const dead = collector();
      await startConsumer(`%DLQ%${group}`, dead.listener);
      await until(() => dead.seen.length === 1);
      expect(dead.bodies()).toEqual(["poison"]);
    },
    TIMEOUT_MS,
  );

  test(
    "in order: a second member takes queues over only when the first has let them go",
    async () => {
      const topic = await newTopic(4);
      const group = unique("group");
      const done = new Map<number, number[]>();
      const busy = new Set<number>();
      let overlaps = 0;
      const listener: Listener = {
        orderly: async (messages) => {
          const message = messages[0] as MessageExt;
          if (busy.has(message.queueId)) overlaps++;
          busy.add(message.queueId);
          await Bun.sleep(2);
          busy.delete(message.queueId);
          done.set(message.queueId, [...(done.get(message.queueId) ?? []), message.queueOffset]);
          return "SUCCESS" as const;
        },
      };
      for (let i = 0; i < 400; i++) await producer.send({ topic, body: Buffer.from(`${i}`) });
      const first = await startConsumer(topic, listener, { group });
      await until(() => done.size === 4);
      const second = await startConsumer(topic, listener, { group });
      await until(() => first.consumerStatus(topic).size === 2 && second.consumerStatus(topic).size === 2);
      await until(() => [...done.values()].flat().length >= 400);
      expect(overlaps).toBe(0);
      for (const offsets of done.values()) expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    },
    TIMEOUT_MS,
  );

  test(
    "broadcasting: every member gets everything and remembers where it was",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      const localOffsetStoreDir = mkdtempSync(join(tmpdir(), "mq-broadcast-"));
      stops.push(async () => rmSync(localOffsetStoreDir, { recursive: true }));
      const options = (instanceName: string): Partial<ConsumerOptions> => ({
        group,
        instanceName,
        messageModel: "BROADCASTING",
        localOffsetStoreDir,
      });
      const texts = await sendTexts(topic, 6);
      const one = collector();
      const two = collector();
      const first = await startConsumer(topic, one.listener, options("one"));
      await startConsumer(topic, two.listener, options("two"));
      await until(() => one.seen.length >= 6 && two.seen.length >= 6);
      expect([one.bodies().sort(), two.bodies().sort()]).toEqual([texts, texts]);
      await first.shutdown();
      const again = collector();
      await startConsumer(topic, again.listener, options("one"));
      await sendTexts(topic, 1, "later");
      await until(() => again.seen.length >= 1);
      expect(again.bodies()).toEqual(["later0"]);
    },
    TIMEOUT_MS,
  );

  test(
    "begins at a time",
    async () => {
      const topic = await newTopic(1);
      await sendTexts(topic, 3, "old");
      await Bun.sleep(20);
      const consumeTimestamp = Date.now();
      await sendTexts(topic, 2, "new");
      const got = collector();
      await startConsumer(topic, got.listener, {
        consumeFromWhere: "CONSUME_FROM_TIMESTAMP",
        consumeTimestamp,
        strictConsumeFrom: true,
      });
      await until(() => got.seen.length >= 2);
      expect(got.bodies()).toEqual(["new0", "new1"]);
    },
    TIMEOUT_MS,
  );

  test(
    "a delayed message comes later",
    async () => {
      const topic = await newTopic();
      const got = collector();
      await startConsumer(topic, got.listener);
      await producer.send({ topic, body: Buffer.from("later"), delayLevel: 1 });
      await until(() => got.seen.length === 1);
      const message = got.seen[0] as MessageExt;
      expect(message.storeTimestamp - message.bornTimestamp).toBeGreaterThanOrEqual(900);
    },
    TIMEOUT_MS,
  );

  test(
    "commits nothing when told so",
    async () => {
      const topic = await newTopic();
      const group = unique("group");
      await sendTexts(topic, 4);
      for (let round = 0; round < 2; round++) {
        const got = collector();
        const consumer = await startConsumer(topic, got.listener, { group, commitOffsets: false });
        await until(() => got.seen.length === 4);
        await consumer.shutdown();
      }
    },
    TIMEOUT_MS,
  );
});

describe("what brokers ask a consumer", () => {
  test(
    "running info and direct consumption are answered",
    async () => {
      const topic = await newTopic(2);
      const sent = await producer.send({ topic, body: Buffer.from("look at me") });
      const got = collector();
      const group = unique("group");
      const consumer = await startConsumer(topic, got.listener, { group });
      await until(() => got.seen.length === 1);
      const remoting = createRemotingClient();
      const address = (await admin.masters())[0]?.address ?? "";
      const clientId = consumer.instance.clientId;
      const info = await remoting.invoke(
        address,
        { code: RequestCode.GET_CONSUMER_RUNNING_INFO, ext: { consumerGroup: group, clientId, jstackEnable: false } },
        10_000,
      );
      expect([info.code, info.remark]).toEqual([0, info.remark]);
      expect(info.body?.toString()).toContain(`"topic":"${topic}"`);
      const direct = await remoting.invoke(
        address,
        {
          code: RequestCode.CONSUME_MESSAGE_DIRECTLY,
          ext: { consumerGroup: group, clientId, msgId: sent.offsetMsgId },
        },
        10_000,
      );
      expect(JSON.parse(direct.body?.toString() ?? "{}")).toMatchObject({ consumeResult: "CR_SUCCESS", order: false });
      expect(got.bodies()).toEqual(["look at me", "look at me"]);
      await remoting.close();
    },
    TIMEOUT_MS,
  );

  test(
    "a server-side reset makes it read again",
    async () => {
      const topic = await newTopic(1);
      await sendTexts(topic, 3);
      const got = collector();
      const group = unique("group");
      const consumer = await startConsumer(topic, got.listener, { group });
      await until(() => got.seen.length === 3);
      await consumer.persistOffsets();
      const remoting = createRemotingClient();
      const address = (await admin.masters())[0]?.address ?? "";
      const ext = { topic, group, timestamp: 0, isForce: true };
      const reset = await remoting.invoke(address, { code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ext }, 10_000);
      expect([reset.code, reset.remark]).toEqual([0, reset.remark]);
      // The long poll that waits ends with the next message; the reset is found then.
      await sendTexts(topic, 1, "wake");
      await until(() => got.seen.length >= 7);
      expect(got.bodies().slice(-4)).toEqual(["m0", "m1", "m2", "wake0"]);
      await remoting.close();
    },
    TIMEOUT_MS,
  );
});

describe("pull consumer", () => {
  test(
    "polls, seeks, commits and goes on",
    async () => {
      const topic = await newTopic(1);
      const group = unique("group");
      const texts = await sendTexts(topic, 10);
      const open = async () => {
        const consumer = new PullConsumer(consumerOptions({ group }));
        stops.push(() => consumer.shutdown());
        consumer.subscribe(topic);
        await consumer.start();
        return consumer;
      };
      const take = async (consumer: PullConsumer, count: number) => {
        const bodies: string[] = [];
        while (bodies.length < count) {
          for (const { body } of await consumer.poll(1000, count - bodies.length)) bodies.push(body.toString());
        }
        return bodies;
      };
      const first = await open();
      expect(await take(first, 4)).toEqual(texts.slice(0, 4));
      await first.commit();
      expect(await take(first, 2)).toEqual(texts.slice(4, 6));
      await first.shutdown();
      const second = await open();
      expect(await take(second, 6)).toEqual(texts.slice(4));
      second.seek(second.assignment()[0] as never, 8);
      expect(await take(second, 2)).toEqual(texts.slice(8));
    },
    TIMEOUT_MS,
  );
});

describe("transactions", () => {
  test(
    "commit appears, rollback does not",
    async () => {
      const topic = await newTopic(1);
      const transactions = new TransactionProducer(
        { group: unique("tx"), namesrvAddr: cluster.namesrvAddr, logger },
        {
          executeLocalTransaction: ({ body }) =>
            Buffer.from(body).toString() === "yes" ? "COMMIT_MESSAGE" : "ROLLBACK_MESSAGE",
          checkLocalTransaction: () => "UNKNOW",
        },
      );
      transactions.start();
      stops.push(() => transactions.shutdown());
      const got = collector();
      await startConsumer(topic, got.listener);
      const no = await transactions.sendMessageInTransaction({ topic, body: Buffer.from("no") });
      const yes = await transactions.sendMessageInTransaction({ topic, body: Buffer.from("yes") });
      expect([no.localTransactionState, yes.localTransactionState]).toEqual(["ROLLBACK_MESSAGE", "COMMIT_MESSAGE"]);
      await until(() => got.seen.length === 1);
      expect(got.bodies()).toEqual(["yes"]);
      expect(got.seen[0]?.transactionId).toBe(yes.msgId);
    },
    TIMEOUT_MS,
  );
});

describe("a broker with other settings", () => {
  let other: OwnCluster;
  let otherAdmin: AdminClient;

  beforeAll(async () => {
    // Against a given cluster these two would need its configuration: they run against ours only.
    other = await startOwnCluster({
      useServerSideResetOffset: false,
      transactionCheckInterval: 300,
      transactionTimeOut: 300,
    });
    otherAdmin = new AdminClient({ namesrvAddr: other.namesrvAddr });
  }, TIMEOUT_MS);

  afterAll(async () => {
    await otherAdmin.close();
    await other.stop();
  }, TIMEOUT_MS);

  test(
    "a reset pushed to the members makes them read again",
    async () => {
      const topic = unique("topic");
      const group = unique("group");
      const sender = new Producer({ group: unique("pg"), namesrvAddr: other.namesrvAddr, logger });
      sender.start();
      for (const text of ["a", "b"]) await sender.send({ topic, body: Buffer.from(text) }, { hashKey: "one queue" });
      const got = collector();
      const options = { group, namesrvAddr: other.namesrvAddr, resetOffsetWaitMs: 50 };
      const consumer = await startConsumer(topic, got.listener, options);
      await until(() => got.seen.length === 2);
      await consumer.persistOffsets();
      const remoting = createRemotingClient();
      const address = (await otherAdmin.masters())[0]?.address ?? "";
      const ext = { topic, group, timestamp: 0, isForce: true };
      const reset = await remoting.invoke(address, { code: RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ext }, 10_000);
      expect([reset.code, reset.remark]).toEqual([0, reset.remark]);
      await until(() => got.seen.length === 4);
      expect(got.bodies()).toEqual(["a", "b", "a", "b"]);
      await remoting.close();
      await consumer.shutdown();
      await sender.shutdown();
    },
    TIMEOUT_MS,
  );

  test("a broker that was started anew is used again at once, by producers and consumers", async () => {
    const topic = unique("topic");
    const sender = new Producer({ group: unique("pg"), namesrvAddr: other.namesrvAddr, logger });
    sender.start();
    await sender.send({ topic, body: Buffer.from("before") });
    const got = collector();
    const consumer = await startConsumer(topic, got.listener, { namesrvAddr: other.namesrvAddr });
    await until(() => got.seen.length === 1);
    await other.restartBroker();
    await sender.send({ topic, body: Buffer.from("after") });
    // Far below the 30 s of the next heartbeat, which would be the broker's first news of this member.
    await until(() => got.seen.length >= 2);
    expect(got.bodies()).toEqual(["before", "after"]);
    await consumer.shutdown();
    await sender.shutdown();
  }, 20_000);

  test(
    "a transaction of unknown state is asked about, and appears when it says commit",
    async () => {
      const topic = unique("topic");
      let checks = 0;
      const transactions = new TransactionProducer(
        { group: unique("tx"), namesrvAddr: other.namesrvAddr, logger },
        {
          executeLocalTransaction: () => {
            throw new Error("the data base is away");
          },
          checkLocalTransaction: () => (++checks < 2 ? "UNKNOW" : "COMMIT_MESSAGE"),
        },
      );
      transactions.start();
      const sent = await transactions.sendMessageInTransaction({ topic, body: Buffer.from("checked") });
      expect(sent.localTransactionState).toBe("UNKNOW");
      const got = collector();
      const consumer = await startConsumer(topic, got.listener, { namesrvAddr: other.namesrvAddr });
      // Checks arrive over the producer's connection to the broker, which its heartbeat names.
      await transactions.instance.sendHeartbeatToAllBrokers();
      await until(() => got.seen.length === 1);
      expect([got.bodies(), checks]).toEqual([["checked"], 2]);
      await consumer.shutdown();
      await transactions.shutdown();
    },
    TIMEOUT_MS,
  );
});

describe("admin client", () => {
  test(
    "a topic is made, seen, filled and deleted",
    async () => {
      const topic = await newTopic(3);
      await sendTexts(topic, 9);
      const { queues } = await admin.topicStatus(topic);
      expect(queues).toHaveLength(3);
      expect(queues.reduce((sum, { minOffset, maxOffset }) => sum + maxOffset - minOffset, 0)).toBe(9);
      expect(await admin.topicList()).toContain(topic);
      const [master] = await admin.masters();
      await admin.deleteTopicInBroker(master?.address ?? "", topic);
      await admin.deleteTopicInNameServers(topic, master?.cluster ?? "");
      expect(await admin.topicRoute(topic)).toBeUndefined();
    },
    TIMEOUT_MS,
  );

  test("an unknown cluster is refused with the known ones", async () => {
    await expect(admin.masters("nowhere")).rejects.toThrow(/find cluster "nowhere": .* knows /);
  });
});

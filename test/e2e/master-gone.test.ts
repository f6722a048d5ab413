import { afterEach, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { PushConsumer } from "../../lib/client/consumer/push-consumer.ts";
import { Producer } from "../../lib/client/producer/producer.ts";
import type { BrokerConfig } from "../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../lib/config/namesrv-config.ts";
import { createNamesrv } from "../../lib/namesrv/namesrv.ts";
import { BrokerFixture } from "../broker/support/broker-fixture.ts";
import { quietLogger } from "../support/quiet-logger.ts";

const logger = quietLogger();
const ending: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(5);
}

async function startNamesrv(): Promise<string> {
  const config = defaultNamesrvConfig({
    listenPort: 0,
    bindAddress: "127.0.0.1",
    kvConfigPath: "/nonexistent/kv.json",
  });
  const namesrv = createNamesrv(config, { logger });
  await namesrv.start();
  ending.push(() => namesrv.stop());
  return `127.0.0.1:${namesrv.port}`;
}

async function startBroker(overrides: Partial<BrokerConfig>, copyOf?: string): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.start(overrides, (folder) => {
    if (copyOf !== undefined) cpSync(copyOf, folder, { recursive: true });
  });
  ending.push(() => fixture.close());
  await fixture.broker.registered;
  return fixture;
}

test("consumers go on from the slave and commit there, producers from the other master; all return when the master is back", async () => {
  const namesrvAddr = await startNamesrv();
  const master = await startBroker({ namesrvAddr });
  const producer = new Producer({ group: "PG", namesrvAddr, logger });
  producer.start();
  ending.push(() => producer.shutdown());
  const send = () => producer.send({ topic: "T", body: Buffer.from("x") });
  for (let i = 0; i < 8; i++) await send();
  await master.broker.stop();
  const slave = await startBroker({ namesrvAddr, brokerRole: "SLAVE", brokerId: 1 }, master.folder);

  const seen: string[] = [];
  const consumer = new PushConsumer(
    {
      group: "CG",
      namesrvAddr,
      consumeFromWhere: "CONSUME_FROM_FIRST_OFFSET",
      pollNameServerInterval: 100,
      logger,
    },
    {
      concurrently: (messages) => {
        for (const { brokerName, queueId, queueOffset } of messages)
          seen.push(`${brokerName}/${queueId}/${queueOffset}`);
        return "CONSUME_SUCCESS";
      },
    },
  );
  consumer.subscribe("T", "*");
  await consumer.start();
  ending.push(() => consumer.shutdown());
  // Nobody but the slave is there: it serves what it has, holds the pulls and keeps the offsets.
  await until(() => seen.length === 8);
  await until(() => slave.broker.context.holdService.waiting >= 4);
  const { offsets } = slave.broker.context;
  await consumer.persistOffsets();
  await until(() => [0, 1, 2, 3].reduce((sum, queueId) => sum + offsets.queryOffset("CG", "T", queueId), 0) === 8);

  const other = await startBroker({ namesrvAddr, brokerName: "broker-b" });
  other.broker.context.topics.createTopicInSendMessageBackMethod("T", 4, 6, 0);
  await other.broker.context.routesPublished();
  await producer.instance.updateRoute("T");
  for (let i = 0; i < 4; i++) expect((await send()).queue.brokerName).toBe("broker-b");

  await master.restart();
  await master.broker.registered;
  slave.broker.context.registerBroker();
  await until(() => slave.broker.context.masterAlive);
  await producer.instance.updateRoute("T");
  await until(() => master.broker.context.holdService.waiting >= 4);
  const before = seen.length;
  while (seen.length === before) await send();
  expect(new Set(seen).size).toBe(seen.length);
}, 60_000);

test("a send whose master is gone goes to another one at once, and the producer learns of it without a poll", async () => {
  const namesrvAddr = await startNamesrv();
  const [a, b] = [await startBroker({ namesrvAddr }), await startBroker({ namesrvAddr, brokerName: "broker-b" })];
  for (const broker of [a, b]) broker.broker.context.topics.createTopicInSendMessageBackMethod("T", 4, 6, 0);
  await Promise.all([a.broker.context.routesPublished(), b.broker.context.routesPublished()]);
  const producer = new Producer({ group: "PG", namesrvAddr, sendLatencyFaultEnable: true, logger });
  producer.start();
  ending.push(() => producer.shutdown());
  const send = () => producer.send({ topic: "T", body: Buffer.from("x") });
  for (let i = 0; i < 8; i++) await send();
  await a.broker.stop();
  for (let i = 0; i < 8; i++) expect((await send()).queue.brokerName).toBe("broker-b");
  await until(() => producer.instance.route("T")?.brokerDatas.length === 1);
}, 20_000);

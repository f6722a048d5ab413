import { afterEach, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import type { BrokerConfig } from "../../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../../lib/config/namesrv-config.ts";
import { createNamesrv, type Namesrv } from "../../../lib/namesrv/namesrv.ts";
import { RequestCode } from "../../../lib/remoting/codes.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { BrokerFixture, sendRequest } from "../support/broker-fixture.ts";

const ending: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function startNamesrv(): Promise<Namesrv> {
  const config = defaultNamesrvConfig({
    listenPort: 0,
    bindAddress: "127.0.0.1",
    kvConfigPath: "/nonexistent/kvConfig.json",
    supportActingMaster: true,
    notifyMinBrokerIdChanged: true,
  });
  const namesrv = createNamesrv(config, { logger: quietLogger() });
  await namesrv.start();
  ending.push(() => namesrv.stop());
  return namesrv;
}

const ACTING: Partial<BrokerConfig> = { enableSlaveActingMaster: true, enableRemoteEscape: true };
const SLAVE: Partial<BrokerConfig> = { ...ACTING, brokerRole: "SLAVE", brokerId: 1 };

async function startBroker(namesrv: Namesrv, overrides: Partial<BrokerConfig>, store?: string): Promise<BrokerFixture> {
  const namesrvAddr = `127.0.0.1:${namesrv.port}`;
  const copy = (folder: string) => {
    if (store !== undefined) cpSync(store, folder, { recursive: true });
  };
  const fixture = await BrokerFixture.start({ namesrvAddr, ...overrides }, copy);
  ending.push(() => fixture.close());
  return fixture;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

test("a slave acts while its master is away: locks and offsets here, delayed messages and transactions through another master", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv, ACTING);
  const other = await startBroker(namesrv, { ...ACTING, brokerName: "broker-b" });
  const client = master.client();
  const send = (to: BrokerFixture, properties: Record<string, string>) =>
    client.invoke(to.address, sendRequest({ topic: "T", properties }), 5_000);
  await send(other, { UNIQ_KEY: "A0" });
  await send(master, { UNIQ_KEY: "A1" });
  await send(master, { UNIQ_KEY: "A2", DELAY: "1" });
  await send(master, { UNIQ_KEY: "A3", TRAN_MSG: "true", PGROUP: "PG" });
  await master.broker.stop();

  const slave = await startBroker(namesrv, { ...SLAVE, transactionCheckInterval: 20 }, master.folder);
  const { context } = slave.broker;
  await until(() => context.actingMaster?.acting === true);
  expect(context.schedule.running).toBe(true);
  const route = await client.invoke(
    `127.0.0.1:${namesrv.port}`,
    { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic: "T", acceptStandardJsonOnly: true } },
    5_000,
  );
  expect(route.body?.toString()).toContain(`"0":"${slave.address}"`);

  const lock = { consumerGroup: "CG", clientId: "c1", mqSet: [{ topic: "T", brokerName: "broker-a", queueId: 0 }] };
  const locked = await client.invoke(
    slave.address,
    { code: RequestCode.LOCK_BATCH_MQ, body: JSON.stringify(lock) },
    5_000,
  );
  expect(locked.body?.toString()).toContain("broker-a");

  const { store } = other.broker.context;
  const messages = () => [0, 1, 2, 3].reduce((sum, queueId) => sum + store.getMaxOffsetInQueue("T", queueId), 0);
  await until(() => messages() === 2);
  await until(() => store.getMaxOffsetInQueue("RMQ_SYS_TRANS_HALF_TOPIC", 0) === 1);
  // The slave's own log stays a copy of the master's.
  expect(context.store.maxPhyOffset).toBe(context.initMaxOffset);
}, 20_000);

test("a master that comes back takes over what its slave collected before it registers, and the slave stops acting", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv, { ...ACTING, totalReplicas: 2 });
  await master.broker.registered;
  const client = master.client();
  await client.invoke(master.address, sendRequest({ topic: "T" }), 5_000);
  master.broker.context.groups.findSubscriptionGroupConfig("CG");
  master.broker.context.offsets.commitOffset("", "CG", "T", 0, 0);
  const slave = await startBroker(namesrv, { ...SLAVE, totalReplicas: 2 });
  await slave.broker.registered;
  const { context } = slave.broker;
  await until(() => context.masterAlive && context.topics.get("T") !== undefined);
  expect(context.actingMaster?.acting).toBe(false);
  expect(context.offsets.queryOffset("CG", "T", 0)).toBe(0);
  await master.broker.stop();
  await until(() => context.actingMaster?.acting === true);
  const commit = { consumerGroup: "CG", topic: "T", queueId: 0, commitOffset: 1 };
  const committed = await client.invoke(
    slave.address,
    { code: RequestCode.UPDATE_CONSUMER_OFFSET, ext: commit },
    5_000,
  );
  expect(committed.code).toBe(0);
  context.schedule.offsets.update(2, 9);

  await master.restart();
  await master.broker.registered;
  expect(master.broker.context.offsets.queryOffset("CG", "T", 0)).toBe(1);
  expect(master.broker.context.schedule.offsets.offsetTable.get(2)).toBe(0);
  await until(() => context.actingMaster?.acting === false && context.masterAlive);
  expect(context.schedule.running).toBe(false);
}, 20_000);

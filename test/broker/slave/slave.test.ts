import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AdminClient } from "../../../lib/client/admin/admin-client.ts";
import { clusterStatus } from "../../../lib/client/admin/cluster-status.ts";
import type { BrokerConfig } from "../../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../../lib/config/namesrv-config.ts";
import { createNamesrv, type Namesrv } from "../../../lib/namesrv/namesrv.ts";
import { RequestCode, ResponseCode } from "../../../lib/remoting/codes.ts";
import { fakePeer } from "../../support/fake-peer.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { BrokerFixture, heartbeatRequest, pullRequest, sendRequest } from "../support/broker-fixture.ts";

const ending: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function startNamesrv(): Promise<Namesrv> {
  const namesrv = createNamesrv(
    defaultNamesrvConfig({ listenPort: 0, bindAddress: "127.0.0.1", kvConfigPath: "/nonexistent/kvConfig.json" }),
    { logger: quietLogger() },
  );
  await namesrv.start();
  ending.push(() => namesrv.stop());
  return namesrv;
}

async function startBroker(namesrv: Namesrv, overrides: Partial<BrokerConfig> = {}): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.start({ namesrvAddr: `127.0.0.1:${namesrv.port}`, ...overrides });
  ending.push(() => fixture.close());
  await fixture.broker.registered;
  return fixture;
}

const SLAVE: Partial<BrokerConfig> = { brokerRole: "SLAVE", brokerId: 1 };

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

function masterTables(fixture: BrokerFixture) {
  const { topics, groups, offsets, schedule } = fixture.broker.context;
  return [topics, groups, offsets, schedule].map((table) => JSON.parse(quoted(table.encode())));
}

/** fastjson's unquoted number keys as JSON. */
function quoted(text: string): string {
  return text.replace(/([{,])(\d+):/g, '$1"$2":');
}

test("a slave has its master's topics, groups and offsets at once, and its later ones; they are on disk", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const client = master.client();
  const ask = (request: Parameters<typeof client.invoke>[1]) => client.invoke(master.address, request, 5_000);
  await ask(sendRequest({ topic: "T1" }));
  await ask(heartbeatRequest("c1", "CG1", "T1"));
  const commit = { consumerGroup: "CG1", topic: "T1", queueId: 0, commitOffset: 1 };
  expect((await ask({ code: RequestCode.UPDATE_CONSUMER_OFFSET, ext: commit })).code).toBe(0);
  master.broker.context.schedule.offsets.update(3, 7);

  const slave = await startBroker(namesrv, SLAVE);
  const { context } = slave.broker;
  await until(() => context.masterAlive);
  expect(masterTables(slave)).toEqual(masterTables(master));
  expect(context.offsets.queryOffset("CG1", "T1", 0)).toBe(1);
  expect(context.schedule.running).toBe(false);
  expect(context.transactions.running).toBe(false);

  const deletion = { code: RequestCode.DELETE_TOPIC_IN_BROKER, ext: { topic: "T1" } };
  context.offsets.commitOffset("c", "here-only", "T1", 0, 1);
  context.offsets.commitOffset("c", "CG1", "T2", 0, 1);
  expect((await ask(deletion)).code).toBe(0);
  await ask(sendRequest({ topic: "T2" }));
  expect(await slave.broker.slaveSync?.syncAll()).toBe(true);
  expect(context.topics.get("T1")).toBeUndefined();
  expect(context.topics.get("T2")).toEqual(master.broker.context.topics.get("T2"));
  await slave.broker.stop();
  const file = (name: string) => readFileSync(join(slave.folder, "config", name), "utf8");
  expect(file("topics.json")).toContain('"T2"');
  expect(file("subscriptionGroup.json")).toContain('"CG1"');
  // What the master deleted goes here as well; what it does not know of a topic and group that are there stays.
  expect(file("consumerOffset.json")).not.toContain("T1@");
  expect(file("consumerOffset.json")).toContain("T2@CG1");
  expect(quoted(file("delayOffset.json"))).toContain('"3":7');
});

test("a master without a timer has its other tables copied, and nothing is said", async () => {
  const table = (members: object) => ({ code: 0, body: Buffer.from(JSON.stringify({ ...members, dataVersion: {} })) });
  const none = { code: ResponseCode.SYSTEM_ERROR, remark: "The timer message store is null" };
  const master = await fakePeer({
    [RequestCode.GET_ALL_TOPIC_CONFIG]: table({ topicConfigTable: {} }),
    [RequestCode.GET_ALL_CONSUMER_OFFSET]: table({ offsetTable: {} }),
    [RequestCode.GET_ALL_DELAY_OFFSET]: table({ offsetTable: {} }),
    [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG]: table({ subscriptionGroupTable: {} }),
    [RequestCode.GET_ALL_MESSAGE_REQUEST_MODE]: table({ messageRequestModeMap: {} }),
    [RequestCode.GET_TIMER_METRICS]: none,
    [RequestCode.GET_TIMER_CHECK_POINT]: none,
  });
  ending.push(() => master.stop());
  const slave = await BrokerFixture.start({ ...SLAVE, timerWheelEnable: true });
  ending.push(() => slave.close());
  const { offsets } = slave.broker.context;
  offsets.commitOffset("c", "deleted", "T", 0, 1);
  slave.broker.slaveSync?.setMasterAddr(master.address);
  await until(() => slave.broker.context.masterAlive);
  expect(offsets.queryOffset("deleted", "T", 0)).toBe(-1);
  expect(slave.logger.lines.filter(({ message }) => message.includes("not taken over"))).toEqual([]);
});

test("a slave whose brokerName no master has says so once", async () => {
  const namesrv = await startNamesrv();
  await startBroker(namesrv, { brokerRole: "ASYNC_MASTER" });
  const slave = await startBroker(namesrv, { ...SLAVE, brokerName: "broker-misspelt" });
  await until(() =>
    slave.logger.lines.some((line) => line.message.includes("no name server knows a master of this brokerName")),
  );
  expect(slave.broker.context.ha.status().client?.trouble).toBe("no master is known yet");
}, 10_000);

test("a master that goes away is said once, and once when it is back at another address", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const slave = await startBroker(namesrv, SLAVE);
  const { context } = slave.broker;
  await until(() => context.masterAlive);
  const before = master.address;
  await master.broker.stop();
  await until(() => !context.masterAlive);
  await master.restart();
  await master.broker.registered;
  expect(master.address).not.toBe(before);
  await until(() => context.masterAlive);
  expect(slave.broker.slaveSync?.masterAddr).toBe(master.address);
});

test("what the master stores is on the slave: pulled, queried and viewed there, with the master or without", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const slave = await startBroker(namesrv, SLAVE);
  const client = master.client();
  const keys = ["K0", "K1", "K2"];
  for (const key of keys)
    await client.invoke(master.address, sendRequest({ topic: "T", properties: { KEYS: key, UNIQ_KEY: key } }), 5_000);
  const { context } = slave.broker;
  await until(() => context.masterAlive && context.store.getMaxOffsetInQueue("T", 0) === 3);
  expect(context.store.maxPhyOffset).toBe(master.broker.context.store.maxPhyOffset);
  await slave.broker.slaveSync?.syncAll();
  await until(() => master.broker.context.ha.status().slaves[0]?.slaveAckOffset === context.store.maxPhyOffset);

  const status = async (broker: BrokerFixture) => {
    const response = await client.invoke(broker.address, { code: RequestCode.GET_BROKER_HA_STATUS }, 5_000);
    return JSON.parse(response.body?.toString() ?? "");
  };
  const end = context.store.maxPhyOffset;
  expect(await status(master)).toMatchObject({
    master: true,
    masterCommitLogMaxOffset: end,
    inSyncSlaveNums: 1,
    haConnectionInfo: [{ inSync: true, diff: 0, slaveAckOffset: end }],
  });
  expect(await status(slave)).toMatchObject({ master: false, haClientRuntimeInfo: { maxOffset: end } });
  const admin = new AdminClient({ namesrvAddr: `127.0.0.1:${namesrv.port}` });
  ending.push(() => admin.close());
  expect(await clusterStatus(admin)).toMatchObject([
    { brokerId: 0, role: "master", inSyncSlaves: 1, maxOffset: end, slaves: [{ inSync: true, behindBytes: 0 }] },
    { brokerId: 1, role: "slave", inSync: true, behindBytes: 0, maxOffset: end },
  ]);

  const read = async () => {
    const pulled = await client.invoke(slave.address, pullRequest({ topic: "T" }), 5_000);
    const query = { topic: "T", key: "K1", maxNum: 10, beginTimestamp: 0, endTimestamp: Date.now() + 1000 };
    const queried = await client.invoke(slave.address, { code: RequestCode.QUERY_MESSAGE, ext: query }, 5_000);
    const max = { topic: "T", queueId: 0 };
    const offset = await client.invoke(slave.address, { code: RequestCode.GET_MAX_OFFSET, ext: max }, 5_000);
    return [pulled.code, pulled.ext.nextBeginOffset, queried.code, offset.ext.offset];
  };
  expect(await read()).toEqual([0, "3", 0, "3"]);
  await master.broker.stop();
  await until(() => !context.masterAlive);
  expect(await read()).toEqual([0, "3", 0, "3"]);
});

test("who reads far from the tail is sent to the slave and, once near it, back to the master", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv, { slaveReadEnable: true });
  const slave = await startBroker(namesrv, { ...SLAVE, slaveReadEnable: true });
  const client = master.client();
  await client.invoke(master.address, sendRequest({ topic: "T" }), 5_000);
  await until(() => slave.broker.context.masterAlive && slave.broker.context.store.getMaxOffsetInQueue("T", 0) === 1);
  await slave.broker.slaveSync?.syncAll();
  const suggested = async (broker: BrokerFixture, far: boolean, offset: number) => {
    const { store } = broker.broker.context;
    const { getMessage } = store;
    // Far is more than accessMessageInMemoryMaxRatio of the memory: no test writes as much.
    store.getMessage = (...args) => {
      const result = getMessage.apply(store, args);
      if (!(result instanceof Promise)) result.suggestPullingFromSlave = far;
      return result;
    };
    const { code, ext } = await client.invoke(broker.address, pullRequest({ topic: "T", offset }), 5_000);
    store.getMessage = getMessage;
    return [code, ext.suggestWhichBrokerId];
  };
  const { SUCCESS, PULL_NOT_FOUND, PULL_RETRY_IMMEDIATELY } = ResponseCode;
  expect(await suggested(master, true, 0)).toEqual([SUCCESS, "1"]);
  expect(await suggested(slave, true, 0)).toEqual([SUCCESS, "1"]);
  expect(await suggested(slave, true, 1)).toEqual([PULL_NOT_FOUND, "1"]);
  expect(await suggested(slave, false, 0)).toEqual([SUCCESS, "0"]);
  expect(await suggested(slave, false, 1)).toEqual([PULL_RETRY_IMMEDIATELY, "0"]);
  expect(await suggested(master, false, 0)).toEqual([SUCCESS, "0"]);
});

test("who says where the master is must name an address; a master is told nothing", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const slave = await startBroker(namesrv, SLAVE);
  const client = slave.client();
  const say = (to: BrokerFixture, ext: Record<string, string>) =>
    client.invoke(to.address, { code: RequestCode.EXCHANGE_BROKER_HA_INFO, ext }, 5_000);
  expect((await say(slave, { masterHaAddress: "nowhere" })).code).toBe(ResponseCode.INVALID_PARAMETER);
  expect((await say(master, { masterHaAddress: "127.0.0.1:1" })).code).toBe(0);
  expect((await say(slave, {})).ext.masterHaAddress).toBeUndefined();
  const { haServerAddress, initMaxOffset } = master.broker.context;
  expect((await say(master, {})).ext).toMatchObject({
    masterHaAddress: haServerAddress,
    masterAddress: master.address,
    masterFlushOffset: String(initMaxOffset),
  });
  const notice = { code: RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, ext: { minBrokerId: "x" } };
  expect((await client.invoke(slave.address, notice, 5_000)).code).not.toBe(0);
});

test("a slave refuses sends and ends no transactions", async () => {
  const namesrv = await startNamesrv();
  const slave = await startBroker(namesrv, SLAVE);
  const client = slave.client();
  const sent = await client.invoke(slave.address, sendRequest(), 5_000);
  expect(sent.code).toBe(ResponseCode.SYSTEM_BUSY);
  expect(sent.remark).toContain("slave");
});

test("with the master up a slave sends consumers there; with the master gone it holds their pulls and takes their offsets", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const producer = master.client();
  await producer.invoke(master.address, sendRequest({ topic: "T" }), 5_000);
  const slave = await startBroker(namesrv, SLAVE);
  await until(() => slave.broker.context.masterAlive);
  const client = slave.client();
  const pull = (offset: number, suspendMs?: number) =>
    client.invoke(slave.address, pullRequest({ topic: "T", offset, ...(suspendMs && { suspendMs }) }), 30_000);

  for (const offset of [5, 7]) {
    const response = await pull(offset, 20_000);
    expect(response.code).toBe(ResponseCode.PULL_RETRY_IMMEDIATELY);
    expect(response.ext).toMatchObject({ suggestWhichBrokerId: "0", nextBeginOffset: String(offset) });
  }

  await master.broker.stop();
  await until(() => !slave.broker.context.masterAlive);
  const held = pull(5, 20_000);
  await until(() => slave.broker.context.holdService.waiting === 1);
  const commit = { consumerGroup: "CG", topic: "T", queueId: 0, commitOffset: 5 };
  const committed = await client.invoke(
    slave.address,
    { code: RequestCode.UPDATE_CONSUMER_OFFSET, ext: commit },
    5_000,
  );
  expect(committed.code).toBe(0);
  expect(slave.broker.context.offsets.queryOffset("CG", "T", 0)).toBe(5);

  await master.restart();
  await master.broker.registered;
  slave.broker.context.registerBroker();
  expect(await held).toMatchObject({ code: ResponseCode.PULL_RETRY_IMMEDIATELY });
  expect((await held).ext.suggestWhichBrokerId).toBe("0");
});

test("timer state and request modes of the master are kept and told on", async () => {
  const namesrv = await startNamesrv();
  const master = await startBroker(namesrv);
  const checkpoint = Buffer.alloc(56);
  checkpoint.writeBigInt64BE(1_700_000_000_000n, 0);
  checkpoint.writeBigInt64BE(11n, 8);
  checkpoint.writeBigInt64BE(12n, 16);
  checkpoint.writeBigInt64BE(13n, 24);
  const { kept } = master.broker.context;
  kept.takeTimerCheckpoint(checkpoint);
  const modes =
    '{"messageRequestModeMap":{"T":{"CG":{"consumerGroup":"CG","mode":"POP","popShareQueueNum":0,"topic":"T"}}}}';
  kept.takeRequestModes(Buffer.from(modes));
  const slave = await startBroker(namesrv, SLAVE);
  await until(() => slave.broker.context.masterAlive);
  const copy = slave.broker.context.kept;
  expect(copy.timerCheckpoint.readBigInt64BE(0)).toBe(1_700_000_000_000n);
  expect([8, 16, 24].map((at) => Number(copy.timerCheckpoint.readBigInt64BE(at)))).toEqual([0, 0, 13]);
  expect(copy.requestModes).toBe(modes);
  await slave.broker.stop();
  expect(readFileSync(join(slave.folder, "config", "timercheck")).length).toBe(4096);
  expect(readFileSync(join(slave.folder, "config", "messageRequestMode.json"), "utf8")).toBe(modes);
});

import { afterEach, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { compareLog } from "../../../lib/broker/slave/compare-log.ts";
import type { BrokerConfig } from "../../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../../lib/config/namesrv-config.ts";
import { createNamesrv } from "../../../lib/namesrv/namesrv.ts";
import { ResponseCode } from "../../../lib/remoting/codes.ts";
import { quietLogger } from "../../support/quiet-logger.ts";
import { until } from "../../support/until.ts";
import { BrokerFixture, sendRequest } from "../support/broker-fixture.ts";

const ending: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

async function startNamesrv(): Promise<string> {
  const namesrv = createNamesrv(
    defaultNamesrvConfig({ listenPort: 0, bindAddress: "127.0.0.1", kvConfigPath: "/nonexistent/kvConfig.json" }),
    { logger: quietLogger() },
  );
  await namesrv.start();
  ending.push(() => namesrv.stop());
  return `127.0.0.1:${namesrv.port}`;
}

/** `storeOf` names a broker on whose store, as it is now, this one starts. */
async function startBroker(overrides: Partial<BrokerConfig>, storeOf?: BrokerFixture): Promise<BrokerFixture> {
  const fixture = await BrokerFixture.start(overrides, (folder) => {
    if (storeOf !== undefined) cpSync(storeOf.folder, folder, { recursive: true });
  });
  ending.push(() => fixture.close());
  return fixture;
}

async function send(fixture: BrokerFixture, count: number, body: string): Promise<void> {
  const client = fixture.client();
  for (let i = 0; i < count; i++) {
    const response = await client.invoke(fixture.address, sendRequest({ body }), 5000);
    expect(response.code).toBe(ResponseCode.SUCCESS);
  }
}

const end = ({ broker }: BrokerFixture) => broker.context.store.maxPhyOffset;
const newest = ({ broker }: BrokerFixture) => broker.context.store.replication.newestRecord();
const said = ({ logger }: BrokerFixture, text: string) =>
  logger.lines.filter((line) => line.message.includes(text)).length;

test("a log with the same message sizes from elsewhere is not gone on with: it is said, the slave keeps what it has", async () => {
  const namesrvAddr = await startNamesrv();
  const elsewhere = await startBroker({});
  await send(elsewhere, 5, "from elsewhere");
  await elsewhere.broker.stop();
  const master = await startBroker({ namesrvAddr, brokerRole: "SYNC_MASTER", slaveTimeout: 50 });
  await send(master, 5, "of this master");
  await send(master, 5, "of this master");
  await master.broker.registered;
  const slave = await startBroker({ namesrvAddr, brokerRole: "SLAVE", brokerId: 1 }, elsewhere);
  const before = end(slave);
  expect(before).toBeLessThan(end(master));
  await until(() => said(slave, "this log is not the master's") === 1);
  expect(master.broker.context.ha.status()).toMatchObject({ inSyncSlaveNums: 0, slaves: [] });
  expect(slave.broker.context.ha.status().client?.trouble).toContain("empty the other store");
  expect(end(slave)).toBe(before);
});

test("a master that lost its end and went on is not followed by a slave that has that end", async () => {
  const namesrvAddr = await startNamesrv();
  const master = await startBroker({ namesrvAddr });
  await send(master, 5, "first");
  await master.broker.registered;
  const slave = await startBroker({ namesrvAddr, brokerRole: "SLAVE", brokerId: 1 });
  await until(() => end(slave) === end(master) && slave.broker.context.store.dispatchBehindBytes === 0);
  await master.broker.stop();
  // Both begin with the five; the slave follows the one.
  const lossy = await startBroker({}, master);
  const full = await startBroker({ namesrvAddr }, master);
  await send(full, 3, "lost ");
  await full.broker.registered;
  await until(() => end(slave) === end(full) && slave.broker.context.store.dispatchBehindBytes === 0);
  const record = (await newest(slave))!;
  expect(record.bytes).toEqual((await newest(full))!.bytes);
  expect(await compareLog(full.address, record)).toBeUndefined();
  expect(await compareLog(lossy.address, record)).toContain("it holds what the master lost");
  await send(lossy, 9, "again");
  expect(await compareLog(lossy.address, record)).toContain("the master has something else");
});

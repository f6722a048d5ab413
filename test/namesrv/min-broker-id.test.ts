import { expect, test } from "bun:test";
import { RequestCode } from "../../lib/remoting/codes.ts";
import { createRemotingServer } from "../../lib/remoting/server.ts";
import { NamesrvFixture, until } from "./support.ts";

/** A broker's listener that keeps the notices it gets. */
async function listen() {
  const notices: Record<string, string>[] = [];
  const server = await createRemotingServer({
    hostname: "127.0.0.1",
    port: 0,
    processors: new Map([
      [
        RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE,
        {
          processor: ({ ext }: { ext: Record<string, string> }) => {
            notices.push({ ...ext });
            return undefined;
          },
        },
      ],
    ]),
  });
  return { notices, address: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.close(100) };
}

const acting = { enableActingMaster: true };

test("those left are told of a master that left, and of one that came back with its HA address", async () => {
  await using fixture = await NamesrvFixture.start({ notifyMinBrokerIdChanged: true });
  await using master = await listen();
  await using slave = await listen();
  const [one, two] = [fixture.peer(), fixture.peer()];
  await one.register({ id: 0, address: master.address, ext: acting });
  await two.register({ id: 1, address: slave.address, ext: acting });
  await one.unregister({ id: 0, address: master.address });
  await until(() => slave.notices.length === 1);
  expect(slave.notices[0]).toEqual({
    brokerName: "broker-a",
    minBrokerId: "1",
    minBrokerAddr: slave.address,
    offlineBrokerAddr: master.address,
  });
  await one.register({ id: 0, address: master.address, counter: 2, ext: acting });
  await until(() => slave.notices.length === 2);
  expect(slave.notices[1]).toEqual({
    brokerName: "broker-a",
    minBrokerId: "0",
    minBrokerAddr: master.address,
    haBrokerAddr: "10.0.0.9:10912",
  });
  expect(master.notices).toEqual([]);
});

test("nobody is told where the key is off, the group does not act, or a slave with a higher id leaves", async () => {
  await using on = await NamesrvFixture.start({ notifyMinBrokerIdChanged: true });
  await using off = await NamesrvFixture.start();
  await using master = await listen();
  await using slave = await listen();
  for (const [fixture, ext, leaves] of [
    [off, acting, 0],
    [on, { enableActingMaster: false }, 0],
    [on, acting, 1],
  ] as const) {
    const [one, two] = [fixture.peer(), fixture.peer()];
    const addresses = [master.address, slave.address];
    await one.register({ id: 0, address: master.address, ext });
    await two.register({ id: 1, address: slave.address, ext });
    await (leaves === 0 ? one : two).unregister({ id: leaves, address: addresses[leaves]! });
    await (leaves === 0 ? two : one).unregister({ id: 1 - leaves, address: addresses[1 - leaves]! });
  }
  // Notices leave in the order of their causes: this last one comes behind any that should not be there.
  const [one, two] = [on.peer(), on.peer()];
  await one.register({ name: "last", id: 0, address: master.address, ext: acting });
  await two.register({ name: "last", id: 1, address: slave.address, ext: acting });
  await one.unregister({ name: "last", id: 0, address: master.address });
  await until(() => slave.notices.length === 1);
  expect(slave.notices[0]!.brokerName).toBe("last");
  expect(master.notices).toEqual([]);
});

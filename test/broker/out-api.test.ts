import { afterEach, describe, expect, test } from "bun:test";
import { crc32 } from "../../lib/base/crc32.ts";
import { BrokerOutApi, type RegistrationSource } from "../../lib/broker/out-api.ts";
import type { TopicConfig } from "../../lib/broker/types.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import { createRemotingServer } from "../../lib/remoting/server.ts";
import type { RemotingCommand, RemotingResponse, RemotingServer } from "../../lib/remoting/types.ts";
import { MemoryLogger } from "./support/memory-logger.ts";

interface FakeNameServer {
  server: RemotingServer;
  address: string;
  requests: RemotingCommand[];
}

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function nameServer(port = 0, answer?: (request: RemotingCommand) => RemotingResponse): Promise<FakeNameServer> {
  const requests: RemotingCommand[] = [];
  const processor = (request: RemotingCommand): RemotingResponse => {
    requests.push(request);
    return answer?.(request) ?? { code: 0 };
  };
  const server = await createRemotingServer({
    hostname: "127.0.0.1",
    port,
    processors: new Map([
      [RequestCode.REGISTER_BROKER, { processor }],
      [RequestCode.UNREGISTER_BROKER, { processor }],
    ]),
  });
  closers.push(() => server.close(100));
  return { server, address: `127.0.0.1:${server.port}`, requests };
}

function topic(topicName: string, perm = 6): TopicConfig {
  return {
    topicName,
    readQueueNums: 4,
    writeQueueNums: 4,
    perm,
    topicFilterType: "SINGLE_TAG",
    topicSysFlag: 0,
    order: false,
    attributes: {},
  };
}

function setUp(addresses: string[], brokerPermission = 6) {
  const logger = new MemoryLogger();
  const topics = new Map([["T", topic("T")]]);
  const dataVersion = { stateVersion: 0, timestamp: 1, counter: 1 };
  const orderTopics: string[] = [];
  const source: RegistrationSource = {
    identity: () => ({
      brokerName: "broker-a",
      brokerAddr: "127.0.0.1:10911",
      clusterName: "c",
      haServerAddr: "127.0.0.1:10912",
      brokerId: 0,
    }),
    periodMs: () => 30_000,
    timeoutMs: () => 3_000,
    heartbeatTimeoutMs: () => undefined,
    enableActingMaster: () => false,
    onMaster: () => {},
    brokerPermission: () => brokerPermission,
    topics: () => topics.values(),
    topicsPerRegistration: () => 2,
    dataVersion: () => dataVersion,
    nameServers: () => addresses,
    onOrderTopics: (names) => orderTopics.push(...names),
  };
  const api = new BrokerOutApi(source, logger);
  closers.push(() => api.shutdown());
  return { api, logger, topics, dataVersion, orderTopics };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(2);
}

interface Body {
  filterServerList: unknown[];
  topicConfigSerializeWrapper: { dataVersion: unknown; topicConfigTable: Record<string, TopicConfig> };
}

const bodyOf = (request: RemotingCommand | undefined): Body => JSON.parse(request?.body?.toString() ?? "null");

describe("registration", () => {
  test("reaches every name server with RocketMQ's header, body and crc", async () => {
    const [one, two] = [await nameServer(), await nameServer()];
    const { api } = setUp([one.address, two.address]);
    api.start();
    await api.registered;
    await until(() => one.requests.length === 1 && two.requests.length === 1);
    const [request] = one.requests;
    expect({ ...request?.ext }).toEqual({
      brokerName: "broker-a",
      brokerAddr: "127.0.0.1:10911",
      clusterName: "c",
      haServerAddr: "127.0.0.1:10912",
      brokerId: "0",
      enableActingMaster: "false",
      compressed: "false",
      bodyCrc32: String(crc32(request?.body ?? Buffer.alloc(0))),
    });
    const body = bodyOf(request);
    expect(body.topicConfigSerializeWrapper.topicConfigTable).toEqual({ T: topic("T") });
    expect(body.topicConfigSerializeWrapper.dataVersion).toEqual({ stateVersion: 0, timestamp: 1, counter: 1 });
  });

  test("a change travels alone to who has the rest, many changes of a turn together", async () => {
    const server = await nameServer();
    const { api, topics } = setUp([server.address]);
    api.start();
    await api.registered;
    topics.set("U", topic("U")).set("V", topic("V"));
    api.topicsChanged([topic("U")]);
    api.topicsChanged([topic("V")]);
    await until(() => server.requests.length === 2);
    expect(Object.keys(bodyOf(server.requests[1]).topicConfigSerializeWrapper.topicConfigTable)).toEqual(["U", "V"]);
  });

  test("a change made while the first registration is on its way follows it", async () => {
    const server = await nameServer();
    const { api, topics, dataVersion } = setUp([server.address]);
    api.start();
    topics.set("U", topic("U"));
    dataVersion.counter++;
    api.topicsChanged([topic("U")]);
    await until(() => server.requests.length === 2);
    expect(Object.keys(bodyOf(server.requests[1]).topicConfigSerializeWrapper.topicConfigTable)).toEqual(["T", "U"]);
  });

  test("a name server that is down is said once and delays no other; it gets everything when it is back", async () => {
    const alive = await nameServer();
    const probe = await nameServer();
    const { port } = probe.server;
    await probe.server.close(0);
    const { api, logger } = setUp([`127.0.0.1:${port}`, alive.address]);
    api.start();
    await api.registered;
    expect(alive.requests).toHaveLength(1);
    await until(() => logger.find("error", "register with name server failed").length === 1);
    const back = await nameServer(port);
    await until(() => back.requests.length > 0);
    await until(() => logger.find("info", "name server is back").length === 1);
    expect(Object.keys(bodyOf(back.requests[0]).topicConfigSerializeWrapper.topicConfigTable)).toEqual(["T"]);
    expect(logger.find("error", "register with name server failed")).toHaveLength(1);
  });

  test("a name server that loses the connection is registered with again at once", async () => {
    const server = await nameServer();
    const { api } = setUp([server.address]);
    api.start();
    await api.registered;
    for (const connection of server.server.connections) connection.close("test");
    await until(() => server.requests.length === 2);
  });

  test("a broker that is not writable takes the write bit off its topics", async () => {
    const server = await nameServer();
    const { api } = setUp([server.address], 4);
    api.start();
    await api.registered;
    const [request] = server.requests;
    expect(bodyOf(request).topicConfigSerializeWrapper.topicConfigTable.T?.perm).toBe(4);
  });

  test("order topics come back with the answer", async () => {
    const server = await nameServer(0, () => ({ code: 0, body: '{"table":{"T":"broker-a:4"}}' }));
    const { api, orderTopics } = setUp([server.address]);
    api.start();
    await api.registered;
    expect(orderTopics).toEqual(["T"]);
  });

  test("a table too large for one frame travels in parts, each with a version of its own, and whole again only when it changed", async () => {
    const server = await nameServer();
    const { api, topics, dataVersion } = setUp([server.address]);
    for (const name of ["U", "V", "W", "X"]) topics.set(name, topic(name));
    api.start();
    await until(() => server.requests.length === 3);
    const parts = server.requests.map((request) => bodyOf(request).topicConfigSerializeWrapper);
    expect(parts.map((part) => Object.keys(part.topicConfigTable))).toEqual([["T", "U"], ["V", "W"], ["X"]]);
    const versions = parts.map((part) => JSON.stringify(part.dataVersion));
    expect(new Set(versions).size).toBe(3);
    expect(parts[2]?.dataVersion).toEqual(dataVersion);
    await Bun.sleep(0);
    api.registerAll();
    await until(() => server.requests.length === 4);
    expect(bodyOf(server.requests[3]).topicConfigSerializeWrapper.dataVersion).toEqual(dataVersion);
    dataVersion.counter++;
    await Bun.sleep(0);
    api.registerAll();
    await until(() => server.requests.length === 7);
  });

  test("the stop unregisters", async () => {
    const server = await nameServer();
    const { api } = setUp([server.address]);
    api.start();
    await api.registered;
    await api.shutdown();
    expect(server.requests.at(-1)?.code).toBe(RequestCode.UNREGISTER_BROKER);
    expect({ ...server.requests.at(-1)?.ext }).toEqual({
      brokerName: "broker-a",
      brokerAddr: "127.0.0.1:10911",
      clusterName: "c",
      brokerId: "0",
    });
  });

  test("with no name server known, that is an error line", async () => {
    const { api, logger } = setUp([]);
    api.start();
    expect(logger.find("error", "no name server is known")).toHaveLength(1);
  });
});

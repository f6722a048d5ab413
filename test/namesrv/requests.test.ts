import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseFastjson } from "../../lib/base/fastjson.ts";
import { createNamesrv } from "../../lib/namesrv/namesrv.ts";
import { RequestCode, ResponseCode } from "../../lib/remoting/codes.ts";
import { decodeCommand, encodeRequest } from "../../lib/remoting/command.ts";
import golden from "../golden/frames.json";
import { NamesrvFixture, type Peer } from "./support.ts";

const FAQ = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

function list(body: Buffer | undefined): string[] {
  return (parseFastjson(body ?? "{}") as { topicList: string[] }).topicList.sort();
}

describe("routes", () => {
  const DATA =
    '"brokerName":"broker-a","cluster":"c","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}';

  test("standard JSON for clients from 4.9.4 on and whoever asks for it, unquoted ids for older ones", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register();
    await broker.register({ id: 1, address: "10.0.0.2:10911" });
    const quoted = `{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"},${DATA}`;
    const plain = `{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},${DATA}`;
    expect((await broker.route("T1")).body?.toString()).toBe(quoted);
    expect((await oldRoute(fixture, "T1", 317)).toString()).toBe(plain);
    expect((await oldRoute(fixture, "T1", 317, { acceptStandardJsonOnly: true })).toString()).toBe(quoted);
    expect((await oldRoute(fixture, "T1", 401)).toString()).toBe(quoted);
  });

  /** A route as a client of another version asks for it. */
  async function oldRoute(fixture: NamesrvFixture, topic: string, version: number, ext = {}): Promise<Buffer> {
    const request = encodeRequest({ code: 105, ext: { topic, ...ext } }, 7, 0, 0);
    request.set(Buffer.from(request.toString("latin1").replace('"version":479', `"version":${version}`), "latin1"));
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    let received = Buffer.alloc(0);
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: fixture.namesrv.port,
      socket: {
        data(_, chunk) {
          received = Buffer.concat([received, chunk]);
          if (received.length >= 4 && received.length >= 4 + received.readInt32BE(0)) resolve(received);
        },
      },
    });
    socket.write(request);
    const frame = await promise;
    socket.end();
    return decodeCommand(frame, 0, frame.length).body ?? Buffer.alloc(0);
  }

  test("the cases of a missing route: nobody there, topic unknown, broker gone", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const wording = `No topic route info in name server for the topic: T1${FAQ}`;
    const nobody = await broker.route("T1");
    expect(nobody.code).toBe(ResponseCode.TOPIC_NOT_EXIST);
    expect(nobody.remark).toBe(
      `${wording} Cause: no broker is registered with this name server: start one, or check its namesrvAddr`,
    );
    await broker.register({ topics: ["T1", "T2"] });
    const unknown = await broker.route("T3");
    expect(unknown.remark).toContain("Cause: none of the 1 registered brokers has the topic");
    await broker.unregister();
    expect((await broker.route("T1")).remark).toContain(
      "Cause: the topic is known, but its broker broker-a left at 20",
    );
    await broker.register({ topics: ["T1", "T2"] });
    expect((await broker.route("T1")).code).toBe(0);
  });

  test("a changed topic, a new broker and a wiped permission show in the next answer", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register();
    const queues = async () => JSON.parse((await broker.route("T1")).body?.toString() ?? "").queueDatas;
    expect(await queues()).toHaveLength(1);
    await fixture.peer().register({ name: "broker-b", address: "10.0.0.3:10911" });
    expect(await queues()).toHaveLength(2);
    await broker.register({ perm: 4, counter: 2 });
    expect((await queues()).map(({ perm }: { perm: number }) => perm)).toEqual([4, 6]);
    const wiped = await broker.call(RequestCode.WIPE_WRITE_PERM_OF_BROKER, { brokerName: "broker-b" });
    expect(wiped.ext).toEqual({ wipeTopicCount: "2" });
    expect((await queues())[1].perm).toBe(4);
    const added = await broker.call(RequestCode.ADD_WRITE_PERM_OF_BROKER, { brokerName: "broker-b" });
    expect(added.ext).toEqual({ addTopicCount: "2" });
    expect((await queues())[1].perm).toBe(6);
  });

  test("a client of a zone gets its zone's brokers, and those without a master", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register({ name: "here", address: "10.0.0.1:1", ext: { __ZONE_NAME: "Z1" } });
    await broker.register({ name: "there", address: "10.0.0.2:1", ext: { __ZONE_NAME: "z2" } });
    await broker.register({ name: "slave", address: "10.0.0.3:1", id: 1, ext: { enableActingMaster: false } });
    const { body } = await broker.route("T1", { __ZONE_MODE: true, __ZONE_NAME: "z1" });
    const route = parseFastjson(body ?? "") as { brokerDatas: { brokerName: string }[]; queueDatas: object[] };
    expect(route.brokerDatas.map(({ brokerName }) => brokerName)).toEqual(["here", "slave"]);
    expect(body?.toString()).toContain('{0:"10.0.0.1:1"}');
    expect(route.queueDatas).toHaveLength(2);
    expect((await broker.route("T1", { __ZONE_NAME: "z1" })).body?.toString()).toContain("there");
  });

  test("orderMessageEnable adds the order configuration", async () => {
    await using fixture = await NamesrvFixture.start({ orderMessageEnable: true });
    const broker = fixture.peer();
    await broker.register();
    const order = async () => JSON.parse((await broker.route("T1")).body?.toString() ?? "").orderTopicConf;
    expect(await order()).toBeUndefined();
    await broker.call(RequestCode.PUT_KV_CONFIG, { namespace: "ORDER_TOPIC_CONFIG", key: "T1", value: "broker-a:4" });
    expect(await order()).toBe("broker-a:4");
    await broker.call(RequestCode.DELETE_KV_CONFIG, { namespace: "ORDER_TOPIC_CONFIG", key: "T1" });
    expect(await order()).toBeUndefined();
  });

  test("needWaitForService refuses routes shortly after the start", async () => {
    await using fixture = await NamesrvFixture.start({ needWaitForService: true });
    const response = await fixture.peer().route("T1");
    expect(response).toMatchObject({ code: 1, remark: expect.stringMatching(/^name server not ready/) });
  });

  test("equal to what Java's name server answered, byte for byte, in both forms", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    let compared = 0;
    let asked: Record<string, string> = {};
    let version = 0;
    for (const { request, kind, code, bytes } of golden.frames) {
      const frame = Buffer.from(bytes, "base64");
      const command = decodeCommand(frame, 0, frame.length);
      if (request === 103 && kind === "request") await broker.call(103, command.ext, command.body);
      if (request !== 105) continue;
      if (kind === "request") {
        asked = command.ext;
        version = command.version;
      } else if (code === 0 && fixture.namesrv.context.routes.topicQueueTable.has(asked.topic ?? "")) {
        const body = await oldRoute(fixture, asked.topic ?? "", version, asked);
        expect(body.toString()).toBe(command.body?.toString() ?? "");
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(3);
  });
});

describe("lists", () => {
  async function two(fixture: NamesrvFixture): Promise<Peer> {
    const broker = fixture.peer();
    await broker.register();
    await broker.register({ name: "broker-b", address: "10.0.0.2:10911", cluster: "d", topics: ["T2", "T3"] });
    return broker;
  }

  test("all topics, topics of a cluster, system topics", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = await two(fixture);
    expect(list((await peer.call(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).body)).toEqual(["T1", "T2", "T3"]);
    const byCluster = async (cluster: string) =>
      list((await peer.call(RequestCode.GET_TOPICS_BY_CLUSTER, { cluster })).body);
    expect(await byCluster("c")).toEqual(["T1", "T2"]);
    expect(await byCluster("d")).toEqual(["T2", "T3"]);
    expect(await byCluster("nowhere")).toEqual([]);
    const system = await peer.call(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS);
    expect(list(system.body)).toEqual(["broker-a", "broker-b", "c", "d"]);
    expect(system.body?.toString()).toContain('"brokerAddr":"10.0.0.1:10911"');
  });

  test("switched off", async () => {
    await using fixture = await NamesrvFixture.start({ enableAllTopicList: false, enableTopicList: false });
    const peer = await two(fixture);
    for (const [code, ext] of [
      [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER, {}],
      [RequestCode.GET_TOPICS_BY_CLUSTER, { cluster: "c" }],
      [RequestCode.GET_UNIT_TOPIC_LIST, {}],
    ] as const)
      expect(await peer.call(code, ext)).toMatchObject({ code: 1, remark: "disable" });
  });

  test("unit topics by their flags", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = await two(fixture);
    const flags: Record<string, number> = { T1: 1, T2: 2, T3: 3 };
    for (const [topic, queues] of fixture.namesrv.context.routes.topicQueueTable)
      for (const queue of queues.values()) queue.topicSysFlag = flags[topic] ?? 0;
    const topics = async (code: number) => list((await peer.call(code)).body);
    expect(await topics(RequestCode.GET_UNIT_TOPIC_LIST)).toEqual(["T1", "T3"]);
    expect(await topics(RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST)).toEqual(["T2", "T3"]);
    expect(await topics(RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST)).toEqual(["T2"]);
  });

  test("cluster info and members, with unquoted ids as Java's", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    expect((await peer.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body?.toString()).toBe(
      '{"brokerAddrTable":{},"clusterAddrTable":{}}',
    );
    await peer.register();
    expect((await peer.call(RequestCode.GET_BROKER_CLUSTER_INFO)).body?.toString()).toBe(
      '{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"c","enableActingMaster":false}},"clusterAddrTable":{"c":["broker-a"]}}',
    );
    const members = await peer.call(RequestCode.GET_BROKER_MEMBER_GROUP, { clusterName: "c", brokerName: "broker-a" });
    expect(members.body?.toString()).toBe(
      '{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"c"}}',
    );
    const none = await peer.call(RequestCode.GET_BROKER_MEMBER_GROUP, { clusterName: "c", brokerName: "x" });
    expect(none.body?.toString()).toContain('"brokerAddrs":{}');
  });

  test("a topic is deleted in one cluster or altogether", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = await two(fixture);
    const { topicQueueTable } = fixture.namesrv.context.routes;
    await peer.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: "T2", clusterName: "c" });
    expect([...(topicQueueTable.get("T2")?.keys() ?? [])]).toEqual(["broker-b"]);
    await peer.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: "T2" });
    expect(topicQueueTable.has("T2")).toBe(false);
    expect((await peer.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: "unknown" })).code).toBe(0);
  });

  test("a topic is registered alone for brokers that are known", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = await two(fixture);
    const queue = { readQueueNums: 2, writeQueueNums: 2, perm: 6, topicSysFlag: 0 };
    const register = (brokerName: string) =>
      peer.call(
        RequestCode.REGISTER_TOPIC_IN_NAMESRV,
        { topic: "new" },
        JSON.stringify({ queueDatas: [{ brokerName, ...queue }] }),
      );
    expect((await register("nobody")).code).toBe(0);
    expect((await peer.route("new")).code).toBe(ResponseCode.TOPIC_NOT_EXIST);
    await register("broker-b");
    expect((await peer.route("new")).code).toBe(0);
  });
});

describe("KV configuration", () => {
  const place = { namespace: "N", key: "k" };

  test("put, get, list, delete; kept over a restart in RocketMQ's file", async () => {
    await using fixture = await NamesrvFixture.start();
    const before = fixture.peer();
    const missing = await before.call(RequestCode.GET_KV_CONFIG, place);
    expect(missing).toMatchObject({
      code: ResponseCode.QUERY_NOT_FOUND,
      remark: "No config item, Namespace: N Key: k",
    });
    const noList = await before.call(RequestCode.GET_KVLIST_BY_NAMESPACE, { namespace: "N" });
    expect(noList).toMatchObject({ code: ResponseCode.QUERY_NOT_FOUND, remark: "No config item, Namespace: N" });
    await before.call(RequestCode.PUT_KV_CONFIG, { ...place, value: "é=1;中" });
    expect(readFileSync(fixture.config.kvConfigPath, "utf8")).toBe('{"configTable":{"N":{"k":"é=1;中"}}}');
    await fixture.restart();
    const peer = fixture.peer();
    expect((await peer.call(RequestCode.GET_KV_CONFIG, place)).ext).toEqual({ value: "é=1;中" });
    const kept = await peer.call(RequestCode.GET_KVLIST_BY_NAMESPACE, { namespace: "N" });
    expect(kept.body?.toString()).toBe('{"table":{"k":"é=1;中"}}');
    await peer.call(RequestCode.DELETE_KV_CONFIG, place);
    expect((await peer.call(RequestCode.GET_KV_CONFIG, place)).code).toBe(ResponseCode.QUERY_NOT_FOUND);
    expect(readFileSync(`${fixture.config.kvConfigPath}.bak`, "utf8")).toContain("é=1");
  });

  test("many at once are all on disk when they are answered", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    const puts = Array.from({ length: 50 }, (_, i) =>
      peer.call(RequestCode.PUT_KV_CONFIG, { namespace: "N", key: `k${i}`, value: String(i) }),
    );
    await Promise.all(puts);
    const { configTable } = JSON.parse(readFileSync(fixture.config.kvConfigPath, "utf8"));
    expect(Object.keys(configTable.N)).toHaveLength(50);
  });

  test("a damaged file: its previous version is used, and said; without one the start stops", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    for (const value of ["1", "2"]) await peer.call(RequestCode.PUT_KV_CONFIG, { ...place, value });
    await fixture.namesrv.stop();
    writeFileSync(fixture.config.kvConfigPath, '{"configTable":{"N":');
    await fixture.restart();
    expect((await fixture.peer().call(RequestCode.GET_KV_CONFIG, place)).ext).toEqual({ value: "1" });
    expect(fixture.logger.lines.some(({ message }) => message.includes("its previous version is used"))).toBe(true);
    await fixture.namesrv.stop();
    writeFileSync(`${fixture.config.kvConfigPath}.bak`, "[]");
    const broken = createNamesrv(fixture.config, { logger: fixture.logger });
    await expect(broken.start()).rejects.toThrow("want RocketMQ's kvConfig.json");
  });
});

describe("configuration at run time", () => {
  const update = (peer: Peer, text: string) => peer.call(RequestCode.UPDATE_NAMESRV_CONFIG, {}, text);

  test("is given as sorted lines", async () => {
    await using fixture = await NamesrvFixture.start();
    const { body } = await fixture.peer().call(RequestCode.GET_NAMESRV_CONFIG);
    const lines = body?.toString().trimEnd().split("\n") ?? [];
    expect(lines).toContain("orderMessageEnable=false");
    expect(lines).toEqual([...lines].sort());
  });

  test("a change has effect at once and is written into the file, whose comments stay", async () => {
    await using fixture = await NamesrvFixture.start();
    writeFileSync(fixture.config.configStorePath, "# ours\nenableTopicList=true\nlistenPort=9876\n");
    const peer = fixture.peer();
    expect((await update(peer, "enableTopicList=false\norderMessageEnable=true\n")).code).toBe(0);
    expect(fixture.config).toMatchObject({ enableTopicList: false, orderMessageEnable: true });
    expect(readFileSync(fixture.config.configStorePath, "utf8")).toBe(
      "# ours\nenableTopicList=false\nlistenPort=9876\norderMessageEnable=true\n",
    );
  });

  test("paths and the list itself are never changed", async () => {
    await using fixture = await NamesrvFixture.start({ configBlackList: "enableTopicList" });
    const peer = fixture.peer();
    for (const key of ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome", "enableTopicList"]) {
      const response = await update(peer, `orderMessageEnable=true\n${key}=/tmp/x`);
      expect(response, key).toMatchObject({
        code: ResponseCode.NO_PERMISSION,
        remark: "Can not update config in black list.",
      });
    }
    expect(fixture.config.orderMessageEnable).toBe(false);
    expect(existsSync(fixture.config.configStorePath)).toBe(false);
  });

  test("what cannot be changed is refused with the reason, and nothing else is changed", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    const cases: [string, number, string][] = [
      ["listenPort=1", 16, "read at the start only"],
      ["orderMessageEnabled=true", 1, "did you mean orderMessageEnable?"],
      ["waitSecondsForService=soon", 1, "want a whole number"],
      ["a=\\u1", 1, "string2Properties error"],
    ];
    for (const [text, code, remark] of cases) {
      const response = await update(peer, `enableTopicList=false\n${text}`);
      expect(response, text).toMatchObject({ code, remark: expect.stringContaining(remark) });
    }
    expect(fixture.config.enableTopicList).toBe(true);
  });
});

describe("bodies that are none", () => {
  test("are answered with what was to be read and why not", async () => {
    await using fixture = await NamesrvFixture.start();
    const ext = { topic: "T", clusterName: "c", brokerAddr: "a:1", brokerName: "b", brokerId: 0 };
    for (const [code, what] of [
      [RequestCode.REGISTER_TOPIC_IN_NAMESRV, "TopicRouteData"],
      [RequestCode.QUERY_DATA_VERSION, "DataVersion"],
    ] as const) {
      const response = await fixture.peer().call(code, ext, "null");
      expect(response).toMatchObject({ code: 1, remark: expect.stringContaining(`Failed to decode ${what}: `) });
    }
  });
});

describe("the table", () => {
  test("a request for a broker is answered with RocketMQ's text for an unknown code", async () => {
    await using fixture = await NamesrvFixture.start();
    const response = await fixture.peer().call(RequestCode.SEND_MESSAGE_V2);
    expect(response).toMatchObject({ code: 3, remark: expect.stringMatching(/^ request type 310 not supported/) });
  });

  test("a taken port is named", async () => {
    await using fixture = await NamesrvFixture.start();
    const second = createNamesrv({ ...fixture.config, listenPort: fixture.namesrv.port }, { logger: fixture.logger });
    await expect(second.start()).rejects.toThrow(String(fixture.namesrv.port));
  });
});

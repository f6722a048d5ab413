import { describe, expect, test } from "bun:test";
import { deflateSync } from "node:zlib";
import { crc32 } from "../../lib/base/crc32.ts";
import { parseFastjson } from "../../lib/base/fastjson.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";
import golden from "../golden/frames.json";
import { NamesrvFixture, registerBody, until } from "./support.ts";

const DATA_VERSION = { counter: 1, stateVersion: 0, timestamp: 1_700_000_000_000 };

function brokerAddresses(fixture: NamesrvFixture, name = "broker-a"): [number, string][] {
  return [...(fixture.namesrv.context.routes.brokerAddrTable.get(name)?.brokerAddrs ?? [])];
}

describe("registration", () => {
  test("a broker's topics are served after it, and gone after it unregistered", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    expect((await broker.register()).code).toBe(0);
    expect((await broker.topics()).sort()).toEqual(["T1", "T2"]);
    expect((await broker.unregister()).code).toBe(0);
    expect(await broker.topics()).toEqual([]);
    expect(fixture.namesrv.context.routes.clusterAddrTable.size).toBe(0);
  });

  test("a broken body is refused: wrong CRC, no JSON, no table", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const wrongCrc = await broker.register({ ext: { bodyCrc32: 1 } });
    expect(wrongCrc).toMatchObject({ code: 1, remark: expect.stringMatching(/^crc32 not match/) });
    const ext = { brokerName: "b", brokerAddr: "a:1", clusterName: "c", brokerId: 0, haServerAddr: "" };
    for (const body of [
      "{",
      "[]",
      '{"topicConfigSerializeWrapper":5}',
      '{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"perm":"x"}}}}',
    ]) {
      const response = await broker.call(RequestCode.REGISTER_BROKER, ext, body);
      expect(response.code, body).toBe(1);
      expect(response.remark).toStartWith("Failed to decode RegisterBrokerBody");
    }
    expect(await broker.topics()).toEqual([]);
  });

  test("more brokers than any cluster has are refused", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    for (let i = 0; i < 10_000; i += 500) {
      const some = Array.from({ length: 500 }, (_, n) => peer.register({ name: `b${i + n}`, address: `a${i + n}:1` }));
      for (const { code } of await Promise.all(some)) expect(code).toBe(0);
    }
    const refused = await peer.register({ name: "one more", address: "x:1" });
    expect(refused).toMatchObject({ code: 1, remark: "register broker failed: 10000 brokers are registered" });
    expect((await peer.register({ name: "b1", address: "a1:1", counter: 9 })).code).toBe(0);
  });

  test("a header without an address is refused", async () => {
    await using fixture = await NamesrvFixture.start();
    const response = await fixture.peer().call(RequestCode.REGISTER_BROKER, { brokerName: "b" }, registerBody());
    expect(response).toMatchObject({ code: 1, remark: expect.stringContaining("brokerAddr") });
  });

  test("an unchanged broker is not read again, whatever Java's brokers stamp into mappingDataVersion", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const text = registerBody()
      .toString()
      .replace('"dataVersion"', '"mappingDataVersion":{"timestamp":1},"dataVersion"');
    const ext = {
      brokerName: "broker-a",
      brokerAddr: "10.0.0.1:10911",
      clusterName: "c",
      brokerId: 0,
      haServerAddr: "",
    };
    await broker.call(RequestCode.REGISTER_BROKER, ext, text);
    const info = [...fixture.namesrv.context.routes.brokerLiveTable.values()][0];
    const version = info?.dataVersion;
    await broker.call(RequestCode.REGISTER_BROKER, ext, text.replace('"timestamp":1}', '"timestamp":2}'));
    const again = [...fixture.namesrv.context.routes.brokerLiveTable.values()][0];
    expect(again?.dataVersion).toBe(version!);
    await broker.call(RequestCode.REGISTER_BROKER, ext, text.replace('"counter":1', '"counter":2'));
    expect([...fixture.namesrv.context.routes.brokerLiveTable.values()][0]?.dataVersion.counter).toBe(2);
  });

  test("one changed topic travels alone, but not as the first registration", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const first = await broker.register({ topics: ["only"] });
    expect(first).toMatchObject({ code: 1, remark: expect.stringMatching(/^register broker failed/) });
    await broker.register();
    expect((await broker.register({ topics: ["only"], counter: 2 })).code).toBe(0);
    expect((await broker.topics()).sort()).toEqual(["T1", "T2", "only"]);
  });

  test("the same version changes nothing, a new one does", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const perm = () => fixture.namesrv.context.routes.topicQueueTable.get("T1")?.get("broker-a")?.perm;
    await broker.register();
    await broker.register({ perm: 4 });
    expect(perm()).toBe(6);
    await broker.register({ perm: 4, counter: 2 });
    expect(perm()).toBe(4);
  });

  test("a topic deleted here comes back with the broker that still has it", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register();
    await broker.call(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic: "T1" });
    expect(await broker.topics()).toEqual(["T2"]);
    await broker.register();
    expect((await broker.topics()).sort()).toEqual(["T1", "T2"]);
  });

  test("deleteTopicWithBrokerRegistration drops what a full registration leaves out", async () => {
    await using fixture = await NamesrvFixture.start({ deleteTopicWithBrokerRegistration: true });
    const broker = fixture.peer();
    await broker.register({ topics: ["T1", "T2", "T3"] });
    await broker.register({ topics: ["T1", "T3"], counter: 2 });
    expect((await broker.topics()).sort()).toEqual(["T1", "T3"]);
  });

  test("a slave learns its master and brings no topics of its own", async () => {
    await using fixture = await NamesrvFixture.start();
    const master = fixture.peer();
    const slave = fixture.peer();
    const options = { id: 1, address: "10.0.0.2:10911", topics: ["S1", "S2"] };
    expect((await slave.register(options)).ext).toEqual({});
    await master.register();
    expect((await slave.register(options)).ext).toEqual({
      masterAddr: "10.0.0.1:10911",
      haServerAddr: "10.0.0.9:10912",
    });
    expect((await master.topics()).sort()).toEqual(["T1", "T2"]);
    expect(brokerAddresses(fixture).sort()).toEqual([
      [0, "10.0.0.1:10911"],
      [1, "10.0.0.2:10911"],
    ]);
  });

  test("a slave of 5.x with the smallest id brings the topics, without write permission where it acts as master", async () => {
    await using fixture = await NamesrvFixture.start({ supportActingMaster: true });
    const slave = fixture.peer();
    await slave.register({ id: 1, address: "10.0.0.2:10911", ext: { enableActingMaster: true } });
    const route = parseFastjson((await slave.route("T1")).body ?? "") as Record<string, { brokerAddrs: object }[]>;
    expect(fixture.namesrv.context.routes.topicQueueTable.get("T1")?.get("broker-a")?.perm).toBe(4);
    expect(route.brokerDatas?.[0]?.brokerAddrs).toEqual({ 0: "10.0.0.2:10911" });
  });

  test("a slave that became master has one address under one id", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register({ id: 1 });
    await broker.register({ id: 0 });
    expect(brokerAddresses(fixture)).toEqual([[0, "10.0.0.1:10911"]]);
  });

  test("the answer carries the order configuration, unless switched off", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    expect((await broker.register()).body).toBeUndefined();
    await broker.call(RequestCode.PUT_KV_CONFIG, { namespace: "ORDER_TOPIC_CONFIG", key: "T1", value: "broker-a:4" });
    expect((await broker.register()).body?.toString()).toBe('{"table":{"T1":"broker-a:4"}}');
    fixture.config.returnOrderTopicConfigToBroker = false;
    expect((await broker.register()).body).toBeUndefined();
  });

  test("QUERY_DATA_VERSION says whether to register again, and is a sign of life", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const ext = { brokerName: "broker-a", brokerAddr: "10.0.0.1:10911", clusterName: "c", brokerId: 0 };
    const ask = (version: object) => broker.call(RequestCode.QUERY_DATA_VERSION, ext, JSON.stringify(version));
    expect(await ask(DATA_VERSION)).toMatchObject({ ext: { changed: "true" }, body: undefined });
    await broker.register();
    const same = await ask(DATA_VERSION);
    expect(same.ext).toEqual({ changed: "false" });
    expect(JSON.parse(same.body?.toString() ?? "")).toEqual(DATA_VERSION);
    expect((await ask({ ...DATA_VERSION, counter: 2 })).ext).toEqual({ changed: "true" });
  });
});

describe("compressed and old bodies", () => {
  const int = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const sized = (text: string) => [int(Buffer.byteLength(text)), Buffer.from(text)];

  function compressed(mappings: boolean): Buffer {
    return Buffer.concat([
      ...sized(JSON.stringify(DATA_VERSION)),
      int(2),
      ...sized("T1 4 8 6 SINGLE_TAG "),
      ...sized('T2 1 1 4 SINGLE_TAG {"message.type":"NORMAL"}'),
      ...sized('["10.0.0.1:7000"]'),
      ...(mappings ? [int(1), ...sized('{"topic":"T1","bname":"broker-a","totalQueues":4}')] : []),
    ]);
  }

  const ext = {
    brokerName: "b",
    brokerAddr: "a:1",
    clusterName: "c",
    brokerId: 0,
    haServerAddr: "h",
    compressed: true,
  };

  test("the deflated form of 5.x", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    const body = deflateSync(compressed(true), { level: 9 });
    const response = await peer.call(RequestCode.REGISTER_BROKER, { ...ext, bodyCrc32: crc32(body) }, body);
    expect(response).toMatchObject({ code: 0, remark: undefined });
    const route = JSON.parse((await peer.route("T1")).body?.toString() ?? "");
    expect(route.queueDatas).toEqual([
      { brokerName: "b", perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 8 },
    ]);
    expect(route.filterServerTable).toEqual({ "a:1": ["10.0.0.1:7000"] });
    expect(route.topicQueueMappingByBroker).toEqual({ "broker-a": { bname: "broker-a", topic: "T1", totalQueues: 4 } });
  });

  test("taken from Java's brokers too, which compress and say that they did not", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    const body = deflateSync(compressed(true), { level: 9 });
    expect((await peer.call(RequestCode.REGISTER_BROKER, { ...ext, compressed: false }, body)).code).toBe(0);
    expect((await peer.topics()).sort()).toEqual(["T1", "T2"]);
  });

  test("cut off anywhere it is refused, never served in part", async () => {
    await using fixture = await NamesrvFixture.start();
    const peer = fixture.peer();
    const whole = compressed(true);
    for (let end = 0; end < whole.length; end += 7) {
      const body = deflateSync(whole.subarray(0, end));
      expect((await peer.call(RequestCode.REGISTER_BROKER, ext, body)).code, `${end} bytes`).toBe(1);
    }
    expect((await peer.call(RequestCode.REGISTER_BROKER, ext, whole)).code).toBe(1);
    expect(await peer.topics()).toEqual([]);
  });
});

describe("leaving", () => {
  test("a lost connection takes its broker out at once", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    const client = fixture.peer();
    await broker.register();
    await broker.close();
    await until(async () => (await client.topics()).length === 0);
    expect((await client.route("T1")).remark).toContain("the topic is known, but its broker broker-a left at ");
  });

  test("the end of an old connection does not touch a newer registration", async () => {
    await using fixture = await NamesrvFixture.start();
    const before = fixture.peer();
    const after = fixture.peer();
    await before.register();
    await after.register();
    await before.close();
    await until(() => fixture.namesrv.context.routes.brokerLiveTable.size === 1);
    expect((await after.topics()).sort()).toEqual(["T1", "T2"]);
  });

  test("unregistering over an old connection does not either", async () => {
    await using fixture = await NamesrvFixture.start();
    const before = fixture.peer();
    const after = fixture.peer();
    await before.register();
    await after.register();
    expect((await before.unregister()).code).toBe(0);
    expect((await after.topics()).sort()).toEqual(["T1", "T2"]);
    expect((await after.unregister()).code).toBe(0);
    expect(await after.topics()).toEqual([]);
  });

  test("a silent broker leaves after its own time-out and is disconnected", async () => {
    await using fixture = await NamesrvFixture.start({ scanNotActiveBrokerInterval: 10 });
    const quiet = fixture.peer();
    const client = fixture.peer();
    await quiet.register({ ext: { heartbeatTimeoutMillis: 50 } });
    await client.register({ name: "broker-b", address: "10.0.0.2:10911", topics: ["T9", "T8"] });
    await until(async () => (await client.topics()).length === 2);
    expect(brokerAddresses(fixture)).toEqual([]);
    expect(fixture.logger.lines.map(({ message }) => message)).toContain("broker left: silent for more than 50 ms");
  });

  test("heartbeats keep it", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    await broker.register();
    const { routes } = fixture.namesrv.context;
    const info = [...routes.brokerLiveTable.values()][0]!;
    info.lastUpdateTimestamp = 1;
    const ext = { brokerName: "broker-a", brokerAddr: "10.0.0.1:10911", clusterName: "c", brokerId: 0 };
    expect((await broker.call(RequestCode.BROKER_HEARTBEAT, ext)).code).toBe(0);
    expect(info.lastUpdateTimestamp).toBeGreaterThan(1);
    info.lastUpdateTimestamp = 1;
    routes.scanNotActiveBroker();
    expect(brokerAddresses(fixture)).toEqual([]);
  });
});

describe("two brokers with one name and id", () => {
  test("both addresses are told, once when it begins and once when it ends", async () => {
    await using fixture = await NamesrvFixture.start();
    const one = fixture.peer();
    const two = fixture.peer();
    const other = { address: "10.0.0.2:10911" };
    for (let round = 0; round < 3; round++) {
      await one.register();
      await two.register(other);
    }
    const errors = fixture.logger.lines.filter(({ level }) => level === "error");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toContain("10.0.0.1:10911 and 10.0.0.2:10911");
    expect(brokerAddresses(fixture)).toEqual([[0, "10.0.0.2:10911"]]);
    await two.unregister(other);
    expect(fixture.logger.lines.some(({ message }) => message.includes("is claimed once again"))).toBe(true);
  });

  test("the one with the older state is answered and ignored", async () => {
    await using fixture = await NamesrvFixture.start();
    const one = fixture.peer();
    const two = fixture.peer();
    await one.register({ stateVersion: 2 });
    expect((await two.register({ address: "10.0.0.2:10911", stateVersion: 1 })).code).toBe(0);
    expect(brokerAddresses(fixture)).toEqual([[0, "10.0.0.1:10911"]]);
  });
});

describe("what Java's broker sent, recorded", () => {
  const frames = golden.frames
    .filter(({ request, kind }) => request === 103 && kind === "request")
    .map(({ bytes }) => Buffer.from(bytes, "base64"));

  test("every registration is taken and its topics are served", async () => {
    await using fixture = await NamesrvFixture.start();
    const broker = fixture.peer();
    expect(frames.length).toBeGreaterThan(5);
    for (const frame of frames) {
      const { code, ext, body } = decodeCommand(frame, 0, frame.length);
      expect((await broker.call(code, ext, body)).code).toBe(0);
      const { topicConfigSerializeWrapper } = JSON.parse(body?.toString() ?? "");
      for (const topic of Object.keys(topicConfigSerializeWrapper.topicConfigTable))
        expect(fixture.namesrv.context.routes.topicQueueTable.get(topic)?.has("broker-a"), topic).toBe(true);
    }
  });
});

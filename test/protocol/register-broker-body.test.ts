import { describe, expect, test } from "bun:test";
import { decodeRegisterBrokerBody, type RegisterBrokerBody } from "../../lib/protocol/body/register-broker-body.ts";
import golden from "../golden/register-broker.json";

const V3_0_0 = 20;
const V4_9_8 = 409;
const V5_3_3 = 479;

function decode(hex: string, compressed: boolean, version: number): RegisterBrokerBody {
  const body = decodeRegisterBrokerBody(Buffer.from(hex, "hex"), compressed, version);
  body.topics.sort((a, b) => (a.topicName < b.topicName ? -1 : 1));
  return body;
}

const topics = (unitFlag: number) => [
  { topicName: "%RETRY%grüße", readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 },
  { topicName: "plain", readQueueNums: 4, writeQueueNums: 8, perm: 6, topicSysFlag: unitFlag },
  { topicName: "typed", readQueueNums: 1, writeQueueNums: 2, perm: 4, topicSysFlag: 0 },
];
const dataVersion = { stateVersion: 2, timestamp: 1_700_000_000_000, counter: 7 };
const filterServers = ["10.0.0.1:7000"];

describe("bodies that Java encoded", () => {
  test("JSON", () => {
    const body = decode(golden.plain, false, V5_3_3);
    expect(body).toMatchObject({ dataVersion, topics: topics(1), filterServers });
    expect(body.mappings.get("static")).toMatchObject({ topic: "static", bname: "broker-a", totalQueues: 4 });
  });

  test("compressed, without and with mappings; the flags of topics do not travel", () => {
    expect(decode(golden.compressed, true, V5_3_3)).toEqual({
      dataVersion,
      topics: topics(0),
      filterServers,
      mappings: new Map(),
    });
    expect(decode(golden.compressedWithMapping, true, V5_3_3).mappings.get("static")).toMatchObject({ epoch: 9 });
    expect(decode(golden.compressed, true, V4_9_8).topics).toEqual(topics(0));
  });

  test("the topics alone, from brokers older than 3.0.11", () => {
    expect(decode(golden.topicsOnly, false, V3_0_0)).toMatchObject({
      dataVersion,
      topics: topics(1),
      filterServers: undefined,
    });
  });

  test("none at all", () => {
    expect(decodeRegisterBrokerBody(undefined, false, V5_3_3)).toEqual({
      dataVersion: { stateVersion: 0, timestamp: 0, counter: 0 },
      topics: [],
      filterServers: [],
      mappings: new Map(),
    });
  });

  test("cut at every byte they are refused", () => {
    for (const [hex, compressed] of [
      [golden.plain, false],
      [golden.compressedWithMapping, true],
    ] as const) {
      const bytes = Buffer.from(hex, "hex");
      for (let end = 1; end < bytes.length; end++)
        expect(() => decodeRegisterBrokerBody(bytes.subarray(0, end), compressed, V5_3_3), `${end} bytes`).toThrow();
    }
  });
});

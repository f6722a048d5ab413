import { describe, expect, test } from "bun:test";
import {
  createUniqId,
  offsetMsgId,
  offsetMsgIds,
  parseOffsetMsgId,
  UniqIdGenerator,
} from "../../lib/message/message-id.ts";

const V4 = Buffer.from("0a00000100002a9f", "hex");
const V6 = Buffer.from("20010db800000000000000000000000100002a9f", "hex");

/** Ids made by RocketMQ 5.3.3's MessageDecoder.createMessageId, recorded 2026-11-23. */
const JAVA_V4 = "0A00000100002A9F0000000040000000";
const JAVA_V6 = "20010DB800000000000000000000000100002A9F0000010000000005";

describe("offsetMsgId", () => {
  test("equals Java's, both ways", () => {
    expect(offsetMsgId(V4, 1073741824)).toBe(JAVA_V4);
    expect(offsetMsgId(V6, 2 ** 40 + 5)).toBe(JAVA_V6);
    expect(parseOffsetMsgId(JAVA_V4)).toEqual({ host: "10.0.0.1:10911", physicalOffset: 1073741824 });
    expect(parseOffsetMsgId(JAVA_V6)).toEqual({ host: "[2001:db8:0:0:0:0:0:1]:10911", physicalOffset: 2 ** 40 + 5 });
  });

  test("of a batch: commas between them", () => {
    for (const host of [V4, V6]) {
      const offsets = Array.from({ length: 100 }, (_, i) => i * 1073741824 + i);
      expect(offsetMsgIds(host, offsets)).toBe(offsets.map((offset) => offsetMsgId(host, offset)).join(","));
      expect(offsetMsgIds(host, [7])).toBe(offsetMsgId(host, 7));
    }
    expect(offsetMsgIds(V4, [])).toBe("");
  });

  test("anything else is none", () => {
    for (const text of ["", "0A", `${JAVA_V4}0`, JAVA_V4.replace("A", "G"), `${"0".repeat(16)}${"F".repeat(16)}`]) {
      expect(parseOffsetMsgId(text)).toBeUndefined();
    }
  });
});

describe("unique ids", () => {
  test("hold address, pid, time since the month began and a counter", () => {
    const time = new Date(2026, 10, 23, 8, 0, 0, 5).getTime();
    const generator = new UniqIdGenerator();
    const first = generator.next(time);
    const second = generator.next(time);
    expect(first).toMatch(/^[0-9A-F]{32}$/);
    expect(Number.parseInt(first.slice(8, 12), 16)).toBe(process.pid & 0xffff);
    expect(Number.parseInt(first.slice(20, 28), 16)).toBe(time - new Date(2026, 10, 1).getTime());
    expect([first.slice(28), second.slice(28)]).toEqual(["0000", "0001"]);
    const nextMonth = generator.next(new Date(2026, 11, 1, 0, 0, 0, 7).getTime());
    expect(Number.parseInt(nextMonth.slice(20, 28), 16)).toBe(7);
  });

  test("do not repeat", () => {
    const ids = new Set(Array.from({ length: 50_000 }, () => createUniqId()));
    expect(ids.size).toBe(50_000);
  });
});

import { describe, expect, test } from "bun:test";
import { BatchItem, decodeBatch, encodeBatch } from "../../lib/message/batch.ts";
import { encodeRecord, storedPropertiesBytes } from "../../lib/message/encode-record.ts";
import { CRC32_RESERVED_BYTES, HEAD_BYTES, RECORD, RECORD_BYTES_MIN, recordBytes } from "../../lib/message/layout.ts";
import { encodeProperties, propertiesToBytes } from "../../lib/message/properties.ts";
import { decodeRecord, decodeRecords, RecordView, recordStoreTimestamp } from "../../lib/message/record.ts";
import golden from "../golden/property-crc.json";
import { HOST, message } from "../store/store-fixture.ts";

const V6 = Buffer.from("20010db800000000000000000000000100002a9f", "hex");

function encode(inner: ReturnType<typeof message>, physicalOffset = 2 ** 40 + 3): Buffer {
  const topic = Buffer.from(inner.topic);
  const propertiesBytes = storedPropertiesBytes(inner, false);
  const hosts = inner.bornHost.length + inner.storeHost.length;
  const size = recordBytes(false, hosts, inner.bodyEnd - inner.bodyStart, topic.length, propertiesBytes);
  const target = Buffer.alloc(size);
  const view = new DataView(target.buffer, target.byteOffset, size);
  const place = { queueOffset: 2 ** 33 + 1, physicalOffset, storeTimestamp: 1_795_000_000_123, propertyCrc: false };
  encodeRecord(target, view, 0, inner, topic, { size, v2: false, propertiesBytes, ...place });
  return target;
}

describe("layout", () => {
  test("offsets are those of the reference", () => {
    expect(RECORD).toEqual({
      totalSize: 0,
      magic: 4,
      bodyCRC: 8,
      queueId: 12,
      flag: 16,
      queueOffset: 20,
      physicalOffset: 28,
      sysFlag: 36,
      bornTimestamp: 40,
      bornHost: 48,
      storeTimestamp: 56,
      storeHost: 64,
      reconsumeTimes: 72,
      preparedTransactionOffset: 76,
      bodyLength: 84,
    });
    expect([HEAD_BYTES, RECORD_BYTES_MIN, recordBytes(false, 16, 0, 0, 0)]).toEqual([88, 91, 91]);
  });
});

describe("record", () => {
  test("what goes in comes out, with either kind of host", () => {
    for (const [born, store] of [
      [HOST, HOST],
      [V6, HOST],
      [HOST, V6],
      [V6, V6],
    ] as const) {
      const inner = message("Topic", 7, "the body", { TAGS: "a", KEYS: "ü" });
      Object.assign(inner, {
        bornHost: born,
        storeHost: store,
        flag: -5,
        reconsumeTimes: 3,
        preparedTransactionOffset: 2 ** 41,
      });
      const bytes = encode(inner);
      expect(recordStoreTimestamp(bytes, 0)).toBe(1_795_000_000_123);
      expect(decodeRecord(bytes)).toMatchObject({
        topic: "Topic",
        queueId: 7,
        flag: -5,
        sysFlag: (born === V6 ? 0x10 : 0) | (store === V6 ? 0x20 : 0),
        bornTimestamp: 1_700_000_000_000,
        storeTimestamp: 1_795_000_000_123,
        bornHost: born === V6 ? "[2001:db8:0:0:0:0:0:1]:10911" : "127.0.0.1:10911",
        reconsumeTimes: 3,
        preparedTransactionOffset: 2 ** 41,
        queueOffset: 2 ** 33 + 1,
        physicalOffset: 2 ** 40 + 3,
        size: bytes.length,
        properties: { TAGS: "a", KEYS: "ü" },
      });
      expect(decodeRecord(bytes)!.body.toString()).toBe("the body");
    }
  });

  test("cut at every byte it is refused", () => {
    const bytes = encode(message("Topic", 7, "the body", { TAGS: "a" }));
    for (let end = 0; end < bytes.length; end++) expect(decodeRecord(bytes.subarray(0, end))).toBeUndefined();
  });

  test("random damage never throws and never reads outside the record", () => {
    const bytes = encode(message("Topic", 7, "the body", { TAGS: "a" }));
    const view = new RecordView();
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const damaged = Buffer.from(bytes);
        damaged[at] = value;
        if (view.read(damaged, 0, damaged.length, -1) !== "record") continue;
        expect(view.propertiesEnd).toBe(bytes.length);
        expect(view.bodyStart <= view.bodyEnd && view.bodyEnd < view.topicStart + 1).toBe(true);
      }
    }
  });

  test("a pull's body of several records", () => {
    const records = ["1", "2", "3"].map((body) => encode(message("T", 0, body)));
    const found = decodeRecords(Buffer.concat([...records, records[0]!.subarray(0, 50)]));
    expect(found.map((record) => record.body.toString())).toEqual(["1", "2", "3"]);
  });
});

describe("a record with its own CRC", () => {
  const bytes = Buffer.from(golden.record, "hex");

  test("that Java wrote is right, encodes again to the same bytes, and any other byte makes it wrong", () => {
    const view = new RecordView();
    expect(view.read(bytes, 0, bytes.length, golden.physicalOffset)).toBe("record");
    expect([view.bodyIntact, view.propertyCrcIntact]).toEqual([true, true]);
    const inner = message(view.topic, view.queueId, "small");
    Object.assign(inner, { sysFlag: view.sysFlag, flag: view.flag, bornTimestamp: view.bornTimestamp });
    inner.bornHost = bytes.subarray(view.bornHostStart, view.bornHostEnd);
    inner.storeHost = bytes.subarray(view.storeHostStart, view.storeHostEnd);
    inner.properties = bytes;
    inner.propertiesStart = view.propertiesStart;
    inner.propertiesEnd = view.propertiesEnd - CRC32_RESERVED_BYTES;
    const target = Buffer.alloc(bytes.length);
    encodeRecord(target, new DataView(target.buffer, target.byteOffset), 0, inner, Buffer.from(view.topic), {
      size: bytes.length,
      v2: false,
      queueOffset: view.queueOffset,
      physicalOffset: view.physicalOffset,
      storeTimestamp: view.storeTimestamp,
      propertiesBytes: storedPropertiesBytes(inner, true),
      propertyCrc: true,
    });
    expect(target.toString("hex")).toBe(golden.record);
    for (let at = 0; at < bytes.length - CRC32_RESERVED_BYTES; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1;
      if (view.read(damaged, 0, damaged.length, -1) === "record") expect(view.propertyCrcIntact).toBe(false);
    }
  });

  test("the end-of-file blank", () => {
    const blank = Buffer.from(golden.blank.bytes, "hex");
    expect(blank.readInt32BE(0)).toBe(65536 - golden.blank.at);
    expect(new RecordView().read(blank, 0, blank.length, -1)).toBe("blank");
  });
});

describe("batch body", () => {
  /** RocketMQ 5.3.3's MessageDecoder.encodeMessages, recorded 2026-11-23. */
  const JAVA =
    "00000034000000000000000000000007000000026869001c4b455953016b657902574149540174727565025441475301746167020000002000000000000000000000000000000000000a57414954017472756502";
  const items = [
    { flag: 7, body: Buffer.from("hi"), properties: propertiesToBytes({ KEYS: "key", WAIT: "true", TAGS: "tag" }) },
    { flag: 0, body: Buffer.alloc(0), properties: propertiesToBytes({ WAIT: "true" }) },
  ];

  test("equals Java's, both ways", () => {
    expect(encodeBatch(items).toString("hex")).toBe(JAVA);
    const decoded = decodeBatch(Buffer.from(JAVA, "hex"))!;
    expect(decoded.map(({ flag }) => flag)).toEqual([7, 0]);
    expect(decoded.map(({ properties }) => Buffer.from(properties).toString())).toEqual([
      encodeProperties({ KEYS: "key", WAIT: "true", TAGS: "tag" }),
      encodeProperties({ WAIT: "true" }),
    ]);
  });

  test("cut at every byte it is refused, except between items", () => {
    const bytes = Buffer.from(JAVA, "hex");
    const item = new BatchItem();
    const boundary = item.read(bytes, 0, bytes.length);
    for (let end = 1; end < bytes.length; end++) {
      expect(decodeBatch(bytes, 0, end) === undefined).toBe(end !== boundary);
    }
  });
});

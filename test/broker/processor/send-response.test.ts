import { describe, expect, test } from "bun:test";
import { writePullHeader } from "../../../lib/broker/processor/pull-response.ts";
import { isPlainJson, SendResponseWriter } from "../../../lib/broker/processor/send-response.ts";
import { decodeCommand } from "../../../lib/remoting/command.ts";
import { FakeConnection } from "../support/fake-connection.ts";

const storeHost = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);

describe("answers written from templates decode as the ordinary codec reads them", () => {
  for (const serializeType of [0, 1] as const) {
    test(`send, serialize type ${serializeType}`, () => {
      const connection = new FakeConnection();
      const writer = new SendResponseWriter('Def"Region', true, storeHost);
      const uniqKey = Buffer.from("7F00000100001234");
      writer.write(connection, serializeType, -5, {
        code: 10,
        physicalOffset: 0x12_3456_789a,
        queueId: 3,
        queueOffset: 5_000_000_000,
        uniqKey,
        uniqKeyLength: uniqKey.length,
      });
      const frame = connection.take();
      const command = decodeCommand(frame, 0, frame.length);
      expect(command).toMatchObject({ code: 10, opaque: -5, flag: 1, serializeType, remark: undefined });
      expect({ ...command.ext }).toEqual({
        MSG_REGION: 'Def"Region',
        TRACE_ON: "true",
        msgId: "7F00000100002A9F000000123456789A",
        queueId: "3",
        queueOffset: "5000000000",
        transactionId: "7F00000100001234",
      });
    });

    test(`send without a transaction id, serialize type ${serializeType}`, () => {
      const connection = new FakeConnection();
      new SendResponseWriter("DefaultRegion", false, storeHost).write(connection, serializeType, 1, {
        code: 0,
        physicalOffset: 0,
        queueId: 0,
        queueOffset: 0,
        uniqKey: Buffer.alloc(0),
        uniqKeyLength: 0,
      });
      const frame = connection.take();
      expect(decodeCommand(frame, 0, frame.length).ext.transactionId).toBeUndefined();
    });

    test(`pull, serialize type ${serializeType}`, () => {
      const connection = new FakeConnection();
      const body = Buffer.from("records");
      writePullHeader(
        connection,
        serializeType,
        77,
        {
          code: 21,
          remark: "OFFSET_OVERFLOW_BADLY",
          suggestWhichBrokerId: 1,
          nextBeginOffset: 9_007_199_254_740_991,
          minOffset: 0,
          maxOffset: 12,
          topicSysFlag: 2,
          groupSysFlag: 0,
        },
        body.length,
      );
      const frame = Buffer.concat([connection.take(), body]);
      const command = decodeCommand(frame, 0, frame.length);
      expect(command).toMatchObject({ code: 21, opaque: 77, flag: 1, remark: "OFFSET_OVERFLOW_BADLY" });
      expect(command.body?.toString()).toBe("records");
      expect({ ...command.ext }).toEqual({
        groupSysFlag: "0",
        maxOffset: "12",
        minOffset: "0",
        nextBeginOffset: "9007199254740991",
        suggestWhichBrokerId: "1",
        topicSysFlag: "2",
      });
    });
  }

  test("bytes that JSON would escape are recognised", () => {
    expect(isPlainJson(Buffer.from("AC12_-"), 0, 6)).toBe(true);
    for (const text of ['a"', "a\\", "a\u0001", "ü"]) {
      const bytes = Buffer.from(text);
      expect(isPlainJson(bytes, 0, bytes.length)).toBe(false);
    }
  });
});

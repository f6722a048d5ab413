import { expect, test } from "bun:test";
import { endTransactionTrace, type PubTrace, pubTrace, subTraces } from "../../../lib/client/trace/trace-data.ts";

const pub: PubTrace = {
  timestamp: 1_790_000_000_000,
  regionId: "DefaultRegion",
  group: "g",
  topic: "T",
  msgId: "7F0000010001",
  tags: undefined,
  keys: "k1",
  storeHost: "127.0.0.1:10911",
  bodyLength: 26,
  costMs: 24,
  messageType: 0,
  offsetMsgId: "7F00000100002A9F0000000000000001",
  success: true,
};

const fields = (data: string) => data.split("\u0002").map((record) => record.split("\u0001"));

// Orders of fields as TraceDataEncoder#decoderFromTraceDataString reads them.
test("a sent message: fourteen values", () => {
  expect(fields(pubTrace(pub))).toEqual([
    [
      ...["Pub", "1790000000000", "DefaultRegion", "g", "T", "7F0000010001", "null", "k1", "127.0.0.1:10911", "26"],
      ...["24", "0", "7F00000100002A9F0000000000000001", "true"],
    ],
    [""],
  ]);
});

test("an ended transaction: thirteen", () => {
  expect(
    fields(endTransactionTrace({ ...pub, tags: "a" }, { transactionId: "tx", state: "ROLLBACK_MESSAGE" }))[0],
  ).toEqual([
    ...["EndTransaction", "1790000000000", "DefaultRegion", "g", "T", "7F0000010001", "a", "k1", "127.0.0.1:10911"],
    ...["2", "tx", "ROLLBACK_MESSAGE", "false"],
  ]);
});

test("a delivery: before and after, joined by the request id", () => {
  const sub = { ...pub, requestId: "r1", retryTimes: 2, costMs: 3, success: false };
  expect(fields(subTraces(sub)).slice(0, 2)).toEqual([
    ["SubBefore", "1790000000000", "DefaultRegion", "g", "r1", "7F0000010001", "2", "k1"],
    ["SubAfter", "r1", "7F0000010001", "3", "false", "k1", "4", "1790000000000", "g"],
  ]);
});

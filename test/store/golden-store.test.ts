import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeRecord } from "../../lib/message/encode-record.ts";
import { MAGIC_V2 } from "../../lib/message/layout.ts";
import { MessageInner } from "../../lib/message/message-inner.ts";
import { RecordView } from "../../lib/message/record.ts";
import { message, openStore, smallConfig, TempDir } from "./store-fixture.ts";

/** A store that the Java broker wrote and closed in order; test/golden/record.mjs says how. */
const ARCHIVE = join(import.meta.dir, "../golden/store.tar.gz");

function unpack(dir: TempDir): string {
  const result = Bun.spawnSync(["tar", "xzf", ARCHIVE, "-C", dir.path]);
  expect(result.exitCode).toBe(0);
  return join(dir.path, "store");
}

/** The sizes it was recorded with. */
function config(root: string) {
  return smallConfig(root, {
    mappedFileSizeCommitLog: 65536,
    mappedFileSizeConsumeQueue: 1000,
    messageDelayLevel: "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1d 1d",
    maxHashSlotNum: 500,
    maxIndexNum: 2000,
  });
}

/** Every consume queue's entries as hex, by `topic/queue`; zeros at the end left out. */
function queueFiles(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const base = join(root, "consumequeue");
  for (const topic of readdirSync(base)) {
    for (const queue of readdirSync(join(base, topic))) {
      const bytes = readFileSync(join(base, topic, queue, "00000000000000000000"));
      let end = bytes.length;
      while (end > 0 && bytes[end - 1] === 0) end--;
      found[`${topic}/${queue}`] = bytes.subarray(0, Math.ceil(end / 20) * 20).toString("hex");
    }
  }
  return found;
}

describe("a store written by the Java broker", () => {
  test("every record encodes again to the same bytes", () => {
    using dir = new TempDir();
    const root = unpack(dir);
    const bytes = readFileSync(join(root, "commitlog/00000000000000000000"));
    const view = new RecordView();
    let records = 0;
    for (let at = 0; view.read(bytes, at, bytes.length, at) === "record"; at += view.size) {
      records++;
      expect(view.bodyIntact).toBe(true);
      const inner = new MessageInner();
      inner.topic = view.topic;
      inner.queueId = view.queueId;
      inner.flag = view.flag;
      inner.sysFlag = view.sysFlag;
      inner.bornTimestamp = view.bornTimestamp;
      inner.bornHost = bytes.subarray(view.bornHostStart, view.bornHostEnd);
      inner.storeHost = bytes.subarray(view.storeHostStart, view.storeHostEnd);
      inner.reconsumeTimes = view.reconsumeTimes;
      inner.preparedTransactionOffset = view.preparedTransactionOffset;
      inner.body = bytes;
      inner.bodyStart = view.bodyStart;
      inner.bodyEnd = view.bodyEnd;
      inner.properties = bytes;
      inner.propertiesStart = view.propertiesStart;
      inner.propertiesEnd = view.propertiesEnd;
      const target = Buffer.alloc(view.size);
      encodeRecord(
        target,
        new DataView(target.buffer, target.byteOffset, target.length),
        0,
        inner,
        Buffer.from(view.topic),
        {
          size: view.size,
          v2: view.magic === MAGIC_V2,
          queueOffset: view.queueOffset,
          physicalOffset: view.physicalOffset,
          storeTimestamp: view.storeTimestamp,
          propertiesBytes: view.propertiesEnd - view.propertiesStart,
          propertyCrc: false,
        },
      );
      expect(target.toString("hex")).toBe(bytes.toString("hex", at, at + view.size));
    }
    expect(records).toBeGreaterThan(50);
  });

  test("opens after a clean stop with every queue as Java left it, and goes on", async () => {
    using dir = new TempDir();
    const root = unpack(dir);
    const before = queueFiles(root);
    const log = readFileSync(join(root, "commitlog/00000000000000000000"));
    const store = await openStore(config(root));
    for (const name in before) {
      const [topic, queue] = name.split("/");
      expect(store.queues.nextOffset(topic!, Number(queue)), name).toBe(before[name]!.length / 40);
    }
    const appended = store.append(message("new-topic", 0, "from mq"));
    expect(appended.status).toBe("PUT_OK");
    await store.shutdown();
    expect(existsSync(join(root, "abort"))).toBe(false);
    const after = readFileSync(join(root, "commitlog/00000000000000000000"));
    expect(after.subarray(0, appended.physicalOffset).equals(log.subarray(0, appended.physicalOffset))).toBe(true);
  });

  test("the queues rebuilt from the log alone equal Java's", async () => {
    using dir = new TempDir();
    const root = unpack(dir);
    const before = queueFiles(root);
    rmSync(join(root, "consumequeue"), { recursive: true });
    writeFileSync(join(root, "abort"), "1");
    const store = await openStore(config(root));
    await store.shutdown();
    expect(queueFiles(root)).toEqual(before);
  });
});

import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeRecord } from "../../lib/message/record.ts";
import { message, openStore, smallConfig, type Store, TempDir } from "./store-fixture.ts";

/** Bodies of all records from the log's begin to its end. */
async function bodies(store: Store): Promise<string[]> {
  const found: string[] = [];
  for (let at = store.minPhyOffset; at < store.maxPhyOffset; ) {
    const record = await store.readRecord(at);
    if (record === undefined) {
      const fileSize = store.log.files.fileSize;
      at += fileSize - (at % fileSize);
      continue;
    }
    const decoded = decodeRecord(record.bytes)!;
    found.push(decoded.body.toString());
    at += decoded.size;
  }
  return found;
}

const FILE = "commitlog/00000000000000000000";

describe("recovery", () => {
  test("a clean stop and start keeps everything and goes on where it was", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    let store = await openStore(config);
    const sent: string[] = [];
    for (let i = 0; i < 500; i++) {
      sent.push(`body ${i}`);
      expect(store.append(message("T", i % 4, `body ${i}`)).queueOffset).toBe(Math.floor(i / 4));
    }
    expect(store.dispatchBehindBytes).toBe(0);
    const end = store.maxPhyOffset;
    await store.shutdown();
    expect(existsSync(join(dir.path, "abort"))).toBe(false);
    store = await openStore(config);
    expect(store.maxPhyOffset).toBe(end);
    expect(await bodies(store)).toEqual(sent);
    expect(store.append(message("T", 0, "next")).queueOffset).toBe(125);
    await store.shutdown();
  });

  test("a torn last record is cut at every length, the rest stays, and nothing old comes back", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    for (let i = 0; i < 5; i++) store.append(message("T", 0, `body ${i}`, { TAGS: "a", KEYS: `k${i}` }));
    const last = store.append(message("T", 0, "the last body", { TAGS: "a" }));
    const [start, end] = [last.physicalOffset, last.physicalEnd];
    await store.shutdown();
    const whole = readFileSync(join(dir.path, FILE));
    for (let cut = start; cut < end; cut++) {
      using copy = new TempDir();
      cpSync(dir.path, copy.path, { recursive: true });
      const torn = Buffer.from(whole);
      torn.fill(0, cut, end);
      if (torn.equals(whole)) continue;
      writeFileSync(join(copy.path, FILE), torn);
      writeFileSync(join(copy.path, "abort"), "1");
      const opened = await openStore(smallConfig(copy.path));
      expect(opened.maxPhyOffset, `cut at ${cut}`).toBe(start);
      expect(opened.queues.nextOffset("T", 0)).toBe(5);
      await opened.shutdown();
      expect(readFileSync(join(copy.path, FILE)).subarray(start).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("every damaged byte of the last record is noticed or harmless", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    for (let i = 0; i < 3; i++) store.append(message("T", 0, `body ${i}`));
    const last = store.append(message("T", 0, "the last body", { TAGS: "a" }));
    await store.shutdown();
    const whole = readFileSync(join(dir.path, FILE));
    for (let at = last.physicalOffset; at < last.physicalEnd; at++) {
      using copy = new TempDir();
      cpSync(dir.path, copy.path, { recursive: true });
      const damaged = Buffer.from(whole);
      damaged[at] = damaged[at]! ^ 0xff;
      writeFileSync(join(copy.path, FILE), damaged);
      writeFileSync(join(copy.path, "abort"), "1");
      const opened = await openStore(smallConfig(copy.path));
      expect([last.physicalOffset, last.physicalEnd]).toContain(opened.maxPhyOffset);
      await opened.shutdown();
    }
  });
});

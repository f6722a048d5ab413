import { describe, expect, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeRecord } from "../../lib/message/record.ts";
import { checkStore } from "../../lib/store/check.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

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
      expect(
        readFileSync(join(copy.path, FILE))
          .subarray(start)
          .every((byte) => byte === 0),
      ).toBe(true);
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

describe("damage in the middle", () => {
  test("the log is cut there; whole records behind it and later files are put aside, and told", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    const offsets: number[] = [];
    for (let i = 0; i < 300; i++)
      offsets.push(store.append(message("T", 0, Buffer.alloc(500, `${i % 10}`))).physicalOffset);
    await store.shutdown();
    const path = join(dir.path, FILE);
    const bytes = readFileSync(path);
    const damagedAt = offsets[50]!;
    bytes[damagedAt + 100]! ^= 0xff;
    writeFileSync(path, bytes);
    writeFileSync(join(dir.path, "abort"), "1");
    const logger = new LogLines();
    const opened = await openStore(config, {}, logger);
    expect(opened.maxPhyOffset).toBe(damagedAt);
    expect(opened.getMaxOffsetInQueue("T", 0)).toBe(50);
    expect(opened.append(message("T", 0, "new")).queueOffset).toBe(50);
    await opened.shutdown();
    const aside = readdirSync(join(dir.path, "commitlog/quarantine"));
    expect(aside.filter((name) => name.startsWith("00000000000000000000.")).length).toBe(1);
    expect(aside.some((name) => name.startsWith("00000000000000065536."))).toBe(true);
    expect(logger.lines.some((line) => line.startsWith("warn cut the commit log"))).toBe(true);
    expect(logger.lines.some((line) => line.startsWith("error whole records stand behind"))).toBe(true);
    const again = await openStore(config);
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(51);
    await again.shutdown();
  });

  test("good records behind a page that was lost are put aside too", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    const offsets: number[] = [];
    for (let i = 0; i < 300; i++)
      offsets.push(store.append(message("T", 0, Buffer.alloc(500, `${i % 10}`))).physicalOffset);
    await store.shutdown();
    const bytes = readFileSync(join(dir.path, FILE));
    bytes.fill(0, offsets[50]!, offsets[50]! + 4096);
    writeFileSync(join(dir.path, FILE), bytes);
    const next = join(dir.path, "commitlog/00000000000000065536");
    writeFileSync(next, readFileSync(next).fill(0, 0, 4096));
    writeFileSync(join(dir.path, "abort"), "1");
    const opened = await openStore(config);
    expect(opened.maxPhyOffset).toBe(offsets[50]!);
    await opened.shutdown();
    const aside = readdirSync(join(dir.path, "commitlog/quarantine"));
    expect(aside.some((name) => name.startsWith(`00000000000000000000.${offsets[50]}.`))).toBe(true);
    expect(aside.some((name) => name.startsWith("00000000000000065536."))).toBe(true);
  });

  test("old records behind a cut never come back", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    const offsets: number[] = [];
    for (let i = 0; i < 10; i++) offsets.push(store.append(message("T", 0, `old body ${i}`)).physicalOffset);
    await store.shutdown();
    const path = join(dir.path, FILE);
    const bytes = readFileSync(path);
    bytes[offsets[5]! + 88]! ^= 0xff;
    writeFileSync(path, bytes);
    writeFileSync(join(dir.path, "abort"), "1");
    const opened = await openStore(config);
    // Of the same length as the damaged one: the old record behind it would fit on.
    expect(opened.append(message("T", 0, "new body 5")).physicalOffset).toBe(offsets[5]!);
    await opened.shutdown();
    writeFileSync(join(dir.path, "abort"), "1");
    const again = await openStore(config);
    expect(await bodies(again)).toEqual([0, 1, 2, 3, 4].map((i) => `old body ${i}`).concat("new body 5"));
    await again.shutdown();
  });
});

describe("bounded recovery", () => {
  test("after an unclean stop only what the checkpoint does not cover is read again", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    let store = await openStore(config);
    for (let i = 0; i < 600; i++) store.append(message("T", 0, Buffer.alloc(1000)));
    await store.shutdown();
    // What the last stop brought to the disk, moved past the safety margin of 3 s.
    const checkpoint = readFileSync(join(dir.path, "checkpoint"));
    const stamp = checkpoint.readBigInt64BE(0);
    expect(stamp).toBe(checkpoint.readBigInt64BE(8));
    checkpoint.writeBigInt64BE(stamp + 3000n, 0);
    checkpoint.writeBigInt64BE(stamp + 3000n, 8);
    writeFileSync(join(dir.path, "checkpoint"), checkpoint);
    writeFileSync(join(dir.path, "abort"), "1");
    const logger = new LogLines();
    store = await openStore(config, {}, logger);
    const lastFile = store.log.files.last!.fileFromOffset;
    expect(logger.lines.find((line) => line.includes("not closed in order"))).toContain(`"from":${lastFile}`);
    expect(store.getMaxOffsetInQueue("T", 0)).toBe(600);
    await store.shutdown();
  });

  test("queues that are gone are built anew after a clean stop too", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    let store = await openStore(config);
    for (let i = 0; i < 300; i++) store.append(message("T", i % 3, Buffer.alloc(1000), { KEYS: `k${i}` }));
    await store.shutdown();
    rmSync(join(dir.path, "consumequeue"), { recursive: true });
    store = await openStore(config);
    expect([0, 1, 2].map((queueId) => store.getMaxOffsetInQueue("T", queueId))).toEqual([100, 100, 100]);
    await store.shutdown();
  });

  test("a queue whose last file was cut is filled up again after a clean stop", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    let store = await openStore(config);
    for (let i = 0; i < 300; i++) store.append(message("T", i % 3, Buffer.alloc(1000), { KEYS: `k${i}` }));
    await store.shutdown();
    const folder = join(dir.path, "consumequeue/T/1");
    const last = join(folder, readdirSync(folder).sort().at(-1)!);
    for (const bytes of [0, 7, 100]) {
      writeFileSync(last, readFileSync(last).subarray(0, bytes));
      const logger = new LogLines();
      store = await openStore(config, {}, logger);
      expect([0, 1, 2].map((queueId) => store.getMaxOffsetInQueue("T", queueId))).toEqual([100, 100, 100]);
      expect(logger.lines.some((line) => line.includes("lost entries"))).toBe(true);
      await store.shutdown();
      expect(checkStore(config).problems).toEqual([]);
    }
  });

  test("a commit log that is gone takes queues and index with it", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    let store = await openStore(config);
    store.append(message("T", 0, "x", { KEYS: "k" }));
    await store.shutdown();
    rmSync(join(dir.path, "commitlog"), { recursive: true });
    const logger = new LogLines();
    store = await openStore(config, {}, logger);
    expect(store.getMaxOffsetInQueue("T", 0)).toBe(0);
    expect((await store.queryMessage("T", "k", 10, 0, Number.MAX_SAFE_INTEGER)).records).toEqual([]);
    expect(logger.lines[0]).toContain("the commit log is empty");
    expect(store.append(message("T", 0, "y")).queueOffset).toBe(0);
    await store.shutdown();
  });

  test("a file of another size stops the start, and the store is as it was", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    store.append(message("T", 0, "x"));
    await store.shutdown();
    const other = smallConfig(dir.path, { mappedFileSizeCommitLog: 128 * 1024 });
    await expect(openStore(other)).rejects.toThrow("found 65536 bytes, expected 131072 (mappedFileSizeCommitLog)");
    expect(existsSync(join(dir.path, "abort"))).toBe(false);
    const again = await openStore(config);
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(1);
    await again.shutdown();
  });

  test("a record whose topic points outside the store makes no directory there", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    const first = store.append(message("aabbccdd", 0, "x")).physicalOffset;
    store.append(message("T", 0, "y"));
    await store.shutdown();
    const bytes = readFileSync(join(dir.path, FILE));
    bytes.write("../../up", bytes.indexOf("aabbccdd", first), "latin1");
    writeFileSync(join(dir.path, FILE), bytes);
    rmSync(join(dir.path, "consumequeue"), { recursive: true });
    writeFileSync(join(dir.path, "abort"), "1");
    const logger = new LogLines();
    const opened = await openStore(config, {}, logger);
    expect([...opened.queues.table.keys()]).toEqual(["T"]);
    expect(opened.getMaxOffsetInQueue("T", 0)).toBe(1);
    expect(logger.lines.some((line) => line.startsWith("error a record names no possible queue"))).toBe(true);
    await opened.shutdown();
    expect(existsSync(join(dir.path, "consumequeue/../../up"))).toBe(false);
  });

  test("the property CRC is what counts with forceVerifyPropCRC", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { enabledAppendPropCRC: true, forceVerifyPropCRC: true });
    const store = await openStore(config);
    const offsets = [0, 1, 2].map((i) => store.append(message("T", 0, `${i}`, { TAGS: "a" })).physicalOffset);
    await store.shutdown();
    const bytes = readFileSync(join(dir.path, FILE));
    // A flag bit: the body's CRC does not see it.
    bytes[offsets[1]! + 19]! ^= 1;
    writeFileSync(join(dir.path, FILE), bytes);
    writeFileSync(join(dir.path, "abort"), "1");
    const opened = await openStore(config);
    expect(opened.maxPhyOffset).toBe(offsets[1]!);
    await opened.shutdown();
  });

  test("queues that know more than the log after a clean stop are not believed", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    const store = await openStore(config);
    for (let i = 0; i < 40; i++) store.append(message("T", i % 2, `body ${i}`));
    await store.shutdown();
    using old = new TempDir();
    cpSync(join(dir.path, "commitlog"), old.path, { recursive: true });
    const more = await openStore(config);
    for (let i = 40; i < 60; i++) more.append(message("T", i % 2, `lost ${i}`));
    await more.shutdown();
    cpSync(old.path, join(dir.path, "commitlog"), { recursive: true });
    const again = await openStore(config);
    expect((await bodies(again)).length).toBe(40);
    expect(again.queues.nextOffset("T", 0)).toBe(20);
    expect(again.append(message("T", 0, "next")).queueOffset).toBe(20);
    await again.shutdown();
    expect(checkStore(config).problems).toEqual([]);
  });
});

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { FileAllocator } from "../../lib/store/commitlog/file-allocator.ts";
import { createMessageStore } from "../../lib/store/message-store.ts";
import { until } from "../support/until.ts";
import { LogLines, message, smallConfig, TempDir } from "./store-fixture.ts";

const ENTRY = join(import.meta.dir, "allocate-entry.ts");
const MIB = 1024 * 1024;

describe("the helper", () => {
  test("has the next file ready before it is needed; rolls go on in it", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { mappedFileSizeCommitLog: MIB });
    const store = createMessageStore(config, {}, new LogLines(), { workerEntry: ENTRY, usedPercent: () => 10 });
    await store.load();
    store.start();
    const body = Buffer.alloc(10_000, "x");
    let sent = 0;
    for (let file = 0; file < 5; file++) {
      const next = join(dir.path, "commitlog", String((file + 1) * MIB).padStart(20, "0"));
      while (store.maxPhyOffset < (file + 0.8) * MIB) {
        expect(store.append(message("T", 0, body)).queueOffset).toBe(sent++);
      }
      await until(() => existsSync(next) && statSync(next).size === MIB);
      while (store.log.files.last!.fileFromOffset === file * MIB) {
        expect(store.append(message("T", 0, body)).queueOffset).toBe(sent++);
      }
      expect(store.log.files.last!.path).toBe(next);
    }
    await store.shutdown();
    const again = createMessageStore(config, {}, new LogLines(), { usedPercent: () => 10 });
    await again.load();
    again.start();
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(sent);
    await again.shutdown();
  });

  test("warmMapedFileEnable: every page of a new file is in memory", async () => {
    using dir = new TempDir();
    const allocator = new FileAllocator({ fileSize: MIB, warm: true, workerEntry: ENTRY, logger: undefined });
    allocator.start();
    const path = join(dir.path, "00000000000000000000");
    allocator.prepare(path);
    await until(() => allocator.isReady(path));
    const file = allocator.open(path);
    expect(file.resident(0, MIB)).toBe(true);
    file.close();
    await allocator.close();
  });

  test("what it cannot make is told and made at the roll, or refused there", async () => {
    using dir = new TempDir();
    const logger = new LogLines();
    const allocator = new FileAllocator({ fileSize: MIB, warm: false, workerEntry: ENTRY, logger });
    allocator.start();
    const path = join(dir.path, "later", "00000000000000000000");
    allocator.prepare(path);
    await until(() => logger.lines.length > 0);
    expect(logger.lines[0]).toContain("cannot prepare the next commit-log file");
    mkdirSync(join(dir.path, "later"));
    const file = allocator.open(path);
    expect(statSync(path).size).toBe(MIB);
    file.close();
    await allocator.close();
  });

  test("an entry that fails costs the helper only", async () => {
    using dir = new TempDir();
    const logger = new LogLines();
    const workerEntry = join(dir.path, "not-there.ts");
    const allocator = new FileAllocator({ fileSize: MIB, warm: false, workerEntry, logger });
    allocator.start();
    await until(() => logger.lines.length > 0);
    const file = allocator.open(join(dir.path, "00000000000000000000"));
    expect(file.fileSize).toBe(MIB);
    file.close();
    await allocator.close();
  });
});

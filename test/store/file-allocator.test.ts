import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ProcessMemory } from "../../lib/os/memory.ts";
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
    const allocator = new FileAllocator({
      fileSize: MIB,
      warm: true,
      lockBytes: 0,
      workerEntry: ENTRY,
      logger: undefined,
    });
    allocator.start();
    const path = join(dir.path, "00000000000000000000");
    allocator.prepare(path);
    await until(() => allocator.isReady(path));
    const file = allocator.open(path);
    expect(file.resident(0, MIB)).toBe(true);
    file.close();
    await allocator.close();
  });

  test("the beginning of a file made ahead is in memory, where its records will be written into the mapping", async () => {
    using dir = new TempDir();
    const fileSize = 64 * MIB;
    const options = { fileSize, warm: false, lockBytes: 0, workerEntry: ENTRY, logger: undefined };
    for (const mapped of [true, false]) {
      const allocator = new FileAllocator(options);
      allocator.start();
      const path = join(dir.path, mapped ? "00000000000000000000" : "00000000000067108864");
      allocator.prepare(path, mapped);
      await until(() => allocator.isReady(path));
      const file = allocator.open(path);
      expect(file.resident(0, 4 * MIB)).toBe(mapped);
      expect(file.resident(12 * MIB, 16 * MIB)).toBe(mapped);
      expect(file.resident(48 * MIB, 52 * MIB)).toBe(false);
      file.close();
      await allocator.close();
    }
  });

  test("a second helper joins while the first is behind; close waits for both and lets the files go", async () => {
    using dir = new TempDir();
    const fileSize = 128 * MIB;
    const allocator = new FileAllocator({ fileSize, warm: false, lockBytes: 0, workerEntry: ENTRY, logger: undefined });
    allocator.start();
    const file = allocator.open(join(dir.path, "00000000000000000000"));
    for (let at = 0; at < fileSize / 2; at += allocator.touchStepBytes) allocator.touchAhead(file, at);
    await until(() => {
      allocator.touchAhead(file, fileSize / 2);
      return file.resident(0, 4 * MIB) && file.resident(96 * MIB, 100 * MIB);
    });
    await allocator.close();
    file.close();
    expect(file.address).toBe(0);
  });

  test("pages of a file that is written by calls come into the cache ahead of the writer", async () => {
    using dir = new TempDir();
    const fileSize = 64 * MIB;
    const allocator = new FileAllocator({ fileSize, warm: false, lockBytes: 0, workerEntry: ENTRY, logger: undefined });
    allocator.start();
    const file = allocator.open(join(dir.path, "00000000000000000000"));
    expect(file.resident(0, 4 * MIB)).toBe(false);
    allocator.touchAhead(file, 0, file.descriptor);
    await until(() => file.resident(0, 4 * MIB));
    expect(file.buffer.subarray(0, 4 * MIB).every((byte) => byte === 0)).toBe(true);
    await allocator.close();
    file.close();
    expect(file.address).toBe(0);
  });

  test("the store pool is touched and locked ahead of the writer, let go at the end", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, {
      mappedFileSizeCommitLog: MIB,
      flushDiskType: "ASYNC_FLUSH",
      transientStorePoolEnable: true,
      transientStorePoolSize: 1,
    });
    const logger = new LogLines();
    const memory = new ProcessMemory();
    const before = memory.lockedBytes();
    const store = createMessageStore(config, {}, logger, { workerEntry: ENTRY, usedPercent: () => 10 });
    await store.load();
    store.start();
    store.append(message("T", 0, Buffer.alloc(1000, "x")));
    const told = () => logger.lines.some((line) => line.includes("messages are not locked"));
    await until(() => memory.lockedBytes() - before === MIB || told());
    await store.shutdown();
    expect(memory.lockedBytes()).toBe(before);
    memory.close();
  });

  test("memory that cannot be locked is said once, with the limit found and wanted", async () => {
    const logger = new LogLines();
    const allocator = new FileAllocator({
      fileSize: 64 * MIB,
      warm: false,
      lockBytes: 320 * MIB,
      workerEntry: ENTRY,
      logger,
    });
    allocator.start();
    // No memory is there: mlock fails as it does beyond the limit (ENOMEM).
    const nowhere = { address: 4096, fileSize: 64 * MIB, wrotePosition: 0, retain: () => true, release: () => {} };
    allocator.touchAhead(nowhere, 0);
    await until(() => logger.lines.length > 0);
    await allocator.close();
    expect(logger.lines).toHaveLength(1);
    expect(logger.lines[0]).toContain("messages are not locked in memory: out of memory");
    expect(logger.lines[0]).toMatch(/memlock limit (unlimited|\d+ KiB), want 320 MiB or unlimited/);
  });

  test("what it cannot make is told and made at the roll, or refused there", async () => {
    using dir = new TempDir();
    const logger = new LogLines();
    const allocator = new FileAllocator({ fileSize: MIB, warm: false, lockBytes: 0, workerEntry: ENTRY, logger });
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
    const allocator = new FileAllocator({ fileSize: MIB, warm: false, lockBytes: 0, workerEntry, logger });
    allocator.start();
    await until(() => logger.lines.length > 0);
    const file = allocator.open(join(dir.path, "00000000000000000000"));
    expect(file.fileSize).toBe(MIB);
    file.close();
    await allocator.close();
  });
});

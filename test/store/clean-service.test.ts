import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cleanLimits } from "../../lib/store/clean-limits.ts";
import { cleanExpiredConsumeQueue, cleanUnusedTopic } from "../../lib/store/clean-queues.ts";
import { CleanService } from "../../lib/store/clean-service.ts";
import { usedPercentOf } from "../../lib/store/disk-watch.ts";
import type { StoreConfig } from "../../lib/store/store-config.ts";
import { until } from "../support/until.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

const HOUR = 3_600_000;
/** 12:30 local time: no hour of deleteWhen=04. */
const NOON = new Date(2026, 10, 23, 12, 30).getTime();

interface Bench {
  config: StoreConfig;
  store: Store;
  cleaner: CleanService;
  logger: LogLines;
  disk: { used: number };
  clock: { now: number };
  logFiles: () => string[];
}

/** A store with ten or so commit-log files, each last written an hour before the next; the newest at NOON. */
async function bench(root: string, overrides: Partial<StoreConfig> = {}): Promise<Bench> {
  const config = smallConfig(root, {
    deleteCommitLogFilesInterval: 0,
    deleteConsumeQueueFilesInterval: 0,
    ...overrides,
  });
  const store = await openStore(config);
  for (let i = 0; i < 2500; i++) store.append(message("T", i % 2, `m${i}`.padEnd(150, "x"), { KEYS: `k${i}` }));
  await store.queues.flush(0);
  const { files } = store.log.files;
  files.forEach((file, i) => {
    const time = (NOON - (files.length - 1 - i) * HOUR) / 1000;
    utimesSync(file.path, time, time);
  });
  const logger = new LogLines();
  const disk = { used: 10 };
  const clock = { now: NOON };
  const parts = { files: store.log.files, queues: store.queues, index: store.index };
  const cleaner = new CleanService(config, parts, logger, { usedPercent: () => disk.used, now: () => clock.now });
  return {
    config,
    store,
    cleaner,
    logger,
    disk,
    clock,
    logFiles: () => readdirSync(join(root, "commitlog")).filter((name) => /^\d+$/.test(name)),
  };
}

describe("deletion", () => {
  test("at the hour takes expired files only; queues and index follow", async () => {
    using dir = new TempDir();
    const { store, cleaner, clock, logFiles } = await bench(dir.path, { fileReservedTime: 4, deleteWhen: "04;13" });
    const before = logFiles().length;
    expect(before).toBeGreaterThan(7);
    cleaner.start();
    await cleaner.run();
    expect(logFiles().length).toBe(before);
    clock.now = NOON + HOUR;
    await cleaner.run();
    expect(logFiles().length).toBe(3);
    expect(store.minPhyOffset).toBe((before - 3) * 65536);
    const min = store.queues.find("T", 0)!.minIndex;
    expect(min).toBeGreaterThan(300);
    const queueFiles = readdirSync(join(dir.path, "consumequeue/T/0")).sort();
    expect(queueFiles[0]).toBe((Math.floor(min / 100) * 2000).toString().padStart(20, "0"));
    expect(store.index!.files[0]!.endPhyOffset).toBeGreaterThanOrEqual(store.minPhyOffset);
    expect(existsSync(join(dir.path, "commitlog/.deleting"))).toBe(false);
    await cleaner.stop();
    await store.shutdown();
  });

  test("leaves nothing but files below the index: RocketMQ takes whatever is there for an index file", async () => {
    using dir = new TempDir();
    const { store, cleaner, clock } = await bench(dir.path, { fileReservedTime: 4, deleteWhen: "13" });
    let held = true;
    Object.defineProperty(store.index!.files[0]!, "isMapped", { get: () => held });
    clock.now = NOON + HOUR;
    cleaner.start();
    const cleaned = cleaner.run();
    await until(() => existsSync(join(dir.path, ".deleting")));
    expect(readdirSync(join(dir.path, "index")).filter((name) => !/^\d{17}$/.test(name))).toEqual([]);
    held = false;
    await cleaned;
    expect(existsSync(join(dir.path, ".deleting"))).toBe(false);
    await cleaner.stop();
    await store.shutdown();
  });

  test("goes by keys that were changed while it runs", async () => {
    using dir = new TempDir();
    const { config, store, cleaner, logFiles } = await bench(dir.path, { fileReservedTime: 72 });
    const before = logFiles().length;
    cleaner.start();
    await cleaner.run();
    expect(logFiles().length).toBe(before);
    config.deleteWhen = "12";
    config.fileReservedTime = 4;
    await cleaner.run();
    expect(logFiles().length).toBe(4);
    await cleaner.stop();
    await store.shutdown();
  });

  test("takes deleteFileBatchMax files a round and never the last", async () => {
    using dir = new TempDir();
    const { store, cleaner, clock, logFiles } = await bench(dir.path, { fileReservedTime: 0, deleteFileBatchMax: 3 });
    const before = logFiles().length;
    clock.now = NOON + HOUR;
    cleaner.start();
    cleaner.executeDeleteFilesManually();
    await cleaner.run();
    expect(logFiles().length).toBe(before - 3);
    for (let i = 0; i < 10; i++) await cleaner.run();
    expect(logFiles().length).toBe(1);
    await cleaner.stop();
    await store.shutdown();
  });

  test("on a filling disk takes expired files at any hour", async () => {
    using dir = new TempDir();
    const { store, cleaner, disk, logFiles } = await bench(dir.path, { fileReservedTime: 4 });
    disk.used = 76;
    cleaner.start();
    await cleaner.run();
    expect(logFiles().length).toBe(4);
    expect(cleaner.refusal).toBeUndefined();
    await cleaner.stop();
    await store.shutdown();
  });

  test("by force is announced, stops when enough is free, and does not happen when forbidden", async () => {
    using dir = new TempDir();
    const { store, cleaner, disk, logger, logFiles } = await bench(dir.path, { cleanFileForciblyEnable: false });
    const before = logFiles().length;
    disk.used = 88;
    cleaner.start();
    await cleaner.run();
    expect(logFiles().length).toBe(before);
    await cleaner.stop();
    const asked: number[] = [];
    const groupsBehind = async (logEnd: number) => {
      asked.push(logEnd);
      return new Map([
        ["late", 7],
        ["slow", 70],
      ]);
    };
    const parts = { files: store.log.files, queues: store.queues, index: store.index, groupsBehind };
    const usedPercent = () => (logFiles().length > before - 2 ? 88 : 80);
    const forcing = new CleanService(smallConfig(dir.path, { deleteCommitLogFilesInterval: 0 }), parts, logger, {
      usedPercent,
      now: () => NOON,
    });
    forcing.start();
    await forcing.run();
    expect(logFiles().length).toBe(before - 2);
    expect(asked).toEqual([65_536, 131_072]);
    const lines = logger.lines.join("\n");
    expect(lines).toContain("lost to groups that have not consumed them: slow (70), late (7) (clean");
    expect(lines).toContain("the disk is 88 % used, limit 85 % (diskSpaceCleanForciblyRatio): deleting");
    expect(lines).toContain("(fileReservedTime)");
    await forcing.stop();
    await store.shutdown();
  });

  test("waits for readers before it cuts a file, and removes what an earlier process left", async () => {
    using dir = new TempDir();
    const { store, cleaner, clock } = await bench(dir.path, { fileReservedTime: 0, deleteFileBatchMax: 1 });
    const folder = join(dir.path, "commitlog/.deleting");
    mkdirSync(folder);
    writeFileSync(join(folder, "00000000000000000000"), "half");
    cleaner.start();
    await until(() => !existsSync(folder));
    clock.now = NOON + HOUR;
    const file = store.log.files.first!;
    expect(file.retain()).toBe(true);
    cleaner.executeDeleteFilesManually();
    await until(() => store.minPhyOffset > 0);
    expect(file.buffer.readInt32BE(0)).toBeGreaterThan(100);
    file.release();
    await cleaner.run();
    expect(existsSync(folder)).toBe(false);
    await cleaner.stop();
    await store.shutdown();
  });
});

describe("a full disk", () => {
  test("refuses writes with path, percent, limit and key, and takes them again by itself", async () => {
    using dir = new TempDir();
    const { store, cleaner, disk, logger } = await bench(dir.path, { cleanFileForciblyEnable: false });
    disk.used = 91;
    cleaner.start();
    expect(cleaner.refusal).toBe(
      `disk full: the disk of ${join(dir.path, "commitlog")} is 91 % used, limit 90 % (diskSpaceWarningLevelRatio)`,
    );
    disk.used = 90;
    cleaner.fileRolled();
    expect(cleaner.refusal).toBeUndefined();
    disk.used = 95;
    await until(() => cleaner.refusal !== undefined);
    expect(logger.lines.filter((line) => line.includes("writes are")).length).toBe(3);
    await cleaner.stop();
    await store.shutdown();
  });

  test("is measured as df does, rounded up", () => {
    expect(usedPercentOf({ blocks: 1000, bfree: 500, bavail: 450 })).toBe(53);
    expect(usedPercentOf({ blocks: 1000n, bfree: 1000n, bavail: 950n })).toBe(0);
    expect(usedPercentOf({ blocks: 0, bfree: 0, bavail: 0 })).toBe(0);
  });
});

test("limits outside RocketMQ's ranges are pulled in and announced", () => {
  const logger = new LogLines();
  const limits = cleanLimits(
    smallConfig("/x", {
      diskSpaceWarningLevelRatio: 97,
      diskSpaceCleanForciblyRatio: 20,
      diskMaxUsedSpaceRatio: 75,
      deleteWhen: "04; 16;99;x",
    }),
    logger,
  );
  expect([limits.refuseAbove, limits.forceAbove, limits.cleanAbove]).toEqual([90, 30, 75]);
  expect([...limits.hours]).toEqual([4, 16]);
  expect(logger.lines.length).toBe(4);
  expect(logger.lines[0]).toContain("diskSpaceWarningLevelRatio=97 is outside 35 to 90: 90 is used");
});

test("queues of unknown topics and those with nothing left in the log are dropped, system topics never", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path));
  for (const topic of ["A", "B", "SCHEDULE_TOPIC_XXXX", "rmq_sys_x"]) store.append(message(topic, 0, "body"));
  expect(cleanUnusedTopic(store.queues, new Set(["A"]))).toBe(1);
  expect([...store.queues.table.keys()]).toEqual(["A", "SCHEDULE_TOPIC_XXXX", "rmq_sys_x"]);
  expect(cleanExpiredConsumeQueue(store.queues, 1)).toBe(0);
  expect(cleanExpiredConsumeQueue(store.queues, 1_000_000)).toBe(1);
  expect([...store.queues.table.keys()]).toEqual(["SCHEDULE_TOPIC_XXXX", "rmq_sys_x"]);
  await store.shutdown();
});

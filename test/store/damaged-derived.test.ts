import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkStore } from "../../lib/store/check.ts";
import { Checkpoint } from "../../lib/store/checkpoint.ts";
import type { StoreConfig } from "../../lib/store/store-config.ts";
import { LogLines, message, openStore, smallConfig, TempDir } from "./store-fixture.ts";

/** Three queues of six files, index files of 100 keys, some ten log files; closed in order. */
async function written(config: StoreConfig): Promise<{ count: number; end: number }> {
  const store = await openStore(config);
  const count = 1650;
  for (let i = 0; i < count; i++)
    store.append(message("T", i % 3, Buffer.alloc(300, "x"), { UNIQ_KEY: `u${i}`, KEYS: `k${i % 7}`, TAGS: "a" }));
  const end = store.maxPhyOffset;
  await store.shutdown();
  return { count, end };
}

const config = (dir: TempDir): StoreConfig => smallConfig(dir.path, { maxIndexNum: 200 });

function filesOf(dir: TempDir, folder: string): string[] {
  return readdirSync(join(dir.path, folder))
    .filter((name) => /^\d+$/.test(name))
    .sort()
    .map((name) => join(dir.path, folder, name));
}

async function rebuilt(dir: TempDir, count: number, what: string): Promise<void> {
  const logger = new LogLines();
  const store = await openStore(config(dir), {}, logger);
  for (const queueId of [0, 1, 2]) expect(store.getMaxOffsetInQueue("T", queueId), what).toBe(count / 3);
  for (const i of [0, 1, 800, count - 1]) {
    const found = await store.queryMessage("T", `u${i}`, 10, 0, Number.MAX_SAFE_INTEGER);
    expect(found.records.length, `${what}, key u${i}`).toBe(1);
  }
  expect(store.append(message("T", 0, "next", { UNIQ_KEY: "next" })).queueOffset).toBe(count / 3);
  await store.shutdown();
  expect(checkStore(config(dir)).problems, what).toEqual([]);
  expect(
    logger.lines.filter((line) => line.startsWith("error")),
    what,
  ).toEqual([]);
  expect(existsSync(join(dir.path, "abort"))).toBe(false);
}

for (const folder of ["consumequeue/T/1", "index"])
  test(`a bad file anywhere in ${folder} is put aside and made anew, after a stop and after a kill`, async () => {
    for (const killed of [false, true])
      for (const place of ["first", "middle", "last"])
        for (const damage of ["empty", "short", "long"]) {
          using dir = new TempDir();
          const { count } = await written(config(dir));
          const files = filesOf(dir, folder);
          expect(files.length).toBeGreaterThan(4);
          const path = files[place === "first" ? 0 : place === "last" ? files.length - 1 : 2]!;
          const { size } = statSync(path);
          truncateSync(path, damage === "empty" ? 0 : damage === "short" ? 777 : size + 20);
          if (killed) writeFileSync(join(dir.path, "abort"), "1");
          await rebuilt(dir, count, `${damage} ${place} file${killed ? " after a kill" : ""}`);
        }
  });

test("a queue's file that is missing in the middle is made anew", async () => {
  for (const killed of [false, true]) {
    using dir = new TempDir();
    const { count } = await written(config(dir));
    rmSync(filesOf(dir, "consumequeue/T/1")[2]!);
    if (killed) writeFileSync(join(dir.path, "abort"), "1");
    await rebuilt(dir, count, `killed ${killed}`);
  }
});

test("queues and last files that are gone without a trace are made anew", async () => {
  const ways: [string, (dir: TempDir) => void][] = [
    ["last file", (dir) => rmSync(filesOf(dir, "consumequeue/T/1").at(-1)!)],
    ["queue", (dir) => rmSync(join(dir.path, "consumequeue/T/2"), { recursive: true })],
    ["topic", (dir) => rmSync(join(dir.path, "consumequeue/T"), { recursive: true })],
  ];
  for (const [what, remove] of ways) {
    using dir = new TempDir();
    const { count } = await written(config(dir));
    remove(dir);
    await rebuilt(dir, count, what);
  }
});

test("after a kill, too, when the recovery would begin behind what is gone", async () => {
  const ways: [string, (dir: TempDir) => void][] = [
    ["nothing", () => {}],
    [
      "last files",
      (dir) =>
        filesOf(dir, "consumequeue/T/1")
          .slice(-3)
          .forEach((path) => void rmSync(path)),
    ],
    ["queue", (dir) => rmSync(join(dir.path, "consumequeue/T/2"), { recursive: true })],
    [
      "two queues",
      (dir) => [0, 2].forEach((id) => void rmSync(join(dir.path, `consumequeue/T/${id}`), { recursive: true })),
    ],
  ];
  for (const [what, remove] of ways) {
    using dir = new TempDir();
    const { count } = await written(config(dir));
    // What the last stop brought to the disk, moved past the safety margin of 3 s.
    const path = join(dir.path, "checkpoint");
    const checkpoint = readFileSync(path);
    for (const at of [0, 8]) checkpoint.writeBigInt64BE(checkpoint.readBigInt64BE(at) + 3000n, at);
    writeFileSync(path, checkpoint);
    writeFileSync(join(dir.path, "abort"), "1");
    remove(dir);
    await rebuilt(dir, count, what);
  }
});

test("what mq notes in the checkpoint counts only as long as RocketMQ has not had the store", () => {
  using dir = new TempDir();
  const path = join(dir.path, "checkpoint");
  const checkpoint = Checkpoint.open(path);
  expect([checkpoint.derivedOffset, checkpoint.queues]).toEqual([undefined, undefined]);
  checkpoint.physicMsgTimestamp = 5000;
  checkpoint.derivedOffset = 2 ** 41;
  checkpoint.queues = { count: 3, entries: 2 ** 40 };
  expect([checkpoint.derivedOffset, checkpoint.queues]).toEqual([2 ** 41, { count: 3, entries: 2 ** 40 }]);
  checkpoint.logicsMsgTimestamp = 4000;
  expect(checkpoint.derivedOffset).toBe(2 ** 41);
  checkpoint.close();
  // As StoreCheckpoint#flush does.
  const bytes = readFileSync(path);
  bytes.writeBigInt64BE(9000n, 0);
  writeFileSync(path, bytes);
  const again = Checkpoint.open(path);
  expect([again.physicMsgTimestamp, again.derivedOffset, again.queues]).toEqual([9000, undefined, undefined]);
  again.physicMsgTimestamp = 9500;
  expect([again.derivedOffset, again.queues]).toEqual([0, { count: 0, entries: 0 }]);
  again.close();
});

test("index files that all have one other size stop the start", async () => {
  using dir = new TempDir();
  await written(config(dir));
  const other = { ...config(dir), maxIndexNum: 300 };
  await expect(openStore(other)).rejects.toThrow("maxHashSlotNum and maxIndexNum");
  await (await openStore(config(dir))).shutdown();
});

test("a last log file that was cut keeps its records, after a clean stop too, and queues and index end with it", async () => {
  using dir = new TempDir();
  const { end } = await written(config(dir));
  const last = filesOf(dir, "commitlog").findLast((path) => Number(path.split("/").at(-1)) < end)!;
  const fileStart = Number(last.split("/").at(-1));
  expect(end - fileStart).toBeGreaterThan(2000);
  for (const path of filesOf(dir, "commitlog")) if (path > last) rmSync(path);
  truncateSync(last, 1500);
  const logger = new LogLines();
  const store = await openStore(config(dir), {}, logger);
  expect(logger.lines.some((line) => line.includes("has 1500 bytes"))).toBe(true);
  expect(store.maxPhyOffset).toBeGreaterThan(fileStart);
  expect(store.maxPhyOffset).toBeLessThanOrEqual(fileStart + 1500);
  expect(store.append(message("T", 0, "next")).status).toBe("PUT_OK");
  await store.shutdown();
  expect(checkStore(config(dir)).problems).toEqual([]);
});

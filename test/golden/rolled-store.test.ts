import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStore, smallConfig, TempDir } from "../store/store-fixture.ts";

/** A store of several commit-log, consume-queue and index files; record-rolled.mjs says how it was made. */
const ARCHIVE = join(import.meta.dir, "store-rolled.tar.gz");
const SIZES = {
  mappedFileSizeCommitLog: 4096,
  mappedFileSizeConsumeQueue: 200,
  maxHashSlotNum: 20,
  maxIndexNum: 60,
  messageDelayLevel: "1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1d 1d",
};

function unpack(dir: TempDir): string {
  expect(Bun.spawnSync(["tar", "xzf", ARCHIVE, "-C", dir.path]).exitCode).toBe(0);
  return join(dir.path, "store");
}

/** The files of a folder joined in order as hex, without the zeros of what was only allocated. */
function joined(folder: string): string {
  const bytes = Buffer.concat(
    readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name))),
  );
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.toString("hex", 0, end);
}

function queues(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const base = join(root, "consumequeue");
  for (const topic of readdirSync(base)) {
    for (const queue of readdirSync(join(base, topic))) found[`${topic}/${queue}`] = joined(join(base, topic, queue));
  }
  return found;
}

describe("a store of many files written by the Java broker", () => {
  test("it holds end-of-file blanks and more than one index file", () => {
    using dir = new TempDir();
    const root = unpack(dir);
    expect(readdirSync(join(root, "commitlog")).length).toBeGreaterThan(1);
    expect(readdirSync(join(root, "index")).length).toBeGreaterThan(1);
  });

  test("log, queues and index stay as they are after a start and a stop", async () => {
    using dir = new TempDir();
    const root = unpack(dir);
    const before = { log: joined(join(root, "commitlog")), queues: queues(root), index: joined(join(root, "index")) };
    const store = await openStore(smallConfig(root, SIZES));
    await store.shutdown();
    expect({ log: joined(join(root, "commitlog")), queues: queues(root), index: joined(join(root, "index")) }).toEqual(
      before,
    );
  });

  test("queues and index rebuilt from the log alone equal Java's", async () => {
    using dir = new TempDir();
    const root = unpack(dir);
    const before = { queues: queues(root), index: joined(join(root, "index")) };
    rmSync(join(root, "consumequeue"), { recursive: true });
    rmSync(join(root, "index"), { recursive: true });
    rmSync(join(root, "checkpoint"));
    writeFileSync(join(root, "abort"), "1");
    const store = await openStore(smallConfig(root, SIZES));
    await store.shutdown();
    expect(queues(root)).toEqual(before.queues);
    expect(joined(join(root, "index"))).toBe(before.index);
  });
});

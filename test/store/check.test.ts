import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkStore } from "../../lib/store/check.ts";
import type { StoreConfig } from "../../lib/store/store-config.ts";
import { message, openStore, smallConfig, TempDir } from "./store-fixture.ts";

const ARCHIVE = join(import.meta.dir, "../golden/store.tar.gz");

/** A closed store of 1200 messages in several files of each kind. */
async function written(config: StoreConfig): Promise<void> {
  const store = await openStore(config);
  for (let i = 0; i < 1230; i++)
    store.append(message(`T${i % 3}`, i % 2, `m${i}`.padEnd(100, "x"), { TAGS: `t${i % 5}`, KEYS: `k${i} all` }));
  await store.shutdown();
}

function change(path: string, edit: (bytes: Buffer) => void): void {
  const bytes = readFileSync(path);
  edit(bytes);
  writeFileSync(path, bytes);
}

describe("the check of a store", () => {
  test("finds nothing wrong with a store of mq", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    await written(config);
    const summary = checkStore(config);
    expect(summary.problems).toEqual([]);
    expect([summary.records, summary.queueEntries, summary.queues, summary.indexEntries]).toEqual([
      1230, 1230, 6, 2460,
    ]);
  });

  test("finds nothing wrong with a store of the Java broker", () => {
    using dir = new TempDir();
    expect(Bun.spawnSync(["tar", "xzf", ARCHIVE, "-C", dir.path, "--strip-components=1"]).exitCode).toBe(0);
    const summary = checkStore(
      smallConfig(dir.path, {
        mappedFileSizeCommitLog: 65536,
        mappedFileSizeConsumeQueue: 1000,
        maxHashSlotNum: 500,
        maxIndexNum: 2000,
      }),
    );
    expect(summary.problems).toEqual([]);
    expect(summary.records).toBeGreaterThan(50);
  });

  const damages: [string, (root: string) => void, string][] = [
    ["a flipped body byte", (root) => change(log(root), (bytes) => bytes.writeUInt8(0, 95)), "does not have CRC"],
    ["a record of the wrong size", (root) => change(log(root), (bytes) => bytes.writeInt32BE(7, 0)), "no record at 0"],
    ["a missing log file", (root) => rmSync(log(root, 65536)), "follows"],
    [
      "an entry that points elsewhere",
      (root) => change(queue(root), (bytes) => bytes.writeInt32BE(9, 4)),
      "wanted 0 size",
    ],
    ["a wrong tag code", (root) => change(queue(root), (bytes) => bytes.writeInt32BE(9, 16)), "tagsCode 9"],
    [
      "a missing queue",
      (root) => rmSync(join(root, "consumequeue/T1"), { recursive: true }),
      "has no queue entry at 0",
    ],
    [
      "an entry of nothing",
      (root) => change(lastQueueFile(root), (bytes) => void bytes.copy(bytes, lastEntry(bytes), 0, 20)),
      "has no record",
    ],
    ["a lost index slot", (root) => change(index(root), (bytes) => void bytes.fill(0, 40, 440)), "slot 0 holds 0"],
    ["a lost index entry", (root) => change(index(root), (bytes) => void bytes.fill(0, 500, 520)), "index: no entry"],
  ];
  for (const [what, damage, wanted] of damages)
    test(`reports ${what}`, async () => {
      using dir = new TempDir();
      const config = smallConfig(dir.path);
      await written(config);
      damage(dir.path);
      const { problems } = checkStore(config);
      expect(problems.join("\n")).toContain(wanted);
    });
});

function log(root: string, offset = 0): string {
  return join(root, "commitlog", offset.toString().padStart(20, "0"));
}

function queue(root: string): string {
  return join(root, "consumequeue/T0/0", "0".padStart(20, "0"));
}

function lastQueueFile(root: string): string {
  const folder = join(root, "consumequeue/T0/0");
  return join(folder, readdirSync(folder).sort().at(-1)!);
}

/** Behind the last entry that is used. */
function lastEntry(bytes: Buffer): number {
  let at = 0;
  while (bytes.readInt32BE(at + 8) > 0) at += 20;
  return at;
}

function index(root: string): string {
  const folder = join(root, "index");
  return join(folder, readdirSync(folder).sort()[0]!);
}

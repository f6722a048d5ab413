import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IndexService } from "../../lib/index/index-service.ts";
import { keyHash, keyHashBytes, prefixHash } from "../../lib/index/key-hash.ts";
import { entryAt, indexFileBytes } from "../../lib/index/layout.ts";
import { RecordView } from "../../lib/message/record.ts";
import { DispatchRequest } from "../../lib/store/commitlog/dispatch-request.ts";
import { type QuietLogger, quietLogger } from "../support/quiet-logger.ts";

const ARCHIVE = join(import.meta.dir, "../golden/store.tar.gz");
const FOREVER = Number.MAX_SAFE_INTEGER;

let root: string;
let logger: QuietLogger;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-index-"));
  logger = quietLogger();
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(slots = 50, entries = 100): IndexService {
  return new IndexService(
    { storePathRootDir: root, maxHashSlotNum: slots, maxIndexNum: entries, maxMsgsNumBatch: 64 },
    logger,
  );
}

function request(
  topic: string,
  uniqKey: string,
  keys: string,
  physicalOffset: number,
  storeTimestamp: number,
): DispatchRequest {
  const made = new DispatchRequest();
  made.topic = topic;
  made.keyPrefixHash = prefixHash(topic);
  made.physicalOffset = physicalOffset;
  made.storeTimestamp = storeTimestamp;
  made.buffer = Buffer.from(`${uniqKey}|${keys}`);
  const uniqEnd = Buffer.byteLength(uniqKey);
  if (uniqKey !== "") [made.uniqKeyStart, made.uniqKeyEnd] = [0, uniqEnd];
  if (keys !== "") [made.keysStart, made.keysEnd] = [uniqEnd + 1, made.buffer.length];
  return made;
}

const T0 = 1_700_000_000_000;

describe("hash of topic#key", () => {
  test("is Java's, made positive", () => {
    // "Ea" and "FB" have one hash in Java; "polygenelubricants" hashes to Integer.MIN_VALUE.
    expect(keyHash("t", "Ea")).toBe(keyHash("t", "FB"));
    expect(keyHash("T", "k")).toBe(84 * 961 + 35 * 31 + 107);
    expect(keyHashBytes(0, Buffer.from("polygenelubricants"), 0, 18)).toBe(0);
  });

  test("of bytes equals that of text, beyond ASCII too", () => {
    for (const key of ["", "abc", "ключ", "日本 x", "a😀b", "é"]) {
      const bytes = Buffer.from(`..${key}`);
      expect(keyHashBytes(prefixHash("topic"), bytes, 2, bytes.length)).toBe(keyHash("topic", key));
    }
  });
});

describe("index file of the Java broker", () => {
  function unpack(): void {
    expect(Bun.spawnSync(["tar", "xzf", ARCHIVE, "-C", root, "--strip-components=1"]).exitCode).toBe(0);
  }

  /** What the log holds: every unique key and key with the offsets of its records. */
  function keysOfLog(): { topic: string; key: string; offset: number; time: number }[] {
    const log = readFileSync(join(root, "commitlog/00000000000000000000"));
    const view = new RecordView();
    const found: { topic: string; key: string; offset: number; time: number }[] = [];
    for (let at = 0; view.read(log, at, log.length, at) === "record"; at += view.size) {
      const properties = log.toString("utf8", view.propertiesStart, view.propertiesEnd);
      const all = Object.fromEntries(properties.split("\u0002").map((entry) => entry.split("\u0001")));
      const keys = [all.UNIQ_KEY, ...(all.KEYS ?? "").split(" ")].filter((key) => key !== undefined && key !== "");
      for (const key of keys) found.push({ topic: view.topic, key, offset: at, time: view.storeTimestamp });
    }
    return found;
  }

  test("finds every key of the log", async () => {
    unpack();
    const index = open(500, 2000);
    index.load(true, 0);
    const keys = keysOfLog();
    expect(keys.length).toBeGreaterThan(50);
    for (const { topic, key, offset, time } of keys)
      expect(await index.query(topic, key, 64, time - 1000, time + 1000), `${topic}#${key}`).toContain(offset);
    await index.shutdown();
  });

  test("is written again byte for byte from the log", async () => {
    unpack();
    const name = readdirSync(join(root, "index"))[0]!;
    const java = readFileSync(join(root, "index", name));
    const log = readFileSync(join(root, "commitlog/00000000000000000000"));
    rmSync(join(root, "index"), { recursive: true });
    const index = open(500, 2000);
    index.load(true, 0);
    const view = new RecordView();
    for (let at = 0; view.read(log, at, log.length, at) === "record"; at += view.size) {
      const properties = log.toString("utf8", view.propertiesStart, view.propertiesEnd);
      const all = Object.fromEntries(properties.split("\u0002").map((entry) => entry.split("\u0001")));
      const made = request(view.topic, all.UNIQ_KEY ?? "", all.KEYS ?? "", at, view.storeTimestamp);
      made.sysFlag = view.sysFlag;
      index.buildIndex(made);
    }
    await index.shutdown();
    const mine = readFileSync(join(root, "index", readdirSync(join(root, "index"))[0]!));
    expect(mine.equals(java)).toBe(true);
  });
});

describe("queries", () => {
  test("give offsets newest first, within the time asked for, up to the limit", async () => {
    const index = open();
    index.load(true, 0);
    for (let i = 0; i < 20; i++) index.buildIndex(request("T", `u${i}`, "a b", 1000 + i * 10, T0 + i * 1000));
    expect(await index.query("T", "a", 3, 0, FOREVER)).toEqual([1190, 1180, 1170]);
    expect(await index.query("T", "b", 64, T0 + 5000, T0 + 7000)).toEqual([1070, 1060, 1050]);
    expect(await index.query("T", "u4", 64, 0, FOREVER)).toEqual([1040]);
    expect(await index.query("T", "c", 64, 0, FOREVER)).toEqual([]);
    expect(await index.query("U", "a", 64, 0, FOREVER)).toEqual([]);
    await index.shutdown();
  });

  test("go over files; a full one is followed by another that begins where it ended", async () => {
    const index = open(50, 100);
    index.load(true, 0);
    for (let i = 0; i < 250; i++) index.buildIndex(request("T", `u${i}`, "", 1000 + i * 10, T0 + i * 1000));
    expect(index.files.length).toBe(3);
    for (const i of [0, 98, 99, 100, 249])
      expect(await index.query("T", `u${i}`, 64, 0, FOREVER)).toEqual([1000 + i * 10]);
    await index.shutdown();
    const again = open(50, 100);
    again.load(true, 0);
    expect(again.files.map((file) => file.indexCount)).toEqual([100, 100, 53]);
    expect(await again.query("T", "u120", 64, 0, FOREVER)).toEqual([2200]);
    expect(again.lastUpdatePhyOffset).toBe(1000 + 249 * 10);
    again.buildIndex(request("T", "u7", "", 1070, T0));
    expect(again.files[2]?.indexCount).toBe(53);
    await again.shutdown();
  });

  test("survive a chain that runs in circles", async () => {
    const index = open(1, 100);
    index.load(true, 0);
    for (let i = 0; i < 5; i++) index.buildIndex(request("T", `u${i}`, "", i, T0));
    await index.shutdown();
    const path = join(index.directory, readdirSync(index.directory)[0]!);
    const bytes = readFileSync(path);
    bytes.writeInt32BE(4, entryAt(index.geometry, 2) + 16);
    writeFileSync(path, bytes);
    const again = open(1, 100);
    again.load(true, 0);
    expect(await again.query("T", "nothing", 64, 0, FOREVER)).toEqual([]);
    await again.shutdown();
  });
});

describe("after an unclean stop", () => {
  async function written(count: number): Promise<string> {
    const index = open();
    index.load(true, 0);
    for (let i = 0; i < count; i++) index.buildIndex(request("T", `u${i}`, "", 1000 + i * 10, T0 + i * 1000));
    await index.shutdown();
    return join(index.directory, readdirSync(index.directory)[0]!);
  }

  test("entries before the recovery's start stay, later ones are indexed again", async () => {
    await written(50);
    const index = open();
    index.load(false, 0);
    index.recover(1000 + 30 * 10);
    expect(index.files[0]?.indexCount).toBe(31);
    for (let i = 30; i < 60; i++) index.buildIndex(request("T", `u${i}`, "", 1000 + i * 10, T0 + i * 1000));
    for (const i of [0, 29, 30, 49, 59])
      expect(await index.query("T", `u${i}`, 64, 0, FOREVER)).toEqual([1000 + i * 10]);
    await index.shutdown();
  });

  test("lost slot and entry pages cost only what follows them", async () => {
    const path = await written(50);
    const bytes = readFileSync(path);
    bytes.fill(0, 40, 40 + 200);
    bytes.fill(0, entryAt({ slots: 50, entries: 100 }, 40), entryAt({ slots: 50, entries: 100 }, 45));
    writeFileSync(path, bytes);
    const index = open();
    index.load(false, 0);
    index.recover(FOREVER);
    expect(index.files[0]?.indexCount).toBe(40);
    for (let i = 0; i < 39; i++) expect(await index.query("T", `u${i}`, 64, 0, FOREVER)).toEqual([1000 + i * 10]);
    expect(await index.query("T", "u47", 64, 0, FOREVER)).toEqual([]);
    await index.shutdown();
  });

  test("files on the disk before the checkpoint are believed, one with nothing in it goes", async () => {
    const path = await written(50);
    const index = open();
    index.load(false, T0 + 49_000);
    index.recover(FOREVER);
    expect(index.files.length).toBe(1);
    await index.shutdown();
    writeFileSync(path, Buffer.alloc(indexFileBytes(index.geometry)));
    const bytes = readFileSync(path);
    bytes.writeBigInt64BE(BigInt(T0), 8);
    writeFileSync(path, bytes);
    const again = open();
    again.load(false, 0);
    again.recover(FOREVER);
    expect(again.files.length).toBe(0);
    expect(readdirSync(again.directory)).toEqual([]);
  });

  test("a last file cut anywhere does not stop the start; another wrong size does, with found and wanted", async () => {
    const path = await written(50);
    const wanted = indexFileBytes({ slots: 50, entries: 100 });
    for (const size of [0, 7, 40, 1000, wanted - 1]) {
      copyFileSync(path, `${path}.keep`);
      truncateSync(path, size);
      const index = open();
      index.load(false, 0);
      expect(index.files.length).toBe(0);
      copyFileSync(`${path}.keep`, path);
    }
    expect(() => open(60, 100).load(true, 0)).not.toThrow();
    mkdirSync(join(root, "index"), { recursive: true });
    copyFileSync(`${path}.keep`, path);
    expect(() => open(10, 20).load(true, 0)).toThrow(`found ${wanted} bytes, wanted`);
  });
});

test("expired files are given away, the last never", async () => {
  const index = open(50, 100);
  index.load(true, 0);
  for (let i = 0; i < 250; i++) index.buildIndex(request("T", `u${i}`, "", 1000 + i * 10, T0 + i * 1000));
  expect(index.detachExpired(1000 + 99 * 10).length).toBe(1);
  expect(index.detachExpired(FOREVER).length).toBe(1);
  expect(index.files.length).toBe(1);
  await index.shutdown();
});

test("the flushed stamp follows flushes only", async () => {
  const index = open();
  index.load(true, 0);
  index.buildIndex(request("T", "u", "", 10, T0));
  expect(index.flushedTimestamp).toBe(0);
  await index.flush();
  expect(index.flushedTimestamp).toBe(T0);
  await index.shutdown();
});

test("the flushed stamp waits for the flush of a full file, and never moves after a failed one", async () => {
  const index = open(50, 100);
  index.load(true, 0);
  const fill = (from: number, to: number): void => {
    for (let i = from; i < to; i++) index.buildIndex(request("T", `u${i}`, "", 1000 + i * 10, T0 + i * 1000));
  };
  fill(0, 99);
  const [full] = index.files;
  const underWay = Promise.withResolvers<void>();
  full!.flush = () => underWay.promise;
  fill(99, 120);
  await index.files[1]!.flush();
  expect(index.flushedTimestamp).toBe(0);
  underWay.reject(new Error("EIO"));
  await new Promise((resolve) => setImmediate(resolve));
  expect(index.flushedTimestamp).toBe(0);
  expect(logger.lines.some((line) => line.message.includes("flush index file"))).toBe(true);
});

describe("entries of one turn", () => {
  test("are found in the same turn, over several files, and stand in the files as if they came one by one", async () => {
    const index = open(50, 100);
    for (let i = 0; i < 700; i++) index.buildIndex(request("T", `u${i % 350}`, "", i * 10, T0 + i));
    expect(await index.query("T", "u349", 64, 0, FOREVER)).toEqual([6990, 3490]);
    expect(index.files.length).toBe(8);
    expect(index.lastUpdatePhyOffset).toBe(6990);
    const together = index.files.map(({ path }) => readFileSync(path).subarray(40));
    await index.shutdown();
    rmSync(join(root, "index"), { recursive: true });

    const single = open(50, 100);
    for (let i = 0; i < 700; i++) {
      single.buildIndex(request("T", `u${i % 350}`, "", i * 10, T0 + i));
      expect(single.files.at(-1)!.endPhyOffset).toBe(i * 10);
    }
    expect(single.files.map(({ path }) => readFileSync(path).subarray(40))).toEqual(together);
    await single.shutdown();
  });

  test("are put into the file when the turn ends, and nothing is left when the service closes first", async () => {
    const index = open();
    index.buildIndex(request("T", "a", "", 0, T0));
    await Promise.resolve();
    expect(readFileSync(join(root, "index", readdirSync(join(root, "index"))[0]!)).readInt32BE(36)).toBe(2);
    index.buildIndex(request("T", "b", "", 10, T0));
    const { path } = index.files[0]!;
    await index.shutdown();
    expect(readFileSync(path).readInt32BE(36)).toBe(3);
    const gone = open();
    gone.load(true, 0);
    gone.buildIndex(request("T", "c", "", 20, T0));
    gone.destroy();
    await Promise.resolve();
    expect(readdirSync(join(root, "index"))).toEqual([]);
  });
});

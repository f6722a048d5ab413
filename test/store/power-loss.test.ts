import { afterEach, expect, setSystemTime, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { checkStore } from "../../lib/store/check.ts";
import { until } from "../support/until.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

const PAGE = 4096;

afterEach(() => void setSystemTime());

function randomOf(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * bound);
  };
}

function filesUnder(root: string, folder: string): string[] {
  const base = join(root, folder);
  if (!existsSync(base)) return [];
  return readdirSync(base, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /^\d{17,20}$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** Of the pages that changed since `before` was copied, some reached the disk and some did not. */
function losePages(root: string, before: string, folder: string, random: (bound: number) => number): void {
  for (const name of filesUnder(root, folder)) {
    const now = readFileSync(join(root, name));
    const old = existsSync(join(before, name)) ? readFileSync(join(before, name)) : Buffer.alloc(now.length);
    for (let at = 0; at < now.length; at += PAGE)
      if (random(2) === 0 && !now.subarray(at, at + PAGE).equals(old.subarray(at, at + PAGE)))
        old.copy(now, at, at, Math.min(old.length, at + PAGE));
    writeFileSync(join(root, name), now);
  }
}

/** The log's unflushed end is not there, or only its first bytes are. */
function loseTail(root: string, flushed: number, fileSize: number, random: (bound: number) => number): void {
  for (const name of filesUnder(root, "commitlog")) {
    const start = Number(name.split("/").at(-1));
    if (start + fileSize <= flushed) continue;
    const bytes = readFileSync(join(root, name));
    bytes.fill(0, Math.max(0, flushed - start) + random(2000));
    writeFileSync(join(root, name), bytes);
  }
}

test("whatever pages a power cut loses, acknowledged messages stay and queues and index agree with the log", async () => {
  const seed = Number(process.env.MQ_SEED ?? Date.now() % 1_000_000);
  const random = randomOf(seed);
  using dir = new TempDir();
  let root = join(dir.path, "0");
  let before = join(dir.path, "before");
  let time = 1_790_000_000_000;
  let acknowledged = 0;
  let sent = 0;
  const open = (): Promise<Store> =>
    openStore(
      smallConfig(root, { flushDiskType: "SYNC_FLUSH", flushConsumeQueueThoroughInterval: 1e9 }),
      {},
      new LogLines(),
    );
  let store = await open();
  const send = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const number = sent++;
      const properties = { UNIQ_KEY: `u${number}`, KEYS: `k${number % 10} all`, TAGS: `t${number % 3}` };
      const result = store.append(
        message(`T${random(4)}`, random(3), `m${number}`.padEnd(20 + random(400), "x"), properties),
      );
      expect(result.status).toBe("PUT_OK");
      store.awaitDurable(result.physicalEnd, true, () => acknowledged++);
    }
  };
  for (let round = 0; round < 25; round++) {
    const problem = `seed ${seed} round ${round}`;
    // The clock runs on, or is set: back after a bad synchronisation, far ahead before it.
    time += [5000, 5000, 5000, -3_600_000, 86_400_000][random(5)]!;
    setSystemTime(new Date(time));
    send(random(300));
    await until(() => acknowledged === sent);
    if (random(3) === 0) {
      await until(() => store.dispatchBehindBytes === 0);
      await store.checkpointNow();
      before = join(dir.path, `before-${round}`);
      cpSync(root, before, { recursive: true });
    }
    const durable = acknowledged;
    const way = random(10);
    if (way < 3) await store.shutdown();
    else {
      const flushed = store.flushedWhere;
      if (random(2) === 0) send(random(50));
      const next = join(dir.path, String(round + 1));
      cpSync(root, next, { recursive: true });
      await store.shutdown();
      root = next;
      if (way > 5) {
        loseTail(root, flushed, 64 * 1024, random);
        losePages(root, before, "consumequeue", random);
        losePages(root, before, "index", random);
      }
    }
    const lost = existsSync(join(root, "abort"));
    store = await open();
    const end = store.maxPhyOffset;
    await store.shutdown();
    const summary = checkStore(smallConfig(root));
    expect(summary.problems, problem).toEqual([]);
    expect(summary.records, problem).toBeGreaterThanOrEqual(durable);
    if (!lost) expect(summary.records, problem).toBe(sent);
    expect(summary.maxOffset, problem).toBe(end);
    sent = acknowledged = summary.records;
    before = join(dir.path, `closed-${round}`);
    cpSync(root, before, { recursive: true });
    store = await open();
    expect(statSync(join(root, "abort")).isFile()).toBe(true);
  }
  await store.shutdown();
}, 60_000);

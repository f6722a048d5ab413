import { expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join, relative } from "node:path";
import { decodeRecord } from "../../lib/message/record.ts";
import { checkStore } from "../../lib/store/check.ts";
import { LogLines, openStore, smallConfig, TempDir } from "./store-fixture.ts";

const CHILD = join(import.meta.dir, "append-child.ts");
const ROUNDS = 12;

type Random = (bound: number) => number;

function randomOf(seed: number): Random {
  let state = seed;
  return (bound) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * bound);
  };
}

/** Lets a process open the store and append, and kills it after so many lines; 0: while it starts. */
async function runAndKill(root: string, flush: string, lines: number, acknowledged: Set<number>): Promise<void> {
  const child = Bun.spawn([process.execPath, CHILD, root, flush], { stdout: "pipe", stderr: "inherit" });
  if (lines === 0) {
    while (!existsSync(join(root, "lock"))) await new Promise((resolve) => setImmediate(resolve));
    child.kill("SIGKILL");
  }
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > lines) child.kill("SIGKILL");
  }
  await child.exited;
  for (const line of text.slice(0, text.lastIndexOf("\n")).split("\n"))
    if (/^\d+$/.test(line)) acknowledged.add(Number(line));
}

function derivedFiles(root: string): string[] {
  return ["consumequeue", "index"].flatMap((folder) => {
    const base = join(root, folder);
    if (!existsSync(base)) return [];
    return readdirSync(base, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /^\d{17,20}$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name));
  });
}

/** One of the derived files is cut, lengthened or lost; what was done, in words. */
function damageOne(root: string, random: Random): string {
  const files = derivedFiles(root);
  if (files.length === 0) return "nothing";
  const path = files[random(files.length)]!;
  const { size } = statSync(path);
  const name = relative(root, path);
  const way = random(5);
  if (way === 0) truncateSync(path, 0);
  else if (way === 1 && !isOnly(path)) truncateSync(path, size + 1 + random(100));
  else if (way === 2 && name.startsWith("consumequeue") && !isFirst(path)) rmSync(path);
  else if (way === 3 && name.startsWith("consumequeue")) rmSync(join(path, ".."), { recursive: true });
  else truncateSync(path, random(size));
  return `${way} ${name}`;
}

/** A queue's first file may have been too old: that one that is gone was needed cannot be told. */
function isFirst(path: string): boolean {
  return readdirSync(join(path, ".."))
    .filter((name) => /^\d{20}$/.test(name))
    .every((name) => join(path, "..", name) >= path);
}

/** A whole queue of another size looks like a wrong mappedFileSizeConsumeQueue. */
function isOnly(path: string): boolean {
  return readdirSync(join(path, "..")).filter((name) => /^\d{17,20}$/.test(name)).length === 1;
}

/** The last file of the log with records loses bytes behind its last whole record, as if its allocation had been cut short. */
function cutLogTail(root: string, end: number, fileSize: number, random: Random): string {
  const base = end - (end % fileSize);
  const path = join(root, "commitlog", String(base).padStart(20, "0"));
  const behind = readdirSync(join(root, "commitlog")).some((name) => /^\d{20}$/.test(name) && Number(name) > base);
  if (base === 0 || behind || end % fileSize === 0) return "";
  truncateSync(path, (end % fileSize) + random(fileSize - (end % fileSize)));
  return `, cut ${path}`;
}

const seed = Number(process.env.MQ_SEED ?? Date.now() % 1_000_000);

test(`kills, cut and lost derived files at every kind of place cost no acknowledged message (MQ_SEED=${seed})`, async () => {
  const random = randomOf(seed);
  using dir = new TempDir();
  const acknowledged = new Set<number>();
  const done: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const flush = random(2) === 0 ? "SYNC_FLUSH" : "ASYNC_FLUSH";
    const config = smallConfig(dir.path, { flushDiskType: flush as "SYNC_FLUSH" });
    await runAndKill(dir.path, flush, random(4) === 0 ? 0 : 50 + random(600), acknowledged);
    for (let i = random(3); i > 0; i--) done.push(damageOne(dir.path, random));
    const problem = `seed ${seed}, round ${round}: ${done.join("; ")}`;
    let store = await openStore(config);
    const end = store.maxPhyOffset;
    await store.shutdown();
    expect(checkStore(config).problems, problem).toEqual([]);
    // And after a stop in order.
    if (random(2) === 0) done.push(damageOne(dir.path, random) + cutLogTail(dir.path, end, 64 * 1024, random));
    store = await openStore(config, {}, new LogLines());
    expect(store.maxPhyOffset, problem).toBe(end);
    await store.shutdown();
    expect(checkStore(config).problems, `${problem}; ${done.at(-1)}`).toEqual([]);
    done.push("|");
  }
  const store = await openStore(smallConfig(dir.path));
  const stored = new Set<number>();
  for (let queueId = 0; queueId < 4; queueId++)
    for (let offset = 0; offset < store.getMaxOffsetInQueue("T", queueId); offset++) {
      const record = await store.readRecord(store.getQueueEntry("T", queueId, offset)!.physicalOffset);
      stored.add(Number(decodeRecord(record!.bytes)!.body.toString().slice("body of ".length)));
    }
  for (const number of acknowledged) if (!stored.has(number)) expect.unreachable(`${number} is gone, seed ${seed}`);
  expect(acknowledged.size).toBeGreaterThan(500);
  await store.shutdown();
}, 60_000);

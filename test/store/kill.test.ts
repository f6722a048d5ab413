import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { decodeRecord } from "../../lib/message/record.ts";
import { checkStore } from "../../lib/store/check.ts";
import { createMessageStore } from "../../lib/store/message-store.ts";
import { LogLines, openStore, smallConfig, TempDir } from "./store-fixture.ts";

const CHILD = join(import.meta.dir, "append-child.ts");

/** Numbers that the child said were acknowledged before it was killed. */
async function runAndKill(root: string, flushDiskType: string, afterLines: number): Promise<number[]> {
  const child = Bun.spawn([process.execPath, CHILD, root, flushDiskType], { stdout: "pipe", stderr: "inherit" });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > afterLines) child.kill("SIGKILL");
  }
  await child.exited;
  return text
    .slice(0, text.lastIndexOf("\n"))
    .split("\n")
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

for (const flushDiskType of ["SYNC_FLUSH", "ASYNC_FLUSH"] as const) {
  test(`SIGKILL while appending loses nothing acknowledged and leaves dense queues (${flushDiskType})`, async () => {
    using dir = new TempDir();
    const acknowledged = new Set<number>();
    for (let round = 0; round < 4; round++) {
      for (const number of await runAndKill(dir.path, flushDiskType, 300 + round * 97)) acknowledged.add(number);
      expect(existsSync(join(dir.path, "abort"))).toBe(true);
    }
    const store = await openStore(smallConfig(dir.path, { flushDiskType }));
    const stored = new Set<number>();
    for (let queueId = 0; queueId < 4; queueId++) {
      for (let offset = 0; offset < store.getMaxOffsetInQueue("T", queueId); offset++) {
        const entry = store.getQueueEntry("T", queueId, offset)!;
        const record = decodeRecord((await store.readRecord(entry.physicalOffset))!.bytes)!;
        expect(record.queueOffset).toBe(offset);
        const number = Number(record.body.toString().slice("body of ".length));
        expect(record.body.toString()).toBe(`body of ${number}`);
        expect(stored.has(number)).toBe(false);
        stored.add(number);
      }
    }
    expect(acknowledged.size).toBeGreaterThan(1000);
    for (const number of acknowledged) expect(stored.has(number)).toBe(true);
    const found = await store.queryMessage("T", `k${[...acknowledged][500]}`, 10, 0, Number.MAX_SAFE_INTEGER);
    expect(found.records.length).toBeGreaterThanOrEqual(1);
    await store.shutdown();
    expect(checkStore(smallConfig(dir.path)).problems).toEqual([]);
  }, 60_000);
}

test("a second process is refused with the first one's pid, and the first goes on", async () => {
  using dir = new TempDir();
  const child = Bun.spawn([process.execPath, CHILD, dir.path, "ASYNC_FLUSH"], { stdout: "pipe", stderr: "inherit" });
  const reader = child.stdout.getReader();
  await reader.read();
  const second = createMessageStore(smallConfig(dir.path), {}, new LogLines());
  await expect(second.load()).rejects.toThrow(`process ${child.pid} holds ${join(dir.path, "lock")}`);
  expect((await reader.read()).value!.length).toBeGreaterThan(0);
  child.kill("SIGKILL");
  await child.exited;
  await reader.cancel();
  const after = await openStore(smallConfig(dir.path));
  await after.shutdown();
});

test("the same process cannot open a store twice", async () => {
  using dir = new TempDir();
  const first = await openStore(smallConfig(dir.path));
  await expect(createMessageStore(smallConfig(dir.path), {}, new LogLines()).load()).rejects.toThrow(
    `process ${process.pid}`,
  );
  await first.shutdown();
  const again = await openStore(smallConfig(dir.path));
  await again.shutdown();
});

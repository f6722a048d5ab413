import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { IndexService } from "../../lib/index/index-service.ts";
import { prefixHash } from "../../lib/index/key-hash.ts";
import { DispatchRequest } from "../../lib/store/commitlog/dispatch-request.ts";
import { ConsumeQueueStore } from "../../lib/store/consumequeue/consume-queue-store.ts";
import { LogLines } from "./store-fixture.ts";

/** A real file system of 4 MB; needs the right to mount. */
const disk = mkdtempSync(join(tmpdir(), "mq-disk-"));
const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).exitCode === 0;
const ballast = join(disk, "ballast");

function freeBytes(): number {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
}

/** Leaves `bytes` free. */
function fillDisk(bytes: number): void {
  writeFileSync(ballast, Buffer.alloc(Math.max(0, freeBytes() - bytes)));
}

afterAll(() => {
  if (mounted) Bun.spawnSync(["umount", "-l", disk]);
  rmSync(disk, { recursive: true, force: true });
});

describe.skipIf(!mounted)("derived files on a full disk (needs mount)", () => {
  beforeAll(() => expect(freeBytes()).toBeGreaterThan(3_000_000));

  test("queue entries wait in memory, the store is told to refuse, and nothing is lost once there is room", async () => {
    const root = join(disk, "queues");
    const logger = new LogLines();
    const settings = { storePathRootDir: root, mappedFileSizeConsumeQueue: 60_000 };
    const queues = new ConsumeQueueStore(settings, { minOffset: 0, dispatchedOffset: 0, maxOffset: 0 }, logger);
    const put = (from: number, to: number): void => {
      for (let i = from; i < to; i++) queues.put(`T${i % 40}`, 0, Math.floor(i / 40), i * 100, 100, 1, i);
    };
    put(0, 400);
    fillDisk(64 * 1024);
    put(400, 80_000);
    expect(queues.refusal).toContain("no space left on device");
    expect(queues.deferredCount).toBeGreaterThan(1000);
    await queues.flush(0);
    expect(queues.flushedTimestamp).toBe(0);
    unlinkSync(ballast);
    expect(queues.retryDeferred()).toBe(true);
    expect(queues.refusal).toBeUndefined();
    await queues.flush(0);
    for (let i = 0; i < 80_000; i += 7)
      expect(queues.find(`T${i % 40}`, 0)?.entry(Math.floor(i / 40))?.physicalOffset).toBe(i * 100);
    expect(queues.find("T0", 0)?.maxIndex).toBe(2000);
    await queues.shutdown();
    rmSync(root, { recursive: true });
  });

  test("keys are counted as missed and indexed again later", async () => {
    const settings = {
      storePathRootDir: join(disk, "keys"),
      maxHashSlotNum: 100,
      maxIndexNum: 200_000,
      maxMsgsNumBatch: 64,
    };
    const index = new IndexService(settings, new LogLines());
    index.load(true, 0);
    const request = new DispatchRequest();
    request.topic = "T";
    request.keyPrefixHash = prefixHash("T");
    request.storeTimestamp = 1;
    const put = (from: number, to: number): void => {
      for (let i = from; i < to; i++) {
        request.buffer = Buffer.from(`u${i}`);
        [request.uniqKeyStart, request.uniqKeyEnd, request.physicalOffset] = [0, request.buffer.length, i];
        index.buildIndex(request);
      }
    };
    put(0, 10);
    expect(index.files.length).toBe(1);
    fillDisk(8 * 1024);
    put(10, 100_000);
    expect(index.missed).toBeGreaterThan(0);
    unlinkSync(ballast);
    put(100_000, 100_010);
    expect(await index.query("T", "u100005", 64, 0, 9)).toEqual([100_005]);
    await index.shutdown();
    rmSync(settings.storePathRootDir, { recursive: true });
  });
});

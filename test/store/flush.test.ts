import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { linger } from "../../lib/base/linger.ts";
import { checkStore } from "../../lib/store/check.ts";
import { CommitLog } from "../../lib/store/commitlog/commit-log.ts";
import { FlushService } from "../../lib/store/commitlog/flush-service.ts";
import { TransientStore } from "../../lib/store/commitlog/transient-store.ts";
import { MappedFile } from "../../lib/store/mappedfile/mapped-file.ts";
import type { PutMessageStatus } from "../../lib/store/types.ts";
import { until } from "../support/until.ts";
import { LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

/** Counts flushes of mapped files and durable writes while it lives; `fail` makes them fail, `hold` makes them wait. */
class FlushSpy implements Disposable {
  calls = 0;
  inFlight = 0;
  inFlightMax = 0;
  failWith: Error | undefined;
  hold: Promise<void> | undefined;
  private readonly original = MappedFile.prototype.flush;
  private readonly originalWrite = TransientStore.prototype.write;

  constructor() {
    const spy = this;
    MappedFile.prototype.flush = function (this: MappedFile) {
      return spy.count(() => spy.original.call(this));
    };
    TransientStore.prototype.write = function (this: TransientStore, ...args) {
      return spy.count(() => spy.originalWrite.apply(this, args));
    };
  }

  private async count<T>(run: () => Promise<T>): Promise<T> {
    this.calls++;
    this.inFlight++;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    try {
      await this.hold;
      if (this.failWith !== undefined) throw this.failWith;
      return await run();
    } finally {
      this.inFlight--;
    }
  }

  [Symbol.dispose](): void {
    MappedFile.prototype.flush = this.original;
    TransientStore.prototype.write = this.originalWrite;
  }
}

function durable(store: Store, physicalEnd: number, wait = true): Promise<PutMessageStatus> {
  return new Promise((resolve) => store.awaitDurable(physicalEnd, wait, resolve));
}

const SYNC = { flushDiskType: "SYNC_FLUSH" as const };

describe("group commit", () => {
  test("all senders of one turn share one flush, and only one is in flight", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, SYNC));
    {
      using spy = new FlushSpy();
      const answers = Array.from({ length: 100 }, (_, i) =>
        durable(store, store.append(message("T", i % 4, `${i}`)).physicalEnd),
      );
      expect(new Set(await Promise.all(answers))).toEqual(new Set(["PUT_OK"]));
      expect(spy.calls).toBe(1);
      expect(store.flushedWhere).toBe(store.maxPhyOffset);

      const waves: Promise<PutMessageStatus>[] = [];
      for (let i = 0; i < 20; i++) {
        waves.push(durable(store, store.append(message("T", 0, "x")).physicalEnd));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(waves);
      expect(spy.inFlightMax).toBe(1);
      expect(spy.calls).toBeLessThan(21);
    }
    await store.shutdown();
  });

  test("WAIT=false waits for the flush too, before which a killed process would lose the message, but for no slave", async () => {
    using dir = new TempDir();
    const asked: number[] = [];
    const awaitReplication = (end: number) => void asked.push(end);
    const store = await openStore(smallConfig(dir.path, SYNC), { awaitReplication });
    const { physicalEnd } = store.append(message("T", 0, "x"));
    expect(await durable(store, physicalEnd, false)).toBe("PUT_OK");
    expect(store.flushedWhere).toBe(physicalEnd);
    expect(asked).toEqual([]);
    await store.shutdown();
  });

  test("WAIT=false is answered at once where records are written into the file (readUnCommitted)", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { ...SYNC, readUnCommitted: true }));
    const { physicalEnd } = store.append(message("T", 0, "x"));
    let answered: PutMessageStatus | undefined;
    store.awaitDurable(physicalEnd, false, (status) => {
      answered = status;
    });
    expect(answered).toBe("PUT_OK");
    expect(await durable(store, physicalEnd)).toBe("PUT_OK");
    await store.shutdown();
  });

  test("a flush that takes longer than syncFlushTimeout answers FLUSH_DISK_TIMEOUT, and the message is still there", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { ...SYNC, syncFlushTimeout: 20 }));
    {
      using spy = new FlushSpy();
      const held = Promise.withResolvers<void>();
      spy.hold = held.promise;
      const { physicalEnd } = store.append(message("T", 0, "x"));
      expect(await durable(store, physicalEnd)).toBe("FLUSH_DISK_TIMEOUT");
      held.resolve();
      await until(() => store.flushedWhere >= physicalEnd);
      expect(await durable(store, physicalEnd)).toBe("PUT_OK");
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(1);
    }
    await store.shutdown();
  });

  test("a failed flush fails everyone who waits, stops all writes, is told once and never tried again", async () => {
    using dir = new TempDir();
    const logger = new LogLines();
    const fatal: string[] = [];
    const config = smallConfig(dir.path, SYNC);
    const store = await openStore(config, { onFatal: (error) => fatal.push(error.message) }, logger);
    const before = store.append(message("T", 0, "flushed")).physicalEnd;
    expect(await durable(store, before)).toBe("PUT_OK");
    {
      using spy = new FlushSpy();
      spy.failWith = new Error("EIO: i/o error, fdatasync");
      const answers = [1, 2, 3].map(() => durable(store, store.append(message("T", 0, "lost")).physicalEnd));
      expect(await Promise.all(answers)).toEqual(Array(3).fill("SERVICE_NOT_AVAILABLE"));
      expect(fatal).toEqual(["cannot flush the commit log: EIO: i/o error, fdatasync"]);
      spy.failWith = undefined;
      const refused = store.append(message("T", 0, "more"));
      expect(refused.status).toBe("SERVICE_NOT_AVAILABLE");
      expect(refused.reason).toContain("EIO");
      expect(await durable(store, before)).toBe("SERVICE_NOT_AVAILABLE");
      expect(spy.calls).toBe(1);
      expect(store.flushedWhere).toBe(before);
    }
    await store.shutdown();
    expect(existsSync(join(dir.path, "abort"))).toBe(true);
    expect(logger.lines.filter((line) => line.startsWith("error cannot flush the commit log")).length).toBe(1);
  });

  test("a durable write reaches the disk before anyone is answered, rolls included, and its memory is given back", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { ...SYNC, mappedFileSizeCommitLog: 16 * 1024 * 1024 });
    const store = await openStore(config);
    const body = "b".repeat(60_000);
    for (let round = 0; round < 40; round++) {
      const ends = Array.from({ length: 20 }, () => store.append(message("T", 0, body)).physicalEnd);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(round * 20);
      expect(await Promise.all(ends.map((end) => durable(store, end)))).toEqual(Array(20).fill("PUT_OK"));
      expect(store.flushedWhere).toBe(ends[19]!);
      for (const file of store.log.files.files) expect(file.flushedPosition).toBe(file.wrotePosition);
    }
    expect(store.log.files.files.length).toBe(3);
    await store.shutdown();
    expect((await checkStore(config)).problems).toEqual([]);
    const again = await openStore(config);
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(800);
    await again.shutdown();
  });

  describe("a write on the loop", () => {
    /** Remembers of each write whether the loop did it; `before` runs in front of it. */
    function watchWrites(store: Store, before: () => void = () => {}): boolean[] {
      const seen: boolean[] = [];
      const write = TransientStore.prototype.write;
      store.log.transient!.write = async function (entry, start, bytes, onLoop) {
        seen.push(onLoop);
        before();
        return write.call(this, entry, start, bytes, onLoop);
      };
      return seen;
    }

    async function send(store: Store, turns = 1, bytes = 10): Promise<PutMessageStatus> {
      const { physicalEnd } = store.append(message("T", 0, Buffer.alloc(bytes, "x")));
      for (let i = 0; i < turns; i++) linger.turnDone(1);
      return durable(store, physicalEnd);
    }

    test("only for a sender who is alone, behind many quick rounds, and not behind a slow one", async () => {
      using dir = new TempDir();
      const store = await openStore(smallConfig(dir.path, SYNC));
      let delayMs = 0;
      const writes = watchWrites(store, () => Bun.sleepSync(delayMs));
      for (let i = 0; i < 1000 && writes.at(-1) !== true; i++) expect(await send(store)).toBe("PUT_OK");
      expect(writes.indexOf(true)).toBeGreaterThanOrEqual(64);
      // Somebody else spoke meanwhile: the loop has work.
      await send(store, 3);
      expect(writes.at(-1)).toBe(false);
      await send(store, 1, 20_000);
      expect(writes.at(-1)).toBe(false);
      delayMs = 3;
      await send(store);
      delayMs = 0;
      for (let i = 0; i < 64; i++) {
        await send(store);
        expect(writes.at(-1)).toBe(false);
      }
      await store.shutdown();
      expect(checkStore(smallConfig(dir.path, SYNC)).problems).toEqual([]);
    });

    test("its failure is every flush's failure", async () => {
      using dir = new TempDir();
      const fatal: Error[] = [];
      const store = await openStore(smallConfig(dir.path, SYNC), { onFatal: (error) => fatal.push(error) });
      let failing = false;
      const writes = watchWrites(store, () => {
        if (failing && writes.at(-1) === true) throw new Error("input/output error");
      });
      for (let i = 0; i < 1000 && writes.at(-1) !== true; i++) await send(store);
      failing = true;
      let status: PutMessageStatus = "PUT_OK";
      for (let i = 0; i < 1000 && status === "PUT_OK"; i++) status = await send(store);
      expect(status).toBe("SERVICE_NOT_AVAILABLE");
      expect(fatal).toHaveLength(1);
      expect(store.append(message("T", 0, "x")).status).toBe("SERVICE_NOT_AVAILABLE");
      await store.shutdown();
    });
  });

  test("a pipelined turn has its flush at once; what comes meanwhile goes with the next, which leaves before anyone is answered", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, SYNC));
    const order: string[] = [];
    const write = TransientStore.prototype.write;
    store.log.transient!.write = function (entry, start, bytes, onLoop) {
      order.push("write");
      return write.call(this, entry, start, bytes, onLoop);
    };
    const sendMany = (): Promise<unknown> =>
      Promise.all(
        Array.from({ length: 16 }, async () => {
          await durable(store, store.append(message("T", 0, "x")).physicalEnd);
          order.push("answer");
        }),
      );
    const first = sendMany();
    // The loop has not come round: only microtasks ran.
    for (let i = 0; i < 5; i++) await Promise.resolve();
    expect(order).toEqual(["write"]);
    const second = sendMany();
    await Promise.all([first, second]);
    expect(order.slice(0, 3)).toEqual(["write", "write", "answer"]);
    expect(order.filter((step) => step === "write")).toHaveLength(2);
    expect(store.log.flushedWhere).toBe(store.log.maxOffset);
    await store.shutdown();
  });

  test("a sender whose next message comes with the answer to its last is not left waiting", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { ...SYNC, syncFlushTimeout: 2000 }));
    const sender = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) expect((await store.putMessage(message("T", 0, "x"))).status).toBe("PUT_OK");
    };
    await Promise.all([sender(), sender(), sender()]);
    await store.shutdown();
  });

  test("flush and slave are waited for together; the slave's failure is the one told", async () => {
    using dir = new TempDir();
    let replicated: PutMessageStatus = "PUT_OK";
    const awaitReplication = (_end: number, done: (status: PutMessageStatus) => void) =>
      void setImmediate(done, replicated);
    const store = await openStore(smallConfig(dir.path, SYNC), { awaitReplication });
    expect(await durable(store, store.append(message("T", 0, "x")).physicalEnd)).toBe("PUT_OK");
    replicated = "FLUSH_SLAVE_TIMEOUT";
    expect((await store.putMessage(message("T", 0, "x"))).status).toBe("FLUSH_SLAVE_TIMEOUT");
    await store.shutdown();
  });
});

describe("ASYNC_FLUSH", () => {
  test("senders are answered at once; the clock flushes", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path, { flushIntervalCommitLog: 5, flushCommitLogLeastPages: 0 }));
    const { physicalEnd } = store.append(message("T", 0, "x"));
    let answered: PutMessageStatus | undefined;
    store.awaitDurable(physicalEnd, true, (status) => {
      answered = status;
    });
    expect(answered).toBe("PUT_OK");
    await until(() => store.flushedWhere >= physicalEnd);
    await store.shutdown();
  });

  test("fewer dirty pages than flushCommitLogLeastPages wait for the thorough flush", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { flushCommitLogLeastPages: 4 });
    const queues = { nextQueueOffset: () => 0, increaseQueueOffset: () => {}, dispatch: () => {} };
    const log = new CommitLog({ config, directories: [join(dir.path, "commitlog")], follower: queues });
    log.start();
    const listener = { onFlushed: () => {}, onCommitted: () => {}, onFatal: () => {} };
    const service = new FlushService(log, { ...config, flushCommitLogTimed: false }, listener);
    service.start();
    log.append(message("T", 0, Buffer.alloc(1000)));
    service.appended();
    await new Promise((resolve) => setImmediate(resolve));
    expect(log.flushedWhere).toBe(0);
    log.append(message("T", 0, Buffer.alloc(16_000)));
    service.appended();
    while (log.flushedWhere === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(log.flushedWhere).toBe(log.maxOffset);
    await service.stop();
    await log.close();
  });
});

describe("transientStorePoolEnable", () => {
  const TRANSIENT = {
    transientStorePoolEnable: true,
    commitIntervalCommitLog: 3_600_000,
    flushIntervalCommitLog: 3_600_000,
  };

  test("appended records are in memory only, readable after the commit, and a stop commits them", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, TRANSIENT);
    let store = await openStore(config);
    const body = Buffer.alloc(5000, "x");
    for (let i = 0; i < 30; i++) expect(store.append(message("T", 0, body)).queueOffset).toBe(i);
    expect(store.getMaxOffsetInQueue("T", 0)).toBe(0);
    expect(await store.readRecord(0)).toBeUndefined();
    expect(readFileSync(join(dir.path, "commitlog/00000000000000000000")).readInt32BE(0)).toBe(0);
    await store.shutdown();
    expect(existsSync(join(dir.path, "abort"))).toBe(false);
    store = await openStore(config);
    expect(store.getMaxOffsetInQueue("T", 0)).toBe(30);
    expect(store.append(message("T", 0, "next")).queueOffset).toBe(30);
    await store.shutdown();
  });

  test("the clock commits, then everything is readable", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { ...TRANSIENT, commitIntervalCommitLog: 5 });
    const store = await openStore(config);
    for (let i = 0; i < 30; i++) store.append(message("T", 0, Buffer.alloc(5000, "x")));
    await until(() => store.getMaxOffsetInQueue("T", 0) === 30);
    expect((await store.readRecord(0))?.bytes.readInt32BE(0)).toBeGreaterThan(5000);
    await store.shutdown();
  });

  test("a commit of several writes, which cut records, is dispatched as far as whole records reach", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, {
      ...TRANSIENT,
      commitIntervalCommitLog: 1,
      mappedFileSizeCommitLog: 64 * 1024 * 1024,
      mappedFileSizeConsumeQueue: 100_000 * 20,
    });
    const fatal: Error[] = [];
    const store = await openStore(config, { onFatal: (error) => fatal.push(error) });
    const body = Buffer.alloc(1111, "x");
    let cut = 0;
    const write = TransientStore.prototype.write;
    store.log.transient!.write = async function (entry, start, bytes, onLoop) {
      const written = await write.call(this, entry, start, bytes, onLoop);
      // The next append comes while the end of what is committed lies inside a record.
      queueMicrotask(() => {
        cut++;
        store.append(message("T", 0, body));
      });
      return written;
    };
    for (let i = 0; i < 10_000; i++) store.append(message("T", 0, body));
    await until(() => store.getMaxOffsetInQueue("T", 0) >= 10_000 || fatal.length > 0);
    expect(fatal).toEqual([]);
    expect(cut).toBeGreaterThan(2);
    await store.shutdown();
    expect(checkStore(config).problems).toEqual([]);
  });

  test("more files than the pool has buffers do not stop the writer", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, { ...TRANSIENT, transientStorePoolSize: 2 });
    const store = await openStore(config);
    for (let i = 0; i < 100; i++) expect(store.append(message("T", 0, Buffer.alloc(6000, "x"))).status).toBe("PUT_OK");
    await store.shutdown();
    const again = await openStore(config);
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(100);
    await again.shutdown();
  });

  test("without memory for another buffer the next file is written directly, and nothing is lost", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, TRANSIENT);
    const store = await openStore(config);
    const { transient } = store.log;
    const open = TransientStore.prototype.open;
    let failures = 0;
    transient!.open = function (file) {
      if (failures++ < 2) throw new Error("cannot map 65536 bytes of anonymous memory: out of memory");
      return open.call(this, file);
    };
    for (let i = 0; i < 60; i++) expect(store.append(message("T", 0, Buffer.alloc(6000, "x"))).queueOffset).toBe(i);
    expect(failures).toBeGreaterThan(2);
    await store.shutdown();
    const again = await openStore(config);
    expect(again.getMaxOffsetInQueue("T", 0)).toBe(60);
    await again.shutdown();
    expect(checkStore(config).problems).toEqual([]);
  });
});

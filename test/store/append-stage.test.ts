import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeOutput } from "../../lib/base/before-output.ts";
import { encodeBatch } from "../../lib/message/batch.ts";
import { checkStore } from "../../lib/store/check.ts";
import { AppendStage } from "../../lib/store/commitlog/append-stage.ts";
import { message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

const MIB = 1024 * 1024;
const LARGE = { mappedFileSizeCommitLog: 4 * MIB };
const { writeSome } = AppendStage.prototype;

afterEach(() => {
  AppendStage.prototype.writeSome = writeSome;
});

/** Size field of the log's first record, as any other process reads it. */
function inFile(dir: TempDir, at = 0): number {
  return readFileSync(join(dir.path, "commitlog/00000000000000000000")).readInt32BE(at);
}

async function bodiesOf(store: Store, count: number): Promise<string[]> {
  const bodies: string[] = [];
  for (let offset = 0; offset < count; ) {
    const result = await store.getMessage("T", 0, offset, 32, undefined);
    expect(result.status).toBe("FOUND");
    for (const { buffer, start, end } of result.ranges)
      for (let at = start; at < end; at += buffer.readInt32BE(at)) {
        const bodyAt = at + 84;
        bodies.push(buffer.latin1Slice(bodyAt + 4, bodyAt + 4 + buffer.readInt32BE(bodyAt)));
      }
    offset = result.nextBeginOffset;
    result.release();
  }
  return bodies;
}

describe("records of a turn", () => {
  test("are in the file before anything leaves a connection, by one write", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    let writes = 0;
    AppendStage.prototype.writeSome = function (...args) {
      writes++;
      return writeSome.apply(this, args);
    };
    for (let i = 0; i < 10; i++) store.append(message("T", 0, `m${i}`));
    expect(inFile(dir)).toBe(0);
    beforeOutput();
    expect(inFile(dir)).toBeGreaterThan(91);
    expect(writes).toBe(1);
    beforeOutput();
    expect(writes).toBe(1);
    await store.shutdown();
    // A store that is closed has no part in other stores' answers.
    beforeOutput();
  });

  test("are in the file when the turn is over, though nobody is answered", async () => {
    using dir = new TempDir();
    const store = await openStore(smallConfig(dir.path));
    store.append(message("T", 0, "first"));
    await Promise.resolve();
    expect(inFile(dir)).toBeGreaterThan(91);
    await store.shutdown();
  });

  test("are there for whoever reads in the same turn", async () => {
    using dir = new TempDir();
    const arrived: string[] = [];
    const store = await openStore(smallConfig(dir.path), {
      onArrive: (topic, queueId, next) => {
        const result = store.getMessage(topic, queueId, next - 1, 32, undefined);
        if (result instanceof Promise) throw new Error("the newest message is in memory");
        arrived.push(result.status);
        result.release();
      },
    });
    for (let i = 0; i < 3; i++) store.append(message("T", 0, `m${i}`));
    expect(arrived).toEqual(["FOUND", "FOUND", "FOUND"]);
    const { physicalOffset, physicalEnd } = store.append(message("T", 0, "last"));
    const { replication } = store;
    expect(replication.maxOffset).toBe(physicalEnd);
    store.append(message("T", 0, "behind"));
    expect((await store.readRecord(physicalOffset))?.physicalOffset).toBe(physicalOffset);
    expect(await bodiesOf(store, 5)).toEqual(["m0", "m1", "m2", "last", "behind"]);
    await store.shutdown();
  });

  test("of every size keep their order: larger than the stage, many that fill it, batches, over a roll", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path, LARGE);
    const store = await openStore(config);
    const sizes = [10, 600_000, 20, 300_000, 300_000, 1, 511_000, 1_500_000, 3, 700_000, 2, 900_000, 5];
    const bodies = sizes.map((bytes, i) => String.fromCharCode(0x61 + i).repeat(bytes));
    for (const body of bodies) expect(store.append(message("T", 0, body)).status).toBe("PUT_OK");
    const items = Array.from({ length: 40 }, (_, i) => `${i % 10}`.repeat(20_000));
    const batch = message(
      "T",
      0,
      encodeBatch(items.map((body) => ({ flag: 0, body: Buffer.from(body), properties: Buffer.alloc(0) }))),
    );
    const places: number[] = [];
    expect(store.appendBatch(batch, (offset) => places.push(offset)).count).toBe(40);
    expect(places.every((offset, i) => i === 0 || offset > places[i - 1]!)).toBe(true);
    expect(await bodiesOf(store, 53)).toEqual([...bodies, ...items]);
    expect(store.log.files.files.length).toBeGreaterThan(1);
    await store.shutdown();
    expect(checkStore(config).problems).toEqual([]);
  });

  test("that the system takes piece by piece are whole", async () => {
    using dir = new TempDir();
    const config = smallConfig(dir.path);
    AppendStage.prototype.writeSome = function (fd, at, bytes, position) {
      return writeSome.call(this, fd, at, Math.min(bytes, 7), position);
    };
    const store = await openStore(config);
    for (let i = 0; i < 20; i++) store.append(message("T", 0, `m${i}`));
    expect(await bodiesOf(store, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `m${i}`));
    await store.shutdown();
    expect(checkStore(config).problems).toEqual([]);
  });
});

test("a system that takes nothing of a write is a failure, not tried for ever", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path));
  AppendStage.prototype.writeSome = () => 0;
  store.append(message("T", 0, "lost"));
  expect(beforeOutput).toThrow(/cannot write the commit log: .*00000000000000000000 took 0 of \d+ bytes/);
  await store.shutdown();
});

test("a slave gets what is staged behind a record that needed no stage", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path, LARGE));
  const large = store.append(message("T", 0, "x".repeat(600_000)));
  const at = large.physicalOffset;
  const { physicalEnd } = store.append(message("T", 0, "small"));
  const range = store.replication.select(at, MIB);
  expect(range!.end - range!.start).toBe(physicalEnd - at);
  await store.shutdown();
});

test("a write that fails lets nothing leave, is told once, and nothing is stored any more; what was there before stays", async () => {
  using dir = new TempDir();
  const config = smallConfig(dir.path);
  const fatal: Error[] = [];
  let store = await openStore(config, { onFatal: (error) => fatal.push(error) });
  const keptEnd = store.append(message("T", 0, "kept")).physicalEnd;
  beforeOutput();
  AppendStage.prototype.writeSome = () => {
    throw new Error("EIO: input/output error");
  };
  store.append(message("T", 0, "lost"));
  expect(beforeOutput).toThrow("cannot write the commit log: EIO: input/output error");
  expect(beforeOutput).toThrow("cannot write the commit log");
  expect(fatal.map(({ message }) => message)).toEqual(["cannot write the commit log: EIO: input/output error"]);
  const refused = store.append(message("T", 0, "refused"));
  expect([refused.status, refused.reason]).toEqual([
    "SERVICE_NOT_AVAILABLE",
    "the store takes no more writes: cannot write the commit log: EIO: input/output error",
  ]);
  // A slave is sent what is in the file only.
  const { replication } = store;
  expect(replication.maxOffset).toBe(keptEnd);
  expect(replication.select(keptEnd, 1000)).toBeUndefined();
  await store.shutdown({ keepLock: true });
  // Connections are closed behind the store: until then nothing may leave.
  expect(beforeOutput).toThrow("cannot write the commit log");
  store.release();
  expect(beforeOutput).not.toThrow();
  AppendStage.prototype.writeSome = writeSome;
  store = await openStore(config);
  expect(await bodiesOf(store, 1)).toEqual(["kept"]);
  expect(store.append(message("T", 0, "next")).queueOffset).toBe(1);
  await store.shutdown();
  expect(checkStore(config).problems).toEqual([]);
});

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBatch } from "../../lib/message/batch.ts";
import { MAGIC_BLANK, MAGIC_V2 } from "../../lib/message/layout.ts";
import { propertiesToBytes } from "../../lib/message/properties.ts";
import { decodeRecord, RecordView } from "../../lib/message/record.ts";
import { until } from "../support/until.ts";
import { HOST, LogLines, message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

const FILE_BYTES = 64 * 1024;
const HOST_V6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from([0, 0, 0x2a, 0x9f]),
]);

/** The store with small files, closed when the block ends. */
async function withStore(
  run: (store: Store, path: string) => Promise<void> | void,
  overrides: Parameters<typeof smallConfig>[1] = {},
): Promise<void> {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path, overrides));
  try {
    await run(store, dir.path);
  } finally {
    await store.shutdown();
  }
}

function recordAt(store: Store, offset: number) {
  const range = store.log.select(offset, 91)!;
  return decodeRecord(range.buffer, range.start, range.file.wrotePosition)!;
}

describe("append", () => {
  test("a record that does not fit goes to the next file; a blank says so", async () => {
    await withStore((store, path) => {
      const body = Buffer.alloc(1000, "x");
      let previousEnd = 0;
      for (let i = 0; i < 200; i++) {
        const { physicalOffset, physicalEnd } = { ...store.append(message("T", 0, body)) };
        if (physicalOffset !== previousEnd) {
          expect(physicalOffset % FILE_BYTES).toBe(0);
          const file = readFileSync(store.log.files.findByOffset(previousEnd)!.path);
          const at = previousEnd % FILE_BYTES;
          expect(file.readInt32BE(at)).toBe(FILE_BYTES - at);
          expect(file.readInt32BE(at + 4)).toBe(MAGIC_BLANK);
        }
        previousEnd = physicalEnd;
      }
      expect(readdirSync(join(path, "commitlog")).length).toBeGreaterThanOrEqual(4);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(200);
      expect(store.dispatchBehindBytes).toBe(0);
    });
  });

  test("eight bytes stay free behind the last record of a file", async () => {
    await withStore((store) => {
      const overhead = store.append(message("T", 0, "")).physicalEnd;
      // One record that leaves exactly 8 bytes, then one more.
      const rest = FILE_BYTES - overhead - 8 - overhead;
      const fits = { ...store.append(message("T", 0, Buffer.alloc(rest))) };
      expect(fits.physicalEnd).toBe(FILE_BYTES - 8);
      expect(store.append(message("T", 0, "")).physicalOffset).toBe(FILE_BYTES);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(3);
    });
  });

  test("queue offsets count per topic and queue; prepared and rolled-back records get none", async () => {
    await withStore((store) => {
      expect(store.append(message("A", 0, "1")).queueOffset).toBe(0);
      expect(store.append(message("A", 1, "1")).queueOffset).toBe(0);
      expect(store.append(message("A", 0, "2")).queueOffset).toBe(1);
      for (const type of [0x4, 0xc]) {
        const half = message("A", 0, "half");
        half.sysFlag = type;
        expect(store.append(half).queueOffset).toBe(0);
      }
      expect(store.getMaxOffsetInQueue("A", 0)).toBe(2);
      const commit = message("A", 0, "3");
      commit.sysFlag = 0x8;
      expect(store.append(commit).queueOffset).toBe(2);
    });
  });

  test("IPv6 hosts and long topics change the layout as the flags say", async () => {
    await withStore((store) => {
      const long = message(`${"t".repeat(130)}`, 0, "long topic");
      long.bornHost = HOST_V6;
      const first = { ...store.append(long) };
      const v6 = message("T", 0, "v6", { KEYS: "k" });
      v6.bornHost = HOST_V6;
      v6.storeHost = HOST_V6;
      const second = { ...store.append(v6) };
      const view = new RecordView();
      const range = store.log.select(first.physicalOffset, first.physicalEnd - first.physicalOffset)!;
      expect(view.read(range.buffer, range.start, range.end, 0)).toBe("record");
      expect(view.magic).toBe(MAGIC_V2);
      expect(view.sysFlag).toBe(0x10);
      const decoded = recordAt(store, second.physicalOffset);
      expect(decoded.sysFlag).toBe(0x30);
      expect(decoded.bornHost).toBe("[2001:db8:0:0:0:0:0:1]:10911");
      expect(decoded.properties).toEqual({ KEYS: "k" });
    });
  });

  test("every limit names what was found and what is allowed", async () => {
    await withStore(
      (store) => {
        const body = store.append(message("T", 0, Buffer.alloc(20_001)));
        expect([body.status, body.reason]).toEqual([
          "MESSAGE_ILLEGAL",
          "body of 20001 bytes, at most 20000 (maxMessageSize)",
        ]);
        const properties = store.append(message("T", 0, "", { k: "v".repeat(32_764) }));
        expect(properties.status).toBe("PUT_OK");
        const tooMany = store.append(message("T", 0, "", { k: "v".repeat(32_766) }));
        expect([tooMany.status, tooMany.reason]).toEqual([
          "PROPERTIES_SIZE_EXCEEDED",
          "properties of 32769 bytes, at most 32767",
        ]);
        expect(store.getMaxOffsetInQueue("T", 0)).toBe(1);
      },
      { maxMessageSize: 20_000 },
    );
  });

  test("a topic that is no possible directory is refused, whoever sends it", async () => {
    await withStore((store) => {
      for (const topic of ["", "..", "../../etc", "a/b", "a\0b", ".hidden", "t".repeat(256)]) {
        expect(store.append(message(topic, 0, "x")).status).toBe("MESSAGE_ILLEGAL");
      }
      expect(store.append(message("T", -1, "x")).reason).toBe("queue -1, wanted 0 or more");
      expect(store.maxPhyOffset).toBe(0);
    });
  });

  test("an append that fails half-way leaves nothing behind", async () => {
    await withStore((store) => {
      store.append(message("T", 0, "1"));
      const end = store.maxPhyOffset;
      const bad = message("T", 0, "2");
      bad.bornHost = Buffer.alloc(5);
      expect(() => store.append(bad)).toThrow("a host has 8 or 20 bytes");
      const outside = message("T", 0, "2");
      outside.bodyEnd = 100;
      expect(() => store.append(outside)).toThrow("range lies in its buffer");
      expect(store.maxPhyOffset).toBe(end);
      expect(store.append(message("T", 0, "3"))).toMatchObject({ queueOffset: 1, physicalOffset: end });
    });
  });

  test("a listener that throws does not fail the send", async () => {
    using dir = new TempDir();
    const logger = new LogLines();
    const onArrive = () => {
      throw new Error("listener");
    };
    const store = await openStore(smallConfig(dir.path), { onArrive }, logger);
    expect(store.append(message("T", 0, "x")).status).toBe("PUT_OK");
    expect(store.append(message("T", 0, "y")).queueOffset).toBe(1);
    expect(store.dispatchBehindBytes).toBe(0);
    expect(logger.lines.filter((line) => line.includes("telling waiting pulls")).length).toBe(2);
    await store.shutdown();
  });

  test("a record larger than a file is refused, not rolled for ever", async () => {
    await withStore((store) => {
      const result = store.append(message("T", 0, Buffer.alloc(FILE_BYTES)));
      expect(result.status).toBe("MESSAGE_ILLEGAL");
      expect(store.log.files.files.length).toBe(1);
    });
  });

  test("the broker's own properties follow the client's, with the separator it may have left out", async () => {
    await withStore((store) => {
      const inner = message("T", 0, "b");
      inner.properties = Buffer.from("a\u0001b");
      inner.propertiesEnd = 3;
      inner.propertiesSuffix = propertiesToBytes({ CLUSTER: "c" });
      const { physicalOffset } = store.append(inner);
      expect(recordAt(store, physicalOffset).properties).toEqual({ a: "b", CLUSTER: "c" });
    });
  });

  test("enabledAppendPropCRC ends each record with its own CRC", async () => {
    await withStore(
      (store) => {
        const { physicalOffset, physicalEnd } = store.append(message("T", 0, "body", { TAGS: "a" }));
        const range = store.log.select(physicalOffset, physicalEnd - physicalOffset)!;
        const view = new RecordView();
        expect(view.read(range.buffer, range.start, range.end, physicalOffset)).toBe("record");
        expect(view.propertyCrcIntact).toBe(true);
        expect(recordAt(store, physicalOffset).properties).toEqual({
          TAGS: "a",
          "__CRC32#": expect.stringMatching(/^\d{10}$/),
        });
        range.buffer[range.start + 40]! ^= 1;
        expect(view.propertyCrcIntact).toBe(false);
      },
      { enabledAppendPropCRC: true },
    );
  });
});

describe("batch", () => {
  const items = (count: number, bytes: number) =>
    encodeBatch(
      Array.from({ length: count }, (_, i) => ({
        flag: i,
        body: Buffer.alloc(bytes, `${i % 10}`),
        properties: propertiesToBytes({ TAGS: `t${i}`, UNIQ_KEY: `id${i}` }),
      })),
    );

  test("items get consecutive offsets and stay in one file", async () => {
    await withStore((store) => {
      store.append(message("T", 0, Buffer.alloc(60_000)));
      const offsets: number[] = [];
      const result = { ...store.appendBatch(message("T", 0, items(10, 1000)), (offset) => offsets.push(offset)) };
      expect(result).toMatchObject({ status: "PUT_OK", count: 10, queueOffset: 1, physicalOffset: FILE_BYTES });
      expect(offsets[0]).toBe(FILE_BYTES);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(11);
      offsets.forEach((offset, i) => {
        const record = recordAt(store, offset);
        expect(record).toMatchObject({
          queueOffset: 1 + i,
          flag: i,
          physicalOffset: offset,
          bornHost: "127.0.0.1:10911",
        });
        expect(record.properties.TAGS).toBe(`t${i}`);
        if (i > 0) expect(offset).toBe(offsets[i - 1]! + recordAt(store, offsets[i - 1]!).size);
      });
      expect(result.physicalEnd).toBe(store.maxPhyOffset);
    });
  });

  test("a batch that is cut or larger than a file leaves nothing behind", async () => {
    await withStore((store) => {
      const whole = items(3, 100);
      for (const end of [1, 21, whole.length - 1]) {
        const cut = message("T", 0, whole.subarray(0, end));
        expect(store.appendBatch(cut, () => expect.unreachable()).status).toBe("MESSAGE_ILLEGAL");
      }
      expect(store.appendBatch(message("T", 0, items(70, 1000)), () => expect.unreachable()).status).toBe(
        "MESSAGE_ILLEGAL",
      );
      expect(store.appendBatch(message("T", 0, ""), () => {}).status).toBe("MESSAGE_ILLEGAL");
      // Prepared: its records would take offsets of the queue and no place in it.
      const prepared = message("T", 0, whole);
      prepared.sysFlag = 4;
      expect(store.appendBatch(prepared, () => expect.unreachable()).status).toBe("MESSAGE_ILLEGAL");
      expect(store.maxPhyOffset).toBe(0);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(0);
    });
  });
});

describe("dispatch", () => {
  test("arrival is told in the turn of the append, with the queue's new end", async () => {
    using dir = new TempDir();
    const arrived: unknown[] = [];
    const store = await openStore(smallConfig(dir.path), {
      onArrive: (topic, queueId, maxOffset, tagsCode) => arrived.push([topic, queueId, maxOffset, tagsCode]),
    });
    store.append(message("T", 3, "b", { TAGS: "TagA" }));
    expect(arrived).toEqual([["T", 3, 1, 2598919]]);
    await store.shutdown();
  });

  test("in the schedule topic the deliver time stands in place of the tag hash", async () => {
    await withStore((store) => {
      const { storeTimestamp } = store.append(message("SCHEDULE_TOPIC_XXXX", 2, "b", { DELAY: "3", TAGS: "x" }));
      expect(store.getQueueEntry("SCHEDULE_TOPIC_XXXX", 2, 0)!.tagsCode).toBe(storeTimestamp + 10_000);
    });
  });

  test("with SYNC_FLUSH readers see flushed records only, before their senders are answered", async () => {
    await withStore(
      async (store) => {
        const { physicalEnd } = store.append(message("T", 0, "b"));
        expect(store.getMaxOffsetInQueue("T", 0)).toBe(0);
        await new Promise<void>((resolve) =>
          store.awaitDurable(physicalEnd, true, (status) => {
            expect(status).toBe("PUT_OK");
            expect(store.getMaxOffsetInQueue("T", 0)).toBe(1);
            resolve();
          }),
        );
        expect(store.flushedWhere).toBe(physicalEnd);
      },
      { flushDiskType: "SYNC_FLUSH" },
    );
  });

  test("records of a deleted topic that wait for dispatch get no place in the queue that is made anew", async () => {
    await withStore(
      async (store) => {
        const send = (body: string) => store.append(message("T", 0, body)).physicalEnd;
        const flushed = (end: number) => new Promise((resolve) => store.awaitDurable(end, true, resolve));
        let end = 0;
        for (let i = 0; i < 5; i++) end = send(`flushed ${i}`);
        await flushed(end);
        for (let i = 0; i < 3; i++) send(`waits ${i}`);
        store.deleteTopic("T");
        for (let i = 0; i < 3; i++) end = send(`new ${i}`);
        await flushed(end);
        await until(() => store.getMaxOffsetInQueue("T", 0) === 3);
        const found: string[] = [];
        for (let i = 0; i < 3; i++) {
          const record = await store.readRecord(store.getQueueEntry("T", 0, i)!.physicalOffset);
          found.push(decodeRecord(record!.bytes)!.body.toString());
        }
        expect(found).toEqual(["new 0", "new 1", "new 2"]);
        expect(store.append(message("T", 0, "next")).queueOffset).toBe(3);
      },
      { flushDiskType: "SYNC_FLUSH" },
    );
  });

  test("with SYNC_FLUSH what nobody waits for is flushed and readable without the clock", async () => {
    await withStore(
      async (store) => {
        for (let i = 1; i <= 20; i++) {
          store.append(message("T", 0, "b"));
          if (i % 3 === 0) await until(() => store.getMaxOffsetInQueue("T", 0) === i);
        }
        await until(() => store.getMaxOffsetInQueue("T", 0) === 20);
      },
      { flushDiskType: "SYNC_FLUSH", flushIntervalCommitLog: 3_600_000 },
    );
  });

  test("readUnCommitted shows them at once", async () => {
    await withStore(
      (store) => {
        store.append(message("T", 0, "b"));
        expect(store.getMaxOffsetInQueue("T", 0)).toBe(1);
      },
      { flushDiskType: "SYNC_FLUSH", readUnCommitted: true },
    );
  });
});

test("a host is as long as its family", () => {
  expect([HOST.length, HOST_V6.length]).toEqual([8, 20]);
});

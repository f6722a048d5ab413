import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeBatch } from "../../lib/message/batch.ts";
import { propertiesToBytes } from "../../lib/message/properties.ts";
import { decodeRecord } from "../../lib/message/record.ts";
import { checkStore } from "../../lib/store/check.ts";
import { message, openStore, type Store, smallConfig, TempDir } from "./store-fixture.ts";

/** Bodies per `topic/queue`, in order: what the store must hold. */
type Model = Map<string, string[]>;

class Random {
  private state: number;
  constructor(seed: number) {
    this.state = seed;
  }
  below(limit: number): number {
    this.state = (Math.imul(this.state, 1103515245) + 12345) & 0x7fffffff;
    return (this.state >> 8) % limit;
  }
}

const TOPICS = ["A", "B", `long-${"t".repeat(140)}`, "%RETRY%group"];

function appendSome(store: Store, model: Model, random: Random): void {
  for (let i = random.below(60); i > 0; i--) {
    const topic = TOPICS[random.below(TOPICS.length)]!;
    const queueId = random.below(3);
    const body = () =>
      String.fromCharCode(97 + random.below(26)).repeat(random.below(random.below(10) === 0 ? 9000 : 300));
    const properties = { TAGS: `t${random.below(3)}`, KEYS: `k${random.below(50)} x` };
    const bodies = Array.from({ length: 1 + (random.below(4) === 0 ? random.below(5) : 0) }, body);
    const result =
      bodies.length === 1
        ? store.append(message(topic, queueId, bodies[0]!, properties))
        : store.appendBatch(
            message(
              topic,
              queueId,
              encodeBatch(
                bodies.map((text) => ({ flag: 0, body: Buffer.from(text), properties: propertiesToBytes(properties) })),
              ),
            ),
            () => {},
          );
    expect(result.status).toBe("PUT_OK");
    const queue = model.get(`${topic}/${queueId}`) ?? [];
    expect(result.queueOffset).toBe(queue.length);
    queue.push(...bodies);
    model.set(`${topic}/${queueId}`, queue);
  }
}

async function compare(store: Store, model: Model): Promise<void> {
  for (const [name, bodies] of model) {
    const [topic, queueId] = [name.slice(0, name.lastIndexOf("/")), Number(name.slice(name.lastIndexOf("/") + 1))];
    expect(store.getMaxOffsetInQueue(topic, queueId)).toBe(bodies.length);
    for (let offset = 0; offset < bodies.length; offset++) {
      const entry = store.getQueueEntry(topic, queueId, offset)!;
      const record = decodeRecord((await store.readRecord(entry.physicalOffset))!.bytes)!;
      expect(record.body.toString()).toBe(bodies[offset]!);
    }
  }
}

/** Tears the last record at a random byte, as a power failure may, and takes its messages out of the model. */
function tear(root: string, store: { offset: number; end: number; fileSize: number }, random: Random): void {
  const base = store.offset - (store.offset % store.fileSize);
  const path = join(root, "commitlog", String(base).padStart(20, "0"));
  const bytes = readFileSync(path);
  // The last two bytes are the length of no properties: zero anyway.
  bytes.fill(0, store.offset - base + random.below(store.end - store.offset - 2), store.end - base);
  writeFileSync(path, bytes);
}

const seeds = process.env.SEED === undefined ? [Date.now() % 1_000_000, 7, 8] : [Number(process.env.SEED)];

for (const seed of seeds) {
  test(`random appends, stops, losses of derived files and torn tails (SEED=${seed})`, async () => {
    using dir = new TempDir();
    const random = new Random(seed);
    const config = smallConfig(dir.path, { mappedFileSizeCommitLog: 32 * 1024 });
    const model: Model = new Map();
    for (let round = 0; round < 15; round++) {
      let store = await openStore(config);
      appendSome(store, model, random);
      if (random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve));
      await compare(store, model);
      const torn = random.below(3) === 0 ? { ...store.append(message("torn", 0, "x".repeat(200))) } : undefined;
      await store.shutdown();
      expect(checkStore(config).problems).toEqual([]);
      if (torn !== undefined) {
        tear(dir.path, { offset: torn.physicalOffset, end: torn.physicalEnd, fileSize: 32 * 1024 }, random);
        writeFileSync(join(dir.path, "abort"), "1");
        const queue = model.get("torn/0") ?? [];
        model.set("torn/0", queue);
      } else if (random.below(2) === 0) {
        writeFileSync(join(dir.path, "abort"), "1");
      }
      store = await openStore(config);
      await compare(store, model);
      await store.shutdown();
    }
  }, 60_000);
}

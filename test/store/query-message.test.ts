import { expect, test } from "bun:test";
import { decodeRecord } from "../../lib/message/record.ts";
import { message, openStore, smallConfig, TempDir } from "./store-fixture.ts";

const FOREVER = Number.MAX_SAFE_INTEGER;

test("a key finds its records in log order, and none of another key or topic with the same hash", async () => {
  using dir = new TempDir();
  const store = await openStore(smallConfig(dir.path));
  // "Ea" and "FB" have the same hash in Java.
  for (let i = 0; i < 6; i++)
    store.append(message("T", 0, `m${i}`, { KEYS: `x${i} ${i % 2 === 0 ? "Ea" : "FB"}`, UNIQ_KEY: `u${i}` }));
  const bodies = async (topic: string, key: string, max = 64): Promise<string[]> =>
    (await store.queryMessage(topic, key, max, 0, FOREVER)).records.map((record) =>
      decodeRecord(record.bytes)!.body.toString(),
    );
  expect(await bodies("T", "Ea")).toEqual(["m0", "m2", "m4"]);
  expect(await bodies("T", "FB")).toEqual(["m1", "m3", "m5"]);
  expect(await bodies("T", "u3")).toEqual(["m3"]);
  expect(await bodies("T", "x5", 1)).toEqual(["m5"]);
  expect(await bodies("T", "nothing")).toEqual([]);
  expect(await bodies("U", "Ea")).toEqual([]);
  await store.shutdown();
});

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LocalOffsetStore, localOffsetFile } from "../../lib/client/consumer/local-offset-store.ts";
import golden from "../golden/client-5.3.3.json";

const directory = mkdtempSync(join(tmpdir(), "mq-offsets-"));
afterAll(() => rmSync(directory, { recursive: true }));

const queue = (brokerName: string, queueId: number) => ({ topic: "T", brokerName, queueId });

test("the file is where Java clients keep it", () => {
  expect(localOffsetFile("10.0.0.1@DEFAULT", "g", "/home/u/.rocketmq_offsets")).toBe(
    "/home/u/.rocketmq_offsets/10.0.0.1@DEFAULT/g/offsets.json",
  );
});

test("a file of Java's is read, and written back to the same bytes", async () => {
  const file = join(directory, "java.json");
  writeFileSync(file, golden.offsetsJson);
  const store = new LocalOffsetStore(file, { readOnly: false });
  await store.load();
  expect(store.memory(queue("broker-a", 0))).toBe(13);
  expect(store.memory(queue("broker-a", 1))).toBe(9007199254740991);
  expect(store.memory(queue("broker-b", 3))).toBe(0);
  expect(store.memory(queue("broker-b", 4))).toBe(-1);
  await store.persistAll([queue("broker-a", 0)]);
  expect(readFileSync(file, "utf8")).toBe(golden.offsetsJson);
  expect(readFileSync(`${file}.bak`, "utf8")).toBe(golden.offsetsJson);
});

test("what is written is what Java writes", async () => {
  const file = join(directory, "c@i", "g", "offsets.json");
  const store = new LocalOffsetStore(file, { readOnly: false });
  store.update(queue("broker-a", 0), 13, true);
  store.update(queue("broker-a", 0), 7, true);
  await store.persist();
  expect(readFileSync(file, "utf8")).toBe(golden.offsetsJsonOneQueue);
});

test("a torn file gives way to its backup", async () => {
  const file = join(directory, "torn.json");
  writeFileSync(file, "");
  writeFileSync(`${file}.bak`, golden.offsetsJsonOneQueue);
  const store = new LocalOffsetStore(file, { readOnly: false });
  await store.load();
  expect(store.memory(queue("broker-a", 0))).toBe(13);
});

test("read-only writes nothing", async () => {
  const file = join(directory, "none", "offsets.json");
  const store = new LocalOffsetStore(file, { readOnly: true });
  store.update(queue("broker-a", 0), 13, true);
  await store.persist();
  expect(() => readFileSync(file)).toThrow();
});

import { expect, test } from "bun:test";
import { onEach } from "../../cmd/on-each.ts";

const places = ["a", "b", "c"].map((name) => ({ brokerName: `broker-${name}`, address: `${name}:10911` }));

test("one broker that fails keeps the others from nothing, and is named with what was done elsewhere", async () => {
  const { done, failure } = await onEach('create topic "T"', places, async ({ brokerName }) => {
    if (brokerName === "broker-b") throw new Error("connect to b:10911: refused");
    return brokerName;
  });
  expect(done).toEqual(["broker-a", "broker-c"]);
  expect(failure?.message).toBe(
    'create topic "T" failed on broker-b (b:10911): connect to b:10911: refused; done on broker-a (a:10911), broker-c (c:10911)',
  );
  expect(failure?.exitCode).toBe(1);
});

test("all that fail are named; nothing was done", async () => {
  const { done, failure } = await onEach("x", places.slice(0, 2), () => Promise.reject(new Error("down")));
  expect(done).toEqual([]);
  expect(failure?.message).toBe("x failed on broker-a (a:10911): down; on broker-b (b:10911): down; done nowhere");
});

test("brokers that are left alone are no failure; an only broker's error is its own", async () => {
  expect(await onEach("x", places, async () => undefined)).toEqual({ done: [], failure: undefined });
  expect(onEach("x", places.slice(0, 1), () => Promise.reject(new Error("down")))).rejects.toThrow(/^down$/);
});

import { expect, test } from "bun:test";
import { LatencyFault, notAvailableDuration } from "../../lib/client/producer/latency-fault.ts";
import golden from "../golden/client-5.3.3.json";

test("durations equal Java's table", () => {
  for (const [ms, duration] of Object.entries(golden.notAvailableDuration)) {
    expect([ms, notAvailableDuration(Number(ms))]).toEqual([ms, duration]);
  }
});

test("a slow broker is passed over for its time, a silent one for ten seconds", () => {
  let now = 1_000_000;
  const fault = new LatencyFault(() => now);
  fault.update("slow", 600, false, true);
  fault.update("silent", 5, true, true);
  fault.update("fast", 20, false, true);
  expect(["slow", "silent", "fast", "unknown"].map((name) => fault.isAvailable(name))).toEqual([
    false,
    false,
    true,
    true,
  ]);
  now += 2000;
  expect(fault.isAvailable("slow")).toBe(true);
  now += 7999;
  expect(fault.isAvailable("silent")).toBe(false);
  now += 1;
  expect(fault.isAvailable("silent")).toBe(true);
});

test("a shorter punishment does not end a longer one", () => {
  let now = 0;
  const fault = new LatencyFault(() => now);
  fault.update("b", 15_000, false, true);
  fault.update("b", 600, false, true);
  now = 29_999;
  expect(fault.isAvailable("b")).toBe(false);
});

test("an unreachable broker is due for a check until it answers", () => {
  let now = 0;
  const fault = new LatencyFault(() => now);
  fault.update("b", 10, true, false);
  expect(fault.isReachable("b")).toBe(false);
  expect(fault.dueForCheck(2000)).toEqual(["b"]);
  expect(fault.dueForCheck(2000)).toEqual([]);
  now = 2000;
  expect(fault.dueForCheck(2000)).toEqual(["b"]);
  fault.markReachable("b");
  expect(fault.isReachable("b")).toBe(true);
});

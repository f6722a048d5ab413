import { expect, test } from "bun:test";
import { MemoryWatchdog, memoryBudget } from "../../lib/broker/memory-watchdog.ts";

const LIMIT = 1000 * 1024 * 1024;

function watched() {
  const state = { anonymous: 0, unsent: 0, refused: "", held: false, collects: 0, lines: [] as string[] };
  const note = (line: string) => void state.lines.push(line);
  const watchdog = new MemoryWatchdog(
    LIMIT,
    { anonymousBytes: () => state.anonymous, unsentBytes: () => state.unsent },
    {
      refuseSends: (reason) => {
        state.refused = reason;
      },
      holdReading: (hold) => {
        state.held = hold;
      },
      collect: () => state.collects++,
    },
    { debug: note, info: note, warn: note, error: note },
  );
  const at = (anonymous: number, unsent = 0) => {
    state.anonymous = anonymous * LIMIT;
    state.unsent = unsent * LIMIT;
    watchdog.check();
    return [state.refused !== "", state.held];
  };
  return { state, watchdog, at };
}

test("sends are refused before the limit, reading stops shortly before it, both end with room to spare", () => {
  const { state, at } = watched();
  expect(at(0.84)).toEqual([false, false]);
  expect(at(0.85)).toEqual([true, false]);
  expect(state.refused).toContain("850 MiB of own memory");
  expect(state.refused).toContain("mqMemoryLimit 1000 MiB");
  expect(at(0.94)).toEqual([true, false]);
  expect(at(0.96)).toEqual([true, true]);
  expect(at(0.86)).toEqual([true, true]);
  expect(at(0.84)).toEqual([true, false]);
  expect(at(0.76)).toEqual([true, false]);
  expect(at(0.75)).toEqual([false, false]);
  expect(state.collects).toBe(2);
});

test("begin and end are said once each", () => {
  const { state, at } = watched();
  for (let i = 0; i < 50; i++) at(0.97);
  for (let i = 0; i < 50; i++) at(0.1);
  expect(state.lines.map((line) => line.split(":")[0])).toEqual([
    "memory is short",
    "memory is nearly used up",
    "memory is enough again",
    "connections are read again",
  ]);
});

test("responses that nobody takes count against a quarter of the limit", () => {
  const { at } = watched();
  expect(at(0.1, 0.2)).toEqual([false, false]);
  expect(at(0.1, 0.22)).toEqual([true, false]);
  expect(at(0.1, 0.25)).toEqual([true, true]);
});

test("connections that are not read get a breath now and then", () => {
  const { at } = watched();
  at(1.2);
  const held = Array.from({ length: 60 }, () => at(1.2)[1]);
  expect(held.filter((hold) => !hold).length).toBe(3);
});

test("a stop leaves nothing held", () => {
  const { state, watchdog, at } = watched();
  at(1.2);
  watchdog.stop();
  expect(state.held).toBe(false);
});

test("the limit is the key's, or a share of what bounds the process, and never above that", () => {
  const bound = { bytes: 1000 * 1024 * 1024, source: "/sys/fs/cgroup/memory.max" };
  expect(memoryBudget(0, bound)).toEqual({
    bytes: 800 * 1024 * 1024,
    source: "80 % of 1000 MiB of /sys/fs/cgroup/memory.max",
    remark: "",
  });
  expect(memoryBudget(5_000_000, bound)).toEqual({ bytes: 5_000_000, source: "mqMemoryLimit", remark: "" });
  const tooMuch = memoryBudget(bound.bytes + 1, bound);
  expect(tooMuch.bytes).toBe(800 * 1024 * 1024);
  expect(tooMuch.remark).toContain("want at most 1048576000");
});

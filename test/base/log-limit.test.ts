import { afterEach, expect, setSystemTime, test } from "bun:test";
import { LogLimit } from "../../lib/base/log-limit.ts";

afterEach(() => {
  setSystemTime();
});

test("a flood is cut and counted", () => {
  setSystemTime(1_000_000);
  const lines: string[] = [];
  const limit = new LogLimit(2, (message) => lines.push(message));
  for (let i = 0; i < 5; i++) limit.write(`line ${i}`);
  setSystemTime(1_010_000);
  limit.write("later");
  expect(lines).toEqual(["line 0", "line 1", "3 more lines like those before were left out", "later"]);
});

import { expect, test } from "bun:test";
import { addBeforeOutput, beforeOutput, removeBeforeOutput } from "../../lib/base/before-output.ts";

test("tasks run in their order until they are removed; one that throws is heard", () => {
  const ran: string[] = [];
  const first = (): void => void ran.push("first");
  const second = (): void => void ran.push("second");
  const failing = (): void => {
    throw new Error("not written");
  };
  addBeforeOutput(first);
  addBeforeOutput(second);
  beforeOutput();
  removeBeforeOutput(first);
  removeBeforeOutput(first);
  beforeOutput();
  expect(ran).toEqual(["first", "second", "second"]);
  addBeforeOutput(failing);
  expect(beforeOutput).toThrow("not written");
  removeBeforeOutput(failing);
  removeBeforeOutput(second);
  beforeOutput();
  expect(ran).toHaveLength(4);
});

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeResult } from "../../lib/bench/result.ts";
import { runMq } from "../support/run-mq.ts";
import { syntheticResult, syntheticRun } from "./synthetic.ts";

const folder = mkdtempSync(join(tmpdir(), "mq-bench-"));
const before = join(folder, "before.json");
const after = join(folder, "after.json");

beforeAll(async () => {
  await writeResult(before, syntheticResult([syntheticRun({ rate: 60_000, us: 3000 })]));
  await writeResult(after, syntheticResult([syntheticRun({ rate: 40_000, us: 6000, seed: 5 })]));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("mq bench compare", () => {
  test("prints ratios and what they mean", async () => {
    const { exitCode, stdout } = await runMq(["bench", "compare", before, after]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("after against before");
    expect(stdout).toMatch(/^produce +tps +\d+\/s +\d+\/s +0\.66\d x +0\.\d+ to 0\.\d+ +worse$/m);
  });

  test("--threshold: exit 2 and a line for what is missed", async () => {
    const missed = await runMq(["bench", "compare", before, after, "--threshold", "tps:-5%", "--json"]);
    expect(missed.exitCode).toBe(2);
    expect(missed.stderr).toMatch(/^missed tps:-5%: produce has -3\d\.\d % in after$/m);
    expect(JSON.parse(missed.stdout)).toMatchObject({ schema: "mq.bench-compare/1", missed: [expect.any(String)] });
    expect((await runMq(["bench", "compare", after, before, "--threshold", "tps:-5%"])).exitCode).toBe(0);
  });

  test("files with a comma between are one side", async () => {
    const { stdout } = await runMq(["bench", "compare", `${before},${before},${before}`, `${after},${after},${after}`]);
    expect(stdout).toContain("intervals from repeated runs");
  });

  test("what is wrong is said in a line", async () => {
    const one = await runMq(["bench", "compare", before]);
    expect([one.exitCode, one.stderr]).toEqual([
      64,
      "mq: mq bench compare got 1 result files, want two or more: BASE.json NEW.json\n",
    ]);
    const bad = await runMq(["bench", "compare", before, after, "--threshold", "p99"]);
    expect([bad.exitCode, bad.stderr]).toEqual([
      64,
      'mq: --threshold is "p99", want FIGURE:+N% or FIGURE:-N%, as in p99:+10%,tps:-5%\n',
    ]);
    const none = await runMq(["bench", "compare", before, join(folder, "none.json")]);
    expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining("none.json: ENOENT")]);
  });
});

test("mq bench report prints a result again and writes other forms", async () => {
  const html = join(folder, "page.html");
  const { exitCode, stdout, stderr } = await runMq(["bench", "report", before, "--html", html]);
  expect(exitCode).toBe(0);
  expect(stdout).toContain("LOST 0");
  expect(stderr).toBe(`saved ${html}\n`);
  expect(existsSync(html)).toBe(true);
});

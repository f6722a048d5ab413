import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readResult, writeResult } from "../../lib/bench/result.ts";
import { startOwnCluster } from "../support/cluster.ts";
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
    const other = join(folder, "other.json");
    await Bun.write(other, JSON.stringify({ schema: "mq.bench/9", runs: [] }));
    const later = await runMq(["bench", "compare", before, other]);
    expect([later.exitCode, later.stderr]).toEqual([
      1,
      `mq: read ${other}: schema is "mq.bench/9", want "mq.bench/1"\n`,
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

describe("mq bench versus", () => {
  test("takes turns, prints ratios, keeps a result that report and compare read, leaves no topics", async () => {
    const cluster = await startOwnCluster();
    const file = join(folder, "versus.json");
    try {
      const targets = [`a=${cluster.namesrvAddr}`, `b=${cluster.namesrvAddr}`];
      const times = ["--rounds", "2", "--duration", "1s", "--warmup", "0s"];
      const { exitCode, stdout, stderr } = await runMq([
        ...["bench", "versus", ...targets, "--works", "send-1", ...times, "--json", file],
      ]);
      expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/^send-1 +tps +\d+\/s +\d+\/s +[\d.]+ x /m)]);
      expect(stdout).toContain("medians of 2 rounds in turns");
      expect(stderr).toContain("send-1 round 2/2 ");
      const topics = await runMq(["topic", "list", "-n", cluster.namesrvAddr]);
      expect(topics.stdout).not.toContain("mq-bench");
      const result = await readResult(file);
      expect(result.runs.map(({ target, round }) => `${target}${round}`)).toEqual(["a0", "b0", "b1", "a1"]);
      expect(result.brokers.map(({ target, config }) => [target, config.brokerRole])).toEqual([
        ["a", "ASYNC_MASTER"],
        ["b", "ASYNC_MASTER"],
      ]);
      expect((await runMq(["bench", "report", file])).stdout).toContain("medians of 2 rounds in turns");
    } finally {
      await cluster.stop();
    }
  }, 60_000);

  test("what is wrong is said in a line, before anything begins", async () => {
    const wrong: [string[], string][] = [
      [["a"], 'mq: mq bench versus got "a", want NAME=host:port of a name server, the name 40 long at most\n'],
      [["a=x:1", "--workers", "0"], "mq: --workers is 0, want a whole number from 1 to 256\n"],
      [["a=x:1", "a=y:2"], "mq: mq bench versus got a name twice, want another name for every cluster\n"],
      [["a=x:1", "--works", "send-q"], "did you mean send-1?"],
      [["a=x:1", "--rounds", "0"], "mq: --rounds is 0, want a whole number from 1 to 1000\n"],
    ];
    for (const [args, text] of wrong) {
      const { exitCode, stderr } = await runMq(["bench", "versus", ...args]);
      expect([exitCode, stderr]).toEqual([64, expect.stringContaining(text)]);
    }
    const nobody = await runMq(["bench", "versus", "a=127.0.0.1:1"]);
    expect([nobody.exitCode, nobody.stderr]).toEqual([1, expect.stringContaining("connect to 127.0.0.1:1")]);
  });
});

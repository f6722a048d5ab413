import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  histogramOf,
  isSupported,
  mergedHistogram,
  parseResult,
  readResult,
  writeResult,
} from "../../lib/bench/result.ts";
import { syntheticResult, syntheticRun } from "./synthetic.ts";

const runs = [syntheticRun({ rate: 1000, us: 300 }), syntheticRun({ rate: 1000, us: 900, seed: 2 })];

describe("result", () => {
  test("is read back as it was written", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mq-result-"));
    try {
      const result = syntheticResult(runs);
      await writeResult(join(folder, "a.json"), result);
      expect(await readResult(join(folder, "a.json"))).toEqual(result);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("histograms come back whole, and merged ones hold both", () => {
    const [first, second] = runs.map((run) => histogramOf(run.latencies.service!));
    expect(first!.count).toBe(runs[0]!.latencies.service!.count);
    expect(first!.mean).toBeCloseTo(runs[0]!.latencies.service!.mean, 6);
    const merged = mergedHistogram(runs, "service")!;
    expect(merged.count).toBe(first!.count + second!.count);
    // The median of both is no mean of the two medians.
    expect(merged.percentile(0.5)).toBeGreaterThan(first!.percentile(0.5));
    expect(merged.percentile(0.5)).toBeLessThan(second!.percentile(0.5));
    expect(mergedHistogram(runs, "e2e")).toBeUndefined();
  });

  test("a percentile needs ten values beyond it", () => {
    expect([isSupported(0.99, 999), isSupported(0.99, 1000)]).toEqual([false, true]);
    expect([isSupported(0.9999, 99_999), isSupported(0.9999, 100_000)]).toEqual([false, true]);
    expect(isSupported(0.5, 20)).toBe(true);
  });
});

describe("a file that is no result is refused, naming the file and the place", () => {
  const good = () => JSON.parse(JSON.stringify(syntheticResult(runs)));
  const cases: [string, (content: ReturnType<typeof good>) => void, RegExp][] = [
    [
      "another schema",
      (content) => (content.schema = "mq.tune/1"),
      /^read f: schema is "mq.tune\/1", want "mq.bench\/1"$/,
    ],
    ["a count that is no number", (content) => (content.runs[0].counts.sent = "1"), /^read f: runs\.0\.counts\.sent: /],
    ["a missing part", (content) => delete content.machine, /^read f: machine: /],
    ["a broken histogram", (content) => (content.runs[1].latencies.service.hdr = "HISTFAAA"), /^decode histogram: /],
  ];
  for (const [name, spoil, wanted] of cases)
    test(name, () => {
      const content = good();
      spoil(content);
      expect(() => parseResult(content, "f")).toThrow(wanted);
    });

  test("no JSON, no file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mq-result-"));
    try {
      writeFileSync(join(folder, "x"), "{");
      await expect(readResult(join(folder, "x"))).rejects.toThrow(/^read .*x: /);
      await expect(readResult(join(folder, "y"))).rejects.toThrow(/^read .*y: ENOENT/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

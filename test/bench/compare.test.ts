import { describe, expect, test } from "bun:test";
import { compareResults, type NamedResults } from "../../lib/bench/compare/compare.ts";
import { compareText } from "../../lib/bench/compare/compare-text.ts";
import { missedThresholds, parseThresholds } from "../../lib/bench/compare/threshold.ts";
import type { BenchResult } from "../../lib/bench/result.ts";
import { syntheticResult, syntheticRun } from "./synthetic.ts";

function named(name: string, runs: Parameters<typeof syntheticRun>[0][], change?: Partial<BenchResult>): NamedResults {
  return { name, results: [syntheticResult(runs.map(syntheticRun), change)] };
}

const slow = named("slow", [{ rate: 60_000, us: 3000 }]);
const fast = named("fast", [{ rate: 240_000, us: 700, seed: 2 }]);
const again = named("again", [{ rate: 60_000, us: 3000, seed: 3 }]);

function metric(comparison: ReturnType<typeof compareResults>, name: string) {
  return comparison.metrics.find((one) => one.name === name)!;
}

describe("compare", () => {
  test("a real difference is one, in the direction that matters", () => {
    const comparison = compareResults(slow, fast);
    expect(comparison.basis).toBe("seconds");
    expect(metric(comparison, "tps")).toMatchObject({ verdict: "better", better: "higher" });
    expect(metric(comparison, "tps").ratio).toBeCloseTo(4, 0);
    expect(metric(comparison, "p99")).toMatchObject({ verdict: "better", better: "lower", kind: "service" });
    expect(metric(compareResults(fast, slow), "p50").verdict).toBe("worse");
    expect(metric(compareResults(fast, slow), "tps").verdict).toBe("worse");
  });

  test("the same load twice has no significant difference", () => {
    const comparison = compareResults(slow, again);
    expect(metric(comparison, "tps").verdict).toBe("same");
    expect(compareText(comparison)).toContain("no significant difference");
  });

  test("percentiles without ten values beyond are not compared", () => {
    expect(compareResults(slow, fast).metrics.map(({ name }) => name)).toEqual(["tps", "mean", "p50", "p90", "p99"]);
  });

  test("three runs on both sides: the runs are drawn, and their histograms merged", () => {
    const rounds = (rate: number, us: number, seed: number) =>
      [0, 1, 2].map((round) => ({ rate: rate * (1 + round / 50), us, seed: seed + round, round }));
    const comparison = compareResults(named("A", rounds(1000, 500, 1)), named("B", rounds(3000, 200, 7)));
    expect(comparison.basis).toBe("runs");
    expect(metric(comparison, "tps").ratio).toBeCloseTo(3, 1);
    expect(metric(comparison, "tps").verdict).toBe("better");
    expect(metric(comparison, "p99.9")).toBeDefined();
  });

  test("one second is too little to say anything", () => {
    const comparison = compareResults(
      named("A", [{ rate: 10, us: 9, seconds: 1 }]),
      named("B", [{ rate: 99, us: 9, seconds: 1 }]),
    );
    expect(metric(comparison, "tps").verdict).toBe("unknown");
    expect(metric(comparison, "tps").interval).toBeUndefined();
  });

  test("warns of what else differs", () => {
    const machine = { ...syntheticResult([]).machine, kernel: "Linux 5.4", cores: 8 };
    const brokers = syntheticResult([]).brokers.map((broker) => ({
      ...broker,
      config: { flushDiskType: "SYNC_FLUSH" },
    }));
    const other = named("other", [{ rate: 60_000, us: 3000 }], { machine, brokers });
    other.results[0]!.runs[0]!.options = { size: 128, connections: 4, inFlight: 64, topic: "other" };
    other.results[0]!.runs[0]!.flags = [{ id: "CLIENT-BOUND", text: "the generator used 97 % of its core" }];
    expect(compareResults(slow, other).warnings).toEqual([
      "kernel differs: Linux 6.1 in slow, Linux 5.4 in other",
      "number of cores differs: 4 in slow, 8 in other",
      "flushDiskType differs: ASYNC_FLUSH in slow, SYNC_FLUSH in other",
      "brokerRole differs: ASYNC_MASTER in slow, unknown in other",
      "size of produce differs: 1024 in slow, 128 in other",
      "other: produce is CLIENT-BOUND: the generator used 97 % of its core",
    ]);
    expect(compareResults(slow, again).warnings).toEqual([]);
  });

  test("works that only one side has are named", () => {
    const comparison = compareResults(slow, named("b", [{ rate: 1, us: 1, work: "e2e" }]));
    expect(comparison.metrics).toEqual([]);
    expect(comparison.warnings.slice(0, 3)).toEqual([
      'only slow has "produce"',
      'only b has "e2e"',
      "the two have no work in common: nothing is compared",
    ]);
  });
});

describe("--threshold", () => {
  test("is read, or refused with what was found", () => {
    expect(parseThresholds("p99:+10%, tps:-5%,e2e.p99.9:+20%")).toEqual([
      { text: "p99:+10%", kind: "", name: "p99", ratio: 1.1 },
      { text: "tps:-5%", kind: "", name: "tps", ratio: 0.95 },
      { text: "e2e.p99.9:+20%", kind: "e2e", name: "p99.9", ratio: 1.2 },
    ]);
    for (const bad of ["", "p99", "p99:10%", "p99:+10", "rate:-5%", "p99:+10%,"])
      expect(() => parseThresholds(bad)).toThrow(/--threshold is /);
  });

  test("is missed by what is worse than allowed, and by a figure that is not there", () => {
    const worse = compareResults(fast, slow);
    expect(missedThresholds(worse, parseThresholds("tps:-5%,p99:+10%"))).toHaveLength(2);
    expect(missedThresholds(worse, parseThresholds("tps:-80%"))).toEqual([]);
    expect(missedThresholds(compareResults(slow, fast), parseThresholds("tps:-5%,p99:+10%"))).toEqual([]);
    expect(missedThresholds(worse, parseThresholds("e2e.p50:+1%"))).toEqual(["e2e.p50:+1%: no such figure in slow"]);
  });
});

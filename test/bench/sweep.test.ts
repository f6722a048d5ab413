import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { findMaxRate, type SweepOptions, sweepRates } from "../../lib/bench/sweep/sweep.ts";
import { type OwnCluster, startOwnCluster } from "../support/cluster.ts";
import { runMq } from "../support/run-mq.ts";

/** A broker that holds every rate up to `most`; `lucky` rates hold the first time only. */
function limited(most: number, lucky: readonly number[] = []): SweepOptions<number> {
  const seen = new Map<number, number>();
  return {
    stopped: () => false,
    step: async (rate) => {
      const times = (seen.get(rate) ?? 0) + 1;
      seen.set(rate, times);
      const holds = rate <= most || (lucky.includes(rate) && times === 1);
      return { run: times, missed: holds ? [] : ["too much"] };
    },
  };
}

describe("rates that are given", () => {
  test("run in order; the highest that held is run again", async () => {
    const { steps, best } = await sweepRates([1000, 4000, 2000, 3000], limited(2500));
    expect(steps.map(({ rate }) => rate)).toEqual([1000, 4000, 2000, 3000, 2000]);
    expect(best).toBe(2000);
  });

  test("one that was lucky once does not count", async () => {
    const { steps, best } = await sweepRates([1000, 2000, 3000], limited(1500, [2000, 3000]));
    expect(steps.map(({ rate }) => rate)).toEqual([1000, 2000, 3000, 3000, 2000, 1000]);
    expect(best).toBe(1000);
  });

  test("none holds", async () => {
    expect((await sweepRates([1000], limited(10))).best).toBeUndefined();
  });

  test("an interrupt ends it with what there is", async () => {
    let left = 2;
    const options = { ...limited(10_000), stopped: () => left-- <= 0 };
    const { steps, best } = await sweepRates([1, 2, 3, 4], options);
    expect([steps.length, best]).toEqual([2, undefined]);
  });
});

describe("the highest rate", () => {
  for (const most of [1, 7, 999, 1000, 12_345, 90_000])
    test(`of a broker that holds ${most}/s is found to a twentieth`, async () => {
      const { best, steps } = await findMaxRate({ from: 1000, upTo: 1_000_000, within: 0.05 }, limited(most));
      expect(best).toBeLessThanOrEqual(most);
      expect(best).toBeGreaterThanOrEqual(Math.floor(most * 0.95) - 1);
      expect(steps.at(-1)).toMatchObject({ rate: best, missed: [] });
    });

  test("is not looked for above the limit", async () => {
    const { best, steps } = await findMaxRate({ from: 1000, upTo: 5000, within: 0.05 }, limited(1e9));
    expect([best, steps.map(({ rate }) => rate)]).toEqual([5000, [1000, 2000, 4000, 5000, 5000]]);
  });

  test("of a broker that holds none ends", async () => {
    expect((await findMaxRate({ from: 1000, upTo: 5000, within: 0.05 }, limited(0))).best).toBeUndefined();
  });
});

describe("mq bench sweep", () => {
  let cluster: OwnCluster;
  beforeAll(async () => {
    cluster = await startOwnCluster();
  });
  afterAll(async () => cluster.stop());

  const short = ["--duration", "1s", "--warmup", "0s", "--quiet"];

  test("prints a line for each step and the best rate; exit code 2 when none kept the limit", async () => {
    const sweep = ["bench", "sweep", "-n", cluster.namesrvAddr, "--rates", "100,200", ...short, "--consume"];
    const good = await runMq([...sweep, "--slo", "errors=0"]);
    expect([good.stdout, good.exitCode]).toEqual([
      expect.stringMatching(/^200\/s +\d+ .* (?:yes|no)$/m),
      expect.any(Number),
    ]);
    const bad = await runMq([...sweep, "--slo", "p99<0.001us"]);
    expect(bad.stdout).toContain("no rate held p99<0.001us twice");
    expect(bad.exitCode).toBe(2);
    expect((await runMq(["topic", "list", "-n", cluster.namesrvAddr])).stdout).not.toContain("mq-bench");
  }, 60_000);

  test("says what it wants", async () => {
    for (const [args, text] of [
      [[], "wants either --rates or --find-max"],
      [["--rates", "1k", "--find-max"], "wants either --rates or --find-max"],
      [["--rates", "fast"], '--rates is "fast", want messages a second'],
      [["--rates", "1k", "--slo", "fast"], '--gate is "fast"'],
    ] as const) {
      const { exitCode, stderr } = await runMq(["bench", "sweep", ...args]);
      expect([exitCode, stderr]).toEqual([64, expect.stringContaining(text)]);
    }
  });
});

import { describe, expect, test } from "bun:test";
import { versusFigures } from "../../lib/bench/versus/figures.ts";
import { interleave } from "../../lib/bench/versus/versus.ts";
import { versusText } from "../../lib/bench/versus/versus-text.ts";
import { syntheticRun } from "./synthetic.ts";

/** Turns of two clusters on a machine that gets slower: only the ratio stays. */
function turn(target: string, nth: number) {
  const slower = 1 + nth / 4;
  return target === "java"
    ? syntheticRun({ rate: 1000 / slower, us: 900 * slower, seed: nth + 1 })
    : syntheticRun({ rate: 4000 / slower, us: 300 * slower, seed: nth + 50 });
}

function onFailure(_: unknown, error: unknown): never {
  throw error;
}

async function played(rounds: number, works = ["async"]) {
  const order: string[] = [];
  const runs = await interleave(
    {
      targets: ["java", "mq"],
      works,
      rounds,
      onFailure,
      onTurn: ({ target, round }) => order.push(`${target} ${round}`),
    },
    async (target) => turn(target, Math.floor((order.length - 1) / 2)),
  );
  return { order, runs };
}

describe("versus", () => {
  test("turns are taken, first place included, and the warm-up is not kept", async () => {
    const { order, runs } = await played(3);
    expect(order).toEqual(["mq -1", "java -1", "java 0", "mq 0", "mq 1", "java 1", "java 2", "mq 2"]);
    expect(runs.map(({ target, round }) => `${target} ${round}`)).toEqual(order.slice(2));
    expect(new Set(runs.map(({ work }) => work))).toEqual(new Set(["async"]));
  });

  test("a cluster that vanishes ends it: whole rounds count, the rest is kept", async () => {
    const failures: string[] = [];
    let turns = 0;
    const runs = await interleave(
      {
        targets: ["java", "mq"],
        works: ["x", "y"],
        rounds: 3,
        onFailure: ({ target, work }, error) => failures.push(`${work} of ${target}: ${error}`),
      },
      async (target) => {
        if (++turns === 6) throw new Error("connect to h:1: refused");
        return turn(target, 0);
      },
    );
    expect(failures).toEqual(["x of java: Error: connect to h:1: refused"]);
    expect(runs.map(({ target, round }) => `${target} ${round}`)).toEqual(["java 0", "mq 0", "mq 1"]);
    const tps = versusFigures(runs).find(({ name }) => name === "tps");
    expect(tps?.targets.map(({ rounds }) => rounds.length)).toEqual([1, 1]);
  });

  test("ends after the current turn when it is stopped", async () => {
    let turns = 0;
    const runs = await interleave(
      { targets: ["a", "b"], works: ["x", "y"], rounds: 5, stopped: () => turns >= 4, onFailure },
      async (target) => {
        turns++;
        return turn(target, 0);
      },
    );
    expect(runs.map(({ target, work }) => target + work)).toEqual(["ax", "bx"]);
  });

  test("medians, and ratios round by round with their extremes", async () => {
    const { runs } = await played(3);
    const figures = versusFigures(runs);
    const tps = figures.find(({ name }) => name === "tps")!;
    expect(tps.targets.map(({ target }) => target)).toEqual(["java", "mq"]);
    expect(tps.targets[0]).toMatchObject({ ratio: 1, lowest: 1, highest: 1 });
    const mq = tps.targets[1]!;
    expect(mq.rounds).toHaveLength(3);
    expect(mq.median).toBe([...mq.rounds].sort((a, b) => a - b)[1]!);
    expect(mq.ratio).toBeCloseTo(4, 0);
    expect(mq.lowest! <= mq.ratio! && mq.ratio! <= mq.highest!).toBe(true);
    expect(figures.map(({ name }) => name)).toEqual(["tps", "mean", "p50", "p90", "p99", "max", "cpu", "anonymous"]);
    const text = versusText(figures);
    expect(text).toMatch(/^async +tps +\d+\/s +\d+\/s +\d\.\d\d x +\d\.\d\d to \d\.\d\d$/m);
    expect(text).toContain("medians of 3 rounds");
  });

  test("a round that one target lacks is left out, and a work without a whole one", async () => {
    const { runs } = await played(2);
    expect(versusFigures(runs.slice(1))[0]!.targets.map(({ rounds }) => rounds.length)).toEqual([1, 1]);
    expect(versusFigures([runs[0]!, runs[2]!])).toEqual([]);
    expect(versusFigures([])).toEqual([]);
  });
});

import { expect, test } from "bun:test";
import { missedLimits, parseGate } from "../../lib/bench/gate.ts";
import { Histogram } from "../../lib/bench/histogram.ts";
import { latencyRecord, type RunRecord } from "../../lib/bench/result.ts";
import { syntheticRun } from "./synthetic.ts";

/** A run that has these kinds of latency, every value of each the same. */
function runWith(ms: Readonly<Record<string, number>>): RunRecord {
  const latencies = Object.entries(ms).map(([kind, value]) => {
    const histogram = new Histogram();
    histogram.record(value * 1000);
    return [kind, latencyRecord(histogram)];
  });
  return { ...syntheticRun({ rate: 1000, us: 500 }), work: "w", latencies: Object.fromEntries(latencies) };
}

/** Which kind a limit without a name judges. */
function judged(ms: Readonly<Record<string, number>>): number {
  const [line = ""] = missedLimits(runWith(ms), parseGate("max<1us"));
  return Math.round(Number(/ has ([\d.]+) ms$/.exec(line)?.[1]));
}

test("a limit without a name judges what a sender waits for, else from the store to the consumer; a name wins", () => {
  const received = { e2e: 5000, b2c: 60, s2c: 7, pull: 1 };
  expect(judged(received)).toBe(7);
  expect(judged({ ...received, service: 3 })).toBe(3);
  expect(judged({ ...received, service: 3, response: 4 })).toBe(4);
  expect(judged({ e2e: 5000 })).toBe(5000);
  // What a catch-up read finds was sent long ago: only the name judges that.
  expect(missedLimits(runWith(received), parseGate("p99<10ms"))).toEqual([]);
  expect(missedLimits(runWith(received), parseGate("e2e.max<10ms"))[0]).toMatch(/^e2e\.max<10ms: w has 50\d\d\./);
});

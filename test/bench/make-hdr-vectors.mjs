// Writes test/bench/golden/hdr.json: what HdrHistogram's JavaScript port makes of known values. Run again with:
//
//   npm install --no-save hdr-histogram-js@3.0.1 && node test/bench/make-hdr-vectors.mjs
//
// The port is no dependency of the project: its vectors do not change.

import { writeFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";

const HIGHEST = 3_600_000_000;
const FRACTIONS = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1];

/** The same sequence as in test/bench/hdr.test.ts: [value, how often]. */
function values(seed, kind, count) {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: count }, () => {
    const u = random();
    const v = random();
    if (kind === "small") return 1 + Math.floor(u * 3000);
    if (kind === "wide") return Math.max(1, Math.floor(HIGHEST ** u));
    return 1 + Math.floor(200 + 150 * u + (v > 0.999 ? 250_000 * u : 0));
  });
}

const cases = [
  ...[1, 2, 3].map((seed) => ({ seed, kind: "small", count: 500 })),
  ...[4, 5, 6, 7].map((seed) => ({ seed, kind: "wide", count: 4000 })),
  ...[8, 9].map((seed) => ({ seed, kind: "latency", count: 50_000 })),
  { kind: "list", values: [1] },
  { kind: "list", values: [2047, 2048, 2049, 4095, 4096, 1_000_000, HIGHEST] },
  { kind: "list", values: [0, 1, 2, 4, 8, 9].map((n) => n + 1) },
  { kind: "list", values: [] },
].map((given) => {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
  });
  for (const value of given.values ?? values(given.seed, given.kind, given.count)) histogram.recordValue(value);
  const base64 = encodeIntoCompressedBase64(histogram);
  const inflated = inflateSync(Buffer.from(base64, "base64").subarray(8));
  return {
    ...given,
    base64,
    payload: inflated.subarray(40).toString("base64"),
    total: histogram.totalCount,
    percentiles: FRACTIONS.map((fraction) => [fraction, histogram.getValueAtPercentile(fraction * 100)]),
    mean: histogram.mean,
    stddev: histogram.stdDeviation,
    text: histogram.outputPercentileDistribution(5, 1000),
  };
});
writeFileSync(
  new URL("golden/hdr.json", import.meta.url),
  `${JSON.stringify({ source: "hdr-histogram-js 3.0.1", cases }, null, 1)}\n`,
);

import { describe, expect, test } from "bun:test";
import { deflateSync } from "node:zlib";
import { decodeBase64, encodeBase64, encodeV2 } from "../../lib/bench/hdr/encoding.ts";
import { intervalLog } from "../../lib/bench/hdr/log.ts";
import { percentileText } from "../../lib/bench/hdr/percentile-text.ts";
import { COUNTS, HIGHEST_US, Histogram, highestAt, indexOf, lowestAt, widthAt } from "../../lib/bench/histogram.ts";
import vectors from "./golden/hdr.json";

/** The sequence that test/bench/make-hdr-vectors.mjs gave to hdr-histogram-js. */
function generated(seed: number, kind: string, count: number): number[] {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: count }, () => {
    const u = random();
    const v = random();
    if (kind === "small") return 1 + Math.floor(u * 3000);
    if (kind === "wide") return Math.max(1, Math.floor(HIGHEST_US ** u));
    return 1 + Math.floor(200 + 150 * u + (v > 0.999 ? 250_000 * u : 0));
  });
}

const cases = vectors.cases.map((vector) => {
  const histogram = new Histogram();
  for (const value of vector.values ?? generated(vector.seed!, vector.kind, vector.count!)) histogram.record(value);
  return { vector, histogram, name: `${vector.kind} ${vector.seed ?? vector.values?.length}` };
});

/** The rows without the lines of mean and maximum, which hdr-histogram-js takes from buckets and mq keeps exactly. */
function rows(text: string): string[] {
  return text.split("\n").filter((line) => !line.startsWith("#[M") && line !== "");
}

describe("histogram against hdr-histogram-js", () => {
  for (const { vector, histogram, name } of cases) {
    test(`${name}: percentiles, mean, deviation`, () => {
      expect(histogram.count).toBe(vector.total);
      // HdrHistogram gives the bucket's upper edge; mq never says more than the largest value.
      for (const [fraction, wanted] of vector.percentiles as [number, number][])
        expect([fraction, histogram.percentile(fraction)]).toEqual([fraction, Math.min(wanted, histogram.max)]);
      expect(Math.abs(histogram.mean - vector.mean)).toBeLessThanOrEqual(vector.mean * 0.001);
      expect(Math.abs(histogram.stddev - vector.stddev)).toBeLessThanOrEqual(1 + vector.stddev * 0.001);
    });

    test(`${name}: encoding, bit by bit`, () => {
      expect(encodeV2(histogram).subarray(40).toString("base64")).toBe(vector.payload);
      expect(encodeBase64(histogram)).toStartWith("HISTFAAA");
    });

    test(`${name}: its encoding is read back`, () => {
      const read = decodeBase64(encodeBase64(histogram), {
        sum: histogram.sum,
        min: histogram.min,
        max: histogram.max,
      });
      expect(read.snapshot()).toEqual(histogram.snapshot());
      expect(decodeBase64(vector.base64).count).toBe(vector.total);
    });

    test(`${name}: percentile text`, () => {
      expect(rows(percentileText(histogram))).toEqual(rows(vector.text));
    });
  }
});

describe("histogram", () => {
  test("buckets touch and none is lost", () => {
    for (let index = 0; index < COUNTS - 1; index++) {
      expect(lowestAt(index) + widthAt(index)).toBe(lowestAt(index + 1));
      if (highestAt(index) <= HIGHEST_US) expect(indexOf(lowestAt(index))).toBe(index);
    }
    expect(indexOf(HIGHEST_US)).toBeLessThan(COUNTS);
  });

  test("zero, less and no number are counted apart", () => {
    const histogram = new Histogram();
    for (const value of [0, -1, Number.NaN, -0.0001, 0.2, 7]) histogram.record(value);
    expect([histogram.count, histogram.nonPositive]).toEqual([2, 4]);
  });

  test("more than an hour is counted at the hour", () => {
    const histogram = new Histogram();
    histogram.record(2 * HIGHEST_US);
    expect([histogram.count, histogram.overRange, histogram.max]).toEqual([1, 1, 2 * HIGHEST_US]);
    expect(indexOf(HIGHEST_US)).toBe(histogram.snapshot().first);
  });

  test("merged parts are the whole, through snapshots that another thread could have sent", () => {
    const whole = new Histogram();
    const parts = [new Histogram(), new Histogram(), new Histogram()];
    generated(11, "wide", 3000).forEach((value, i) => {
      whole.record(value);
      parts[i % 3]!.record(value);
    });
    whole.record(-5);
    parts[1]!.record(-5);
    const merged = new Histogram();
    for (const part of parts) merged.merge(structuredClone(part.take(), { transfer: [] }));
    merged.merge(new Histogram());
    expect({ ...merged.snapshot(), sum: 0 }).toEqual({ ...whole.snapshot(), sum: 0 });
    expect(merged.sum).toBeCloseTo(whole.sum, -2);
    expect(parts[0]!.snapshot()).toEqual(new Histogram().snapshot());
  });

  test("without values everything is zero", () => {
    const empty = new Histogram();
    expect([empty.count, empty.mean, empty.stddev, empty.min, empty.max, empty.percentile(0.99)]).toEqual([
      0, 0, 0, 0, 0, 0,
    ]);
    expect(decodeBase64(encodeBase64(empty)).count).toBe(0);
  });
});

describe("decodeBase64 refuses", () => {
  const good = encodeBase64(cases[0]!.histogram);
  const raw = Buffer.from(good, "base64");
  const packed = (inner: Buffer) => {
    const content = deflateSync(inner);
    const bytes = Buffer.alloc(8 + content.length);
    raw.copy(bytes, 0, 0, 4);
    bytes.writeUInt32BE(content.length, 4);
    content.copy(bytes, 8);
    return bytes.toString("base64");
  };
  const inner = encodeV2(cases[0]!.histogram);
  const header = (length: number) => {
    const bytes = Buffer.from(inner.subarray(0, 40));
    bytes.writeUInt32BE(length, 4);
    return bytes;
  };
  const bad: Record<string, string> = {
    "an empty text": "",
    "another format": Buffer.from("no histogram at all").toString("base64"),
    "a cut one": raw.subarray(0, raw.length - 3).toString("base64"),
    "a broken deflate stream": Buffer.concat([raw.subarray(0, 8), Buffer.alloc(raw.length - 8, 0x55)]).toString(
      "base64",
    ),
    "a bomb": packed(Buffer.alloc(50_000_000)),
    "too many buckets": packed(Buffer.concat([header(COUNTS + 1), Buffer.alloc(COUNTS + 1, 2)])),
    "a run beyond the end": packed(Buffer.concat([header(6), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 2])])),
    "a number that does not end": packed(Buffer.concat([header(1), Buffer.from([0x80])])),
    "a wrong length": packed(Buffer.concat([header(3), Buffer.from([2])])),
    "other digits": packed(
      (() => {
        const bytes = Buffer.concat([header(1), Buffer.from([2])]);
        bytes.writeUInt32BE(2, 12);
        return bytes;
      })(),
    ),
  };
  for (const [what, text] of Object.entries(bad))
    test(what, () => expect(() => decodeBase64(text)).toThrow(/^decode histogram: /));
});

test("interval log: HdrHistogram's lines with a tag each", () => {
  const histogram = new Histogram();
  histogram.record(2500);
  const log = intervalLog(Date.UTC(2026, 0, 2), [
    { tag: "service", startSeconds: 0, lengthSeconds: 1, histogram },
    { tag: "e2e", startSeconds: 1, lengthSeconds: 1, histogram: histogram.snapshot() },
  ]);
  const base64 = encodeBase64(histogram);
  expect(log.split("\n")).toEqual([
    "#[Histogram log format version 1.3]",
    "#[Values are microseconds, Interval_Max is milliseconds]",
    "#[StartTime: 1767312000.000 (seconds since epoch), 2026-01-02T00:00:00.000Z]",
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    `Tag=service,0.000,1.000,2.500,${base64}`,
    `Tag=e2e,1.000,1.000,2.500,${base64}`,
    "",
  ]);
});

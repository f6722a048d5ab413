import { afterEach, expect, setSystemTime, test } from "bun:test";
import { ResidentSpans } from "../../../lib/store/mappedfile/resident-spans.ts";

const KIB = 1024;
const SPAN = 512 * KIB;
const LENGTH = 2 * SPAN + 100 * KIB;

afterEach(() => {
  setSystemTime();
});

/** A file of which the parts in `out` are not in memory; `asked` keeps every question. */
function fixture() {
  const asked: [number, number][] = [];
  const out: [number, number][] = [];
  const spans = new ResidentSpans(LENGTH, (start, end) => {
    asked.push([start, end]);
    return !out.some(([from, to]) => start < to && end > from);
  });
  return { spans, asked, out };
}

test("asks once per span, not beyond the file's end, and again after 100 ms", () => {
  setSystemTime(1_000_000);
  const { spans, asked } = fixture();
  expect(spans.cover(SPAN - 10, SPAN + 10)).toBe(true);
  expect(asked).toEqual([
    [0, SPAN],
    [SPAN, 2 * SPAN],
  ]);
  setSystemTime(1_000_099);
  expect(spans.cover(0, 2 * SPAN)).toBe(true);
  expect(asked.length).toBe(2);
  expect(spans.cover(2 * SPAN, LENGTH)).toBe(true);
  expect(asked[2]).toEqual([2 * SPAN, LENGTH]);
  setSystemTime(1_000_100);
  expect(spans.cover(5, 6)).toBe(true);
  expect(asked[3]).toEqual([0, SPAN]);
});

test("what is not all in memory is asked about exactly, every time", () => {
  const { spans, asked, out } = fixture();
  out.push([300 * KIB, 304 * KIB]);
  for (const expected of [true, true]) expect(spans.cover(0, 4 * KIB)).toBe(expected);
  expect(spans.cover(301 * KIB, 302 * KIB)).toBe(false);
  expect(asked).toEqual([
    [0, SPAN],
    [0, 4 * KIB],
    [0, SPAN],
    [0, 4 * KIB],
    [0, SPAN],
    [301 * KIB, 302 * KIB],
  ]);
});

test("a clock that is set back makes no answer good for longer", () => {
  setSystemTime(2_000_000);
  const { spans, out } = fixture();
  expect(spans.cover(0, 1)).toBe(true);
  out.push([0, LENGTH]);
  setSystemTime(1_000_000);
  expect(spans.cover(0, 1)).toBe(false);
});

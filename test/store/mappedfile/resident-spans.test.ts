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
  const cover = (start: number, end: number, writtenEnd = LENGTH) => spans.cover(start, end, writtenEnd);
  return { cover, asked, out };
}

test("asks once per span, not beyond the file's end, and again after 100 ms", () => {
  setSystemTime(1_000_000);
  const { cover, asked } = fixture();
  expect(cover(SPAN - 10, SPAN + 10)).toBe(true);
  expect(asked).toEqual([
    [0, SPAN],
    [SPAN, 2 * SPAN],
  ]);
  setSystemTime(1_000_099);
  expect(cover(0, 2 * SPAN)).toBe(true);
  expect(asked.length).toBe(2);
  expect(cover(2 * SPAN, LENGTH)).toBe(true);
  expect(asked[2]).toEqual([2 * SPAN, LENGTH]);
  setSystemTime(1_000_100);
  expect(cover(5, 6)).toBe(true);
  expect(asked[3]).toEqual([0, SPAN]);
});

test("a span of which a part is out is asked about once in 100 ms, and its parts exactly each time", () => {
  setSystemTime(1_000_000);
  const { cover, asked, out } = fixture();
  out.push([300 * KIB, 304 * KIB]);
  for (const expected of [true, true]) expect(cover(0, 4 * KIB)).toBe(expected);
  expect(cover(301 * KIB, 302 * KIB)).toBe(false);
  expect(asked).toEqual([
    [0, SPAN],
    [0, 4 * KIB],
    [0, 4 * KIB],
    [301 * KIB, 302 * KIB],
  ]);
  out.pop();
  setSystemTime(1_000_100);
  expect(cover(301 * KIB, 302 * KIB)).toBe(true);
  expect(asked[4]).toEqual([0, SPAN]);
});

test("what was never written is not asked about: a queue's last span would always be out", () => {
  const { cover, asked, out } = fixture();
  out.push([SPAN + 40 * KIB, LENGTH]);
  for (const at of [0, 4 * KIB, 8 * KIB]) expect(cover(SPAN + at, SPAN + at + 20, SPAN + 40 * KIB)).toBe(true);
  expect(asked).toEqual([[SPAN, SPAN + 40 * KIB]]);
});

test("a yes about the part behind the written end says nothing of the rest of its span", () => {
  const { cover, asked, out } = fixture();
  out.push([300 * KIB, 304 * KIB]);
  expect(cover(0, 20, 0)).toBe(true);
  expect(cover(301 * KIB, 302 * KIB, LENGTH)).toBe(false);
  expect(asked).toEqual([
    [0, 20],
    [0, SPAN],
    [301 * KIB, 302 * KIB],
  ]);
});

test("a clock that is set back makes no answer good for longer", () => {
  setSystemTime(2_000_000);
  const { cover, out } = fixture();
  expect(cover(0, 1)).toBe(true);
  out.push([0, LENGTH]);
  setSystemTime(1_000_000);
  expect(cover(0, 1)).toBe(false);
});

import { expect, test } from "bun:test";
import { decimalLength, equalBytes, parseDecimal, readLong, writeDecimal, writeLong } from "../../lib/base/bytes.ts";

const WHOLE = [
  0,
  1,
  9,
  10,
  99,
  100,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 31 + 1,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 1,
  1700000000123,
  2 ** 53 - 1,
  2 ** 53,
].flatMap((value) => [value, 0 - value]);

test("longs are written and read as DataView does", () => {
  const view = new DataView(new ArrayBuffer(8));
  for (const value of WHOLE) {
    writeLong(view, 0, value);
    expect(view.getBigInt64(0)).toBe(BigInt(value));
    expect(readLong(view, 0)).toBe(value);
  }
});

test("decimals are written and read as String and Number do", () => {
  const buffer = Buffer.alloc(32);
  for (const value of WHOLE) {
    const end = writeDecimal(buffer, 3, value);
    const text = String(value);
    expect(buffer.latin1Slice(3, end)).toBe(text);
    expect(decimalLength(value)).toBe(text.length);
    expect(parseDecimal(buffer, 3, end)).toBe(value);
  }
});

test("what is no decimal is NaN", () => {
  for (const text of ["", "-", "+", "1.5", "0x1", " 1", "1 ", "one", "12345678901234567890", "-1234567890123456789x"]) {
    expect(parseDecimal(Buffer.from(text), 0, text.length)).toBeNaN();
  }
  expect(parseDecimal(Buffer.from("9223372036854775807"), 0, 19)).toBe(2 ** 63);
});

test("equalBytes compares a range with a whole", () => {
  const buffer = Buffer.from("xTopicx");
  expect(equalBytes(buffer, 1, 6, Buffer.from("Topic"))).toBe(true);
  expect(equalBytes(buffer, 1, 5, Buffer.from("Topic"))).toBe(false);
  expect(equalBytes(buffer, 0, 5, Buffer.from("Topic"))).toBe(false);
});

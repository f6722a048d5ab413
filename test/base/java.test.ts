import { expect, test } from "bun:test";
import { crc32 } from "../../lib/base/crc32.ts";
import { Interner } from "../../lib/base/interner.ts";
import { javaHashCode, javaHashCodeBytes } from "../../lib/base/java.ts";
import { nearest } from "../../lib/base/suggest.ts";

/** Values of String#hashCode, printed by a JDK 17. */
const HASHES: [string, number][] = [
  ["", 0],
  ["TagA", 2598919],
  ["TagB", 2598920],
  ["polygenelubricants", -2147483648],
  ["主题", 659901],
  ["🚀", 1773027],
];

test("javaHashCode is String#hashCode, from text and from UTF-8", () => {
  for (const [text, hash] of HASHES) {
    expect(javaHashCode(text)).toBe(hash);
    const bytes = Buffer.from(`x${text}y`);
    expect(javaHashCodeBytes(bytes, 1, bytes.length - 1)).toBe(hash);
  }
});

test("crc32 has no sign bit", () => {
  expect(crc32(Buffer.from("123456789"))).toBe(0xcbf43926 & 0x7fffffff);
  expect(crc32(Buffer.from("x123456789y"), 1, 10)).toBe(0xcbf43926 & 0x7fffffff);
});

test("nearest suggests what was probably meant, or nothing", () => {
  const names = ["flushDiskType", "brokerName", "listenPort", "namesrvAddr"];
  expect(nearest("flushdisktype", names)).toBe("flushDiskType");
  expect(nearest("brokerNmae", names)).toBe("brokerName");
  expect(nearest("listnPort", names)).toBe("listenPort");
  expect(nearest("somethingElse", names)).toBeUndefined();
  expect(nearest("", names)).toBeUndefined();
});

test("an interner returns the right text whatever it has forgotten", () => {
  const interner = new Interner(4);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) {
      const text = `Topic-${i}-主题`;
      const bytes = Buffer.from(`..${text}..`);
      expect(interner.text(bytes, 2, bytes.length - 2)).toBe(text);
    }
  }
  const long = Buffer.alloc(1000, "x");
  expect(interner.text(long, 0, 1000)).toBe(long.toString());
});

import { describe, expect, test } from "bun:test";
import { compressBody, decompressBody } from "../../lib/message/compression.ts";
import { COMPRESSED_FLAG, COMPRESSION_LZ4, COMPRESSION_ZLIB, COMPRESSION_ZSTD } from "../../lib/message/sys-flag.ts";
import vectors from "../golden/compression.json";

const BODY = Array.from({ length: 60 }, (_, i) => `line ${i} of a body that repeats itself; `).join("");
const KINDS = [
  ["LZ4", COMPRESSION_LZ4],
  ["ZSTD", COMPRESSION_ZSTD],
  ["ZLIB", COMPRESSION_ZLIB],
] as const;

describe("bodies that Java compressed", () => {
  for (const [name, type] of KINDS) {
    test(`${name} reads back, is bounded, and every cut is refused or harmless`, () => {
      const bytes = Buffer.from(vectors[name], "hex");
      expect(decompressBody(bytes, COMPRESSED_FLAG | type).toString()).toBe(BODY);
      expect(() => decompressBody(bytes, COMPRESSED_FLAG | type, BODY.length - 1)).toThrow(RangeError);
      for (let end = 0; end < bytes.length - (name === "ZLIB" ? 5 : 4); end++) {
        expect(() => decompressBody(bytes.subarray(0, end), COMPRESSED_FLAG | type)).toThrow(RangeError);
      }
      for (let at = 0; at < bytes.length; at++) {
        const damaged = Buffer.from(bytes);
        damaged[at]! ^= 0x55;
        try {
          decompressBody(damaged, COMPRESSED_FLAG | type, 100_000);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }
    });
  }

  test("without a type bit it is ZLIB, without the flag the body itself", () => {
    expect(decompressBody(Buffer.from(vectors.ZLIB, "hex"), COMPRESSED_FLAG).toString()).toBe(BODY);
    const plain = Buffer.from("plain");
    expect(decompressBody(plain, 0)).toBe(plain);
  });

  test("what we compress is what Java compresses", () => {
    expect(compressBody(Buffer.from(BODY)).toString("hex")).toBe(vectors.ZLIB);
  });
});

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

  test("what we compress is what Java compresses, or as long", () => {
    const body = Buffer.from(BODY);
    expect(compressBody(body, "ZLIB", 5).toString("hex")).toBe(vectors.ZLIB);
    // The header of Java's LZ4 frames, checksum included: Java's reader wants it.
    expect(compressBody(body, "LZ4", 5).toString("hex")).toStartWith(vectors.LZ4.slice(0, 14));
    for (const type of ["LZ4", "ZSTD"] as const)
      expect(compressBody(body, type, 5).length).toBeLessThan((vectors[type].length / 2) * 1.1);
  });
});

describe("what we compress reads back", () => {
  const seed = Math.floor(Math.random() * 2 ** 31) | 1;
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  /** Runs of one byte, repetitions of what stands before, and noise. */
  const bodyOf = (bytes: number): Buffer => {
    const body = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; ) {
      const length = Math.min(bytes - at, 1 + Math.floor(random() ** 4 * 5000));
      const kind = random();
      if (kind < 0.3) body.fill(Math.floor(random() * 256), at, at + length);
      else if (kind < 0.7 && at > 0) body.copyWithin(at, Math.floor(random() * at), at);
      else for (let i = 0; i < length; i++) body[at + i] = Math.floor(random() * 256);
      at += length;
    }
    return body;
  };
  for (const [type, flag] of KINDS)
    test(`${type}, bodies of any size (seed ${seed})`, () => {
      const sizes = [0, 1, 4, 5, 11, 12, 13, 14, 15, 16, 19, 20, 270, 271, 65_535, 65_550, 4 * 1024 * 1024 + 3];
      for (const size of [...sizes, ...Array.from({ length: 200 }, () => Math.floor(random() ** 3 * 20_000))]) {
        // Nothing at all is no ZSTD body: see decompressBody.
        if (size === 0 && type === "ZSTD") continue;
        for (const body of [bodyOf(size), Buffer.alloc(size, 7)]) {
          const back = decompressBody(compressBody(body, type, 5), COMPRESSED_FLAG | flag);
          expect(back.equals(body)).toBe(true);
        }
      }
    });
});

import { describe, expect, test } from "bun:test";
import { FrameError } from "../../lib/remoting/errors.ts";
import { FRAME_BYTES_MAX, FrameCutter, headerBytes } from "../../lib/remoting/frame.ts";
import { GOLDEN_FRAMES, randomFrom } from "./golden-frames.ts";

const FRAMES = GOLDEN_FRAMES.map(({ bytes }) => bytes);
const STREAM = Buffer.concat(FRAMES);

/** Pushes the chunks and returns the frames that came out, as hex. */
function cut(chunks: Buffer[]): string[] {
  const cutter = new FrameCutter();
  const frames: string[] = [];
  for (const chunk of chunks) {
    cutter.push(chunk, (buffer, start, end) => {
      frames.push(buffer.toString("hex", start, end));
      return true;
    });
  }
  expect(cutter.heldBytes).toBe(0);
  return frames;
}

const WANTED = FRAMES.map((frame) => frame.toString("hex"));

describe("FrameCutter", () => {
  test("a frame inside one chunk is not copied", () => {
    new FrameCutter().push(STREAM, (buffer) => {
      expect(buffer).toBe(STREAM);
      return true;
    });
  });

  test("a stream split in two at every byte", () => {
    for (let at = 0; at <= STREAM.length; at++)
      expect(cut([STREAM.subarray(0, at), STREAM.subarray(at)])).toEqual(WANTED);
  });

  test("a stream in chunks of every small size", () => {
    for (let size = 1; size < 40; size++) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < STREAM.length; at += size) chunks.push(STREAM.subarray(at, at + size));
      expect(cut(chunks)).toEqual(WANTED);
    }
  });

  test("large frames in random chunks", () => {
    const seed = (Math.random() * 2 ** 31) | 0;
    console.log(`seed ${seed}`);
    const random = randomFrom(seed);
    const frames = Array.from({ length: 10 }, () => {
      const frame = Buffer.alloc(8 + random(600_000), random(256));
      frame.writeInt32BE(frame.length - 4);
      return frame;
    });
    const stream = Buffer.concat(frames);
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.length; ) {
      const size = 1 + random(200_000);
      chunks.push(stream.subarray(at, at + size));
      at += size;
    }
    expect(cut(chunks)).toEqual(frames.map((frame) => frame.toString("hex")));
  });

  test("nothing more is cut once the sink says stop", () => {
    let seen = 0;
    new FrameCutter().push(STREAM, () => {
      seen++;
      return false;
    });
    expect(seen).toBe(1);
  });

  test("a claimed length is not allocated before its bytes come", () => {
    const cutter = new FrameCutter();
    const prefix = Buffer.alloc(8);
    prefix.writeInt32BE(FRAME_BYTES_MAX - 4);
    const before = process.memoryUsage().rss;
    const cutters = Array.from({ length: 200 }, () => new FrameCutter());
    for (const each of cutters) each.push(prefix, () => true);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
    expect(cutter.heldBytes).toBe(0);
  });

  for (const length of [0, 3, -1, FRAME_BYTES_MAX - 3, 0x7fffffff, -0x80000000]) {
    test(`length ${length} is refused, in one chunk and byte by byte`, () => {
      const prefix = Buffer.alloc(8);
      prefix.writeInt32BE(length);
      expect(() => cut([prefix])).toThrow(FrameError);
      expect(() => cut(Array.from(prefix, (byte) => Buffer.from([byte])))).toThrow(FrameError);
    });
  }

  for (const [text, hint] of [
    ["GET / HTTP/1.1\r\n\r\n", "HTTP"],
    ["PRI * HTTP/2.0\r\n\r\n", "gRPC"],
    ["\x16\x03\x01\x02\x00\x01", "TLS"],
    ["PROXY TCP4 ", "PROXY protocol"],
  ] as const) {
    test(`${hint} is named`, () => expect(() => cut([Buffer.from(text, "latin1")])).toThrow(hint));
  }
});

describe("headerBytes", () => {
  const prefix = (type: number, header: number, total: number) => {
    const frame = Buffer.alloc(Math.max(total, 8));
    frame.writeInt32BE(total - 4);
    frame.writeInt32BE((type << 24) | header, 4);
    return frame.subarray(0, total);
  };

  test("takes what fits", () => expect(headerBytes(prefix(1, 12, 30), 0, 30)).toBe(12));
  test("refuses a header longer than its frame", () =>
    expect(() => headerBytes(prefix(0, 23, 30), 0, 30)).toThrow("header length 23, want at most 22"));
  test("refuses an unknown serialize type", () =>
    expect(() => headerBytes(prefix(2, 1, 30), 0, 30)).toThrow("serialize type 2"));
  test("refuses a frame without a prefix", () =>
    expect(() => headerBytes(prefix(0, 0, 7), 0, 7)).toThrow("frame of 7 bytes"));
});

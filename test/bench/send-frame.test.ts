import { expect, test } from "bun:test";
import { compressFrame, sendTemplate } from "../../lib/bench/load/send-frame.ts";
import { writeFrame } from "../../lib/bench/raw/frames.ts";
import { COMPRESSION_TYPES, type CompressionType, decompressBody } from "../../lib/message/compression.ts";
import { COMPRESSED_FLAG } from "../../lib/message/sys-flag.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";
import { loadPlan } from "./load-plan.ts";

/** Bytes that no type makes smaller, from 144 on: those that zlib's fixed codes make longer. */
function incompressible(bytes: number): Buffer {
  let state = 1;
  const body = Buffer.alloc(bytes);
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    body[i] = 144 + ((state >>> 24) % 112);
  }
  return body;
}

const CASES: [CompressionType, number][] = [
  ...[0, 1, 2, 3, 5, 6, 9].map((level): [CompressionType, number] => ["ZLIB", level]),
  ["ZSTD", 1],
  ["ZSTD", 19],
  ["LZ4", 5],
];

test.each(CASES)("%s at level %d: a body that grows fits where its frame is written", (type, level) => {
  for (const bodyBytes of [49, 1000, 65_536, 300_000]) {
    const template = sendTemplate(
      loadPlan(1, { bodyBytes, compress: { type, level, overBytes: 1 } }),
      { brokerName: "b", host: "127.0.0.1", port: 1, queueId: 0, offset: 0 },
      0,
      "",
    );
    const out = Buffer.alloc(template.frameBytesMax);
    const end = writeFrame(template.frame, out, 0, 1_000_000_000, 0);
    const body = incompressible(bodyBytes);
    body.copy(out, template.bodies[0]!.start);
    const sent = decodeCommand(out, 0, compressFrame(template, out, 0, end)).body!;
    expect(decompressBody(sent, COMPRESSED_FLAG | COMPRESSION_TYPES[type].flag).equals(body)).toBe(true);
  }
});

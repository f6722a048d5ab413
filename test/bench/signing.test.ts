import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { stamp } from "../../lib/bench/load/payload.ts";
import type { LoadPlan } from "../../lib/bench/load/plan.ts";
import { sendTemplate, writeHex, writeMillis } from "../../lib/bench/load/send-frame.ts";
import {
  type HeaderEncoding,
  OPAQUE_BASE,
  sendTemplate as rawTemplate,
  requestFrame,
  writeFrame,
} from "../../lib/bench/raw/frames.ts";
import { PullFrames, type PullSettings } from "../../lib/bench/raw/pull-frames.ts";
import { signFrame } from "../../lib/bench/raw/signing.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";
import { loadPlan } from "./load-plan.ts";

const credentials = { accessKey: "rocketmq2", secretKey: "12345678" };

/** Checks a frame as a broker would: from what it decodes [DefaultAuthenticationContextBuilder]. */
function expectSigned(frame: Buffer): Record<string, string> {
  const { ext, body } = decodeCommand(frame, 0, frame.length);
  const hmac = createHmac("sha1", credentials.secretKey);
  for (const name of Object.keys(ext).sort()) if (name !== "Signature") hmac.update(ext[name]!);
  if (body !== undefined) hmac.update(body);
  expect(ext).toMatchObject({ AccessKey: "rocketmq2", Signature: hmac.digest("base64") });
  return ext;
}

describe.each(["rocketmq", "json"] as HeaderEncoding[])("with %s headers", (header) => {
  test.each([
    ["plain", 100],
    ["batch", 100],
    ["plain", 9],
    ["batch", 9],
  ] as const)("every %s message of %d B of a load is signed as it leaves", (kind, bodyBytes) => {
    const changes: Partial<LoadPlan> = {
      kind,
      bodyBytes,
      header,
      credentials,
      keyCardinality: 10,
      tags: "a",
      batch: 3,
    };
    const plan = loadPlan(1, changes);
    const template = sendTemplate(plan, plan.queues[0]!, 2, plan.tags);
    const out = Buffer.alloc(template.frame.bytes.length + 9);
    for (const sequence of [0, 77]) {
      const end = writeFrame(template.frame, out, 5, OPAQUE_BASE + 3, sequence);
      writeHex(out, 5 + template.keyAt, sequence % 10);
      writeMillis(out, 5 + template.bornAt, 1_790_000_000_000);
      for (const body of template.bodies)
        if (bodyBytes >= 48) stamp(out, 5 + body.start, 5 + body.end, sequence, 1, 2);
        else out.fill("a", 5 + body.stampAt, 5 + body.stampAt + 96);
      signFrame(template.frame.signing!, out, 5, end);
      const ext = expectSigned(out.subarray(5, end));
      expect(ext.g).toBe("1790000000000");
      expect(ext.i).toContain(sequence.toString(16).toUpperCase().padStart(8, "0"));
    }
  });

  test("every message of a raw load is", () => {
    const template = rawTemplate("topic", 1, 200, header, "0123456789abcdef00000000", credentials);
    const out = Buffer.alloc(template.bytes.length);
    for (const counter of [0, 1]) {
      writeFrame(template, out, 0, OPAQUE_BASE, counter);
      signFrame(template.signing!, out, 0, out.length);
      expectSigned(out);
    }
  });
});

test("requests that are made one by one are signed when they are made", () => {
  expectSigned(requestFrame(37, { msgId: "x" }, credentials));
});

const PULL: PullSettings = { consumerGroup: "g", topic: "topic", queueId: 1, maxMessages: 32, waits: true };

test.each([
  ["signed", credentials],
  ["not signed", undefined],
] as const)("a pull, %s, asks for its offset, whatever the one before was", (_, credentials) => {
  const pulls = new PullFrames({ ...PULL, credentials });
  const out = Buffer.alloc(7 + pulls.bytesMax);
  for (const offset of [0, 1_000_000, 9, Number.MAX_SAFE_INTEGER, 10]) {
    const end = pulls.write(out, 7, OPAQUE_BASE + (offset % 10), offset);
    expect(end - 7).toBe(out.readInt32BE(7) + 4);
    const frame = out.subarray(7, end);
    const ext = credentials === undefined ? decodeCommand(frame, 0, frame.length).ext : expectSigned(frame);
    expect(ext).toMatchObject({ queueOffset: String(offset), topic: "topic", sysFlag: "6", subscription: "*" });
    expect(decodeCommand(frame, 0, frame.length).opaque).toBe(OPAQUE_BASE + (offset % 10));
    if (credentials === undefined) expect(ext.Signature).toBeUndefined();
  }
});

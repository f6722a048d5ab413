import { LANGUAGES } from "../../lib/remoting/codes.ts";
import type { RemotingCommand, SerializeType } from "../../lib/remoting/types.ts";
import golden from "../golden/commands.json";

export interface GoldenFrame {
  name: string;
  bytes: Buffer;
  command: RemotingCommand;
}

/** Frames recorded from Java, with what Java decoded from them again. */
export const GOLDEN_FRAMES: GoldenFrame[] = golden.frames.map((frame) => ({
  name: `${frame.name} (${frame.serializeType === 0 ? "JSON" : "ROCKETMQ"})`,
  bytes: Buffer.from(frame.hex, "hex"),
  command: {
    code: frame.code,
    language: (LANGUAGES as readonly string[]).indexOf(frame.language),
    version: frame.version,
    opaque: frame.opaque,
    flag: frame.flag,
    remark: frame.remark ?? undefined,
    ext: Object.assign(Object.create(null), frame.ext),
    body: frame.body === null ? undefined : Buffer.from(frame.body, "hex"),
    serializeType: frame.serializeType as SerializeType,
  },
}));

/** A JSON frame with this header text. */
export function jsonFrame(header: string, body = ""): Buffer {
  const head = Buffer.from(header);
  const tail = Buffer.from(body);
  const prefix = Buffer.alloc(8);
  prefix.writeInt32BE(4 + head.length + tail.length);
  prefix.writeInt32BE(head.length, 4);
  return Buffer.concat([prefix, head, tail]);
}

/** Pseudo-random numbers below `limit` from a seed (mulberry32), so that a failure can be run again. */
export function randomFrom(seed: number): (limit: number) => number {
  let state = seed | 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

import { writeDecimal } from "../../base/bytes.ts";
import type { Credentials } from "../../client/credentials.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { FRAME_PREFIX_BYTES } from "../../remoting/frame.ts";
import { EXT_LENGTH_AT, OPAQUE_AT, requestFrame } from "./frames.ts";

/** Bits of a pull's sysFlag [PullSysFlag]: wait for new messages, and the subscription is in the request. */
const SUSPEND = 2;
const SUBSCRIPTION = 4;
const SUSPEND_MS = 15_000;

export interface PullSettings {
  consumerGroup: string;
  topic: string;
  queueId: number;
  maxMessages: number;
  /** At the end of the queue the broker keeps the request. */
  waits: boolean;
  credentials?: Credentials | undefined;
}

/** PULL_MESSAGE with its own subscription to everything. */
export function pullFrame(settings: PullSettings, offset: number): Buffer {
  const { consumerGroup, topic, queueId, maxMessages, waits, credentials } = settings;
  // The offset last: `PullFrames` writes another one over it.
  const fields = {
    consumerGroup,
    topic,
    queueId: String(queueId),
    maxMsgNums: String(maxMessages),
    sysFlag: String(waits ? SUSPEND | SUBSCRIPTION : SUBSCRIPTION),
    commitOffset: "0",
    suspendTimeoutMillis: String(SUSPEND_MS),
    subVersion: "0",
    subscription: "*",
    expressionType: "TAG",
    queueOffset: String(offset),
  };
  return requestFrame(RequestCode.PULL_MESSAGE, fields, credentials);
}

/** Pulls of one queue: made once, then only opaque and offset change. Signed ones are made anew each time. */
export class PullFrames {
  readonly #settings: PullSettings;
  /** Everything before the digits of the offset, which end the frame; the lengths are those of no digits. */
  readonly #head: Buffer;
  /** Bytes that a request may take. */
  readonly bytesMax: number;

  constructor(settings: PullSettings) {
    this.#settings = settings;
    this.bytesMax = pullFrame(settings, Number.MAX_SAFE_INTEGER).length;
    this.#head = pullFrame({ ...settings, credentials: undefined }, 0).subarray(0, -1);
    addToLengths(this.#head, 0, this.#head.length, -1);
  }

  /** Writes the pull from `offset` on at `at` of `out` and returns the end. */
  write(out: Buffer, at: number, opaque: number, offset: number): number {
    const head = this.#head;
    let end: number;
    if (this.#settings.credentials === undefined) {
      head.copy(out, at);
      end = writeDecimal(out, at + head.length, offset);
      addToLengths(out, at, head.length, end - at - head.length);
    } else {
      const frame = pullFrame(this.#settings, offset);
      frame.copy(out, at);
      end = at + frame.length;
    }
    out.writeInt32BE(opaque, at + FRAME_PREFIX_BYTES + OPAQUE_AT);
    return end;
  }
}

/** Frame, header, fields and last field are `bytes` longer; the header's encoding stands above its length and stays. */
function addToLengths(frame: Buffer, at: number, headBytes: number, bytes: number): void {
  for (const place of [at, at + 4, at + FRAME_PREFIX_BYTES + EXT_LENGTH_AT, at + headBytes - 4])
    frame.writeInt32BE(frame.readInt32BE(place) + bytes, place);
}

import { RequestCode } from "../../remoting/codes.ts";
import { requestFrame } from "../raw/frames.ts";
import type { LoadPlan } from "./plan.ts";

/** Delay level at which a failed message comes again: the shortest. */
const RETRY_LEVEL = 1;
const MAX_RECONSUME_TIMES = 16;
/** Opaques of these requests lie above those of the pulls. */
const OPAQUE_STEP = 1_000_000;
const OPAQUE_AT = 13;

/** Topic of a group's failed messages [MixAll#getRetryTopic]. */
export function retryTopicOf(group: string): string {
  return `%RETRY%${group}`;
}

/** The name of the load's n-th consumer group. */
export function groupName({ group }: Pick<LoadPlan, "group">, index: number): string {
  return index === 0 ? group : `${group}-${index + 1}`;
}

export function groupNames(plan: Pick<LoadPlan, "group" | "groups">): string[] {
  return Array.from({ length: plan.groups }, (_, index) => groupName(plan, index));
}

/** Messages that a consumer has given back and the broker has not answered for. */
export class SendBacks {
  readonly #plan: LoadPlan;
  readonly #group: string;
  readonly #base: number;
  readonly #waiting = new Map<number, () => void>();
  #next = 0;

  constructor(plan: LoadPlan, group: string, opaqueBase: number) {
    this.#plan = plan;
    this.#group = group;
    this.#base = opaqueBase + OPAQUE_STEP;
  }

  /** CONSUMER_SEND_MSG_BACK of a record at this place of the commit log; `refused` runs when the broker does not take it. */
  frame(commitLogOffset: number, refused: () => void): Buffer {
    const fields = {
      offset: String(commitLogOffset),
      group: this.#group,
      delayLevel: String(RETRY_LEVEL),
      originTopic: this.#plan.topic,
      unitMode: "false",
      maxReconsumeTimes: String(MAX_RECONSUME_TIMES),
    };
    const bytes = requestFrame(RequestCode.CONSUMER_SEND_MSG_BACK, fields, this.#plan.credentials);
    const opaque = this.#base + this.#next++;
    bytes.writeInt32BE(opaque, OPAQUE_AT);
    this.#waiting.set(opaque, refused);
    return bytes;
  }

  /** True when the answer was to one of these. */
  answered(opaque: number, isTaken: boolean): boolean {
    const refused = this.#waiting.get(opaque);
    if (refused === undefined) return false;
    this.#waiting.delete(opaque);
    if (!isTaken) refused();
    return true;
  }

  /** The connection is gone: whether they were taken nobody knows, and nobody waits for them. */
  clear(): void {
    for (const refused of this.#waiting.values()) refused();
    this.#waiting.clear();
  }
}

import { HeaderSlots } from "../../remoting/header-slots.ts";

/** Slots of SendMessageRequestHeader and its V2 with one-letter names; the first eight are required. */
export const SEND_SLOT = {
  producerGroup: 0,
  topic: 1,
  defaultTopic: 2,
  defaultTopicQueueNums: 3,
  queueId: 4,
  sysFlag: 5,
  bornTimestamp: 6,
  flag: 7,
  properties: 8,
  reconsumeTimes: 9,
  unitMode: 10,
  maxReconsumeTimes: 11,
  batch: 12,
} as const;

const LETTERS = "abcdefghijklm";
const NAMES = Object.keys(SEND_SLOT);
const REQUIRED = 8;

export function createSendSlots(): HeaderSlots {
  return new HeaderSlots(NAMES.map((name, slot) => [LETTERS[slot] ?? name, name]));
}

/** Throws the ResponseError of the first required field that is absent. */
export function requireSendFields(slots: HeaderSlots): void {
  for (let slot = 0; slot < REQUIRED; slot++) slots.require(slot);
}

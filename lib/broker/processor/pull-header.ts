import { HeaderSlots } from "../../remoting/header-slots.ts";

/** Slots of PullMessageRequestHeader; the first nine are required. */
export const PULL_SLOT = {
  consumerGroup: 0,
  topic: 1,
  queueId: 2,
  queueOffset: 3,
  maxMsgNums: 4,
  sysFlag: 5,
  commitOffset: 6,
  suspendTimeoutMillis: 7,
  subVersion: 8,
  subscription: 9,
  expressionType: 10,
} as const;

/** Bits of a pull's sysFlag [PullSysFlag]. */
export const PULL_SYS_FLAG = { commitOffset: 1, suspend: 2, subscription: 4, classFilter: 8, litePull: 16 } as const;

const NAMES = Object.keys(PULL_SLOT);
const REQUIRED = 9;

export function createPullSlots(): HeaderSlots {
  return new HeaderSlots(NAMES.map((name) => [name]));
}

/** Throws the ResponseError of the first required field that is absent. */
export function requirePullFields(slots: HeaderSlots): void {
  for (let slot = 0; slot < REQUIRED; slot++) slots.require(slot);
}

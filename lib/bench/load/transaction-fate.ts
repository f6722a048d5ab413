import type { LocalTransactionState } from "../../client/producer/transaction-state.ts";
import type { LoadPlan } from "./plan.ts";
import { isPicked, pickedBelow } from "./spread.ts";

/** More checks of one message than are ever told apart; their number comes from the network. */
export const CHECKS_MAX = 1000;

export type FateRates = Pick<LoadPlan, "rollbackRate" | "unknownRate" | "checkRollbackRate" | "checkUnknownRate">;

/**
 * What a producer says of one of its transactions: `times` is 0 when the half message was sent, else the number of the check. A part
 * of all is rolled back, of the rest a part is left unknown, and so again at every check, as RocketMQ's program has it. Follows from
 * the number alone, so that any thread can answer for any other; what was decided once stays.
 */
export function fateOf(rates: FateRates, sequence: number, times: number): LocalTransactionState {
  return decisionOf(rates, sequence, times).state;
}

/** Number of the check that decides it, 0 where none is needed; undefined when none of the first `times` does. */
export function decidedAt(rates: FateRates, sequence: number, times: number): number | undefined {
  const { state, at } = decisionOf(rates, sequence, times);
  return state === "UNKNOW" ? undefined : at;
}

function decisionOf(rates: FateRates, sequence: number, times: number): { state: LocalTransactionState; at: number } {
  // Its number among those of which the same is to be decided.
  let number = sequence;
  for (let at = 0; at <= times; at++) {
    const [rollback, unknown] =
      at === 0 ? [rates.rollbackRate, rates.unknownRate] : [rates.checkRollbackRate, rates.checkUnknownRate];
    if (isPicked(rollback, number)) return { state: "ROLLBACK_MESSAGE", at };
    number -= pickedBelow(rollback, number);
    if (!isPicked(unknown, number)) return { state: "COMMIT_MESSAGE", at };
    number = pickedBelow(unknown, number);
  }
  return { state: "UNKNOW", at: times };
}

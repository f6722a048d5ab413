import { TRANSACTION_COMMIT_TYPE, TRANSACTION_NOT_TYPE, TRANSACTION_ROLLBACK_TYPE } from "../../message/sys-flag.ts";

/** [LocalTransactionState] */
export type LocalTransactionState = "COMMIT_MESSAGE" | "ROLLBACK_MESSAGE" | "UNKNOW";

/** What END_TRANSACTION says of each as `commitOrRollback`. */
export const STATE_FLAGS: Readonly<Record<LocalTransactionState, number>> = {
  COMMIT_MESSAGE: TRANSACTION_COMMIT_TYPE,
  ROLLBACK_MESSAGE: TRANSACTION_ROLLBACK_TYPE,
  UNKNOW: TRANSACTION_NOT_TYPE,
};

import type { TuneItem } from "../types.ts";

/** The fields of a check that apply never changes anything for. */
export const REPORT_ONLY = {
  persist: "none",
  effect: "-",
  revert: "never",
  reach: "same",
  compare: "same",
  off: "WARN",
  must: false,
} satisfies Partial<TuneItem>;

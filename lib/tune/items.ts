import { LIMIT_ITEMS } from "./items/limits.ts";
import { VM_ITEMS } from "./items/vm.ts";
import type { TuneItem } from "./types.ts";

/** Every check, in the order of the report. */
export const ITEMS: readonly TuneItem[] = [...LIMIT_ITEMS, ...VM_ITEMS];

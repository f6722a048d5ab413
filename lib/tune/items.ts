import { BROKER_ITEMS } from "./items/broker.ts";
import { CONFLICT_ITEMS } from "./items/conflict.ts";
import { DISK_ITEMS } from "./items/disk.ts";
import { HOST_ITEMS, MEMORY_ITEMS } from "./items/host.ts";
import { LIMIT_ITEMS } from "./items/limits.ts";
import { NET_ITEMS } from "./items/net.ts";
import { RUNTIME_ITEMS } from "./items/runtime.ts";
import { STORE_ITEMS } from "./items/store.ts";
import { UNIT_ITEMS } from "./items/unit.ts";
import { VM_ITEMS } from "./items/vm.ts";
import type { TuneItem, TuneOptions } from "./types.ts";

/** Every check of the machine, in the order of the report. */
export const ITEMS: readonly TuneItem[] = [
  ...LIMIT_ITEMS,
  ...VM_ITEMS,
  ...MEMORY_ITEMS,
  ...STORE_ITEMS,
  ...DISK_ITEMS,
  ...NET_ITEMS,
  ...HOST_ITEMS,
  ...UNIT_ITEMS,
  ...CONFLICT_ITEMS,
];

/** Every check of a broker's properties file: its own settings, and what a JVM has flags for. */
export const CONFIG_ITEMS: readonly TuneItem[] = [...BROKER_ITEMS, ...RUNTIME_ITEMS];

/** All checks there are. */
export const ALL_ITEMS: readonly TuneItem[] = [...ITEMS, ...CONFIG_ITEMS];

/** What a report looks at: the broker's file only where one is given. */
export function itemsFor({ config }: TuneOptions): readonly TuneItem[] {
  return config === undefined ? ITEMS : [...ITEMS, ...CONFIG_ITEMS];
}

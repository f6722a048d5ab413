import { totalmem } from "node:os";

/** Memory of the machine, or of the container where that is less. */
export function memoryBytes(): number {
  const constrained = process.constrainedMemory?.() ?? 0;
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}

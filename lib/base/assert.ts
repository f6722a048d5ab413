/** An invariant of our own that does not hold: the process must stop, never answer. Not for bytes from a peer or a disk. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws AssertionError unless `condition` holds. Always on; `what` names the invariant. */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new AssertionError(what);
}

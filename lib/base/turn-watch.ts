/** Told how long something kept the loop, and what it was. */
type TurnObserver = (ms: number, what: string) => void;

let observer: TurnObserver | undefined;

/** Sets who is told of turns, or nobody: without one nothing is measured. */
export function observeTurns(next: TurnObserver | undefined): void {
  observer = next;
}

/** Who is told of turns. */
export function turnObserver(): TurnObserver | undefined {
  return observer;
}

/** Runs a piece of work under a name that the pause log gives. */
export function watchTurn<T>(what: string, work: () => T): T {
  if (observer === undefined) return work();
  const begun = performance.now();
  try {
    return work();
  } finally {
    observer(performance.now() - begun, what);
  }
}

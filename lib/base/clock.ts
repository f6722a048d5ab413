let turnTime = 0;

/** ms since the epoch. Inside a data callback of a socket the time of its begin, else the system's. */
export function now(): number {
  return turnTime === 0 ? Date.now() : turnTime;
}

/** Holds the clock for one turn, so that a turn that handles many messages reads it once. Returns the time. */
export function beginTurn(): number {
  turnTime = Date.now();
  return turnTime;
}

/** Lets the clock run again. */
export function endTurn(): void {
  turnTime = 0;
}

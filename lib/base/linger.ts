/** Turns of so many frames mean a loop that finds the next ones by itself. */
export const BUSY_TURN_FRAMES = 3;
/** Small turns that follow each other this closely make an attempt worthwhile, ms. A wake of a halted core takes a tenth of it. */
const CLOSE_MS = 0.25;
const CLOSE_TURNS = 16;
/** A wait that meets a request is worth so much of it, ms: a wake of a halted core, on both sides. */
const WORTH_MS = 0.06;
/** What waits may have cost beyond their worth before they end, ms: at the beginning, and at most. */
const CREDIT_FIRST_MS = 0.3;
const CREDIT_MAX_MS = 1;

/**
 * Keeps the event loop awake for some microseconds behind a small turn. Where a peer sends its next request as soon as it has the
 * answer, most of the time there and back is the waking of halted cores; a loop that looks again instead of sleeping saves its own
 * half. It does so only while that pays: on average a wait must meet a request within 60 µs; a busy loop and a quiet one never wait.
 */
export class Linger {
  #windowMs = 0;
  #credit = 0;
  #closeTurns = 0;
  #turns = 0;
  #seen = 0;
  #lastTurn = 0;
  #waitedMs = 0;
  #looking = false;
  #held = false;

  /** The loop does not sleep now. */
  get looking(): boolean {
    return this.#looking;
  }

  /** Turns so far; differences count. */
  get turns(): number {
    return this.#turns;
  }

  /** 0: the loop sleeps whenever it has nothing to do. */
  set(microseconds: number): void {
    this.#windowMs = microseconds / 1000;
    this.#credit = 0;
    this.#closeTurns = 0;
  }

  /** A turn that served `frames` requests or answers is over. */
  turnDone(frames: number): void {
    this.#turns = (this.#turns + 1) | 0;
    if (this.#windowMs === 0) return;
    const before = this.#lastTurn;
    this.#lastTurn = performance.now();
    if (frames >= BUSY_TURN_FRAMES) {
      this.#credit = 0;
      this.#closeTurns = 0;
      return;
    }
    if (this.#looking) {
      this.#waitedMs = this.#lastTurn - before;
      return;
    }
    if (this.#credit === 0) {
      this.#closeTurns = this.#lastTurn - before < CLOSE_MS ? this.#closeTurns + 1 : 0;
      if (this.#closeTurns < CLOSE_TURNS) return;
      this.#closeTurns = 0;
      this.#credit = CREDIT_FIRST_MS;
    }
    if (!this.#held) this.#begin();
  }

  /** Answers wait for the disk: no peer sends its next request before `answered`. */
  hold(): void {
    this.#held = true;
  }

  /** They have left. */
  answered(): void {
    this.#held = false;
    if (this.#windowMs === 0) return;
    this.#lastTurn = performance.now();
    if (this.#credit > 0 && !this.#looking) this.#begin();
  }

  #begin(): void {
    this.#looking = true;
    this.#seen = this.#turns;
    setImmediate(this.#look);
  }

  /** One more round of the loop, which looks at the sockets without sleeping. */
  readonly #look = (): void => {
    if (this.#turns !== this.#seen) {
      this.#seen = this.#turns;
      if (this.#credit > 0) this.#credit = Math.min(CREDIT_MAX_MS, this.#credit + WORTH_MS - this.#waitedMs);
      if (this.#credit < 0) this.#credit = 0;
    } else if (performance.now() - this.#lastTurn > this.#windowMs) {
      this.#credit = Math.max(0, this.#credit - this.#windowMs);
      this.#looking = false;
      return;
    }
    if (this.#credit === 0 || this.#held) this.#looking = false;
    else setImmediate(this.#look);
  };
}

/** Of this thread's event loop. */
export const linger = new Linger();

import { now } from "./clock.ts";
import type { LogFields } from "./log.ts";

const WINDOW_MS = 10_000;

/**
 * Lets through a few lines per ten seconds of something that peers can cause as often as they like, and says how many were left
 * out once it goes on in a later window.
 */
export class LogLimit {
  readonly #linesMax: number;
  readonly #write: (message: string, fields?: LogFields) => void;
  #windowEnd = 0;
  #lines = 0;
  #left = 0;

  constructor(linesMax: number, write: (message: string, fields?: LogFields) => void) {
    this.#linesMax = linesMax;
    this.#write = write;
  }

  write(message: string, fields?: LogFields): void {
    const time = now();
    if (time >= this.#windowEnd) {
      if (this.#left > 0) this.#write(`${this.#left} more lines like those before were left out`);
      this.#windowEnd = time + WINDOW_MS;
      this.#lines = 0;
      this.#left = 0;
    }
    if (this.#lines < this.#linesMax) {
      this.#lines++;
      this.#write(message, fields);
    } else {
      this.#left++;
    }
  }
}

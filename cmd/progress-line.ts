/** One line on a terminal that is written over and over; nothing where stderr is no terminal. */
export class ProgressLine {
  readonly #on = process.stderr.isTTY === true;
  #shown = false;

  get on(): boolean {
    return this.#on;
  }

  show(text: string): void {
    if (!this.#on) return;
    this.#shown = true;
    process.stderr.write(`\r\u001b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#shown) process.stderr.write("\r\u001b[K");
    this.#shown = false;
  }
}

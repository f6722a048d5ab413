/** Lets several loops of one service together do `itemsMax` steps in one turn of the event loop; then sockets have theirs. */
export class TurnShare {
  #items = 0;
  #nextTurn: Promise<void> | undefined;

  constructor(private readonly itemsMax: number) {}

  /** To be asked before each step: what to wait for first, undefined = nothing. */
  take(): Promise<void> | undefined {
    if (this.#nextTurn !== undefined) return this.#nextTurn;
    this.#items++;
    if (this.#items < this.itemsMax) return undefined;
    this.#nextTurn = new Promise((resolve) =>
      setImmediate(() => {
        this.#items = 0;
        this.#nextTurn = undefined;
        resolve();
      }),
    );
    return this.#nextTurn;
  }
}

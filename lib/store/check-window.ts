import { closeSync, openSync, readSync } from "node:fs";

const WINDOW_BYTES = 8 * 1024 * 1024;

/** Reads a file through a window that moves, without mapping it. */
export class FileWindow implements Disposable {
  readonly fileBytes: number;
  readonly #fd: number;
  readonly #windowBytes: number;
  #buffer: Buffer;
  #from = 0;
  #filled = 0;

  constructor(path: string, fileBytes: number, windowBytes = WINDOW_BYTES) {
    this.fileBytes = fileBytes;
    this.#windowBytes = Math.min(windowBytes, Math.max(fileBytes, 1));
    this.#buffer = Buffer.alloc(0);
    this.#fd = openSync(path, "r");
  }

  /** A buffer that holds [at, at + bytes) of the file; `startOf(at)` says where. Good until the next call. */
  at(at: number, bytes: number): Buffer {
    if (at < this.#from || at + bytes > this.#from + this.#filled) this.#move(at, bytes);
    return this.#buffer;
  }

  startOf(at: number): number {
    return at - this.#from;
  }

  #move(at: number, bytes: number): void {
    const wanted = Math.max(bytes, this.#windowBytes);
    if (this.#buffer.length < wanted) this.#buffer = Buffer.alloc(wanted);
    this.#from = at;
    this.#filled = 0;
    while (this.#filled < wanted) {
      const read = readSync(this.#fd, this.#buffer, this.#filled, wanted - this.#filled, at + this.#filled);
      if (read === 0) break;
      this.#filled += read;
    }
    // What lies behind the file's end reads as zeros.
    this.#buffer.fill(0, this.#filled);
    this.#filled = wanted;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

import { Worker } from "node:worker_threads";
import type { AllocateReply, AllocateRequest } from "../mappedfile/allocate-worker.ts";
import type { Touchable } from "./file-allocator.ts";

/** A further helper thread that only touches pages: where memory is slow to get (a virtual machine's first use of a page), one cannot keep up. */
export class TouchHelper {
  /** Requests under way. */
  pending = 0;
  /** It failed and is not to be used again. */
  failed = false;
  readonly #worker: Worker;
  /** In the order of the requests. */
  readonly #held: Touchable[] = [];

  /** @param onTouched gets 0 or the errno of each request; what was asked for when the thread failed is not answered. */
  constructor(entry: string, onTouched: (errno: number) => void) {
    this.#worker = new Worker(entry, { workerData: { role: "allocate" } });
    this.#worker.on("message", (reply: AllocateReply) => {
      if (reply.kind !== "touch") return;
      this.pending--;
      this.#held.shift()?.release();
      onTouched(reply.errno);
    });
    this.#worker.on("error", () => {
      this.failed = true;
      this.#release();
    });
    this.#worker.unref();
  }

  /** Touches `bytes` of a file that the caller has retained for it: at an address, or at an offset of `fd`. */
  touch(file: Touchable, address: number, bytes: number, fd: number): void {
    this.#held.push(file);
    this.pending++;
    this.#post({ kind: "touch", address, bytes, locking: "", fd });
  }

  #post(request: AllocateRequest): void {
    this.#worker.postMessage(request);
  }

  #release(): void {
    this.pending = 0;
    for (const file of this.#held.splice(0)) file.release();
  }

  /** Ends the thread, after `msMax` in any case; then the files are let go. */
  async close(msMax: number): Promise<void> {
    if (!this.failed) {
      await new Promise<void>((resolve) => {
        const limit = setTimeout(resolve, msMax);
        this.#worker.once("exit", () => {
          clearTimeout(limit);
          resolve();
        });
        this.#post({ kind: "stop" });
      });
    }
    this.#release();
  }
}

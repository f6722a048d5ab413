import { readFileSync } from "node:fs";
import { writeFileAtomic } from "../../base/atomic-file.ts";
import { errorText } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";

/** More is no file of a broker's config folder. */
const BYTES_MAX = 64 * 1024 * 1024;

/**
 * A file of the config folder whose content mq does not use itself: a slave keeps what its master told, a master tells what the file
 * holds, so that a Java broker in either place finds its state.
 */
export class KeptFile {
  #bytes: Buffer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(
    readonly path: string,
    private readonly logger: Logger,
  ) {}

  get bytes(): Buffer | undefined {
    return this.#bytes;
  }

  /** A file that is missing or cannot be read is no file. */
  load(): void {
    try {
      const bytes = readFileSync(this.path);
      if (bytes.length > 0 && bytes.length <= BYTES_MAX) this.#bytes = bytes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        this.logger.warn(`${this.path} is not read: ${errorText(error)}`);
    }
  }

  /** Keeps these bytes and has them written when they are others than before. */
  take(bytes: Buffer): void {
    if (bytes.length > BYTES_MAX || this.#bytes?.equals(bytes)) return;
    this.#bytes = Buffer.from(bytes);
    this.#writing = this.#writing.then(() => this.#write());
  }

  /** Resolves when all that was taken is written, or could not be. */
  settled(): Promise<void> {
    return this.#writing;
  }

  async #write(): Promise<void> {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    try {
      await writeFileAtomic(this.path, bytes, { keepPrevious: false });
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.logger.error(`write ${this.path}: ${errorText(error)}`);
      this.#failing = true;
    }
  }
}

import { close, fstat, open, rename, write } from "node:fs";
import { promisify } from "node:util";

const openFile = promisify(open);
const statFile = promisify(fstat);
const closeFile = promisify(close);
const renameFile = promisify(rename);

/** Lines that wait for a slow disk; more are dropped and counted. */
const WAITING_BYTES_MAX = 256 * 1024;

export interface RotatingFileOptions {
  path: string;
  /** Bytes after which the file becomes `path.1`, that `path.2`, and so on. */
  fileBytes: number;
  /** Files kept, the current one among them. */
  files: number;
  /** A write failed; told once, and nothing is written from then on. */
  onError: (error: unknown) => void;
}

/** Lines appended to a file that never grows past its share: written off the loop, one write at a time, dropped rather than piled up. */
export class RotatingFile {
  private readonly options: RotatingFileOptions;
  private waiting = "";
  private dropped = 0;
  private fd = -1;
  private size = 0;
  private writing: Promise<void> | undefined;
  private failed = false;

  constructor(options: RotatingFileOptions) {
    this.options = options;
  }

  /** Appends one line, without its end. */
  write(line: string): void {
    if (this.failed) return;
    if (this.waiting.length + line.length > WAITING_BYTES_MAX) {
      this.dropped++;
      return;
    }
    if (this.dropped > 0) this.waiting += `${this.dropped} lines were dropped: the file takes them too slowly\n`;
    this.dropped = 0;
    this.waiting += `${line}\n`;
    this.writing ??= this.writeWaiting().finally(() => {
      this.writing = undefined;
    });
  }

  /** Resolves when everything written so far is in the file. */
  written(): Promise<void> {
    return this.writing ?? Promise.resolve();
  }

  /** Writes what waits and closes. */
  async close(): Promise<void> {
    await this.written();
    if (this.fd >= 0) await closeFile(this.fd);
    this.fd = -1;
    this.failed = true;
  }

  private async writeWaiting(): Promise<void> {
    try {
      while (this.waiting !== "") {
        const bytes = Buffer.from(this.waiting);
        this.waiting = "";
        if (this.fd >= 0 && this.size + bytes.length > this.options.fileBytes && this.size > 0) await this.rotate();
        if (this.fd < 0) await this.open();
        await this.writeAll(bytes);
      }
    } catch (error) {
      this.failed = true;
      this.options.onError(error);
    }
  }

  private async open(): Promise<void> {
    this.fd = await openFile(this.options.path, "a", 0o644);
    this.size = (await statFile(this.fd)).size;
  }

  private async writeAll(bytes: Buffer): Promise<void> {
    let at = 0;
    while (at < bytes.length) {
      const start = at;
      at += await new Promise<number>((resolve, reject) =>
        write(this.fd, bytes, start, bytes.length - start, null, (error, written) =>
          error ? reject(error) : resolve(written),
        ),
      );
    }
    this.size += bytes.length;
  }

  private async rotate(): Promise<void> {
    const { path, files } = this.options;
    await closeFile(this.fd);
    this.fd = -1;
    if (files <= 1) {
      await closeFile(await openFile(path, "w", 0o644));
      return;
    }
    for (let number = files - 1; number >= 1; number--) {
      const from = number === 1 ? path : `${path}.${number - 1}`;
      await renameFile(from, `${path}.${number}`).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
  }
}

import { rmSync, writeFileSync } from "node:fs";
import { errorText, MqError } from "../lib/base/errors.ts";

/** Readiness for probes that look for a file: it is there exactly while the server is ready, and says who wrote it. */
export class ReadyFile {
  constructor(private readonly path: string | undefined) {
    // One that a crash left behind would lie.
    this.remove();
  }

  /** Writes one JSON object: the process id and what is given. */
  write(facts: Record<string, string | number>): void {
    if (this.path === undefined) return;
    try {
      writeFileSync(this.path, `${JSON.stringify({ pid: process.pid, ...facts })}\n`);
    } catch (error) {
      throw new MqError(`write ready file ${this.path}: ${errorText(error)}`, undefined, { cause: error });
    }
  }

  remove(): void {
    if (this.path !== undefined) rmSync(this.path, { force: true });
  }
}

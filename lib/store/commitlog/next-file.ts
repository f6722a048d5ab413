import { assert } from "../../base/assert.ts";
import { errorText, MqError } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";
import type { MappedFileQueue } from "../mappedfile/mapped-file-queue.ts";
import type { FileAllocator } from "./file-allocator.ts";

/** After a file could not be made, the disk is asked again this much later. */
const CREATE_RETRY_MS = 1000;

/** Makes the log's files, and says once that none can be made, and once that they can be again. */
export class NextFile {
  private failedUntil = 0;
  private failure = "";

  constructor(
    private readonly files: MappedFileQueue,
    private readonly allocator: FileAllocator,
    private readonly logger: Logger | undefined,
  ) {}

  /** The file behind the last one; the first one begins at `startOffset`. Throws MqError where the disk has no room for it. */
  make(startOffset: number): MappedFile {
    // A full disk is asked once a second, not once a message: every attempt allocates what is left of it.
    if (performance.now() < this.failedUntil) throw new MqError(this.failure);
    try {
      const offset = this.files.nextFileOffset(startOffset);
      const file = this.files.createNextWith((path) => this.allocator.open(path), startOffset);
      assert(file.fileFromOffset === offset, "the new file starts where the last one ends");
      if (this.failure !== "") this.logger?.info("commit-log files can be made again", { file: file.path });
      this.failure = "";
      return file;
    } catch (error) {
      const failure = `cannot make the next commit-log file: ${errorText(error)}`;
      if (this.failure !== failure) this.logger?.error(failure);
      this.failure = failure;
      this.failedUntil = performance.now() + CREATE_RETRY_MS;
      throw new MqError(this.failure);
    }
  }
}

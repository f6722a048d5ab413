import type { Logger } from "../../base/log.ts";
import type { MappedFile } from "../mappedfile/mapped-file.ts";
import type { ConsumeQueue } from "./consume-queue.ts";
import type { EntryStage } from "./entry-stage.ts";

/** What a queue needs of the store it belongs to. */
export interface QueueSurroundings {
  readonly fileBytes: number;
  readonly logger: Logger;
  readonly stage: EntryStage;
  /** First offset that the commit log still has. */
  minPhysicalOffset(): number;
  /** The queue has its first byte that is not on the disk. */
  markDirty(queue: ConsumeQueue): void;
  /** The queue has mapped one more file. */
  opened(queue: ConsumeQueue): void;
  makeDirectory(path: string): void;
  /** Bytes of the tail that are about to be written: their pages are touched elsewhere, so that the writer meets no fault. */
  touch(file: MappedFile, start: number, end: number): void;
}

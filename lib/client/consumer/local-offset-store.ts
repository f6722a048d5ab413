import { mkdir, open, readFile, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { stringifyFastjson } from "../../base/fastjson.ts";
import { integer, messageQueueMapOf, parseBody } from "../../protocol/body/tolerant.ts";
import { type MessageQueue, messageQueueKey } from "../message-queue.ts";
import { type OffsetStore, OffsetTable } from "./offset-store.ts";

const fileSchema = v.object({ offsetTable: messageQueueMapOf(integer) });

/** `$HOME/.rocketmq_offsets/<clientId>/<group>/offsets.json`, where Java clients keep it too. */
export function localOffsetFile(
  clientId: string,
  group: string,
  baseDir = join(homedir(), ".rocketmq_offsets"),
): string {
  return join(baseDir, clientId, group, "offsets.json");
}

/** [LocalFileOffsetStore] Offsets of a broadcasting group: each client keeps its own in a file, the one before as `.bak`. */
export class LocalOffsetStore extends OffsetTable implements OffsetStore {
  readonly #file: string;
  readonly #readOnly: boolean;
  #written = "";
  #writing: Promise<void> = Promise.resolve();

  constructor(file: string, options: { readOnly: boolean }) {
    super();
    this.#file = file;
    this.#readOnly = options.readOnly;
  }

  async load(): Promise<void> {
    for (const file of [this.#file, `${this.#file}.bak`]) {
      const body = await readFile(file).catch(() => undefined);
      if (body === undefined || body.length === 0) continue;
      for (const [queue, offset] of parseBody(fileSchema, body, `the offsets in ${file}`).offsetTable) {
        if (offset >= 0) this.update(queue, offset, false);
      }
      return;
    }
  }

  async readFromStore(queue: MessageQueue): Promise<number> {
    return this.memory(queue);
  }

  async persistAll(owned: readonly MessageQueue[]): Promise<void> {
    if (owned.length === 0) return;
    await this.#write();
  }

  async persist(): Promise<void> {
    await this.#write();
  }

  /** Only ends the freeze: broadcasting queues keep their offset when they go, nobody else knows it. */
  override remove(queue: MessageQueue): void {
    const entry = this.entries.get(messageQueueKey(queue));
    if (entry !== undefined) entry.frozen = false;
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#writeNow());
    return this.#writing;
  }

  async #writeNow(): Promise<void> {
    if (this.#readOnly) return;
    const offsetTable = new Map(
      [...this.entries.values()].map(({ queue: { topic, brokerName, queueId }, offset }) => [
        { topic, brokerName, queueId },
        offset,
      ]),
    );
    const text = stringifyFastjson({ offsetTable }, { pretty: true });
    if (text === this.#written) return;
    await mkdir(dirname(this.#file), { recursive: true });
    const temporary = `${this.#file}.tmp`;
    await writeSynced(temporary, text);
    await rename(this.#file, `${this.#file}.bak`).catch(() => undefined);
    await rename(temporary, this.#file);
    const directory = await open(dirname(this.#file), "r");
    await directory.sync().finally(() => directory.close());
    this.#written = text;
  }
}

async function writeSynced(file: string, text: string): Promise<void> {
  const handle = await open(file, "w");
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

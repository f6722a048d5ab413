import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Logger } from "../../lib/base/log.ts";
import { setProperties } from "../../lib/message/fill-from-properties.ts";
import { MessageInner } from "../../lib/message/message-inner.ts";
import { propertiesToBytes } from "../../lib/message/properties.ts";
import { createMessageStore } from "../../lib/store/message-store.ts";
import { type StoreConfig, storeConfig } from "../../lib/store/store-config.ts";
import type { StoreListeners } from "../../lib/store/types.ts";

/** 127.0.0.1:10911 as it stands in a record. */
export const HOST = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);

/** A directory that is gone when its block ends. */
export class TempDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "mq-store-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Keeps log lines so that a test can look at them. */
export class LogLines implements Logger {
  readonly lines: string[] = [];
  private add(level: string, message: string, fields?: object): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  }
  debug(message: string, fields?: object): void {
    this.add("debug", message, fields);
  }
  info(message: string, fields?: object): void {
    this.add("info", message, fields);
  }
  warn(message: string, fields?: object): void {
    this.add("warn", message, fields);
  }
  error(message: string, fields?: object): void {
    this.add("error", message, fields);
  }
}

/** Small files: many rolls in little time. */
export function smallConfig(root: string, overrides: Partial<StoreConfig> = {}): StoreConfig {
  return storeConfig({
    storePathRootDir: root,
    mappedFileSizeCommitLog: 64 * 1024,
    mappedFileSizeConsumeQueue: 100 * 20,
    maxHashSlotNum: 100,
    maxIndexNum: 400,
    ...overrides,
  });
}

export type Store = ReturnType<typeof createMessageStore>;

/** A store that is loaded and started. */
export async function openStore(
  config: StoreConfig,
  listeners: StoreListeners = {},
  logger: Logger = new LogLines(),
): Promise<Store> {
  const store = createMessageStore(config, listeners, logger, { usedPercent: () => 10 });
  await store.load();
  store.start();
  return store;
}

export function message(
  topic: string,
  queueId: number,
  body: string | Buffer,
  properties: Record<string, string> = {},
): MessageInner {
  const result = new MessageInner();
  result.topic = topic;
  result.queueId = queueId;
  result.bornTimestamp = 1_700_000_000_000;
  result.bornHost = HOST;
  result.storeHost = HOST;
  result.body = Buffer.from(body);
  result.bodyEnd = result.body.length;
  setProperties(result, propertiesToBytes(properties));
  return result;
}

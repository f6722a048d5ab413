import { existsSync, readFileSync } from "node:fs";
import { writeFileAtomic } from "../base/atomic-file.ts";
import { errorText, MqError } from "../base/errors.ts";
import { parseFastjson, stringifyFastjson } from "../base/fastjson.ts";
import type { Logger } from "../base/log.ts";

export const NAMESPACE_ORDER_TOPIC_CONFIG = "ORDER_TOPIC_CONFIG";
/** Keys in all namespaces together. */
const ENTRIES_MAX = 100_000;

/** Namespaces of keys and values, kept in kvConfig.json as RocketMQ does [KVConfigManager]. */
export class KvConfigManager {
  private readonly configTable = new Map<string, Map<string, string>>();
  private writing: Promise<void> = Promise.resolve();
  private writeAgain: Promise<void> | undefined;

  constructor(
    private readonly path: string,
    private readonly logger: Logger,
  ) {}

  /** Reads the file, or its .bak where it is damaged. Throws MqError when there is neither: nothing may be overwritten then. */
  load(): void {
    if (!existsSync(this.path)) return;
    try {
      this.fill(this.path);
    } catch (error) {
      this.configTable.clear();
      if (!existsSync(`${this.path}.bak`)) throw this.unreadable(error);
      try {
        this.fill(`${this.path}.bak`);
      } catch {
        throw this.unreadable(error);
      }
      this.logger.warn(`${this.path} is damaged: its previous version is used`, { error: errorText(error) });
    }
  }

  get(namespace: string, key: string): string | undefined {
    return this.configTable.get(namespace)?.get(key);
  }

  /** Sets a key; resolves when it is on disk. */
  async put(namespace: string, key: string, value: string): Promise<void> {
    const table = this.configTable.get(namespace) ?? new Map<string, string>();
    if (!table.has(key) && this.size() >= ENTRIES_MAX)
      throw new Error(`put KV config ${key}: ${ENTRIES_MAX} keys are kept already`);
    this.configTable.set(namespace, table.set(key, value));
    this.logger.info("KV config set", { namespace, key, value });
    await this.persist();
  }

  /** Deletes a key; resolves when that is on disk. */
  async delete(namespace: string, key: string): Promise<void> {
    if (this.configTable.get(namespace)?.delete(key) === true)
      this.logger.info("KV config deleted", { namespace, key });
    await this.persist();
  }

  /** [KVTable] of a namespace; undefined when nothing was ever put there. */
  encodeNamespace(namespace: string): string | undefined {
    const table = this.configTable.get(namespace);
    return table === undefined ? undefined : stringifyFastjson({ table });
  }

  /** Resolves when everything is on disk. */
  async shutdown(): Promise<void> {
    await this.writeAgain?.catch(() => {});
    await this.writing.catch(() => {});
  }

  private size(): number {
    let size = 0;
    for (const table of this.configTable.values()) size += table.size;
    return size;
  }

  /** One write at a time; those who come while one runs share the next. */
  private persist(): Promise<void> {
    this.writeAgain ??= this.writing
      .catch(() => {})
      .then(() => {
        this.writeAgain = undefined;
        this.writing = writeFileAtomic(this.path, stringifyFastjson({ configTable: this.configTable }), {
          keepPrevious: true,
        });
        return this.writing;
      });
    return this.writeAgain;
  }

  private fill(path: string): void {
    const parsed = parseFastjson(readFileSync(path));
    const table = parsed === null ? {} : field(parsed, "configTable");
    for (const [namespace, values] of Object.entries(object(table, "configTable"))) {
      const entries = Object.entries(object(values, namespace)).map(([key, value]) => [key, String(value)] as const);
      this.configTable.set(namespace, new Map(entries));
    }
  }

  private unreadable(error: unknown): MqError {
    return new MqError(
      `read ${this.path}, want RocketMQ's kvConfig.json (move it away to start without): ${errorText(error)}`,
    );
  }
}

function field(value: unknown, name: string): unknown {
  return object(value, "the document")[name] ?? {};
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (value instanceof Map) return Object.fromEntries(value);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${what} is ${typeof value}, want an object`);
}

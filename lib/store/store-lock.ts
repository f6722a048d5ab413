import { existsSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MqError } from "../base/errors.ts";
import { lockFile, unlockFile, writeLockText } from "../os/lock.ts";
import { syncDirectory } from "./mappedfile/mapped-file.ts";

/**
 * `lock` keeps every other process out, mq or JVM, and is released by the kernel when this one dies. `abort` exists while the
 * store is open and holds our pid: found at start, it means that the last stop was not in order.
 */
export class StoreLock {
  /** Whether the store was closed in order the last time. */
  readonly clean: boolean;
  private readonly root: string;
  private readonly path: string;
  private fd: number;

  private constructor(root: string, path: string, fd: number) {
    this.root = root;
    this.path = path;
    this.fd = fd;
    this.clean = !existsSync(this.abortPath);
  }

  private get abortPath(): string {
    return join(this.root, "abort");
  }

  /** Makes the store's directory if need be and locks it. Throws MqError naming the holder's pid. */
  static acquire(root: string): StoreLock {
    mkdirSync(root, { recursive: true });
    const path = join(root, "lock");
    const fd = lockFile(path);
    if (fd === -1) throw new MqError(`cannot open the store ${root}: ${holder(join(root, "abort"))} holds ${path}`);
    writeLockText(fd);
    return new StoreLock(root, path, fd);
  }

  /** Marks the store as open. */
  createAbort(): void {
    writeFileSync(this.abortPath, String(process.pid));
    syncDirectory(this.root);
  }

  /** Marks the store as closed in order. */
  removeAbort(): void {
    if (existsSync(this.abortPath)) unlinkSync(this.abortPath);
    syncDirectory(this.root);
  }

  release(): void {
    if (this.fd === -1) return;
    unlockFile(this.fd, this.path);
    this.fd = -1;
  }
}

function holder(abortPath: string): string {
  try {
    const pid = readFileSync(abortPath, "utf8").trim();
    if (/^\d+$/.test(pid)) return `process ${pid}`;
  } catch {
    // The holder is starting or stopping: it has written no pid.
  }
  return "another process";
}

import { close as closeFile, fsync, open as openFile, read as readFile } from "node:fs";

/** Reads to the end of `target` from `at`, or less; the bytes read. */
export function readAt(fd: number, target: Buffer, at: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    readFile(fd, target, at, target.length - at, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
  });
}

/** Makes names in a directory durable. */
export function syncDirectory(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    openFile(path, "r", (openError, fd) => {
      if (openError) return reject(openError);
      fsync(fd, (error) => closeFile(fd, () => (error ? reject(error) : resolve())));
    });
  });
}

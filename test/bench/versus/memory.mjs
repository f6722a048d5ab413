// A machine that has run for a while has no free memory: the kernel keeps file pages in it and hands the oldest ones out
// again. A fresh virtual machine has nothing but free memory, which its host gives page by page at the first use
// (0.4 GB/s seen): then both brokers wait for the host, and the one that writes more waits more.

import { closeSync, openSync, readFileSync, readSync, truncateSync } from "node:fs";
import { join } from "node:path";

const KEPT_FREE_BYTES = 512 * 1024 ** 2;
const CHUNK = Buffer.alloc(4 * 1024 ** 2);

let files = 0;

/** Bytes of memory that nobody uses. */
function freeBytes() {
  return Number(/^MemFree:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0) * 1024;
}

/** Fills free memory with clean pages of a sparse file in `folder`, which take no disk and go when the kernel wants them. */
export function fillPageCache(folder) {
  const bytes = freeBytes() - KEPT_FREE_BYTES;
  if (bytes <= 0) return;
  const path = join(folder, `pages-${files++}`);
  const file = openSync(path, "w+");
  try {
    truncateSync(path, bytes);
    for (let at = 0; at < bytes; at += CHUNK.length) readSync(file, CHUNK, 0, CHUNK.length, at);
  } finally {
    closeSync(file);
  }
}

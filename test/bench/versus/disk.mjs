// What the disk itself can do: one write through O_DSYNC after the other, nobody else's code between them.

import { closeSync, constants, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

const PAGE = 4096;
const FILE_BYTES = 64 * 1024 * 1024;
const MS = 1000;

/** Durable writes a second of `pages` pages each, appended to a file whose blocks were written before. */
function durableWrites(path, pages) {
  const fd = openSync(path, constants.O_WRONLY | constants.O_DSYNC);
  try {
    const bytes = Buffer.alloc(pages * PAGE, 0x78);
    const began = performance.now();
    let count = 0;
    for (; performance.now() - began < MS; count++) {
      writeSync(fd, bytes, 0, bytes.length, (count * bytes.length) % (FILE_BYTES - (FILE_BYTES % bytes.length)));
    }
    return (count * 1000) / (performance.now() - began);
  } finally {
    closeSync(fd);
  }
}

/** Rates of one page, and of what 64 and 256 messages of 1 KiB take. */
export function diskRates(folder) {
  const path = join(folder, "disk-rate");
  const fd = openSync(path, "w");
  try {
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < FILE_BYTES; at += zeros.length) writeSync(fd, zeros, 0, zeros.length, at);
    fsyncSync(fd);
    return { one: durableWrites(path, 1), of64: durableWrites(path, 21), of256: durableWrites(path, 84) };
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
}

/** For the rows that wait for the disk, measured in the same run. */
export function diskNote({ one, of64, of256 }) {
  const text = (rate) => Math.round(rate).toLocaleString("en");
  return `the disk alone, O_DSYNC: ${text(one)} single pages/s, ${text(of64)} writes/s of 64 messages, ${text(of256)} of 256`;
}

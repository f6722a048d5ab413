import { mkdir, readdir, rename, rm, stat, truncate, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Freeing blocks holds up writers of the same file system: large files go in pieces, with breaths between. */
const STEP_BYTES = 64 * 1024 * 1024;
const BREATH_MS = 10;

/**
 * Inside the files' own directory, so that the rename stays on one file system; RocketMQ skips directories there. A file that is
 * half removed when the process dies is not taken for one of the store.
 */
const ASIDE = ".deleting";

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Removes a large file off the loop. The name goes at once; while `inUse` answers true (a reader holds its mapping) nothing is
 * cut from it, at most for `patienceMs` and until `stopped`: then it is unlinked whole, which leaves the reader its pages.
 */
export async function removeFile(
  path: string,
  inUse: () => boolean,
  patienceMs: number,
  stopped: () => boolean,
  parent = dirname(path),
): Promise<void> {
  const folder = join(parent, ASIDE);
  await mkdir(folder, { recursive: true });
  const aside = join(folder, basename(path));
  await rename(path, aside);
  const until = performance.now() + patienceMs;
  while (inUse() && performance.now() < until && !stopped()) await sleep(BREATH_MS);
  if (!inUse()) {
    for (let size = (await stat(aside)).size - STEP_BYTES; size > 0; size -= STEP_BYTES) {
      await truncate(aside, size);
      await sleep(BREATH_MS);
    }
  }
  await unlink(aside);
  await rm(folder, { recursive: true, force: true });
}

/** Removes what an earlier process left half removed in `directory`. */
export async function removeLeftovers(directory: string): Promise<void> {
  const folder = join(directory, ASIDE);
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  for (const name of names) await unlink(join(folder, name));
  await rm(folder, { recursive: true, force: true });
}

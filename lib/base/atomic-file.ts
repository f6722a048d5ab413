import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";

/** What becomes of the file that was there before: `.bak`, or nothing when it is known to be bad. */
export interface AtomicFileOptions {
  /** Keep the previous content as `<path>.bak`. False while the previous content is bad and `.bak` is the good one. */
  keepPrevious: boolean;
}

let temporaryNumber = 0;

function temporaryName(path: string): string {
  temporaryNumber++;
  return `${path}.${process.pid}.${temporaryNumber}.tmp`;
}

/** Removes what writers of `path` left that were killed. Only for who knows that nobody writes it now. */
export function removeTemporaries(path: string): void {
  const folder = dirname(path);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder))
    if (name.startsWith(basename(path)) && /^(\.bak)?\.\d+\.\d+\.tmp$/.test(name.slice(basename(path).length)))
      rmSync(`${folder}/${name}`, { force: true });
}

/**
 * Replaces a file so that a crash at any point leaves the old or the new content, whole: temporary name, fsync, previous
 * kept as `.bak`, rename, fsync of the directory. Throws what node:fs throws; nothing of the old content is lost then.
 */
export function writeFileAtomicSync(path: string, content: string, options: AtomicFileOptions): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  const temporary = temporaryName(path);
  try {
    const file = openSync(temporary, "w", 0o644);
    try {
      const bytes = Buffer.from(content);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (options.keepPrevious && existsSync(path)) keepPreviousSync(path);
    renameSync(temporary, path);
    fsyncFolderSync(folder);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** writeFileAtomicSync off the event loop. Two calls for one path must not overlap. */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  options: AtomicFileOptions,
): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = temporaryName(path);
  try {
    const file = await open(temporary, "w", 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (options.keepPrevious && existsSync(path)) await keepPrevious(path);
    await rename(temporary, path);
    const directory = await open(folder, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** The previous content gets its second name before the first is taken over: there is no moment without a good file. */
function keepPreviousSync(path: string): void {
  const temporary = temporaryName(`${path}.bak`);
  try {
    linkSync(path, temporary);
  } catch {
    copyFileSync(path, temporary);
  }
  renameSync(temporary, `${path}.bak`);
}

async function keepPrevious(path: string): Promise<void> {
  const temporary = temporaryName(`${path}.bak`);
  try {
    await link(path, temporary);
  } catch {
    copyFileSync(path, temporary);
  }
  await rename(temporary, `${path}.bak`);
}

function fsyncFolderSync(folder: string): void {
  const directory = openSync(folder, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

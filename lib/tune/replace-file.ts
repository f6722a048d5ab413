import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { errorText, MqError } from "../base/errors.ts";
import { copyXattrs } from "../os/xattr.ts";

/** Called before every step that changes a disk; tests end the process there. */
export type Step = (what: string) => void;

/** Not `*.conf`: loaders read all of these, and a crash may leave this one. */
const TEMPORARY_END = ".mq-tune-new";

/** The temporary name of a file; one that is there is left from a run that was killed. */
export function temporaryOf(real: string): string {
  return join(dirname(real), `.${basename(real)}${TEMPORARY_END}`);
}

/**
 * Puts `after` in the place of a file that must still hold `before`: temporary name in the same directory, mode, owner and
 * attributes of the old one, fsync, second look at the old one, rename, fsync of the directory. A crash leaves the old or the new
 * file, whole. Throws MqError where somebody else wrote meanwhile, or the file cannot be replaced (a bind mount).
 */
export function replaceFile(real: string, before: Buffer | undefined, after: Buffer, step: Step): void {
  const temporary = temporaryOf(real);
  try {
    removeStale(temporary);
    step(`create ${temporary}`);
    const file = openSync(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    try {
      for (let at = 0; at < after.length; ) at += writeSync(file, after, at, after.length - at);
      if (before === undefined) fchmodSync(file, 0o644);
      else {
        const stat = lstatSync(real);
        const { uid, gid, mode } = stat;
        if (!stat.isFile()) throw new MqError(`${real} is no plain file: left as it is`);
        fchownSync(file, uid, gid);
        fchmodSync(file, mode & 0o7777);
        copyXattrs(real, temporary);
      }
      step(`sync ${temporary}`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    mustStillBe(real, before);
    step(`rename to ${real}`);
    renameSync(temporary, real);
    step(`sync the folder of ${real}`);
    syncFolder(dirname(real));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explained(real, error);
  }
}

/** Removes a file that must still hold `before`. */
export function removeFile(real: string, before: Buffer, step: Step): void {
  mustStillBe(real, before);
  step(`remove ${real}`);
  try {
    unlinkSync(real);
    syncFolder(dirname(real));
  } catch (error) {
    throw explained(real, error);
  }
}

/** Makes the folders of a path that are not there and names them, the outermost first. */
export function makeFolders(real: string, step: Step): string[] {
  const missing: string[] = [];
  for (let folder = dirname(real); ; folder = dirname(folder)) {
    try {
      lstatSync(folder);
      break;
    } catch {
      missing.unshift(folder);
    }
  }
  for (const folder of missing) {
    step(`make ${folder}`);
    mkdirSync(folder, { mode: 0o755 });
  }
  return missing;
}

/** Removes a folder that holds nothing any more. */
export function removeEmptyFolder(real: string): void {
  try {
    rmdirSync(real);
  } catch {
    // Somebody else has files in it, or it is gone.
  }
}

/** A temporary file that a killed run left. Only a plain file is ours. */
export function removeStale(temporary: string): void {
  try {
    if (lstatSync(temporary).isFile()) rmSync(temporary);
  } catch {
    // None there.
  }
}

function mustStillBe(real: string, before: Buffer | undefined): void {
  let now: Buffer | undefined;
  try {
    now = readFileSync(real);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const same = before === undefined ? now === undefined : now?.equals(before) === true;
  if (!same)
    throw new MqError(`${real} was changed by somebody else in the meantime: left as it is; run mq tune again`);
}

function explained(real: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EBUSY" || code === "EXDEV")
    return new MqError(
      `replace ${real}: it is mounted on its own (${code}), as containers do; change it where it comes from`,
      1,
      {
        cause: error,
      },
    );
  if (error instanceof MqError) return error;
  return new MqError(`write ${real}: ${errorText(error)}`, 1, { cause: error });
}

export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

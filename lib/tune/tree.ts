import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";
import { errorText } from "../base/errors.ts";

const LINKS_MAX = 40;
/** Nobody writes settings in larger ones. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Paths of another root as that root would see them: links inside it, absolute ones too, are followed inside it, and `..` does
 * not leave it. Nothing here throws: what cannot be read is undefined.
 */
export class Tree {
  constructor(readonly root: string) {}

  /** The real path on this machine; undefined when a link runs in circles. The last part need not exist. */
  real(path: string): string | undefined {
    return this.inside(path)?.real;
  }

  /** The path with its links followed, as the tree itself spells it. */
  resolve(path: string): string | undefined {
    return this.inside(path)?.path;
  }

  private inside(path: string): { real: string; path: string } | undefined {
    const rest = path.split("/").filter((part) => part !== "" && part !== ".");
    const done: string[] = [];
    for (let links = 0; rest.length > 0; ) {
      const part = rest.shift()!;
      if (part === "..") {
        done.pop();
        continue;
      }
      const here = join(this.root, ...done, part);
      const target = linkTarget(here);
      if (target === undefined) {
        done.push(part);
        continue;
      }
      if (++links > LINKS_MAX) return undefined;
      if (target.startsWith("/")) done.length = 0;
      rest.unshift(...target.split("/").filter((step) => step !== "" && step !== "."));
    }
    return { real: join(this.root, ...done), path: `/${done.join("/")}` };
  }

  /**
   * Bytes of a plain file; a device, a pipe or a very large file gives nothing. /proc files have size 0: they are read to their end.
   */
  bytes(path: string): Buffer | undefined {
    const found = this.content(path);
    return typeof found === "string" ? undefined : found;
  }

  /** Why the path can neither be read nor written as a file of settings; undefined: it can, or there is none. */
  unusable(path: string): string | undefined {
    const found = this.content(path);
    return typeof found === "string" ? found : undefined;
  }

  /** The bytes, undefined where there is no file, or in words why it is none of settings. */
  private content(path: string): Buffer | string | undefined {
    const real = this.real(path);
    if (real === undefined) return "links in circles";
    try {
      const stat = lstatSync(real);
      if (stat.isDirectory()) return "is a directory";
      // Files of settings are switched off by a link to /dev/null.
      if (!stat.isFile()) return "is no plain file but a device or a pipe";
      if (stat.size > FILE_BYTES_MAX) return `has ${stat.size} bytes, want at most ${FILE_BYTES_MAX}`;
      return readFileSync(real);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : `cannot be read: ${errorText(error)}`;
    }
  }

  text(path: string): string | undefined {
    return this.bytes(path)?.toString("latin1");
  }

  /** A file of one value, without the blanks around it. */
  value(path: string): string | undefined {
    return this.text(path)?.trim();
  }

  /** Names in a directory in C order; empty where there is none. */
  list(path: string): string[] {
    const real = this.real(path);
    if (real === undefined) return [];
    try {
      return readdirSync(real).sort();
    } catch {
      return [];
    }
  }

  stat(path: string): Stats | undefined {
    const real = this.real(path);
    if (real === undefined) return undefined;
    try {
      return lstatSync(real);
    } catch {
      return undefined;
    }
  }

  exists(path: string): boolean {
    return this.stat(path) !== undefined;
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

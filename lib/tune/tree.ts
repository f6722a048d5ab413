import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from "node:fs";
import { join } from "node:path";

const LINKS_MAX = 40;

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

  /** Bytes of a file. /proc files have size 0: they are read to their end. */
  bytes(path: string): Buffer | undefined {
    const real = this.real(path);
    if (real === undefined) return undefined;
    try {
      return readFileSync(real);
    } catch {
      return undefined;
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

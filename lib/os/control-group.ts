import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A limit's file in both versions of control groups. */
export interface LimitFile {
  v2: string;
  v1: string;
  /** Controller of version 1, and its folder. */
  controller: string;
}

/**
 * The files of a limit that this process's groups may have: own group first; those of a container's own root last. `root` is another
 * tree in place of `/`.
 */
export function limitFiles(root: string, limit: LimitFile): string[] {
  const files: string[] = [];
  for (const line of readText(join(root, "proc/self/cgroup")).split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, controllers = "", path = "/"] = match;
    const v1 = controllers.split(",").includes(limit.controller);
    if (controllers !== "" && !v1) continue;
    const base = join(root, "sys/fs/cgroup", v1 ? limit.controller : "");
    for (let at = path; ; at = dirname(at)) {
      files.push(join(base, at, v1 ? limit.v1 : limit.v2));
      if (at === "/") break;
    }
  }
  return files;
}

/** Empty where the file cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

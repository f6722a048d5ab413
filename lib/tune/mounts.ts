import { dirname } from "node:path";
import type { Tree } from "./tree.ts";

export interface Mount {
  /** Where it is mounted. */
  point: string;
  /** `ext4`, `nfs4`, `fuse.sshfs`. */
  type: string;
  /** The device, or what stands for it. */
  source: string;
  options: readonly string[];
  /** `259:1`, as /sys/dev/block has it. */
  device: string;
}

/** Mounts of this process, later ones lie over earlier ones [proc_pid_mountinfo(5)]. */
export function readMounts(tree: Tree): Mount[] {
  const mounts: Mount[] = [];
  for (const line of (tree.text("/proc/self/mountinfo") ?? "").split("\n")) {
    const [head = "", tail = ""] = line.split(" - ");
    const [, , device = "", , point = "", options = ""] = head.split(" ");
    const [type = "", source = ""] = tail.split(" ");
    if (type === "" || !point.startsWith("/")) continue;
    mounts.push({ point: unescaped(point), type, source: unescaped(source), options: options.split(","), device });
  }
  return mounts;
}

/** Blanks and the like in names are `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

/** The mount that holds a directory, or the nearest one above it that exists; undefined where mounts cannot be read. */
export function mountOf(tree: Tree, directory: string): Mount | undefined {
  let path = directory;
  while (!tree.exists(path) && path !== dirname(path)) path = dirname(path);
  const real = tree.resolve(path) ?? path;
  let best: Mount | undefined;
  for (const mount of readMounts(tree)) {
    const holds = mount.point === "/" || real === mount.point || real.startsWith(`${mount.point}/`);
    if (holds && (best === undefined || mount.point.length >= best.point.length)) best = mount;
  }
  return best;
}

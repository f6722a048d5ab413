import { basename, dirname } from "node:path";
import { mountOf } from "./mounts.ts";
import type { Tree } from "./tree.ts";

const DEPTH_MAX = 8;

/** A disk below a store: `nvme0n1`, and whether it has no moving parts. */
export interface BlockDevice {
  name: string;
  rotational: boolean | undefined;
}

/**
 * The disks that hold a directory: its mount's device, a partition's disk, and below device mapper and RAID every member. Empty
 * where the file system has no device (overlay, tmpfs, NFS) or nothing can be read. Names are read, never guessed from digits.
 */
export function blockDevices(tree: Tree, directory: string): BlockDevice[] {
  const device = mountOf(tree, directory)?.device;
  if (device === undefined || device.startsWith("0:")) return [];
  const folder = tree.resolve(`/sys/dev/block/${device}`);
  if (folder === undefined || !tree.exists(folder)) return [];
  const names = new Set<string>();
  descend(tree, folder, names, 0);
  return [...names].sort().map((name) => ({ name, rotational: rotational(tree, name) }));
}

function descend(tree: Tree, folder: string, into: Set<string>, depth: number): void {
  const disk = tree.exists(`${folder}/partition`) ? dirname(folder) : folder;
  const members = tree.list(`${disk}/slaves`);
  if (members.length === 0 || depth >= DEPTH_MAX) {
    if (tree.exists(`${disk}/queue`)) into.add(basename(disk));
    return;
  }
  for (const member of members) {
    const below = tree.resolve(`${disk}/slaves/${member}`);
    if (below !== undefined) descend(tree, below, into, depth + 1);
  }
}

function rotational(tree: Tree, name: string): boolean | undefined {
  const text = tree.value(`/sys/block/${name}/queue/rotational`);
  return text === undefined ? undefined : text === "1";
}

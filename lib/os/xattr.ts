import { libc } from "./libc.ts";

const LIST_MAX = 65_536;
const VALUE_MAX = 65_536;

function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

/**
 * Copies a file's extended attributes (SELinux labels, ACLs) to another. Returns the names of those that could not be set;
 * a file system without attributes has none.
 */
export function copyXattrs(from: string, to: string): string[] {
  const names = Buffer.alloc(LIST_MAX);
  const length = Number(libc().listxattr(cString(from), names, LIST_MAX));
  if (length <= 0) return [];
  const failed: string[] = [];
  const value = Buffer.alloc(VALUE_MAX);
  for (const name of names.subarray(0, length).toString("latin1").split("\0")) {
    if (name === "") continue;
    const size = Number(libc().getxattr(cString(from), cString(name), value, VALUE_MAX));
    if (size < 0 || libc().setxattr(cString(to), cString(name), value, size, 0) !== 0) failed.push(name);
  }
  return failed;
}

// Small helpers of the project's scripts. Plain Node: they run before anything is installed.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");
export const executable = join(root, "dist", "mq");

/** Runs a command with the terminal's own streams; ends the script with the command's code when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** Runs a command and returns its code and what it printed, both streams in one text. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 256 << 20, ...options });
  return { status: result.status ?? 1, text: `${result.stdout ?? ""}${result.stderr ?? ""}`, error: result.error };
}

/** Newest modification time below the given files and folders, in ms. */
export function newestChange(paths) {
  let newest = 0;
  for (const path of paths) {
    const full = join(root, path);
    const stat = statSync(full, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    newest = Math.max(newest, stat.isDirectory() ? newestBelow(full) : stat.mtimeMs);
  }
  return newest;
}

function newestBelow(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) newest = Math.max(newest, statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs);
  return newest;
}

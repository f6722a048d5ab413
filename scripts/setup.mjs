// Installs what package-lock.json names, once per change of it, and makes sure that Bun runs.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { capture, root, run } from "./run.mjs";

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const stamp = join(root, "node_modules", ".installed-lock");

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== lock) {
  // Not `npm ci`: it refuses a lock file made where a registry lacks another platform's optional packages.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
  // Where npm does not run install scripts, Bun's executable is not in place yet.
  if (capture(join(root, "node_modules", ".bin", "bun"), ["--version"]).status !== 0)
    run(process.execPath, [join(root, "node_modules", "bun", "install.js")], {
      cwd: join(root, "node_modules", "bun"),
    });
  writeFileSync(stamp, lock);
}

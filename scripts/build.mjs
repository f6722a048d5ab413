// Builds dist/mq: one executable with its runtime. Runs it once, because a broken build can end with exit code 0.
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import "./setup.mjs";
import { capture, executable, root } from "./run.mjs";

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const fresh = `${executable}.new`;

function fail(reason, text) {
  rmSync(fresh, { force: true });
  process.stderr.write(`${text}\nbuild failed: ${reason}\n`);
  process.exit(1);
}

mkdirSync(join(root, "dist"), { recursive: true });
const build = capture(join(root, "node_modules", ".bin", "bun"), [
  "build",
  "--compile",
  "--minify",
  "--bytecode",
  "--format=esm",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  `--define=MQ_VERSION_DEFINED="${version}"`,
  "cmd/mq.ts",
  `--outfile=${fresh}`,
]);
if (build.status !== 0) fail(`bun build ended with ${build.status}`, build.text);
if (build.text.includes("Failed to generate bytecode")) fail("no bytecode was made", build.text);
const once = capture(fresh, ["--version"]);
if (once.status !== 0 || !once.text.includes(version)) fail(`the executable does not say ${version}`, once.text);
renameSync(fresh, executable);
process.stderr.write(`dist/mq ${version}\n`);

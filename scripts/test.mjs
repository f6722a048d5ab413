// npm test: installs, builds, runs every suite against dist/mq and ends with one total.
// Suites that need a JDK, Maven or Go are skipped by name where these are missing; REQUIRE_ALL=1 counts a skip as a failure.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import "./build.mjs";
import { executable, root } from "./run.mjs";

const env = { ...process.env, MQ_EXECUTABLE: executable };
const total = { passed: 0, failed: 0, skipped: 0 };

/** Runs one suite, shows what it prints as it comes, and returns that text with the exit code. */
async function suite(name, command, args) {
  process.stdout.write(`\n== ${name}\n`);
  const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      chunks.push(chunk);
      process.stdout.write(chunk);
    });
  }
  const [code] = await once(child, "close");
  return { text: Buffer.concat(chunks).toString("utf8"), status: code ?? 1 };
}

/** Adds what a suite's closing lines count; a suite that failed without counting a failure counts as one. */
function count(name, status, passed, failed, skipped) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  if (status !== 0 && failed === 0) {
    total.failed += 1;
    process.stdout.write(`${name}: ended with ${status}\n`);
  }
}

function lastNumber(text, pattern) {
  return Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0);
}

const unit = await suite("bun test", join(root, "node_modules", ".bin", "bun"), ["test", "--timeout", "60000"]);
count(
  "bun test",
  unit.status,
  lastNumber(unit.text, /^\s*(\d+) pass$/gm),
  lastNumber(unit.text, /^\s*(\d+) fail$/gm),
  lastNumber(unit.text, /^\s*(\d+) skip$/gm),
);

const conformance = join(root, "test", "conformance", "run.mjs");
if (existsSync(conformance)) {
  const { text, status } = await suite("conformance", process.execPath, [conformance]);
  const line = [...text.matchAll(/^conformance: (\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1);
  count("conformance", status, Number(line?.[1] ?? 0), Number(line?.[2] ?? 0), Number(line?.[3] ?? 0));
}

if (process.env.REQUIRE_ALL === "1" && total.skipped > 0) {
  process.stdout.write(`\n${total.skipped} skipped, and nothing may be skipped here\n`);
  total.failed += total.skipped;
  total.skipped = 0;
}
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${skipped}\n`);
// Not process.exit: what is still on its way to a pipe would be lost.
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./process.mjs";

/** The folder test/conformance. */
export const here = dirname(dirname(fileURLToPath(import.meta.url)));

/** The project's root. */
export const root = dirname(dirname(here));

/** Where fetched jars and compiled drivers are kept between runs; MQ_CONFORMANCE_CACHE moves it. */
export const cache =
  process.env.MQ_CONFORMANCE_CACHE ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "mq", "conformance");

let maven = Promise.resolve();

/** Folders being made, so that suites which start together make each once. */
const underWay = new Map();

/** Folder `name` in the cache, made by `make(dir)` unless a finished one for the same `inputs` text is there. */
function once(name, inputs, make) {
  const digest = createHash("sha256").update(inputs).digest("hex").slice(0, 12);
  const dir = join(cache, `${name}-${digest}`);
  if (!underWay.has(dir)) underWay.set(dir, fill(dir, make));
  return underWay.get(dir);
}

async function fill(dir, make) {
  if (existsSync(join(dir, ".complete"))) return dir;
  const making = `${dir}.${process.pid}`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  await make(making);
  writeFileSync(join(making, ".complete"), "");
  rmSync(dir, { recursive: true, force: true });
  renameSync(making, dir);
  return dir;
}

/**
 * The jars that a pom under reference/ names, fetched by Maven.
 * @returns the class path
 */
async function jars(name, pom) {
  const dir = await once(name, readFileSync(pom), async (into) => {
    // Two Mavens at once may trip over each other in the local repository.
    const before = maven;
    maven = before.then(() =>
      run("mvn", ["-q", "-B", "-f", pom, "dependency:copy-dependencies", `-DoutputDirectory=${into}`], {
        timeoutMs: 600_000,
      }),
    );
    await maven;
  });
  return join(dir, "*");
}

/** Class path of Apache RocketMQ 5.3.3: servers, tools and client. */
export const referenceJars = () => jars("rocketmq-5.3.3", join(here, "reference", "pom.xml"));

/** Class path of the 4.9.8 client and tools. */
export const oldClientJars = () => jars("rocketmq-4.9.8", join(here, "reference", "old-client", "pom.xml"));

/** Class path of the test programs in java/, compiled against one version ("v5" or "v4") of the client. */
export async function javaSuite(version) {
  const path = version === "v4" ? await oldClientJars() : await referenceJars();
  const sources = ["src", version].flatMap((folder) =>
    readdirSync(join(here, "java", folder)).map((file) => join(here, "java", folder, file)),
  );
  const inputs = sources.map((file) => readFileSync(file, "utf8")).join("\n") + path;
  const classes = await once(`java-${version}`, inputs, (into) =>
    run("javac", ["--release", "11", "-nowarn", "-encoding", "UTF-8", "-d", into, "-cp", path, ...sources]),
  );
  return `${classes}:${path}`;
}

/** The Go program in go/, built. */
export async function goSuite() {
  const folder = join(here, "go");
  const inputs = ["go.mod", "go.sum", "main.go"].map((file) => readFileSync(join(folder, file), "utf8")).join("\n");
  const dir = await once("go", inputs, (into) =>
    run("go", ["build", "-o", join(into, "suite"), "."], { cwd: folder, timeoutMs: 600_000 }),
  );
  return join(dir, "suite");
}

/** The program in node/ with its own packages installed. */
export async function nodeSuite() {
  const folder = join(here, "node");
  const files = ["package.json", "package-lock.json", "ons.cjs"].map((file) => readFileSync(join(folder, file)));
  const dir = await once("node", Buffer.concat(files), async (into) => {
    writeFileSync(join(into, "package.json"), files[0]);
    writeFileSync(join(into, "package-lock.json"), files[1]);
    writeFileSync(join(into, "ons.cjs"), files[2]);
    await run("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: into, timeoutMs: 600_000 });
  });
  return join(dir, "ons.cjs");
}

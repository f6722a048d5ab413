// The conformance suites: official clients and servers against mq, and against the Java reference to prove the suites.
//
//   node test/conformance/run.mjs [--target mq|java] [--suite NAME,NAME] [--themes NAME,NAME] [--list] [--keep]
//
// --target java runs the client suites against Apache RocketMQ itself. Suites whose tools (JDK, Maven, Go) are missing
// are skipped by name; REQUIRE_ALL=1 makes a skip a failure. The last line is
// "conformance: N passed, N failed, N skipped".

import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { suites } from "./suites.mjs";
import { mq } from "./support/cluster.mjs";
import { run } from "./support/process.mjs";
import { Report } from "./support/report.mjs";

const { values: flags } = parseArgs({
  options: {
    target: { type: "string", default: "mq" },
    suite: { type: "string" },
    list: { type: "boolean", default: false },
    themes: { type: "string", default: "all" },
    keep: { type: "boolean", default: false },
  },
});

const target = flags.target;
if (target !== "mq" && target !== "java") {
  console.error(`run conformance: --target is "${target}", wanted mq or java`);
  process.exit(64);
}
const names = flags.suite?.split(",");
const chosen = suites.filter(
  (suite) => (names ? names.some((name) => suite.name.startsWith(name)) : true) && suite.targets.includes(target),
);
if (flags.list || chosen.length === 0) {
  for (const suite of suites)
    console.log(`${suite.name.padEnd(24)} ${suite.targets.join(",").padEnd(8)} ${suite.about}`);
  process.exit(flags.list ? 0 : 64);
}
const needsMq = target === "mq";
if (needsMq && !existsSync(mq)) {
  console.error(`run conformance: ${mq} is missing; build it with: npm run build`);
  process.exit(66);
}

/** Which of the tools that suites need are on this machine. */
async function toolsPresent() {
  const present = new Set();
  for (const [tool, args] of [
    ["java", ["-version"]],
    ["javac", ["-version"]],
    ["mvn", ["-v"]],
    ["go", ["version"]],
  ]) {
    await run(tool, args).then(
      () => present.add(tool),
      () => {},
    );
  }
  return present;
}

const report = new Report();
const present = await toolsPresent();
const base = mkdtempSync(join(tmpdir(), "mq-conformance-"));

async function runSuite(suite) {
  const missing = suite.needs.filter((tool) => !present.has(tool));
  if (missing.length > 0) return report.skip(suite.name, `needs ${missing.join(", ")}`);
  const dir = join(base, suite.name);
  mkdirSync(dir);
  const servers = [];
  const own = (server) => {
    servers.push(server);
    return server;
  };
  try {
    await suite.run({ report, suite: suite.name, target, dir, own, themes: flags.themes });
  } catch (error) {
    report.fail(suite.name, "suite", error.stack ?? error);
  }
  await Promise.all(servers.map((server) => server.stop("SIGTERM", 15_000)));
}

// Two at a time: the suites mostly wait for timers of the clients.
const queue = [...chosen];
await Promise.all(
  Array.from({ length: Number(process.env.MQ_CONFORMANCE_PARALLEL ?? 2) }, async () => {
    for (let suite = queue.shift(); suite; suite = queue.shift()) await runSuite(suite);
  }),
);

report.print();
const { failed, skipped } = report.totals;
const bad = failed > 0 || (skipped > 0 && process.env.REQUIRE_ALL === "1");
if (flags.keep || failed > 0) console.error(`logs and stores are kept in ${base}`);
else rmSync(base, { recursive: true, force: true });
// Exits when the last lines have left, whatever a driver may still hold open.
process.stdout.write("", () => process.exit(bad ? 1 : 0));

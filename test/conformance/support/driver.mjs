import { join } from "node:path";
import { javaSuite } from "./cache.mjs";
import { java } from "./cluster.mjs";
import { Child, tail } from "./process.mjs";

/**
 * Runs a driver that prints "PASS check", "FAIL check reason", "ASK word" and at its end "DONE", and reports each.
 * `answers` maps an ASK's word to what is done before it is answered; what that resolves with is the answer, "done"
 * where it is nothing.
 */
async function drive(report, suite, command, args, { log, env, answers = {}, timeoutMs = 420_000 }) {
  let done = false;
  const started = Date.now();
  const onLine = (line, child) => {
    const [word, check, ...rest] = line.split(" ");
    if (word === "PASS") report.pass(suite, check);
    else if (word === "FAIL") report.fail(suite, check, rest.join(" "));
    else if (word === "DONE") done = true;
    else if (word === "ASK") {
      Promise.resolve()
        .then(() => answers[check]())
        .then(
          (answer) => child.write(answer ?? "done"),
          (error) => {
            report.fail(suite, `ask-${check}`, error.message);
            child.kill("SIGKILL");
          },
        );
    }
  };
  const child = new Child(suite, command, args, { log, env, onLine });
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const exit = await child.ended;
  clearTimeout(timer);
  if (!done) report.fail(suite, "driver", `ended (${exit.code ?? exit.signal}) before it was done: ${tail(log)}`);
  report.end(suite, started);
}

/**
 * Runs the Java themes with one client version ("v5" or "v4") and one header encoding ("ROCKETMQ" or "JSON").
 */
export async function driveJava(
  report,
  suite,
  { version, encoding, namesrv, run, themes = "all", parallel = 8, dir, answers, timeoutMs, properties = [] },
) {
  const home = join(dir, suite.replaceAll(/[^\w.-]+/g, "_"));
  const args = [
    ...java(home, "256m", `-Drocketmq.serialize.type=${encoding}`, ...properties),
    "-cp",
    await javaSuite(version),
    "Conformance",
    namesrv,
    run,
    themes,
    String(parallel),
  ];
  await drive(report, suite, "java", args, { log: join(home, "driver.log"), answers, timeoutMs });
}

/** Runs the program `command`, given the name server's address and a prefix for its topics. */
export async function driveProgram(report, suite, { command, args = [], namesrv, run, dir }) {
  const home = join(dir, suite);
  await drive(report, suite, command, [...args, namesrv, run], {
    log: join(home, "driver.log"),
    env: { HOME: home },
    timeoutMs: 120_000,
  });
}

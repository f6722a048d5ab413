import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { root } from "../../conformance/support/cache.mjs";
import { mq } from "../../conformance/support/cluster.mjs";

function first(command, args) {
  try {
    return execFileSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  } catch {
    return "";
  }
}

/** The tree's commit; of an executable that MQ_EXECUTABLE names, only what MQ_EXECUTABLE_COMMIT says is known. */
function commit() {
  const known =
    process.env.MQ_EXECUTABLE === undefined
      ? first("git", ["rev-parse", "--short=10", "HEAD"])
      : process.env.MQ_EXECUTABLE_COMMIT;
  return known ? ` (${known})` : "";
}

/** Where and with what a row was measured. `dir` is on the disk of the stores. */
export function environment(dir) {
  const java = first("sh", ["-c", "java -version 2>&1 | head -n 1"]);
  const [device = "", kind = ""] = first("findmnt", ["-no", "SOURCE,FSTYPE", "--target", dir]).split(/\s+/);
  const distribution = /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  return {
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    mq: `${first(mq, ["--version"])}${commit()}`,
    java: `Apache RocketMQ 5.3.3 on ${java.replaceAll('"', "")}`,
    machine: `${cpus().length} cores of ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${type()} ${release()}, ${distribution}`,
    disk: `${kind} on ${device}`,
  };
}

// npm start: installs, builds where the source is newer than dist/mq, and serves a name server and a broker.
import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import "./setup.mjs";
import { join } from "node:path";
import { executable, newestChange, root, run } from "./run.mjs";

const built = statSync(executable, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (built < newestChange(["cmd", "lib", "package-lock.json", "package.json"]))
  run(process.execPath, [join(root, "scripts", "build.mjs")]);

const server = spawn(executable, ["start", ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => server.kill(signal));
server.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

// npm start: installs, builds where the source is newer than dist/mq, and serves a name server and a broker.
import { spawn } from "node:child_process";
import { statSync } from "node:fs";
import "./setup.mjs";
import { join } from "node:path";
import { executable, newestChange, root, run } from "./run.mjs";

const built = statSync(executable, { throwIfNoEntry: false })?.mtimeMs ?? 0;
if (built < newestChange(["cmd", "lib", "package-lock.json", "package.json"]))
  run(process.execPath, [join(root, "scripts", "build.mjs")]);

// A process group of its own: Ctrl-C reaches it through this script alone. The terminal and npm both signal the script,
// and a second signal would end the server at once; what follows within a second is the same Ctrl-C.
const REPEAT_MS = 1000;
const server = spawn(executable, ["start", ...process.argv.slice(2)], { stdio: "inherit", detached: true });
let last = 0;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    if (Date.now() - last < REPEAT_MS) return;
    last = Date.now();
    server.kill(signal === "SIGHUP" ? "SIGTERM" : signal);
  });
server.on("error", (error) => {
  process.stderr.write(`start ${executable}: ${error.message}\n`);
  process.exit(1);
});
server.on("exit", (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));

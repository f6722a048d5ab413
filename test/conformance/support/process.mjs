import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";

/** Every process started here that still lives; none outlives this one. */
const living = new Set();

process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

/** The last lines of a log, for an error message. */
export function tail(file, lines = 15) {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}

/** Runs a command to its end; throws with its last output where it fails. */
export function run(command, args, { cwd, env, timeoutMs = 120_000, allowFailure = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    living.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("error", (error) => {
      living.delete(child);
      clearTimeout(timer);
      reject(error);
    });
    child.on("close", (code, signal) => {
      living.delete(child);
      clearTimeout(timer);
      if (code === 0 || allowFailure) return resolve({ code: code ?? 1, signal, stdout, stderr });
      const output = `${stdout}\n${stderr}`.trim().split("\n").slice(-20).join("\n");
      reject(new Error(`${command} ${args.slice(0, 3).join(" ")}: exit ${code ?? signal}: ${output}`));
    });
  });
}

/**
 * A server or driver that runs beside this process.
 * `log` collects its output; `onLine` sees each line of its standard output.
 */
export class Child {
  #child;
  #ended;
  #text = "";
  #waiters = new Set();

  constructor(name, command, args, { cwd, env, log, onLine } = {}) {
    this.name = name;
    this.log = log;
    mkdirSync(dirname(log), { recursive: true });
    const file = createWriteStream(log, { flags: "a" });
    this.#child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "pipe"] });
    living.add(this.#child);
    this.#child.stdin.on("error", () => {});
    const see = (chunk) => {
      file.write(chunk);
      if (this.#text.length < 1 << 20) this.#text += chunk;
      for (const waiter of [...this.#waiters]) waiter();
    };
    this.#child.stdout.on("data", see);
    this.#child.stderr.on("data", see);
    if (onLine) createInterface({ input: this.#child.stdout }).on("line", (line) => onLine(line, this));
    this.#ended = new Promise((resolve) => {
      const end = (code, signal) => {
        living.delete(this.#child);
        file.end();
        this.exit = { code, signal };
        for (const waiter of [...this.#waiters]) waiter();
        resolve(this.exit);
      };
      this.#child.on("error", (error) => end(127, String(error)));
      this.#child.on("close", end);
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Resolves with { code, signal } when the process has ended and its output is read. */
  get ended() {
    return this.#ended;
  }

  write(line) {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits until the output so far matches; throws with the end of the log where the process ends or time is up. */
  async waitFor(pattern, timeoutMs = 60_000) {
    await new Promise((resolve, reject) => {
      const finish = (settle) => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        settle();
      };
      const look = () => {
        if (pattern.test(this.#text)) finish(resolve);
        else if (this.exit)
          finish(() =>
            reject(new Error(`${this.name} ended (${this.exit.code ?? this.exit.signal}): ${tail(this.log)}`)),
          );
      };
      const timer = setTimeout(
        () =>
          finish(() =>
            reject(new Error(`${this.name} did not print ${pattern} in ${timeoutMs} ms: ${tail(this.log)}`)),
          ),
        timeoutMs,
      );
      this.#waiters.add(look);
      look();
    });
  }

  kill(signal) {
    this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end; SIGKILL follows after `graceMs`. */
  async stop(signal = "SIGTERM", graceMs = 30_000) {
    if (this.exit) return this.exit;
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    const exit = await this.#ended;
    clearTimeout(timer);
    return exit;
  }
}

import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import type { Subprocess } from "bun";
import { MqError } from "../../base/errors.ts";
import { createLogger, type Logger } from "../../base/log.ts";
import { defaultNamesrvConfig } from "../../config/namesrv-config.ts";
import { createNamesrv, type Namesrv } from "../../namesrv/namesrv.ts";
import { freePort } from "../../os/free-port.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { RemotingClient } from "../../remoting/types.ts";
import { readText } from "../resources/machine.ts";

const LOOPBACK = "127.0.0.1";
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
const RETRY_MS = 2;
const SEND_MS_MAX = 1_000;
/** Topic of the one message that shows that the broker takes messages. */
const FIRST_TOPIC = "mq-bench-first";
const LOG_LINES_SHOWN = 5;
const FOLDER_PREFIX = "mq-bench-";
/** Host and pid of the benchmark that a folder belongs to. */
const OWNER_FILE = "owner";

export interface OwnBrokerOptions {
  /** The program that runs `broker` and its flags: this executable. */
  command: readonly string[];
  /** A folder for the temporary store; it gets one of its own in there. */
  folder: string;
  /** Keys of the broker's configuration. */
  settings: Readonly<Record<string, string>>;
}

/** Of the name server in this process: that a broker comes and goes is no news here. */
function troubleOnly(): Logger {
  return { ...createLogger("namesrv"), debug: () => {}, info: () => {} };
}

/** A broker process on free ports and a store of its own, known to a name server in this process. */
export class OwnBroker {
  readonly namesrvAddr: string;
  readonly pid: number;
  /** From the process's start until it had taken its first message. */
  readonly startMs: number;
  readonly #child: Subprocess;
  readonly #namesrv: Namesrv;
  readonly #folder: string;

  private constructor(child: Subprocess, namesrv: Namesrv, folder: string, startMs: number) {
    this.#child = child;
    this.#namesrv = namesrv;
    this.#folder = folder;
    this.pid = child.pid;
    this.namesrvAddr = `${LOOPBACK}:${namesrv.port}`;
    this.startMs = startMs;
  }

  /** Rejects with MqError, the broker's last lines in it, when that ends or takes no message in time. */
  static async start({ command, folder: parent, settings }: OwnBrokerOptions): Promise<OwnBroker> {
    mkdirSync(parent, { recursive: true });
    removeLeft(parent);
    const folder = mkdtempSync(join(parent, FOLDER_PREFIX));
    writeFileSync(join(folder, OWNER_FILE), `${hostname()} ${process.pid}`);
    const kvConfigPath = join(folder, "kvConfig.json");
    const configStorePath = join(folder, "namesrv.properties");
    const namesrv = createNamesrv(
      defaultNamesrvConfig({ listenPort: 0, bindAddress: LOOPBACK, kvConfigPath, configStorePath }),
      { logger: troubleOnly() },
    );
    let child: Subprocess | undefined;
    try {
      await namesrv.start();
      const port = freePort();
      const log = openSync(join(folder, "broker.log"), "w");
      const began = performance.now();
      child = Bun.spawn([...command, ...brokerArgs(folder, `${LOOPBACK}:${namesrv.port}`, port, settings)], {
        // Its end tells the broker that this process is gone, killed or not.
        stdin: "pipe",
        stdout: log,
        stderr: log,
        // Ctrl-C at the terminal is for the benchmark, which then stops its broker.
        detached: true,
      });
      closeSync(log);
      await firstSend(child, `${LOOPBACK}:${port}`, folder);
      const startMs = performance.now() - began;
      await registered(`${LOOPBACK}:${namesrv.port}`);
      return new OwnBroker(child, namesrv, folder, startMs);
    } catch (error) {
      child?.kill("SIGKILL");
      await namesrv.stop();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends the process at once and removes the store: what the signal handler of a process that goes down can do. */
  kill(): void {
    this.#child.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Stops broker and name server and removes the store. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS_MAX);
    await this.#child.exited;
    clearTimeout(timer);
    await this.#namesrv.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function brokerArgs(
  folder: string,
  namesrvAddr: string,
  port: number,
  settings: Readonly<Record<string, string>>,
): string[] {
  const store = join(folder, "store");
  const all = {
    storePathRootDir: store,
    storePathCommitLog: join(store, "commitlog"),
    bindAddress: LOOPBACK,
    brokerIP1: LOOPBACK,
    brokerIP2: LOOPBACK,
    listenPort: String(port),
    haListenPort: String(freePort()),
    ...settings,
  };
  const flags = Object.entries(all).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  return ["broker", "-n", namesrvAddr, "--stop-with-stdin", ...flags];
}

/** Removes the stores of benchmarks that were killed before they could. */
function removeLeft(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(FOLDER_PREFIX)) continue;
    const folder = join(parent, name);
    const [host, pid] = readText(join(folder, OWNER_FILE)).split(" ");
    // A pid says something on its own machine only.
    if (host === hostname() && Number(pid) > 0 && !isRunning(Number(pid)))
      rmSync(folder, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

/** Tries until the broker has taken a message. */
async function firstSend(child: Subprocess, address: string, folder: string): Promise<void> {
  const until = performance.now() + START_MS_MAX;
  const remoting = createRemotingClient();
  const fields = {
    a: "mq-bench",
    b: FIRST_TOPIC,
    c: "TBW102",
    d: 1,
    e: 0,
    f: 0,
    h: 0,
    i: "",
    j: 0,
    k: false,
    m: false,
  };
  try {
    let last = "nothing";
    while (performance.now() < until) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new MqError(`start a broker: it ended with ${child.exitCode ?? child.signalCode}${lastLines(folder)}`);
      const ext = { ...fields, g: Date.now() };
      try {
        const request = { code: RequestCode.SEND_MESSAGE_V2, ext, body: "first" };
        const { code, remark } = await remoting.invoke(address, request, SEND_MS_MAX);
        if (code === ResponseCode.SUCCESS) return;
        last = `code ${code} ${remark ?? ""}`;
      } catch (error) {
        last = String(error);
      }
      await Bun.sleep(RETRY_MS);
    }
    throw new MqError(`start a broker: no message taken in ${START_MS_MAX} ms (${last})${lastLines(folder)}`);
  } finally {
    await remoting.close();
  }
}

/** Waits until the name server knows the broker. */
async function registered(namesrvAddr: string): Promise<void> {
  const until = performance.now() + START_MS_MAX;
  const remoting: RemotingClient = createRemotingClient();
  try {
    while (performance.now() < until) {
      const request = { code: RequestCode.GET_ROUTEINFO_BY_TOPIC, ext: { topic: FIRST_TOPIC } };
      const { code } = await remoting.invoke(namesrvAddr, request, SEND_MS_MAX);
      if (code === ResponseCode.SUCCESS) return;
      await Bun.sleep(RETRY_MS);
    }
    throw new MqError(`start a broker: not registered with ${namesrvAddr} in ${START_MS_MAX} ms`);
  } finally {
    await remoting.close();
  }
}

function lastLines(folder: string): string {
  const lines = readFileSync(join(folder, "broker.log"), "utf8").trim().split("\n").slice(-LOG_LINES_SHOWN);
  return lines.length === 1 && lines[0] === "" ? "" : `\n${lines.join("\n")}`;
}

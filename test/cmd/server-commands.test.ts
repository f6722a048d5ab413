import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BrokerService } from "../../cmd/broker-service.ts";
import { defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { defaultNamesrvConfig } from "../../lib/config/namesrv-config.ts";
import { createNamesrv } from "../../lib/namesrv/namesrv.ts";
import { createRemotingClient } from "../../lib/remoting/client.ts";
import { RequestCode } from "../../lib/remoting/codes.ts";
import { runMq, spawnMq } from "../support/run-mq.ts";
import { until } from "../support/until.ts";

const TIMEOUT_MS = 30_000;

/** A folder with a blank and an umlaut in its name, gone at the end. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "mq cmd ü "));

  file(name: string, content?: string): string {
    const path = join(this.path, name);
    if (content !== undefined) writeFileSync(path, content);
    return path;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A server that runs until it is told to stop. */
class Running {
  readonly child: ReturnType<typeof spawnMq>;
  stderr = "";
  private readonly readyFile: string;

  constructor(folder: Folder, args: string[], name = "ready") {
    this.readyFile = folder.file(name);
    this.child = spawnMq([...args, "--ready-file", this.readyFile], { env: { MQ_LOG_LEVEL: "info" } });
    void this.collect();
  }

  private async collect(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.child.stderr) this.stderr += decoder.decode(chunk, { stream: true });
  }

  async ready(): Promise<Record<string, string | number>> {
    await until(() => existsSync(this.readyFile) || this.child.exitCode !== null);
    expect(this.child.exitCode, this.stderr).toBeNull();
    await until(() => readFileSync(this.readyFile, "utf8").endsWith("\n"));
    return JSON.parse(readFileSync(this.readyFile, "utf8"));
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.child.kill(signal);
    return this.child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
  }
}

const NAMESRV = ["namesrv", "--set", "listenPort=0", "--set", "bindAddress=127.0.0.1"];

function brokerArgs(folder: Folder, namesrvPort: number | string, ...more: string[]): string[] {
  const sets = ["listenPort=0", "bindAddress=127.0.0.1", `storePathRootDir=${folder.file("store")}`, ...SMALL, ...more];
  return ["broker", "-n", `127.0.0.1:${namesrvPort}`, ...sets.flatMap((set) => ["--set", set])];
}

/** Files that a test machine can spare. */
const SMALL = [
  "mappedFileSizeCommitLog=1m",
  "mappedFileSizeConsumeQueue=20000",
  "maxHashSlotNum=1000",
  "maxIndexNum=4000",
];

describe("mq", () => {
  test("--help, --version and the help of each server name RocketMQ's letters and an example", async () => {
    const overview = await runMq(["--help"]);
    expect(overview).toMatchObject({ exitCode: 0, stderr: "" });
    for (const name of ["start", "namesrv", "broker", "produce", "consume", "topic"])
      expect(overview.stdout).toContain(`  ${name} `);
    expect((await runMq(["--version"])).stdout).toMatch(/^mq \d/);
    for (const [name, letters] of [
      ["namesrv", ["-c,", "-p,"]],
      ["broker", ["-n,", "-c,", "-p,", "-m,", "--set", "--lenient", "--check-config"]],
    ] as const) {
      const { stdout, exitCode } = await runMq([name, "--help"]);
      expect(exitCode).toBe(0);
      for (const letter of letters) expect(stdout).toContain(letter);
      expect(stdout).toContain("Example:");
      // biome-ignore lint/suspicious/noControlCharactersInRegex: no colour where stdout is no terminal
      expect(stdout).not.toMatch(/\x1b/);
    }
  });

  const wrong: [string[], string][] = [
    [["brokr"], "did you mean broker?"],
    [["namesrv", "--check-confg"], "did you mean --check-config?"],
    [["broker", "-x"], "unknown flag -x"],
    [["broker", "-cfile"], "unknown flag -cfile of mq broker; want a blank between: -c file"],
    [["broker", "-c", "a", "--configFile=b"], 'is given twice: "a" and "b", want one'],
    [["broker", "-c"], "wants a value"],
    [["broker", "stray"], "unexpected argument"],
    [["broker", "--set", "listenPort"], "want KEY=VALUE"],
    [["broker", "--lenient=maybe"], "is a switch"],
    [["topic", "lst"], "did you mean list?"],
    [["--hlp"], "unknown flag --hlp"],
  ];
  for (const [args, text] of wrong)
    test(`mq ${args.join(" ")} ends with 64 and one line`, async () => {
      const { stdout, stderr, exitCode } = await runMq(args);
      expect(stderr).toContain(text);
      expect({ stdout, exitCode, lines: stderr.trimEnd().split("\n").length }).toEqual({
        stdout: "",
        exitCode: 64,
        lines: 1,
      });
    });

  test("a reader that closes the pipe is no error", async () => {
    const child = Bun.spawn(["sh", "-c", `"$0" cmd/mq.ts broker -p | head -1; exit 0`, process.execPath], {
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(child.stdout).text()).toMatch(/^\w+=/);
    expect(await new Response(child.stderr).text()).toBe("");
  });
});

describe("configuration", () => {
  test("-p prints all keys, -m the important ones, --json an object; stdout holds nothing else", async () => {
    using folder = new Folder();
    const file = folder.file("broker ä.properties", "brokerName=b\nsendMessageThreadPoolNums=4\nfileReservedTime=1\n");
    const all = await runMq(["broker", "-c", file, "--set", "fileReservedTime=2", "-p"]);
    expect(all.exitCode).toBe(0);
    expect(all.stdout).toContain("brokerName=b\n");
    expect(all.stdout).toContain("fileReservedTime=2\n");
    expect(all.stderr).toContain("of use to the JVM only, ignored: sendMessageThreadPoolNums");
    const important = await runMq(["broker", "-c", file, "-m"]);
    expect(important.stdout.length).toBeLessThan(all.stdout.length);
    const json = JSON.parse((await runMq(["broker", "-c", file, "-p", "--json"])).stdout);
    expect(json).toMatchObject({ brokerName: "b", fileReservedTime: 1 });
    expect((await runMq(["namesrv", "-p"])).stdout).toContain("listenPort=9876\n");
  });

  test("mistakes end with 78, nothing started; --lenient lets unknown keys pass", async () => {
    using folder = new Folder();
    const file = folder.file(
      "b.properties",
      `brokerRole=SYSC_MASTER\nbrokerIp1=x\nstorePathRootDir=${folder.file("store")}\n`,
    );
    const { stderr, exitCode } = await runMq(["broker", "-c", file]);
    expect(exitCode).toBe(78);
    expect(stderr).toContain(`${file}:1: brokerRole=SYSC_MASTER: want one of ASYNC_MASTER, SYNC_MASTER, SLAVE`);
    expect(stderr).toContain(`${file}:2: brokerIp1=x: unknown key; did you mean brokerIP1?`);
    expect(existsSync(folder.file("store"))).toBe(false);
    const unknown = folder.file("u.properties", "brokerIp1=x\n");
    expect((await runMq(["broker", "-c", unknown, "--check-config"])).exitCode).toBe(78);
    expect((await runMq(["broker", "-c", unknown, "--check-config", "--lenient"])).exitCode).toBe(0);
    const acl = folder.file("acl.properties", "aclEnable=true\n");
    expect((await runMq(["broker", "-c", acl, "--lenient"])).exitCode).toBe(78);
    expect((await runMq(["namesrv", "--set", "listenPort=x"])).exitCode).toBe(78);
  });

  test("a broker that nothing tells where it is to be reached listens on loopback", async () => {
    const bound = async (...args: string[]) =>
      /^bindAddress=(.*)$/m.exec((await runMq(["broker", "-p", ...args], { env: { NAMESRV_ADDR: "" } })).stdout)?.[1];
    expect(await bound()).toBe("127.0.0.1");
    expect(await bound("--set", "storePathRootDir=/x")).toBe("127.0.0.1");
    expect(await bound("-n", "127.0.0.1:9876")).toBe("0.0.0.0");
    expect(await bound("--set", "bindAddress=10.0.0.1")).toBe("10.0.0.1");
    expect(await bound("-c", join(import.meta.dir, "../../conf/broker.properties"))).toBe("0.0.0.0");
  });
});

describe("mq config explain", () => {
  test("a key's meaning, limits, value and where it comes from", async () => {
    const file = join(import.meta.dir, "../../conf/broker.properties");
    const { stdout, exitCode } = await runMq(["config", "explain", "fileReservedTime", "-c", file, "--json"]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ value: "72", source: expect.stringMatching(/broker.properties:\d+$/) });
    expect((await runMq(["config", "explain", "sendMessageThreadPoolNums"])).stdout).toContain(
      "of use to the JVM only",
    );
    expect((await runMq(["config", "explain", "storePathIndex"])).stdout).toContain("RocketMQ does not read it");
    const wrong = await runMq(["config", "explain", "brokerIp1"]);
    expect(wrong).toMatchObject({ exitCode: 64, stderr: "mq: unknown key brokerIp1; did you mean brokerIP1?\n" });
  });
});

describe("servers", () => {
  test(
    "start, register, take a message, stop in good order",
    async () => {
      using folder = new Folder();
      await using namesrv = new Running(folder, NAMESRV, "namesrv");
      const { port } = await namesrv.ready();
      await using broker = new Running(folder, brokerArgs(folder, port ?? 0), "broker");
      const facts = await broker.ready();
      expect(facts.nameServer).toBe(`127.0.0.1:${port}`);
      expect(facts.broker).toMatch(/^127\.0\.0\.1:\d+$/);
      expect(broker.stderr).toContain(`clients will be told: ${facts.broker}`);
      const sent = await runMq(["produce", "-n", `127.0.0.1:${port}`, "-t", "T", "hello"]);
      expect(sent).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("SEND_OK") });
      expect(await broker.stop()).toBe(0);
      expect(existsSync(folder.file("broker"))).toBe(false);
      expect(existsSync(join(folder.path, "store", "abort"))).toBe(false);
      expect((await runMq(["topic", "route", "-n", `127.0.0.1:${port}`, "-t", "T"])).exitCode).toBe(1);
      expect(await namesrv.stop("SIGTERM")).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "a busy port and a locked store are named with who holds them",
    async () => {
      using folder = new Folder();
      await using namesrv = new Running(folder, NAMESRV, "namesrv");
      const { port, pid } = await namesrv.ready();
      const busy = await runMq(["namesrv", "--set", `listenPort=${port}`, "--set", "bindAddress=127.0.0.1"]);
      expect(busy.exitCode).toBe(1);
      expect(busy.stderr).toContain(String(port));
      expect(busy.stderr).toContain(`pid ${pid}`);
      await using broker = new Running(folder, brokerArgs(folder, port ?? 0), "broker");
      const first = await broker.ready();
      const second = await runMq(brokerArgs(folder, port ?? 0));
      expect(second.exitCode).not.toBe(0);
      expect(second.stderr).toContain(`process ${first.pid} holds`);
      expect(second.stderr).toContain("store");
    },
    TIMEOUT_MS,
  );

  test(
    "the second signal ends at once",
    async () => {
      using folder = new Folder();
      // A name server that answers nothing keeps the broker at its farewell.
      const deaf = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
      await using broker = new Running(folder, brokerArgs(folder, deaf.port), "broker");
      await until(() => broker.stderr.includes("serves on") || broker.child.exitCode !== null);
      broker.child.kill("SIGTERM");
      await until(() => broker.stderr.includes("stopping in good order") || broker.child.exitCode !== null);
      broker.child.kill("SIGTERM");
      expect([0, 143]).toContain(await broker.child.exited);
      deaf.stop(true);
    },
    TIMEOUT_MS,
  );

  for (const [what, failing] of [
    ["an exception nobody meant", "setTimeout(() => { throw new Error('unmeant') }, 1)"],
    ["a promise nobody looks at", "Promise.reject(new Error('unmeant'))"],
  ] as const)
    test(`${what} stops in good order and ends with 70`, async () => {
      const serve = join(import.meta.dir, "../../cmd/serve.ts");
      const script = `
        const { ServiceRunner } = await import(${JSON.stringify(serve)});
        await new ServiceRunner({
          start: async () => { setInterval(() => {}, 1000); ${failing}; },
          stop: async () => console.log("stopped"),
        }).run();`;
      const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
      expect(await new Response(child.stdout).text()).toBe("stopped\n");
      expect(await new Response(child.stderr).text()).toContain("unmeant");
      expect(await child.exited).toBe(70);
    });

  test("a list of name servers may be separated by ; , and blanks, a wrong address stops the start", async () => {
    using folder = new Folder();
    const { exitCode, stderr } = await runMq(brokerArgs(folder, "1; 127.0.0.1:2,nonsense"));
    expect(exitCode).toBe(64);
    expect(stderr).toContain('parse address "nonsense", want host:port');
  });
});

describe("the embedded name server", () => {
  async function registered(port: number, name: string): Promise<boolean> {
    const client = createRemotingClient();
    try {
      const { body } = await client.invoke(`127.0.0.1:${port}`, { code: RequestCode.GET_BROKER_CLUSTER_INFO }, 5_000);
      return body?.toString().includes(`"${name}"`) === true;
    } finally {
      await client.close();
    }
  }

  function service(folder: Folder, port: number, name: string): BrokerService {
    const config = defaultBrokerConfig({
      brokerName: name,
      listenPort: 0,
      bindAddress: "127.0.0.1",
      namesrvAddr: "",
      storePathRootDir: folder.file(name),
      mappedFileSizeCommitLog: 1 << 20,
      mappedFileSizeConsumeQueue: 20_000,
      maxHashSlotNum: 1000,
      maxIndexNum: 4000,
    });
    return new BrokerService(config, () => {}, {
      namesrv: { listenPort: port, kvConfigPath: folder.file("kv.json") },
      workerEntry: join(import.meta.dir, "../../cmd/mq.ts"),
    });
  }

  function freePort(): number {
    const probe = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { port } = probe;
    probe.stop(true);
    return port;
  }

  test("runs where none is named and none answers, and is used by the next broker", async () => {
    using folder = new Folder();
    const port = freePort();
    const first = service(folder, port, "first");
    const second = service(folder, port, "second");
    try {
      await first.start();
      await second.start();
      while (!((await registered(port, "first")) && (await registered(port, "second")))) await Bun.sleep(5);
    } finally {
      await second.stop();
      await first.stop();
    }
    await expect(registered(port, "first")).rejects.toThrow();
  });

  test("one that answers already is used and left running", async () => {
    using folder = new Folder();
    const config = defaultNamesrvConfig({
      listenPort: 0,
      bindAddress: "127.0.0.1",
      kvConfigPath: folder.file("kv.json"),
    });
    const namesrv = createNamesrv(config);
    await namesrv.start();
    const broker = service(folder, namesrv.port, "guest");
    try {
      await broker.start();
      while (!(await registered(namesrv.port, "guest"))) await Bun.sleep(5);
      await broker.stop();
      expect(await registered(namesrv.port, "guest")).toBe(false);
    } finally {
      await broker.stop();
      await namesrv.stop();
    }
  });
});

test("--production refuses what is not fit for it, all at once, and leaves nothing behind", async () => {
  const store = `/dev/shm/mq-production-${process.pid}`;
  const { exitCode, stderr } = await runMq([
    "broker",
    "--production",
    ...["--set", "listenPort=0", "--set", "bindAddress=127.0.0.1", "--set", `storePathRootDir=${store}`],
  ]);
  expect(exitCode).toBe(78);
  expect(stderr).toMatch(/this machine is not ready for --production \(\d+ of its must-haves are off\):/);
  expect(stderr).toContain(`disk.fs: ${store} is on tmpfs (/dev/shm): it is memory: every message is gone at a reboot`);
  expect(existsSync(store)).toBe(false);
});

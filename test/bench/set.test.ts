import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readResult } from "../../lib/bench/result.ts";
import { OwnBroker } from "../../lib/bench/set/own-broker.ts";
import { setWorks } from "../../lib/bench/set/standard-set.ts";
import { startOwnCluster } from "../support/cluster.ts";
import { readUntil, runMq, spawnMq } from "../support/run-mq.ts";

const ENTRY = join(import.meta.dir, "..", "..", "cmd", "mq.ts");

function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "mq-set-"));
  return use(folder).finally(() => rmSync(folder, { recursive: true, force: true }));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("a broker of the benchmark's own", () => {
  test("starts on free ports, takes a message, and leaves nothing behind", async () => {
    await withFolder(async (folder) => {
      const options = { command: [process.execPath, ENTRY], folder, settings: { flushDiskType: "SYNC_FLUSH" } };
      const broker = await OwnBroker.start(options);
      expect(broker.startMs).toBeGreaterThan(0);
      expect(readdirSync(folder)).toHaveLength(1);
      await broker.stop();
      expect(readdirSync(folder)).toEqual([]);
      expect(() => process.kill(broker.pid, 0)).toThrow();
    });
  });

  test("ends with a benchmark that is killed; the next one removes its store", async () => {
    await withFolder(async (folder) => {
      const bench = spawnMq(["bench", "--store", folder, "--duration", "5s"]);
      await readUntil(bench.stderr, "1/7");
      const broker = Number(readFileSync(`/proc/${bench.pid}/task/${bench.pid}/children`, "utf8"));
      bench.kill("SIGKILL");
      await bench.exited;
      while (isRunning(broker)) await Bun.sleep(20);
      const [left] = readdirSync(folder);
      const command = [process.execPath, ENTRY];
      const next = await OwnBroker.start({ command, folder, settings: { flushDiskType: "ASYNC_FLUSH" } });
      expect(readdirSync(folder)).not.toContain(left!);
      await next.stop();
      expect(readdirSync(folder)).toEqual([]);
    });
  }, 60_000);

  test("that does not start is told with its last words", async () => {
    await withFolder(async (folder) => {
      const options = { command: [process.execPath, ENTRY], folder, settings: { flushDiskType: "NEVER" } };
      const error: unknown = await OwnBroker.start(options).catch((cause: unknown) => cause);
      expect(String(error)).toMatch(/start a broker: it ended with 78\n[\s\S]*flushDiskType/);
      expect(readdirSync(folder)).toEqual([]);
    });
  });
});

describe("mq bench", () => {
  test("alone: every work of the set on a broker of its own", async () => {
    await withFolder(async (folder) => {
      const file = join(folder, "set.json");
      const times = ["--duration", "1s", "--warmup", "0s"];
      const { exitCode, stdout } = await runMq(["bench", "--store", folder, ...times, "--json", file]);
      expect(exitCode).toBe(0);
      for (const work of setWorks(true)) expect(stdout).toMatch(new RegExp(`^${work} +\\d+ `, "m"));
      expect(stdout).toMatch(/^start-up \d+ ms/m);
      expect((await readResult(file)).runs.map(({ work }) => work)).toEqual(setWorks(true));
      expect(readdirSync(folder)).toEqual(["set.json"]);
    });
  }, 120_000);

  test("-n: on a cluster that is there, whose flush is its own", async () => {
    const cluster = await startOwnCluster();
    try {
      const { exitCode, stdout } = await runMq([
        "bench",
        "-n",
        cluster.namesrvAddr,
        "--duration",
        "1s",
        "--warmup",
        "0s",
      ]);
      expect(exitCode).toBe(0);
      for (const work of setWorks(false)) expect(stdout).toMatch(new RegExp(`^${work} +\\d+ `, "m"));
      expect(stdout).not.toContain("sync-flush");
    } finally {
      await cluster.stop();
    }
  }, 120_000);

  test("says what it cannot use", async () => {
    const both = await runMq(["bench", "-n", "127.0.0.1:1", "--store", "/tmp"]);
    expect([both.exitCode, both.stderr]).toEqual([
      64,
      expect.stringContaining("--store is for the broker that mq bench"),
    ]);
    const none = await runMq(["bench", "--store", "/no/such/folder"]);
    expect([none.exitCode, none.stderr]).toEqual([64, expect.stringContaining("want a folder that exists")]);
    const word = await runMq(["bench", "produse"]);
    expect([word.exitCode, word.stderr]).toEqual([64, expect.stringContaining("unknown command")]);
  });
});

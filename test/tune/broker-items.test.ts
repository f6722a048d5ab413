import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { check } from "../../lib/tune/check.ts";
import { CONFIG_ITEMS } from "../../lib/tune/items.ts";
import { Machine } from "../../lib/tune/machine.ts";
import type { CheckResult, Profile } from "../../lib/tune/types.ts";

const FILE = "/etc/mq/broker.properties";
const GIB = 1024 ** 3;
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-tune-broker-"));
  put("/proc/meminfo", `MemTotal:       ${(16 * GIB) / 1024} kB\n`);
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/sys/vm/max_map_count", "65530\n");
  put("/proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
  mkdirSync(join(root, "data"));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function look(properties: string, profile: Profile = "classic"): (id: string) => CheckResult {
  put(FILE, `storePathRootDir=/data/store\n${properties}`);
  const { checks } = check(new Machine(root), { profile, config: FILE }, CONFIG_ITEMS);
  return (id) => {
    const found = checks.find((result) => result.id === id);
    if (found === undefined) throw new Error(`no check ${id}`);
    return found;
  };
}

describe("the broker's own settings", () => {
  test("what is not as the profile wants becomes a change of the file", () => {
    const found = look("warmMapedFileEnable=false\n")("broker.warmMapedFileEnable");
    expect(found).toMatchObject({ live: "false", classic: "true", advice: "false", source: `${FILE}:2` });
    expect(found.changes).toEqual([{ kind: "conf", file: FILE, key: "warmMapedFileEnable", value: "true" }]);
    expect(look("", "modern")("broker.warmMapedFileEnable")).toMatchObject({ status: "OK", changes: [] });
  });

  test("a stronger guarantee is not lowered, a weaker one is said in numbers", () => {
    expect(look("flushDiskType=SYNC_FLUSH\n")("broker.flushDiskType")).toMatchObject({ status: "OK", changes: [] });
    const weak = look("flushIntervalCommitLog=700\n")("broker.flushDiskType");
    expect(weak.status).toBe("INFO");
    expect(weak.reason).toContain("700 ms");
    expect(weak.changes).toEqual([]);
  });

  test("the store pool is wanted only where it fits, with its hazard", () => {
    const fits = look("")("broker.transientStorePoolEnable");
    expect(fits).toMatchObject({ classic: "true", advice: "false" });
    expect(fits.hazard?.canBeLost).toContain("200 ms of acknowledged messages");
    put("/sys/fs/cgroup/memory.max", `${2 * GIB}\n`);
    expect(look("")("broker.transientStorePoolEnable")).toMatchObject({ status: "OK", classic: "false", changes: [] });
    const tooMuch = look("transientStorePoolEnable=true\n");
    expect(tooMuch("broker.transientStorePoolEnable").status).toBe("FAIL");
    expect(tooMuch("broker.transientStorePoolEnable").reason).toContain("5 x 1 GiB");
    expect(tooMuch("runtime.memory-limit").status).toBe("FAIL");
  });

  test("a pool that has no effect is said to have none", () => {
    const found = look("transientStorePoolEnable=true\nflushDiskType=SYNC_FLUSH\n")("broker.transientStorePoolEnable");
    expect(found.reason).toContain("without effect");
  });

  test("percent of the disk must rise", () => {
    expect(look("")("broker.diskRatios").status).toBe("OK");
    expect(look("diskMaxUsedSpaceRatio=88\n")("broker.diskRatios")).toMatchObject({ status: "WARN", live: "88/85/90" });
  });

  test("files that exist keep their size", () => {
    put("/data/store/commitlog/00000000000000000000", "");
    const found = look("mappedFileSizeCommitLog=2147483647\n")("broker.mappedFileSizeCommitLog");
    expect(found).toMatchObject({ status: "OK", changes: [] });
    expect(found.reason).toContain("1 files were made with this size");
  });

  test("mappings of a full disk are held against vm.max_map_count", () => {
    expect(look("mappedFileSizeCommitLog=4096\n")("broker.mappedFiles")).toMatchObject({ status: "WARN" });
    rmSync(join(root, "proc/sys"), { recursive: true });
    expect(look("")("broker.mappedFiles").status).toBe("UNKNOWN");
  });

  test("keys of thread pools are named as not needed", () => {
    const found = look("sendMessageThreadPoolNums=16\nserverWorkerThreads=8\n")("broker.threads");
    expect(found.reason).toBe("not needed by mq: sendMessageThreadPoolNums, serverWorkerThreads");
    expect(look("sendThreadPoolQueueCapacity=10\n")("broker.threads").status).toBe("WARN");
  });
});

describe("what a JVM has flags for", () => {
  test("the memory limit comes from the group, the key or the machine", () => {
    expect(look("")("runtime.memory-limit")).toMatchObject({ status: "OK", live: "12.8 GiB" });
    expect(look("mqMemoryLimit=1073741824\n")("runtime.memory-limit")).toMatchObject({ status: "OK", live: "1 GiB" });
    expect(look(`mqMemoryLimit=${32 * GIB}\n`)("runtime.memory-limit").status).toBe("WARN");
    put("/sys/fs/cgroup/memory.max", "134217728\n");
    expect(look("")("runtime.memory-limit").status).toBe("FAIL");
    rmSync(join(root, "proc/meminfo"));
    rmSync(join(root, "sys"), { recursive: true });
    expect(look("")("runtime.memory-limit").status).toBe("UNKNOWN");
  });

  test("memlock must hold what is locked", () => {
    expect(look("")("runtime.lock-memory")).toMatchObject({ status: "OK" });
    const short = look("warmMapedFileEnable=true\n")("runtime.lock-memory");
    expect(short.status).toBe("WARN");
    expect(short.reason).toContain("memlock is 8 MiB here, want 2 GiB");
    put("/proc/self/limits", "Max locked memory         unlimited            unlimited            bytes\n");
    expect(look("warmMapedFileEnable=true\n")("runtime.lock-memory").status).toBe("OK");
  });

  test("the pause log goes to /dev/shm in the classic, and its directory must be there", () => {
    const off = look("")("runtime.pause-log");
    expect(off.changes).toEqual([{ kind: "conf", file: FILE, key: "mqPauseLogPath", value: "/dev/shm/mq-pauses.log" }]);
    expect(look("mqPauseLogPath=/nowhere/x.log\n")("runtime.pause-log").status).toBe("WARN");
    expect(look("mqPauseLogPath=/data/x.log\n")("runtime.pause-log").status).toBe("OK");
  });
});

test("a file that cannot be used is a configuration error", () => {
  expect(() => check(new Machine(root), { profile: "classic", config: "/none" })).toThrow("cannot read /none");
  expect(() => look("brokerRole=SYSC_MASTER\n")).toThrow(/broker.properties:2: brokerRole=SYSC_MASTER: want one of/);
});

test("a key that nobody knows is named: no broker starts with it", () => {
  put(FILE, "brokerName=a\nflushDiskTyp=SYNC_FLUSH\n");
  const { notes } = check(new Machine(root), { profile: "classic", config: FILE });
  expect(notes).toHaveLength(1);
  expect(notes[0]).toMatch(/^no broker starts with this file: .*broker\.properties:2: flushDiskTyp.*flushDiskType/);
});

test("without a file none of these are looked at", () => {
  const { checks } = check(new Machine(root), { profile: "classic" });
  expect(checks.some(({ id }) => /^(broker|runtime)\./.test(id))).toBe(false);
});

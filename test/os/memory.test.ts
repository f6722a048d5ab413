import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { memoryBound, ProcessMemory } from "../../lib/os/memory.ts";

const GIB = 1024 ** 3;
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-memory-"));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function tree(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

test("without any group the machine bounds the process", () => {
  expect(memoryBound(root, 8 * GIB)).toEqual({ bytes: 8 * GIB, source: "the machine" });
});

test("version 2: the least limit on the way up counts", () => {
  tree({
    "proc/self/cgroup": "0::/system.slice/mq.service\n",
    "sys/fs/cgroup/system.slice/mq.service/memory.max": "max\n",
    "sys/fs/cgroup/system.slice/memory.max": `${GIB}\n`,
    "sys/fs/cgroup/memory.max": `${2 * GIB}\n`,
  });
  expect(memoryBound(root, 8 * GIB)).toEqual({
    bytes: GIB,
    source: join(root, "sys/fs/cgroup/system.slice/memory.max"),
  });
});

test("version 1: a limit that is none is above the machine's memory; other controllers are not looked at", () => {
  tree({
    "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/abc\n1:cpu:/small\n",
    "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": `${GIB / 2}\n`,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
  });
  expect(memoryBound(root, 8 * GIB).bytes).toBe(GIB / 2);
});

test("a group of a container that is seen as the root", () => {
  tree({ "proc/self/cgroup": "0::/../../kubepods/pod1\n", "sys/fs/cgroup/memory.max": "268435456\n" });
  expect(memoryBound(root, 8 * GIB).bytes).toBe(268_435_456);
});

test("what is not a number bounds nothing", () => {
  tree({ "proc/self/cgroup": "nonsense\n0::/\n", "sys/fs/cgroup/memory.max": "lots\n" });
  expect(memoryBound(root, GIB).bytes).toBe(GIB);
});

test("anonymous memory of this process grows with what is touched", () => {
  const memory = new ProcessMemory();
  const before = memory.anonymousBytes();
  const touched = Buffer.alloc(64 * 1024 * 1024, 1);
  expect(memory.anonymousBytes() - before).toBeGreaterThan(32 * 1024 * 1024);
  expect(touched.length).toBeGreaterThan(0);
  expect(memory.lockedBytes()).toBeGreaterThanOrEqual(0);
  memory.close();
});

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { usableCpus } from "../../lib/os/cpus.ts";

const directory = mkdtempSync(join(tmpdir(), "mq-cpus-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function tree(name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return join(directory, name);
}

test("cores are those of the process, or the least quota of its control groups", () => {
  const v2 = "0::/a/b\n";
  expect(usableCpus(join(directory, "none"), 8)).toBe(8);
  expect(usableCpus(tree("max", { "proc/self/cgroup": v2, "sys/fs/cgroup/a/b/cpu.max": "max 100000\n" }), 8)).toBe(8);
  const above = { "sys/fs/cgroup/a/cpu.max": "150000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n" };
  expect(usableCpus(tree("v2", { "proc/self/cgroup": v2, ...above }), 8)).toBe(1.5);
  const v1 = {
    "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "200000\n",
    "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000\n",
  };
  expect(usableCpus(tree("v1", { "proc/self/cgroup": "4:cpu,cpuacct:/c\n", ...v1 }), 8)).toBe(2);
  const none = { "sys/fs/cgroup/cpu/c/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/c/cpu.cfs_period_us": "100000\n" };
  expect(usableCpus(tree("v1-none", { "proc/self/cgroup": "4:cpu,cpuacct:/c\n", ...none }), 8)).toBe(8);
  expect(usableCpus(tree("junk", { "proc/self/cgroup": v2, "sys/fs/cgroup/a/b/cpu.max": "junk" }), 8)).toBe(8);
});

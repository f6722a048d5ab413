import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { check } from "../../lib/tune/check.ts";
import { Machine } from "../../lib/tune/machine.ts";
import type { TuneOptions } from "../../lib/tune/types.ts";
import { DEBIAN, makeTree, type TreeFiles } from "./trees.ts";

const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function found(files: TreeFiles, id: string, options: Partial<TuneOptions> = {}) {
  const root = makeTree({ ...DEBIAN, ...files });
  roots.push(root);
  return check(new Machine(root), { profile: "classic", ...options }).checks.find((result) => result.id === id);
}

describe("control groups", () => {
  test("of version 1 bound memory and processors as well", () => {
    const files = {
      "/proc/self/cgroup": "9:cpu,cpuacct:/docker/x\n8:memory:/docker/x\n0::/\n",
      "/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "1073741824\n",
      "/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us": "100000\n",
    };
    expect(found(files, "mem.cgroup")).toMatchObject({
      status: "WARN",
      reason: "memory 1 GiB, 0.5 cores: less than 2 GiB for broker and page cache",
    });
  });

  test("of version 2: the least of the own group and those above it", () => {
    const files = {
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n",
      "/sys/fs/cgroup/a/memory.max": "4294967296\n",
      "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/a/cpu.max": "150000 100000\n",
    };
    expect(found(files, "mem.cgroup")?.status).toBe("OK");
    expect(found(files, "mem.cgroup")?.live).toBe("4 GiB");
    expect(found({ ...files, "/sys/fs/cgroup/a/cpu.max": "50000 100000\n" }, "mem.cgroup")?.reason).toContain(
      "0.5 cores: less than one core",
    );
  });

  test("garbage bounds nothing", () => {
    const files = {
      "/sys/fs/cgroup/init.scope/memory.max": "xyz\n",
      "/sys/fs/cgroup/init.scope/cpu.max": "abc def\n",
    };
    expect(found(files, "mem.cgroup")).toMatchObject({ status: "OK", live: "no limit" });
  });
});

describe("a floor that is passed", () => {
  const HIGH = { "/proc/sys/vm/max_map_count": "1048576\n" };

  test("and stands in no file is lost at the next boot", () => {
    expect(found(HIGH, "vm.max_map_count")).toMatchObject({ status: "WARN" });
  });

  test("is good when a file keeps what is wanted, even if less", () => {
    const kept = { "/etc/sysctl.d/10-x.conf": "vm.max_map_count = 655360\n" };
    expect(found({ ...HIGH, ...kept }, "vm.max_map_count")).toMatchObject({ status: "OK", changes: [] });
  });

  test("by the kernel's own computation comes back by itself", () => {
    const options = { profile: "modern" } as const;
    expect(found({}, "vm.min_free_kbytes", options)?.status).toBe("OK");
    const backlog = { "/proc/sys/net/ipv4/tcp_max_syn_backlog": "8192\n" };
    expect(found(backlog, "net.syn-backlog", options)?.status).toBe("OK");
  });
});

describe("what the kernel did not say", () => {
  test.each(["", "\n", "abc\n", "-1\n", "\0\u00ff\n"])("%j is unknown and nothing to act on", (text) => {
    const files = { "/proc/sys/fs/nr_open": text, "/proc/sys/vm/swappiness": text };
    for (const id of ["limits.nr-open", "vm.swappiness"])
      expect(found(files, id)).toMatchObject({ status: "UNKNOWN", changes: [] });
  });

  test("an empty attribute of a disk is no good one", () => {
    const files = { "/sys/devices/pci0/block/vda/queue/read_ahead_kb": "" };
    expect(found(files, "disk.readahead", { store: "/" })?.status).toBe("N/A");
  });
});

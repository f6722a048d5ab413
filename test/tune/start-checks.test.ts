import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startLines } from "../../cmd/start-checks.ts";
import { defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { mountOf } from "../../lib/tune/mounts.ts";
import { type StartFinding, startChecks } from "../../lib/tune/start-checks.ts";
import { Tree } from "../../lib/tune/tree.ts";

let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "mq-start-checks-"));
  put("/proc/meminfo", "MemTotal:       16777216 kB\n");
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/self/limits", limits("655360"));
  put("/proc/sys/vm/max_map_count", "655360\n");
  put("/proc/self/mountinfo", "22 1 259:1 / / rw,relatime - ext4 /dev/root rw\n");
  mkdirSync(join(root, "data"));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const limits = (files: string) =>
  `Max open files            ${files}              ${files}              files\nMax locked memory         unlimited            unlimited            bytes\n`;

async function look(store = "/data"): Promise<Map<string, StartFinding>> {
  // The disk below the tree is this machine's: its fill is not what is tested here.
  const config = defaultBrokerConfig({
    storePathRootDir: store,
    mappedFileSizeCommitLog: 4_194_304,
    diskMaxUsedSpaceRatio: 100,
    diskSpaceCleanForciblyRatio: 100,
    diskSpaceWarningLevelRatio: 100,
  });
  return new Map((await startChecks(config, root)).map((finding) => [finding.id, finding]));
}

describe("the checks of a start", () => {
  test("a machine that is fit has no must-have off", async () => {
    expect([...(await look()).values()].filter(({ must }) => must)).toEqual([]);
  });

  test("open files and mappings are must-haves, with the values found and wanted", async () => {
    put("/proc/self/limits", limits("4096"));
    put("/proc/sys/vm/max_map_count", "65530\n");
    const found = await look();
    expect(found.get("limits.process")).toMatchObject({ status: "FAIL", must: true });
    expect(found.get("limits.process")?.text).toContain("is 4096, want 655360");
    expect(found.get("vm.max_map_count")?.text).toContain("is 65530, want 655360");
  });

  test("more than the floor is fine", async () => {
    put("/proc/sys/vm/max_map_count", "1048576\n");
    put("/proc/self/limits", limits("unlimited"));
    expect([...(await look()).values()].filter(({ must }) => must)).toEqual([]);
  });

  for (const [type, text] of [
    ["tmpfs", "it is memory"],
    ["nfs4", "over NFS"],
    ["overlay", "goes with the container"],
  ] as const) {
    test(`a store on ${type} is refused`, async () => {
      put(
        "/proc/self/mountinfo",
        `22 1 259:1 / / rw - ext4 /dev/root rw\n23 22 0:40 / /data rw shared:1 - ${type} src rw\n`,
      );
      const found = (await look("/data/store/not/there")).get("disk.fs");
      expect(found).toMatchObject({ status: "FAIL", must: true });
      expect(found?.text).toContain(text);
    });
  }

  test("a network share of another kind is doubtful, an unknown file system nothing to say at a start", async () => {
    put("/proc/self/mountinfo", "22 1 0:1 / / rw - fuse.sshfs src rw\n");
    expect((await look()).get("disk.fs")).toMatchObject({ status: "WARN" });
    put("/proc/self/mountinfo", "22 1 0:1 / / rw - f2fs src rw\n");
    expect((await look()).get("disk.fs")).toBeUndefined();
  });

  test("a read-only store is refused", async () => {
    put("/proc/self/mountinfo", "22 1 0:1 / / ro,relatime - ext4 /dev/root ro\n");
    expect((await look()).get("disk.fs")?.text).toContain("read-only");
  });

  test("what cannot be read is no finding and no crash", async () => {
    rmSync(join(root, "proc"), { recursive: true });
    expect([...(await look()).values()].filter(({ must }) => must)).toEqual([]);
  });
});

describe("mounts", () => {
  test("the longest mount point holds, the later one where two are equal, names with blanks and links are followed", () => {
    mkdirSync(join(root, "data", "my store"), { recursive: true });
    put(
      "/proc/self/mountinfo",
      [
        "22 1 259:1 / / rw - ext4 /dev/root rw",
        "23 22 0:1 / /data rw - xfs /dev/a rw",
        "24 23 0:2 / /data/my\\040store rw master:2 - xfs /dev/b rw",
        "25 23 0:3 / /data/my\\040store rw - tmpfs over rw",
        "a line that is none",
      ].join("\n"),
    );
    const tree = new Tree(root);
    expect(mountOf(tree, "/data/my store/x")).toMatchObject({ type: "tmpfs", device: "0:3" });
    expect(mountOf(tree, "/data2")).toMatchObject({ source: "/dev/root" });
    expect(mountOf(tree, "/data/other")).toMatchObject({ type: "xfs", source: "/dev/a" });
  });
});

describe("what a start says", () => {
  const finding = (id: string, status: "WARN" | "FAIL"): StartFinding => ({ id, status, must: true, text: `${id}: x` });

  test("a line each, and where to look", () => {
    expect(startLines([finding("a", "FAIL"), finding("b", "WARN")], false)).toEqual([
      "a: x",
      "b: x",
      "mq tune shows all checks, mq tune explain CHECK what one means",
    ]);
    expect(startLines([], false)).toEqual([]);
  });

  test("on loopback one line at most", () => {
    expect(startLines([finding("a", "FAIL"), finding("b", "WARN")], true)).toEqual([
      "before others use this broker: a (mq tune tells more)",
    ]);
    expect(startLines([finding("b", "WARN")], true)).toEqual([]);
  });
});

import { afterEach, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ApplyOptions, apply } from "../../lib/tune/apply.ts";
import { check } from "../../lib/tune/check.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import {
  ALPINE,
  AWKWARD,
  DEBIAN,
  EMPTY,
  IMAGE,
  makeTree,
  RHEL,
  setMode,
  snapshot,
  type TreeFiles,
  times,
} from "./trees.ts";

const roots: string[] = [];

function tree(files: TreeFiles): string {
  const root = makeTree(files);
  roots.push(root);
  return root;
}

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

const CLASSIC: ApplyOptions = { profile: "classic", version: "test", store: "/" };

function applied(root: string, options: Partial<ApplyOptions> = {}) {
  return apply(new Machine(root), { ...CLASSIC, ...options });
}

function reverted(root: string, options: { force?: boolean; to?: string } = {}) {
  const machine = new Machine(root);
  return revert(machine, new Journal(machine), {
    force: options.force ?? false,
    ...(options.to && { to: options.to }),
  });
}

const TREES: Readonly<Record<string, TreeFiles>> = { DEBIAN, RHEL, ALPINE, AWKWARD, EMPTY, IMAGE };

describe.each(Object.entries(TREES))("%s", (_, files) => {
  describe.each(["drop-in", "main"] as const)("%s", (where) => {
    describe.each(["classic", "modern", "dev"] as const)("%s", (profile) => {
      test("apply does all, a second one nothing, revert gives the same bytes", () => {
        const root = tree(files);
        const before = snapshot(root);
        const first = applied(root, { files: where, profile });
        expect(first.outcomes.filter(({ done }) => !done)).toEqual([]);
        const touched = times(root);
        const second = applied(root, { files: where, profile });
        expect(second.run).toBeUndefined();
        expect(second.outcomes).toEqual([]);
        expect(times(root)).toEqual(touched);
        expect(reverted(root).filter(({ done }) => !done)).toEqual([]);
        expect(snapshot(root)).toEqual(before);
      });
    });
  });
});

test("foreign lines, comments, CRLF, modes and links stay; our block stands behind them", () => {
  const root = tree(AWKWARD);
  setMode(root, "/etc/sysctl.conf", 0o640);
  applied(root, { files: "main" });
  const text = readFileSync(join(root, "etc/sysctl.conf"), "latin1");
  expect(text.startsWith(`${AWKWARD["/etc/sysctl.conf"]}\n# BEGIN mq tune (managed)\n`)).toBe(true);
  expect(lstatSync(join(root, "etc/sysctl.conf")).mode & 0o7777).toBe(0o640);
  expect(lstatSync(join(root, "etc/sysctl.d/99-sysctl.conf")).isSymbolicLink()).toBe(true);
});

test("modern after classic replaces shares by bytes, and revert of both gives the first bytes", () => {
  const root = tree(DEBIAN);
  const before = snapshot(root);
  const first = applied(root);
  const between = snapshot(root);
  applied(root, { profile: "modern" });
  const text = readFileSync(join(root, "etc/sysctl.d/90-mq-tune.conf"), "utf8");
  expect(text).toContain("vm.dirty_bytes = ");
  expect(text).not.toContain("vm.dirty_ratio");
  expect(readFileSync(join(root, "proc/sys/vm/dirty_ratio"), "utf8").trim()).toBe("0");
  reverted(root, { to: first.run! });
  expect(snapshot(root)).toEqual(between);
  reverted(root);
  expect(snapshot(root)).toEqual(before);
});

test("what somebody changed since is left and named; what is still ours is taken back", () => {
  const root = tree(DEBIAN);
  applied(root, { files: "main" });
  const sysctl = join(root, "etc/sysctl.conf");
  writeFileSync(sysctl, `${readFileSync(sysctl, "latin1")}kernel.sysrq = 1\n`);
  writeFileSync(join(root, "proc/sys/vm/swappiness"), "33\n");
  const left = reverted(root).filter(({ done }) => !done);
  expect(left.map(({ what }) => what)).toEqual(["vm.swappiness: 1 -> 60"]);
  expect(readFileSync(sysctl, "latin1")).toBe(`${DEBIAN["/etc/sysctl.conf"]}kernel.sysrq = 1\n`);
  expect(reverted(root, { force: true }).every(({ done }) => done)).toBe(true);
  expect(readFileSync(join(root, "proc/sys/vm/swappiness"), "utf8").trim()).toBe("60");
});

test("our lines that somebody edited are left without --force", () => {
  const root = tree(DEBIAN);
  applied(root);
  const file = join(root, "etc/sysctl.d/90-mq-tune.conf");
  writeFileSync(file, readFileSync(file, "utf8").replace("vm.swappiness = 1", "vm.swappiness = 5"));
  expect(reverted(root).some(({ what, done }) => what === "/etc/sysctl.d/90-mq-tune.conf" && !done)).toBe(true);
  expect(readFileSync(file, "utf8")).toContain("vm.swappiness = 5");
  reverted(root, { force: true });
  expect(readdirSync(join(root, "etc/sysctl.d"))).toEqual(["99-sysctl.conf"]);
});

test("a floor is never lowered, except to the letter", () => {
  const root = tree(RHEL);
  applied(root);
  expect(readFileSync(join(root, "proc/sys/vm/max_map_count"), "utf8").trim()).toBe("1048576");
  applied(root, { literal: true, only: ["vm.max_map_count"] });
  expect(readFileSync(join(root, "proc/sys/vm/max_map_count"), "utf8").trim()).toBe("655360");
});

test("fs.nr_open is raised before a limit above it, and is not left out by --only", () => {
  const root = tree({ ...DEBIAN, "/proc/sys/fs/nr_open": "65536\n" });
  const { outcomes } = applied(root, { only: ["limits.nofile"] });
  expect(outcomes.map(({ what }) => what)).toEqual([
    "fs.nr_open: 65536 -> 655360",
    "wrote /etc/sysctl.d/90-mq-tune.conf",
    "wrote /etc/security/limits.d/90-mq-tune.conf",
  ]);
});

test("a kernel value that is refused is not written into the file, and the rest is done", () => {
  const root = tree(DEBIAN);
  rmSync(join(root, "proc/sys/vm/swappiness"));
  mkdirSync(join(root, "proc/sys/vm/swappiness"));
  rmSync(join(root, "proc/sys/fs/nr_open"));
  writeFileSync(join(root, "proc/sys/fs/nr_open"), "65536\n");
  // The value cannot be written although it can be read: the tree's own stand-in for EINVAL.
  const machine = new Machine(root);
  const result = apply(machine, {
    ...CLASSIC,
    onStep: (step) => {
      if (step === "write 655360 to /proc/sys/fs/nr_open") throw new Error("EINVAL");
    },
  });
  const failed = result.outcomes.filter(({ done }) => !done).map(({ what }) => what);
  expect(failed).toContain("fs.nr_open: 65536 -> 655360");
  expect(failed.some((what) => what.includes("nofile"))).toBe(true);
  expect(readFileSync(join(root, "etc/sysctl.d/90-mq-tune.conf"), "utf8")).not.toContain("nr_open");
  const limits = readFileSync(join(root, "etc/security/limits.d/90-mq-tune.conf"), "utf8");
  expect(limits).not.toContain("nofile");
});

test("drop_caches is never in a file, and fires only on request", () => {
  const root = tree(DEBIAN);
  applied(root);
  expect(readFileSync(join(root, "proc/sys/vm/drop_caches"), "utf8")).toBe("0\n");
  applied(root, { dropCaches: true, only: ["vm.drop_caches"] });
  expect(readFileSync(join(root, "proc/sys/vm/drop_caches"), "utf8")).toBe("1\n");
  for (const name of readdirSync(join(root, "etc/sysctl.d")))
    expect(readFileSync(join(root, "etc/sysctl.d", name), "utf8")).not.toContain("drop_caches");
});

test("drop_caches in somebody's file is named: it fires at each boot", () => {
  const root = tree({ ...DEBIAN, "/etc/sysctl.d/10-x.conf": "vm.drop_caches = 1\n" });
  const found = check(new Machine(root), CLASSIC).checks.find(({ id }) => id === "vm.drop_caches");
  expect(found).toMatchObject({ status: "WARN", changes: [], source: "/etc/sysctl.d/10-x.conf:1" });
});

test("overcommit 2 was somebody's choice: left without --force", () => {
  const root = tree({ ...DEBIAN, "/proc/sys/vm/overcommit_memory": "2\n" });
  applied(root);
  expect(readFileSync(join(root, "proc/sys/vm/overcommit_memory"), "utf8").trim()).toBe("2");
  applied(root, { force: true });
  expect(readFileSync(join(root, "proc/sys/vm/overcommit_memory"), "utf8").trim()).toBe("1");
});

test("a block without its end is not edited", () => {
  const root = tree({ ...DEBIAN, "/etc/sysctl.conf": "# BEGIN mq tune (managed)\nvm.swappiness = 1\nfs.x = 3\n" });
  const { outcomes } = applied(root, { files: "main" });
  expect(outcomes.find(({ done }) => !done)?.what).toContain("/etc/sysctl.conf, line 1");
  expect(readFileSync(join(root, "etc/sysctl.conf"), "utf8")).toBe(
    "# BEGIN mq tune (managed)\nvm.swappiness = 1\nfs.x = 3\n",
  );
});

test("a second run at the same time is refused", () => {
  const root = tree(DEBIAN);
  const journal = new Journal(new Machine(root));
  journal.lock();
  try {
    expect(() => applied(root)).toThrow("another mq tune is at work");
  } finally {
    journal.unlock();
  }
});

test("a file that changes between plan and rename is left", () => {
  const root = tree(DEBIAN);
  const result = applied(root, {
    files: "main",
    onStep: (step) => {
      if (step.startsWith("create") && step.includes("sysctl.conf.mq-tune-new"))
        writeFileSync(join(root, "etc/sysctl.conf"), "somebody = 1\n");
    },
  });
  expect(result.outcomes.find(({ what }) => what === "wrote /etc/sysctl.conf")?.why).toContain(
    "changed by somebody else",
  );
  expect(readFileSync(join(root, "etc/sysctl.conf"), "utf8")).toBe("somebody = 1\n");
});

describe("reading", () => {
  test("the later file that wins is named by file and line", () => {
    const root = tree(AWKWARD);
    applied(root);
    const report = check(new Machine(root), { profile: "classic" });
    const shadow = report.checks.find(({ id }) => id === "conflict.shadow");
    expect(shadow?.status).toBe("WARN");
    expect(shadow?.reason).toContain("/etc/sysctl.d/99-zz-site.conf:1 (vm.swappiness = 10)");
    expect(shadow?.reason).toContain("/etc/security/limits.d/99-site.conf:1 (baseuser hard nofile 4096)");
    expect(report.checks.find(({ id }) => id === "vm.swappiness")?.reason).toContain("99-zz-site.conf:1 has 10");
  });

  test("lines that nobody understands are named and left", () => {
    const { notes } = check(new Machine(tree(AWKWARD)), { profile: "classic" });
    expect(notes).toEqual([
      '/etc/sysctl.conf:5: not a sysctl setting: "this is no setting"',
      '/etc/security/limits.conf:3: not a limit: "nonsense"',
    ]);
  });

  test("an empty tree is unknown or not here everywhere, never an error", () => {
    const { checks } = check(new Machine(tree(EMPTY)), { profile: "classic" });
    const judged = checks.filter(({ live, status }) => live === undefined && status === "OK").map(({ id }) => id);
    expect(judged).toEqual([]);
    expect(checks.length).toBeGreaterThan(40);
  });

  test("user before group before everybody, the last line within one", () => {
    const { checks } = check(new Machine(tree(AWKWARD)), { profile: "classic" });
    const nofile = checks.find(({ id }) => id === "limits.nofile");
    expect(nofile?.live).toBe("4096:4096");
    expect(nofile?.source).toBe("/etc/security/limits.d/99-site.conf:1");
  });
});

test("a foreign limit above fs.nr_open is FAIL, named, and not touched", () => {
  const root = tree({ ...DEBIAN, "/etc/security/limits.d/10-x.conf": "baseuser - nofile unlimited\n" });
  const nofile = check(new Machine(root), { profile: "classic" }).checks.find(({ id }) => id === "limits.nofile");
  expect(nofile?.status).toBe("FAIL");
  expect(nofile?.reason).toContain("/etc/security/limits.d/10-x.conf:1 asks for unlimited files");
  expect(nofile?.changes).toEqual([]);
});

test("the limits of a running broker are its process's, and only a restart changes them", () => {
  const limits = "Max open files            1024                 4096                 files\n";
  const root = tree({ ...DEBIAN, "/proc/77/cmdline": "/usr/bin/mq\0broker\0-c\0x\0", "/proc/77/limits": limits });
  const found = check(new Machine(root), { profile: "classic" }).checks.find(({ id }) => id === "limits.process");
  expect(found).toMatchObject({ status: "FAIL", live: "4096", effect: "restart", changes: [] });
});

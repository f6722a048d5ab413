import { afterEach, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ApplyOptions, apply, plannedFor } from "../../lib/tune/apply.ts";
import { check } from "../../lib/tune/check.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import type { TuneOptions } from "../../lib/tune/types.ts";
import { ALPINE, DEBIAN, IMAGE, makeTree, snapshot, type TreeFiles } from "./trees.ts";

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

function reverted(root: string, force = false) {
  const machine = new Machine(root);
  return revert(machine, new Journal(machine), { force });
}

function planned(root: string, options: Partial<TuneOptions> = {}) {
  const machine = new Machine(root);
  const wanted = { ...CLASSIC, ...options };
  return plannedFor(machine, check(machine, wanted), wanted).plan;
}

describe("what is no plain file", () => {
  test.each([
    ["a directory", "is a directory", (path: string) => mkdirSync(path)],
    ["a pipe", "is no plain file but a device or a pipe", (path: string) => Bun.spawnSync(["mkfifo", path])],
    ["links in a circle", "links in circles", (path: string) => symlinkSync("90-mq-tune.conf", path)],
    ["a very large file", "want at most", (path: string) => writeFileSync(path, Buffer.alloc(5 << 20, "#\n"))],
  ])("%s in our place is refused before anything is written, and named", (_, text, make) => {
    const root = tree(DEBIAN);
    make(join(root, "etc/sysctl.d/90-mq-tune.conf"));
    expect(planned(root).refusals.map(({ what }) => what)).toEqual([
      expect.stringMatching(new RegExp(`^/etc/sysctl.d/90-mq-tune.conf .*${text}`)),
    ]);
    expect(check(new Machine(root), CLASSIC).notes.join()).toContain(text);
    expect(applied(root).outcomes.filter(({ done }) => !done)).toHaveLength(1);
  });

  test("a link to /dev/null, which switches a file off, is left and the device stays", () => {
    const root = tree({ ...DEBIAN, "/etc/sysctl.d/90-mq-tune.conf": "-> /dev/null", "/dev/x": "" });
    Bun.spawnSync(["mkfifo", join(root, "dev/null")]);
    expect(applied(root).outcomes.filter(({ done }) => !done)).toHaveLength(1);
    expect(lstatSync(join(root, "dev/null")).isFIFO()).toBe(true);
    expect(check(new Machine(root), CLASSIC).notes).toEqual([]);
  });
});

describe("logins at the next boot", () => {
  const LOW = "fs.nr_open = 65536\n";
  const only = ["limits.nofile"];
  test.each(Object.entries({ DEBIAN, IMAGE }))(
    "%s: a later file that lowers fs.nr_open keeps nofile out",
    (_, files) => {
      const root = tree({ ...files, "/etc/sysctl.d/99-zz.conf": LOW });
      const { outcomes } = applied(root, { only });
      expect(outcomes.find(({ done }) => !done)?.what).toContain(
        "/etc/sysctl.d/99-zz.conf:1 sets fs.nr_open to 65536 at the next boot",
      );
      expect(new Machine(root).text("/etc/security/limits.d/90-mq-tune.conf")).toBeUndefined();
    },
  );

  test.each(Object.entries({ DEBIAN, IMAGE }))("%s: an earlier one is overruled by ours first", (_, files) => {
    const root = tree({ ...files, "/etc/sysctl.d/50-zz.conf": LOW });
    expect(applied(root, { only }).outcomes.filter(({ done }) => !done)).toEqual([]);
    expect(new Machine(root).text("/etc/sysctl.d/90-mq-tune.conf")).toContain("fs.nr_open = 1048576\n");
    expect(new Machine(root).text("/etc/security/limits.d/90-mq-tune.conf")).toContain("baseuser hard nofile 655360");
  });

  test("a limit that is there and will be above it is FAIL and names both lines", () => {
    const root = tree({
      ...DEBIAN,
      "/etc/sysctl.d/99-zz.conf": LOW,
      "/etc/security/limits.d/10-x.conf": "baseuser - nofile 655360\n",
    });
    const found = check(new Machine(root), CLASSIC).checks.find(({ id }) => id === "limits.nofile");
    expect(found).toMatchObject({ status: "FAIL", changes: [] });
    expect(found?.reason).toMatch(/10-x\.conf:1 asks for 655360 files, but .*99-zz\.conf:1 sets fs\.nr_open to 65536/);
  });

  test("fs.nr_open and fs.file-max are not lowered even to the letter", () => {
    const keys = planned(tree(DEBIAN), { literal: true }).operations.flatMap((op) => (op.op === "live" ? op.key : []));
    expect(keys).toContain("vm.max_map_count");
    expect(keys).not.toContain("fs.nr_open");
    expect(keys).not.toContain("fs.file-max");
  });

  test("nor in an image, whose kernel nobody knows", () => {
    const root = tree(IMAGE);
    applied(root, { literal: true });
    expect(new Machine(root).text("/etc/sysctl.d/90-mq-tune.conf")).not.toMatch(/nr_open|file-max/);
    expect(new Machine(root).text("/etc/security/limits.d/90-mq-tune.conf")).toContain("baseuser hard nofile 655360");
  });

  test("a unit's limit brings fs.nr_open with it", () => {
    const root = tree({ ...DEBIAN, "/proc/sys/fs/nr_open": "100000\n" });
    applied(root, { only: ["limits.nofile-service"] });
    expect(new Machine(root).sysctl("fs.nr_open")).toBe("655360");
  });
});

describe("files that win over ours", () => {
  test("are named before anything is written, and after", () => {
    const root = tree({ ...DEBIAN, "/etc/sysctl.d/99-zz.conf": "vm.swappiness = 77\n" });
    const text = "/etc/sysctl.d/99-zz.conf:1 (vm.swappiness = 77) wins over ours (1)";
    expect(planned(root).conflicts).toEqual([text]);
    expect(applied(root).conflicts).toEqual([text]);
  });

  test("a sysctl.conf that nothing reads at boot is named when we write into it", () => {
    const files = Object.entries(DEBIAN).filter(([path]) => path !== "/etc/sysctl.d/99-sysctl.conf");
    const root = tree(Object.fromEntries(files));
    const text = expect.stringContaining("/etc/sysctl.conf is not read at boot here: use --files drop-in");
    expect(planned(root, { files: "main" }).conflicts).toEqual([text]);
    expect(applied(root, { files: "main" }).conflicts).toEqual([text]);
    expect(planned(root, { files: "main" }).conflicts).toEqual([text]);
    expect(planned(root).conflicts).toEqual([]);
  });

  test("in directories that are links, absolute or relative", () => {
    const root = tree({
      ...IMAGE,
      "/srv/sysctl/50-low.conf": "fs.nr_open = 65536\n",
      "/srv/sysctl/99-zz.conf": "vm.swappiness = 77\n",
      "/srv/limits/zz.conf": "baseuser hard nofile 4096\n",
    });
    for (const [path, target] of [
      ["etc/sysctl.d", "/srv/sysctl"],
      ["etc/security/limits.d", "../../srv/limits"],
    ] as const) {
      rmSync(join(root, path), { recursive: true, force: true });
      symlinkSync(target, join(root, path));
    }
    const before = snapshot(root);
    const result = applied(root);
    expect(result.outcomes.filter(({ done }) => !done)).toEqual([]);
    expect(result.conflicts).toEqual([
      "/srv/sysctl/99-zz.conf:1 (vm.swappiness = 77) wins over ours (1)",
      "/srv/limits/zz.conf:1 (baseuser hard nofile 4096) wins over ours (hard 655360)",
    ]);
    expect(new Machine(root).text("/srv/sysctl/90-mq-tune.conf")).toContain("fs.nr_open = 655360");
    expect(reverted(root).filter(({ done }) => !done)).toEqual([]);
    expect(snapshot(root)).toEqual(before);
  });

  test("in limits.d over our block in limits.conf", () => {
    const root = tree({ ...DEBIAN, "/etc/security/limits.d/zz.conf": "baseuser - nofile 4096\n" });
    expect(applied(root, { files: "main" }).conflicts).toEqual([
      "/etc/security/limits.d/zz.conf:1 (baseuser - nofile 4096) wins over ours (soft 655360)",
      "/etc/security/limits.d/zz.conf:1 (baseuser - nofile 4096) wins over ours (hard 655360)",
    ]);
  });

  test("lines behind our block in the same file", () => {
    const root = tree(DEBIAN);
    applied(root, { files: "main" });
    const path = join(root, "etc/sysctl.conf");
    writeFileSync(path, `${readFileSync(path, "utf8")}vm.swappiness = 5\n`);
    expect(planned(root, { files: "main" }).conflicts[0]).toContain("(vm.swappiness = 5) wins over ours (1)");
  });

  test("of a dirty pair the later one counts, before ours or behind", () => {
    const line = "vm.dirty_bytes = 1000000\n";
    const before = tree({ ...DEBIAN, "/etc/sysctl.d/10-a.conf": line });
    applied(before);
    const ratio = () => check(new Machine(before), CLASSIC).checks.find(({ id }) => id === "vm.dirty_ratio");
    expect(ratio()).toMatchObject({ status: "OK", persisted: "50" });
    const behind = tree({ ...DEBIAN, "/etc/sysctl.d/99-zz.conf": line });
    expect(applied(behind).conflicts).toEqual([
      "/etc/sysctl.d/99-zz.conf:1 (vm.dirty_bytes = 1000000) wins over ours (vm.dirty_ratio = 50)",
    ]);
  });

  test("a pattern does not set what `-key` keeps from it, and knows ? and [...]", () => {
    const persisted = (text: string) => {
      const root = tree({ ...DEBIAN, "/etc/sysctl.d/10-a.conf": text });
      return check(new Machine(root), CLASSIC).checks.find(({ id }) => id === "vm.swappiness")?.persisted;
    };
    expect(persisted("vm.* = 5\n")).toBe("5");
    expect(persisted("vm.* = 5\n-vm.swappiness\n")).toBeUndefined();
    expect(persisted("vm.swappines[r-t] = 6\n")).toBe("6");
    expect(persisted("vm.swappines[!r-t] = 6\n")).toBeUndefined();
    expect(persisted("vm/swappines? = 7\n")).toBe("7");
  });
});

describe("a killed run", () => {
  /** Ends apply before its last write: all is done, only the run's text does not say so. */
  function killedAtTheEnd(): string {
    const root = tree(DEBIAN);
    applied(root);
    const machine = new Machine(root);
    const journal = new Journal(machine);
    for (const run of journal.runs().runs) journal.write({ ...run, state: "started" }, () => {});
    return root;
  }
  const states = (root: string) => new Journal(new Machine(root)).runs().runs.map(({ state }) => state);

  test("of which nothing is left to do is done with the next apply", () => {
    const root = killedAtTheEnd();
    expect(applied(root).outcomes).toEqual([]);
    expect(states(root)).toEqual(["done"]);
  });

  test("is not called complete by a run that looks at a part, or of another profile", () => {
    const root = killedAtTheEnd();
    applied(root, { only: ["vm"] });
    applied(root, { profile: "dev" });
    expect(states(root)[0]).toBe("started");
  });
});

describe("taking back", () => {
  test("--force brings a removed file back", () => {
    const root = tree(DEBIAN);
    const before = snapshot(root);
    applied(root, { files: "main" });
    rmSync(join(root, "etc/sysctl.conf"));
    expect(reverted(root).filter(({ done }) => !done)).toEqual([
      expect.objectContaining({ why: expect.stringContaining("removed the file since") }),
    ]);
    expect(reverted(root, true).filter(({ done }) => !done)).toEqual([]);
    expect(snapshot(root)).toEqual(before);
  });

  test("a copy that cannot be made leaves the files alone, and what was done is told and taken back", () => {
    const root = tree(DEBIAN);
    const before = snapshot(root);
    const { outcomes } = applied(root, {
      onStep: (step) => {
        if (step.startsWith("create") && step.includes(".bak")) throw new Error("no space left");
      },
      files: "main",
    });
    expect(outcomes.filter(({ done }) => !done)).toEqual([
      expect.objectContaining({ why: expect.stringContaining("no space left") }),
    ]);
    expect(outcomes.filter(({ done }) => done).length).toBeGreaterThan(5);
    expect(new Machine(root).text("/etc/sysctl.conf")).not.toContain("mq tune");
    expect(reverted(root).filter(({ done }) => !done)).toEqual([]);
    expect(snapshot(root)).toEqual(before);
  });

  test("of runs that were taken back the last twenty are kept", () => {
    const root = tree(DEBIAN);
    for (let i = 0; i < 24; i++) {
      applied(root, { only: ["vm.swappiness"], files: "main" });
      reverted(root);
    }
    applied(root, { only: ["vm.swappiness"] });
    const { runs } = new Journal(new Machine(root)).runs();
    expect(runs.map(({ state }) => String(state))).toEqual([...Array.from({ length: 20 }, () => "undone"), "done"]);
    expect(readdirSync(join(root, "var/lib/mq/tune")).filter((name) => name.endsWith(".bak"))).toHaveLength(20);
  });

  test("only the journal is closed to others, what is above it is not", () => {
    const root = tree(DEBIAN);
    applied(root);
    expect(statSync(join(root, "var/lib/mq")).mode & 0o777).toBe(0o755);
    expect(statSync(join(root, "var/lib/mq/tune")).mode & 0o777).toBe(0o700);
  });
});

test("lines that nobody understands are named without what a terminal obeys, and not without end", () => {
  const lines = Array.from({ length: 9 }, (_, i) => `bad ${i} \x1b[31m \u009b`).join("\n");
  const root = tree({ ...DEBIAN, "/etc/sysctl.d/50.conf": lines, "/etc/security/limits.d/5.conf": "odd line" });
  const { notes } = check(new Machine(root), CLASSIC);
  expect(notes).toHaveLength(7);
  expect(notes[0]).toMatch(/^[\x20-\x7e]*$/);
  expect(notes[5]).toBe("/etc/sysctl.d/50.conf: 4 more lines like these");
  expect(notes[6]).toContain("/etc/security/limits.d/5.conf:1");
});

test("where nothing reads tmpfiles.d no file is put there", () => {
  const root = tree(ALPINE);
  const before = snapshot(root);
  applied(root);
  expect(Object.keys(snapshot(root)).filter((path) => path.includes("tmpfiles"))).toEqual([]);
  expect(reverted(root).filter(({ done }) => !done)).toEqual([]);
  expect(snapshot(root)).toEqual(before);
});

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { apply } from "../../lib/tune/apply.ts";
import { ITEMS } from "../../lib/tune/items.ts";
import { JOURNAL, Journal } from "../../lib/tune/journal.ts";
import { loginNofile } from "../../lib/tune/login-guard.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import type { TuneItem } from "../../lib/tune/types.ts";
import { DEBIAN, makeTree, snapshot } from "./trees.ts";

/** Changes this very machine for a moment: only as root, and only where somebody asked for it. */
const ASKED = process.env.MQ_TUNE_REAL === "1" && process.geteuid?.() === 0;
const USER = "mq-tune-test";
const OPTIONS = { profile: "classic", version: "test", store: "/", user: USER } as const;

/** The state of the journal that the test found: it leaves no run behind. */
function cleaned(runs: readonly (string | undefined)[]): void {
  for (const run of runs) if (run !== undefined) rmSync(join(JOURNAL, `${run}.json`), { force: true });
}

if (!ASKED) test("this machine stays as it is (MQ_TUNE_REAL=1 as root changes and restores it)", () => {});
else
  describe("this machine", () => {
    test("kernel values are set, kept, and restored, as /proc says", () => {
      const keys = ["vm.swappiness", "vm.overcommit_memory", "vm.watermark_scale_factor", "vm.page-cluster"];
      const machine = new Machine();
      const before = keys.map((key) => machine.sysctl(key));
      const file = "/etc/sysctl.d/90-mq-tune.conf";
      const had = existsSync(file);
      const result = apply(machine, { ...OPTIONS, only: keys });
      try {
        expect(result.outcomes.filter(({ done }) => !done)).toEqual([]);
        expect(readFileSync("/proc/sys/vm/overcommit_memory", "utf8").trim()).toBe("1");
        expect(readFileSync(file, "utf8")).toContain("vm.overcommit_memory = 1");
      } finally {
        revert(machine, new Journal(machine), { force: false });
      }
      expect(keys.map((key) => machine.sysctl(key))).toEqual(before);
      expect(existsSync(file)).toBe(had);
      cleaned([result.run]);
    });

    test("a read-only /etc stops before the first change", () => {
      const root = makeTree(DEBIAN);
      const etc = join(root, "etc");
      const mount = (...args: string[]) => expect(Bun.spawnSync(["mount", ...args]).exitCode).toBe(0);
      mount("--bind", etc, etc);
      try {
        mount("-o", "remount,bind,ro", etc);
        const before = snapshot(root);
        expect(() => apply(new Machine(root), OPTIONS)).toThrow("it is read-only; nothing was changed");
        expect(snapshot(root)).toEqual(before);
      } finally {
        Bun.spawnSync(["umount", etc]);
        rmSync(root, { recursive: true, force: true });
      }
    });

    test("a file that is mounted on its own is left, with advice", () => {
      const root = makeTree(DEBIAN);
      const file = join(root, "etc/sysctl.conf");
      expect(Bun.spawnSync(["mount", "--bind", file, file]).exitCode).toBe(0);
      try {
        const { outcomes } = apply(new Machine(root), { ...OPTIONS, files: "main" });
        expect(outcomes.find(({ what }) => what === "wrote /etc/sysctl.conf")?.why).toContain("mounted on its own");
        expect(readFileSync(file, "utf8")).toBe(DEBIAN["/etc/sysctl.conf"]!);
      } finally {
        Bun.spawnSync(["umount", file]);
        rmSync(root, { recursive: true, force: true });
      }
    });

    test("a login limit that PAM gives, read through su; and one that is not allowed is refused", () => {
      expect(Bun.spawnSync(["useradd", "-M", USER]).exitCode).toBe(0);
      const runs: (string | undefined)[] = [];
      const machine = new Machine();
      try {
        const first = loginNofile(machine, USER).limit;
        // Below this process's own hard limit: allowed without CAP_SYS_RESOURCE as well.
        const base = ITEMS.find(({ id }) => id === "limits.nofile")!;
        const item: TuneItem = { ...base, compare: "same", wanted: () => ({ classic: "700:900" }) };
        const result = apply(machine, OPTIONS, [item]);
        runs.push(result.run);
        expect(result.outcomes.filter(({ done }) => !done)).toEqual([]);
        expect(loginNofile(machine, USER).limit).toBe("700:900");
        revert(machine, new Journal(machine), { force: false });
        expect(loginNofile(machine, USER).limit).toBe(first);
        const refused = apply(machine, OPTIONS, [
          { ...base, compare: "same", wanted: () => ({ classic: "1024:999999999" }) },
        ]);
        runs.push(refused.run);
        expect(refused.outcomes.some(({ done }) => !done)).toBe(true);
        expect(existsSync("/etc/security/limits.d/90-mq-tune.conf")).toBe(false);
        expect(loginNofile(machine, USER).failed).toBeUndefined();
        revert(machine, new Journal(machine), { force: false });
      } finally {
        Bun.spawnSync(["userdel", USER]);
        cleaned(runs);
      }
    });
  });

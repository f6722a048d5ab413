import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, cpSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apply, plannedFor } from "../../lib/tune/apply.ts";
import { check } from "../../lib/tune/check.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { scriptText } from "../../lib/tune/script.ts";
import type { TuneOptions } from "../../lib/tune/types.ts";
import { DEBIAN, makeTree, snapshot, type TreeFiles } from "./trees.ts";

const roots: string[] = [];
const CLASSIC: TuneOptions = { profile: "classic", store: "/" };
const SYSCTL = "etc/sysctl.d/90-mq-tune.conf";

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function tree(files: TreeFiles): string {
  const root = makeTree(files);
  roots.push(root);
  return root;
}

function copyOf(root: string): string {
  const copy = mkdtempSync(join(tmpdir(), "mq-tune-"));
  roots.push(copy);
  cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

/** The script for a tree, outside of it. */
function scriptFor(root: string, options: TuneOptions = CLASSIC): string {
  const machine = new Machine(root);
  const report = check(machine, options);
  const { wishes } = plannedFor(machine, report, options);
  const folder = mkdtempSync(join(tmpdir(), "mq-script-"));
  roots.push(folder);
  const file = join(folder, "tune.sh");
  writeFileSync(file, scriptText(report, wishes, options, "test"));
  return file;
}

function sh(root: string, ...args: string[]): { status: number; out: string } {
  const child = Bun.spawnSync(["sh", ...args], { env: { ...process.env, MQ_TUNE_ROOT: root } });
  return { status: child.exitCode, out: child.stdout.toString() + child.stderr.toString() };
}

const text = (root: string, path: string) => readFileSync(join(root, path), "utf8");
const settings = (root: string) =>
  Object.fromEntries(Object.entries(snapshot(root)).filter(([path]) => path.startsWith("etc")));

describe("a file with an earlier block", () => {
  test.each([
    ["a part of the same profile", { ...CLASSIC, only: ["vm.swappiness", "limits.nofile"] }, CLASSIC],
    ["another profile", CLASSIC, { ...CLASSIC, profile: "modern" as const }],
    ["in the main files", { ...CLASSIC, files: "main" as const, only: ["vm"] }, { ...CLASSIC, files: "main" as const }],
  ])("of %s becomes what apply makes of it", (_, first, second) => {
    const root = tree(DEBIAN);
    apply(new Machine(root), { ...first, version: "test" });
    appendFileSync(join(root, "etc/sysctl.conf"), "behind = 1 \n # no newline at the end ");
    const other = copyOf(root);
    const before = settings(root);
    const script = scriptFor(root, second);
    expect(sh(root, script)).toMatchObject({ status: 0 });
    apply(new Machine(other), { ...second, version: "test" });
    expect(settings(root)).toEqual(settings(other));
    expect(sh(root, script, "revert")).toMatchObject({ status: 0 });
    expect(settings(root)).toEqual(before);
  });

  test("without its end is left whole", () => {
    const broken = "# BEGIN mq tune (managed)\nvm.x = 1\nimportant.line = 2\n";
    const root = tree({ ...DEBIAN, [`/${SYSCTL}`]: broken });
    const { status, out } = sh(root, scriptFor(tree(DEBIAN)));
    expect(status).toBe(4);
    expect(out).toContain("a mark of mq tune without its other half");
    expect(text(root, SYSCTL)).toBe(broken);
  });
});

test("what is no plain file is not replaced", () => {
  const root = tree({ ...DEBIAN, [`/${SYSCTL}`]: "-> /dev/null", "/dev/x": "" });
  Bun.spawnSync(["mkfifo", join(root, "dev/null")]);
  expect(sh(root, scriptFor(tree(DEBIAN))).out).toContain("is no plain file: not written");
  expect(lstatSync(join(root, "dev/null")).isFIFO()).toBe(true);
});

test("a higher floor on the machine it runs on is neither lowered nor kept lower", () => {
  const root = tree({ ...DEBIAN, "/proc/sys/vm/max_map_count": "2000000\n", "/proc/sys/vm/overcommit_memory": "2\n" });
  const { status, out } = sh(root, scriptFor(tree(DEBIAN)));
  expect(text(root, "proc/sys/vm/max_map_count")).toBe("2000000\n");
  expect(text(root, SYSCTL)).toContain("vm.max_map_count = 2000000\n");
  expect(status).toBe(4);
  expect(out).toContain("overcommit_memory: is 2, which somebody chose");
  expect(text(root, SYSCTL)).not.toContain("overcommit_memory");
});

test("limits that the next boot would not allow are not written", () => {
  const root = tree({ ...DEBIAN, "/etc/sysctl.d/99-zz.conf": "fs.nr_open = 65536\n" });
  expect(sh(root, scriptFor(tree(DEBIAN))).out).toContain("99-zz.conf sets fs.nr_open to 65536");
  expect(new Machine(root).text("/etc/security/limits.d/90-mq-tune.conf")).toBeUndefined();
});

test("a second revert finishes what the first one could not", () => {
  const root = tree(DEBIAN);
  const before = settings(root);
  const script = scriptFor(root);
  sh(root, script);
  writeFileSync(join(root, "proc/sys/vm/swappiness"), "9\n");
  expect(sh(root, script, "revert").status).toBe(4);
  writeFileSync(join(root, "proc/sys/vm/swappiness"), "1\n");
  expect(sh(root, script, "revert")).toMatchObject({ status: 0 });
  expect(settings(root)).toEqual(before);
});

test("killed before the rename it takes back as if it had not begun", () => {
  const root = tree(DEBIAN);
  const before = settings(root);
  const script = scriptFor(root);
  const stopping = join(roots.at(-1)!, "killed.sh");
  writeFileSync(stopping, readFileSync(script, "utf8").replace('  mv -f "$temporary" "$file"\n', "  kill -9 $$\n"));
  expect(sh(root, stopping).status).not.toBe(0);
  expect(sh(root, script, "revert")).toMatchObject({ status: 0 });
  expect(settings(root)).toEqual(before);
});

test("the broker's keys are set where they stand last, comments and line ends stay", () => {
  const file = "/etc/mq/broker.properties";
  const lines =
    "# slaveReadEnable=false\r\nslaveReadEnable = false\r\nbrokerName=a\r\n  slaveReadEnable : false\r\n! end\r\n";
  const root = tree({ ...DEBIAN, [file]: lines });
  const other = copyOf(root);
  const options = { ...CLASSIC, only: ["broker.slaveReadEnable", "broker.transferMsgByHeap"], config: file };
  const script = scriptFor(root, options);
  expect(sh(root, script)).toMatchObject({ status: 0 });
  apply(new Machine(other), { ...options, version: "test" });
  expect(text(root, file)).toBe(
    "# slaveReadEnable=false\r\nslaveReadEnable = false\r\nbrokerName=a\r\nslaveReadEnable=true\r\n! end\r\ntransferMsgByHeap=false\r\n",
  );
  expect(settings(root)).toEqual(settings(other));
  expect(sh(root, script, "revert")).toMatchObject({ status: 0 });
  expect(text(root, file)).toBe(lines);
});

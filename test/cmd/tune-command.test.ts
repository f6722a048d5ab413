import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { MqError } from "../../lib/base/errors.ts";
import { apply } from "../../lib/tune/apply.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { runMq } from "../support/run-mq.ts";
import { DEBIAN, makeTree, snapshot } from "../tune/trees.ts";

let root = "";

beforeAll(() => {
  root = makeTree(DEBIAN);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

async function tune(...args: string[]) {
  return runMq(["tune", ...args, "--root", root]);
}

describe("mq tune", () => {
  test("check prints a table of 80 columns and ends with 2 where something is FAIL", async () => {
    const { stdout, exitCode } = await tune();
    expect(exitCode).toBe(2);
    expect(stdout).toContain("FAIL    vm.max_map_count");
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test("--json is one object of mq.tune/1, in the order of the table", async () => {
    const report = JSON.parse((await tune("--json")).stdout);
    expect(report.schema).toBe("mq.tune/1");
    expect(report.checks.find(({ id }: { id: string }) => id === "vm.max_map_count")).toMatchObject({
      status: "FAIL",
      live: "65530",
      target: "655360",
      effect: "now",
    });
  });

  test("--apply without a terminal and without --yes names the prices, writes nothing, ends with 1", async () => {
    const before = snapshot(root);
    const { stderr, exitCode } = await tune("--apply");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("vm.dirty_writeback_centisecs = 360000");
    expect(stderr).toContain("nothing was changed");
    expect(snapshot(root)).toEqual(before);
    expect(existsSync(join(root, "var"))).toBe(false);
  });

  test("diff, apply, diff, history, revert by their flags and words", async () => {
    const before = snapshot(root);
    expect((await tune("--dry-run")).exitCode).toBe(2);
    expect((await tune("--apply", "--yes")).exitCode).toBe(0);
    const again = await tune("diff");
    expect([again.exitCode, again.stdout]).toEqual([0, ""]);
    expect((await tune("apply")).stdout).toContain("Nothing to do");
    expect((await tune("history")).stdout).toContain("done");
    const back = await tune("--revert");
    expect([back.exitCode, back.stdout.includes("Everything is as it was before")]).toEqual([0, true]);
    expect(snapshot(root)).toEqual(before);
    expect((await tune("revert")).stdout).toContain("Nothing to take back");
  });

  test("explain tells what, why, risk and how to verify", async () => {
    const { stdout, exitCode } = await tune("explain", "vm.max_map_count");
    expect(exitCode).toBe(0);
    for (const part of ["What it does", "Why this value", "Risk", "How to verify", "FAIL: now 65530"])
      expect(stdout).toContain(part);
  });

  test("mistakes end with 64 and a suggestion", async () => {
    const check = await tune("explain", "vm.max_map_cuont");
    expect([check.exitCode, check.stderr]).toEqual([
      64,
      'mq: explain: no check "vm.max_map_cuont"; did you mean vm.max_map_count?\n',
    ]);
    expect((await tune("aply")).stderr).toContain("did you mean apply?");
    expect((await tune("--apply", "--revert")).exitCode).toBe(64);
    expect((await tune("--apply", "--output-script", "x")).exitCode).toBe(64);
    expect((await tune("apply", "vm.swappiness")).stderr).toContain("--only names checks");
    expect((await tune("--only", "broker")).stderr).toContain("-c FILE names it");
    expect((await runMq(["tune", "--root", join(root, "none")])).exitCode).toBe(64);
    expect((await tune("explain", "broker.flushDiskType")).exitCode).toBe(0);
    expect((await tune("--user", "a b\nroot")).exitCode).toBe(64);
  });

  test("the script is written once and never over another file", async () => {
    const file = join(root, "tune.sh");
    expect((await tune("--output-script", file)).exitCode).toBe(0);
    const text = readFileSync(file, "utf8");
    expect((await tune("--output-script", file)).exitCode).toBe(1);
    expect(readFileSync(file, "utf8")).toBe(text);
    rmSync(file);
  });
});

test("who may not write is told so before anything is changed", () => {
  const before = snapshot(root);
  const found: unknown[] = [];
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    apply(new Machine(), { profile: "classic", version: "test", store: "/", only: ["vm"] });
  } catch (error) {
    found.push(error);
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  expect(found.map((error) => (error as MqError).exitCode)).toEqual([3]);
  expect(found[0]).toBeInstanceOf(MqError);
  expect((found[0] as MqError).message).toContain("nothing was changed");
  expect(snapshot(root)).toEqual(before);
});

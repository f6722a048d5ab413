import { afterEach, describe, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apply, plannedFor } from "../../lib/tune/apply.ts";
import { check } from "../../lib/tune/check.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { scriptText } from "../../lib/tune/script.ts";
import { SNIPPETS, snippetText } from "../../lib/tune/snippets.ts";
import type { TuneOptions } from "../../lib/tune/types.ts";
import { ALPINE, AWKWARD, DEBIAN, makeTree, RHEL, snapshot } from "./trees.ts";

const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function sh(root: string, args: string[]): { status: number; out: string } {
  const child = Bun.spawnSync(["sh", ...args], { env: { ...process.env, MQ_TUNE_ROOT: root } });
  return { status: child.exitCode, out: child.stdout.toString() + child.stderr.toString() };
}

/** A tree's own stand-ins for the kernel differ from the script's: the twin of a pair, brackets of choices. */
function settled(root: string): Record<string, string> {
  return Object.fromEntries(Object.entries(snapshot(root)).filter(([path]) => path.startsWith("etc/")));
}

describe.each(Object.entries({ DEBIAN, RHEL, ALPINE, AWKWARD }))("%s", (_, files) => {
  test.each(["drop-in", "main"] as const)("%s: the script does what apply does, once, and takes it back", (where) => {
    const root = makeTree(files);
    const other = makeTree(files);
    roots.push(root, other);
    const before = settled(root);
    const options: TuneOptions = { profile: "classic", store: "/", files: where };
    const machine = new Machine(root);
    const report = check(machine, options);
    const { wishes } = plannedFor(machine, report, options);
    const text = scriptText(report, wishes, options, "test");
    expect(text.endsWith("\n")).toBe(true);
    const script = join(root, "var-tune.sh");
    writeFileSync(script, text);
    expect(sh(root, ["-n", script]).out).toBe("");
    expect(sh(root, [script])).toMatchObject({ status: 0 });
    apply(new Machine(other), { ...options, version: "test" });
    expect(settled(root)).toEqual(settled(other));
    expect(sh(root, [script]).status).toBe(1);
    expect(sh(root, [script, "revert"])).toMatchObject({ status: 0 });
    for (const [path, state] of Object.entries(before)) expect(settled(root)[path]).toBe(state);
  });
});

test("a snippet lowers nothing, leaves out what was not asked for, and gives no limit to root", () => {
  const root = makeTree(DEBIAN);
  roots.push(root);
  const report = (options: Partial<TuneOptions>) => check(new Machine(root), { profile: "classic", ...options });
  for (const kind of SNIPPETS) expect(snippetText(kind, report({}))).not.toMatch(/nproc=|LimitNPROC/i);
  expect(snippetText("ansible", report({ only: ["vm"] }))).not.toContain("nofile");
  expect(snippetText("ansible", report({ only: ["limits.nofile"], user: "root" }))).not.toContain("pam_limits");
  expect(snippetText("ansible", report({}))).toContain(
    'domain: "baseuser"\n    limit_type: hard\n    limit_item: memlock',
  );
});

test("a pod and a container are given only what a network namespace has for itself", () => {
  const kernel = {
    "/proc/sys/net/core/somaxconn": "128\n",
    "/proc/sys/net/core/rmem_max": "212992\n",
    "/proc/sys/net/ipv4/tcp_keepalive_time": "7200\n",
  };
  const root = makeTree({ ...DEBIAN, ...kernel });
  roots.push(root);
  const report = check(new Machine(root), { profile: "modern" });
  const pod = snippetText("k8s", report).split("spec:")[1] ?? "";
  expect(pod).toContain("name: net.core.somaxconn");
  expect(pod).not.toContain("rmem_max");
  expect(snippetText("k8s", report)).toContain("#   sysctl -w net.core.rmem_max=16777216");
  expect(snippetText("docker", report)).toContain("--sysctl net.ipv4.tcp_keepalive_time='300'");
  expect(snippetText("docker", report)).not.toContain("rmem_max");
});

test("every snippet names the values", () => {
  const root = makeTree(DEBIAN);
  roots.push(root);
  const report = check(new Machine(root), { profile: "classic" });
  for (const kind of SNIPPETS) expect(snippetText(kind, report)).toMatch(/655360|vm\.max_map_count/);
});

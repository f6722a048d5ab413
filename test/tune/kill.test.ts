import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { apply } from "../../lib/tune/apply.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import { AWKWARD, makeTree, snapshot } from "./trees.ts";

const WORKER = join(import.meta.dir, "kill-worker.ts");
const AT_ONCE = 4;

/** How many writes one run has. */
function stepsOf(files: "drop-in" | "main", verb: "apply" | "revert"): number {
  const root = makeTree(AWKWARD);
  let steps = 0;
  const machine = new Machine(root);
  const onStep = () => void steps++;
  apply(machine, { profile: "classic", version: "test", store: "/", files, ...(verb === "apply" && { onStep }) });
  if (verb === "revert") revert(machine, new Journal(machine), { force: false, onStep });
  rmSync(root, { recursive: true, force: true });
  return steps;
}

function copyOf(root: string): string {
  const copy = mkdtempSync(join(tmpdir(), "mq-tune-"));
  cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

async function killedAt(root: string, verb: string, files: string, step: number): Promise<void> {
  const child = Bun.spawn([process.execPath, WORKER, root, verb, files, String(step)], {
    stdout: "ignore",
    stderr: "pipe",
  });
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
}

/** Loaders read every `*.conf`: a killed run may leave no such file beside the ones that are meant. */
function strayConfs(root: string): string[] {
  const known = new Set(["90-mq-tune.conf", "99-sysctl.conf", "99-zz-site.conf", "99-site.conf", "limits.conf"]);
  return ["etc/sysctl.d", "etc/security/limits.d"]
    .flatMap((folder) => readdirSync(join(root, folder)))
    .filter((name) => name.endsWith(".conf") && !known.has(name));
}

for (const files of ["drop-in", "main"] as const) {
  for (const verb of ["apply", "revert"] as const) {
    test(`${verb} into ${files} killed before any of its writes: the next run completes, revert gives the first bytes`, async () => {
      const original = makeTree(AWKWARD);
      const before = snapshot(original);
      const full = copyOf(original);
      const options = { profile: "classic", version: "test", store: "/", files } as const;
      apply(new Machine(full), options);
      const after = snapshot(full);
      const steps = stepsOf(files, verb);
      expect(steps).toBeGreaterThan(10);
      const one = async (step: number) => {
        const root = copyOf(verb === "apply" ? original : full);
        await killedAt(root, verb, files, step);
        expect(strayConfs(root)).toEqual([]);
        const machine = new Machine(root);
        if (step % 2 === 0 && verb === "apply") {
          apply(machine, options);
          expect(snapshot(root)).toEqual(after);
        }
        const results = revert(machine, new Journal(machine), { force: false });
        expect(results.filter(({ done }) => !done)).toEqual([]);
        expect(snapshot(root)).toEqual(before);
        rmSync(root, { recursive: true, force: true });
      };
      for (let step = 1; step <= steps; step += AT_ONCE)
        await Promise.all(Array.from({ length: Math.min(AT_ONCE, steps - step + 1) }, (_, i) => one(step + i)));
      rmSync(original, { recursive: true, force: true });
      rmSync(full, { recursive: true, force: true });
    }, 120_000);
  }
}

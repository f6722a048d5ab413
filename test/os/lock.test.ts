import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { lockFile, unlockFile, writeLockText } from "../../lib/os/lock.ts";
import { TempDir } from "../store/store-fixture.ts";

const PYTHON = Bun.which("python3");

/** Tries byte [0, 1) as another process would: `lockf` is the JVM's FileChannel.tryLock, `flock` another mq's. */
function othersTry(kind: "lockf" | "flock", path: string): string {
  const call =
    kind === "lockf"
      ? "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)"
      : "fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)";
  const script = `import fcntl\nf = open(${JSON.stringify(path)}, "r+")\ntry:\n  ${call}\n  print("got")\nexcept OSError:\n  print("refused")`;
  return Bun.spawnSync([PYTHON!, "-c", script]).stdout.toString().trim();
}

describe.skipIf(PYTHON === null)("the store's lock (needs python3)", () => {
  test("keeps out both kinds of holders and is free afterwards", () => {
    using dir = new TempDir();
    const path = join(dir.path, "lock");
    const fd = lockFile(path);
    expect(fd).toBeGreaterThan(2);
    writeLockText(fd);
    expect([othersTry("lockf", path), othersTry("flock", path)]).toEqual(["refused", "refused"]);
    // A refused try of our own must not drop what we hold.
    expect(lockFile(path)).toBe(-1);
    expect(othersTry("lockf", path)).toBe("refused");
    unlockFile(fd, path);
    expect([othersTry("lockf", path), othersTry("flock", path)]).toEqual(["got", "got"]);
  });

  for (const kind of ["lockf", "flock"] as const) {
    test(`is refused while another process holds it by ${kind}`, async () => {
      using dir = new TempDir();
      const path = join(dir.path, "lock");
      const call = kind === "lockf" ? "fcntl.lockf(f, fcntl.LOCK_EX, 1, 0)" : "fcntl.flock(f, fcntl.LOCK_EX)";
      const script = `import fcntl, sys\nf = open(${JSON.stringify(path)}, "w+")\n${call}\nprint("held", flush=True)\nsys.stdin.read()`;
      const child = Bun.spawn([PYTHON!, "-c", script], { stdin: "pipe", stdout: "pipe" });
      await child.stdout.getReader().read();
      expect(lockFile(path)).toBe(-1);
      child.stdin.end();
      await child.exited;
      const fd = lockFile(path);
      expect(fd).toBeGreaterThan(2);
      unlockFile(fd, path);
    });
  }
});

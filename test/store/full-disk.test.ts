import { describe, expect, test } from "bun:test";
import { closeSync, existsSync, ftruncateSync, openSync, statfsSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { preallocate } from "../../lib/os/preallocate.ts";
import { until } from "../support/until.ts";
import { LogLines, message, openStore, smallConfig, TempDir } from "./store-fixture.ts";

const MIB = 1024 * 1024;

/** A small file system of its own, unmounted when the block ends. */
class SmallDisk implements Disposable {
  private readonly dir = new TempDir();
  readonly path = join(this.dir.path, "mnt");

  constructor(kind: string) {
    Bun.spawnSync(["mkdir", "-p", this.path]);
    for (const command of mountCommands(kind, this.dir.path, this.path)) {
      const result = Bun.spawnSync(command, { stderr: "pipe" });
      if (result.exitCode !== 0) throw new Error(`${command.join(" ")}: ${result.stderr}`);
    }
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["umount", "-l", this.path]);
    this.dir[Symbol.dispose]();
  }
}

function mountCommands(kind: string, base: string, at: string): string[][] {
  if (kind === "tmpfs") return [["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", at]];
  const image = join(base, "image");
  return [
    ["truncate", "-s", "16m", image],
    [`mkfs.${kind}`, "-q", image],
    ["mount", "-o", "loop", image, at],
  ];
}

/** Takes the disk's room but for about `leaveBytes`; the file system's own needs make the figure inexact. */
function fill(fd: number, path: string, leaveBytes: number): void {
  const { bfree, bsize } = statfsSync(path);
  let bytes = Math.floor(Number(bfree) * Number(bsize) - leaveBytes);
  while (preallocate(fd, 0, bytes) !== 0) {
    ftruncateSync(fd, 0);
    bytes -= 64 * 1024;
  }
}

function possible(kind: string): boolean {
  try {
    using _disk = new SmallDisk(kind);
    return true;
  } catch {
    return false;
  }
}

for (const kind of ["tmpfs", "ext4"]) {
  describe.skipIf(!possible(kind))(`a full disk (${kind}; needs root and mount)`, () => {
    test("is an answer that names path and cause, never a signal; writes go on when there is room again", async () => {
      using disk = new SmallDisk(kind);
      const filler = openSync(join(disk.path, "filler"), "w");
      const logger = new LogLines();
      const config = smallConfig(join(disk.path, "store"), { mappedFileSizeCommitLog: MIB });
      const store = await openStore(config, {}, logger);
      // Leave room for one more file only.
      fill(filler, disk.path, 1.6 * MIB);
      const body = Buffer.alloc(10_000, "x");
      let appended = 0;
      let result = store.append(message("T", 0, body));
      for (; result.status === "PUT_OK"; result = store.append(message("T", 0, body))) appended++;
      expect(result.status).toBe("CREATE_MAPPED_FILE_FAILED");
      const next = store.log.files.pathOf(store.log.files.nextFileOffset());
      expect(result.reason).toBe(
        `cannot make the next commit-log file: cannot allocate ${MIB} bytes for ${next}: no space left on device (ENOSPC)`,
      );
      expect(existsSync(next)).toBe(false);
      expect(appended).toBeGreaterThan(190);

      // What fits is still taken, what was taken is there.
      expect(store.append(message("T", 0, "small")).status).toBe("PUT_OK");
      ftruncateSync(filler, 0);
      closeSync(filler);
      unlinkSync(join(disk.path, "filler"));
      let retried = store.append(message("T", 0, body)).status;
      await until(() => {
        retried = store.append(message("T", 0, body)).status;
        return retried === "PUT_OK";
      });
      expect(existsSync(next)).toBe(true);
      await store.shutdown();
      const again = await openStore(config);
      expect(again.getMaxOffsetInQueue("T", 0)).toBe(appended + 2);
      await again.shutdown();
      expect(logger.lines.filter((line) => line.includes("cannot make the next commit-log file")).length).toBeLessThan(
        5,
      );
    });

    test("a store whose last file is sparse, as the JVM leaves it, opens for reading and refuses writes", async () => {
      using disk = new SmallDisk(kind);
      const config = smallConfig(join(disk.path, "store"), { mappedFileSizeCommitLog: 2 * MIB });
      const first = await openStore(config);
      for (let i = 0; i < 20; i++) first.append(message("T", 0, Buffer.alloc(1000)));
      await first.shutdown();
      const file = join(disk.path, "store/commitlog/00000000000000000000");
      Bun.spawnSync(["fallocate", "--punch-hole", "--offset", String(64 * 1024), "--length", String(2 * MIB), file]);
      const filler = openSync(join(disk.path, "filler"), "w");
      fill(filler, disk.path, 256 * 1024);
      const store = await openStore(config);
      expect(store.getMaxOffsetInQueue("T", 0)).toBe(20);
      const refused = store.append(message("T", 0, Buffer.alloc(1000)));
      expect(refused.status).toBe("CREATE_MAPPED_FILE_FAILED");
      expect(refused.reason).toContain("ENOSPC");
      closeSync(filler);
      unlinkSync(join(disk.path, "filler"));
      expect(store.append(message("T", 0, Buffer.alloc(1000))).status).toBe("PUT_OK");
      await store.shutdown();
    });
  });
}

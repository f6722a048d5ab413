import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../../../lib/base/errors.ts";
import { fileName, MappedFile } from "../../../lib/store/mappedfile/mapped-file.ts";
import { MappedFileQueue } from "../../../lib/store/mappedfile/mapped-file-queue.ts";
import { LogLines, TempDir } from "../store-fixture.ts";

const SIZE = 8192;

function queueIn(path: string | string[], logger = new LogLines()): MappedFileQueue {
  return new MappedFileQueue(path, SIZE, {
    allocate: "whole",
    allocateExisting: "none",
    sizeKey: "theSizeKey",
    logger,
  });
}

/** A queue of `count` full files, closed. */
function filled(path: string, count: number): void {
  const queue = queueIn(path);
  for (let i = 0; i < count; i++) {
    const file = queue.createNext();
    file.buffer.fill(i + 1);
    file.wrotePosition = SIZE;
  }
  queue.close();
}

describe("loading", () => {
  test("files are found in order, directories are not files", () => {
    using dir = new TempDir();
    filled(dir.path, 3);
    mkdirSync(join(dir.path, "quarantine"));
    const queue = queueIn(dir.path);
    queue.load();
    expect(queue.files.map((file) => [file.fileFromOffset, file.buffer[0]])).toEqual([
      [0, 1],
      [SIZE, 2],
      [2 * SIZE, 3],
    ]);
    expect(queue.findByOffset(SIZE)?.fileFromOffset).toBe(SIZE);
    expect(queue.findByOffset(SIZE - 1)?.fileFromOffset).toBe(0);
    expect(queue.findByOffset(3 * SIZE)).toBeUndefined();
    queue.close();
  });

  test.each([0, 4, 4096])("a last file of %d bytes without data is dropped and told", (bytes) => {
    using dir = new TempDir();
    filled(dir.path, 2);
    writeFileSync(join(dir.path, fileName(2 * SIZE)), Buffer.alloc(bytes));
    const logger = new LogLines();
    const queue = queueIn(dir.path, logger);
    queue.load();
    expect(queue.files.length).toBe(2);
    expect(existsSync(join(dir.path, fileName(2 * SIZE)))).toBe(false);
    expect(logger.lines[0]).toContain(fileName(2 * SIZE));
    queue.close();
  });

  test("a short last file with data behind others is extended and told; alone it may have another size", () => {
    using dir = new TempDir();
    filled(dir.path, 2);
    truncateSync(join(dir.path, fileName(SIZE)), 100);
    const logger = new LogLines();
    const queue = queueIn(dir.path, logger);
    queue.load();
    expect(queue.lastExtended).toBe(true);
    expect(logger.lines[0]).toContain(`has 100 bytes, wanted ${SIZE}`);
    expect(queue.files[1]!.buffer.lastIndexOf(2)).toBe(99);
    queue.close();
    truncateSync(join(dir.path, fileName(0)), 100);
    expect(() => queueIn(dir.path).load()).toThrow("found 100 bytes");
    rmSync(join(dir.path, fileName(SIZE)));
    expect(() => queueIn(dir.path).load()).toThrow("found 100 bytes");
  });

  test("an empty file in the middle, a hole, a wrong size or a foreign name stops the load and is named", () => {
    const cases: [(path: string) => void, string][] = [
      [
        (path) => truncateSync(join(path, fileName(SIZE)), 0),
        `${fileName(SIZE)}: found 0 bytes, expected ${SIZE} (theSizeKey)`,
      ],
      [(path) => truncateSync(join(path, fileName(SIZE)), 100), "found 100 bytes"],
      [(path) => truncateSync(join(path, fileName(2 * SIZE)), SIZE + 1), `found ${SIZE + 1} bytes`],
      [
        (path) => renameSync(join(path, fileName(SIZE)), join(path, fileName(5 * SIZE))),
        `expected ${fileName(SIZE)} between them`,
      ],
      [
        (path) => renameSync(join(path, fileName(2 * SIZE)), join(path, fileName(2 * SIZE + 5))),
        `expected a multiple of ${SIZE}`,
      ],
      [(path) => writeFileSync(join(path, "notes.txt"), "x"), 'file name "notes.txt"'],
    ];
    for (const [damage, text] of cases) {
      using dir = new TempDir();
      filled(dir.path, 3);
      damage(dir.path);
      expect(() => queueIn(dir.path).load()).toThrow(text);
      expect(() => queueIn(dir.path).load()).toThrow(ConfigError);
      expect(existsSync(join(dir.path, fileName(0)))).toBe(true);
    }
  });

  test("several directories share the files between them", () => {
    using dir = new TempDir();
    const paths = [join(dir.path, "a"), join(dir.path, "b")];
    const queue = queueIn(paths);
    for (let i = 0; i < 4; i++) queue.createNext().wrotePosition = SIZE;
    queue.close();
    const again = queueIn(paths);
    again.load();
    expect(again.files.map((file) => file.path)).toEqual([
      join(paths[0]!, fileName(0)),
      join(paths[1]!, fileName(SIZE)),
      join(paths[0]!, fileName(2 * SIZE)),
      join(paths[1]!, fileName(3 * SIZE)),
    ]);
    again.close();
  });
});

describe("truncating", () => {
  test("later files go, positions follow", () => {
    for (const [offset, files, max] of [
      [3 * SIZE, 3, 3 * SIZE],
      [2 * SIZE + 100, 3, 2 * SIZE + 100],
      [2 * SIZE, 2, 2 * SIZE],
      [1, 1, 1],
      [0, 1, 0],
    ] as const) {
      using dir = new TempDir();
      filled(dir.path, 3);
      const queue = queueIn(dir.path);
      queue.load();
      queue.truncate(offset);
      expect([queue.files.length, queue.maxOffset]).toEqual([files, max]);
      queue.close();
    }
  });
});

describe("a mapped file", () => {
  test("what is written through the mapping is in the file; a held one outlives its name", async () => {
    using dir = new TempDir();
    const path = join(dir.path, fileName(0));
    const file = MappedFile.open(path, SIZE, { create: true, allocate: "whole" });
    file.view.setInt32(100, 0x01020304);
    file.wrotePosition = 104;
    await file.flush();
    expect(file.flushedPosition).toBe(104);
    expect(readFileSync(path).readInt32BE(100)).toBe(0x01020304);
    expect(file.retain()).toBe(true);
    file.destroy();
    expect(existsSync(path)).toBe(false);
    expect(file.buffer.readInt32BE(100)).toBe(0x01020304);
    expect(file.retain()).toBe(false);
    file.release();
    expect(file.buffer.length).toBe(0);
    expect(file.address).toBe(0);
  });

  test("nobody can release more than was retained", () => {
    using dir = new TempDir();
    const file = MappedFile.open(join(dir.path, fileName(0)), SIZE, { create: true, allocate: "whole" });
    file.close();
    expect(() => file.release()).toThrow("released more often");
  });

  test("blocks ahead are reserved step by step", () => {
    using dir = new TempDir();
    const path = join(dir.path, fileName(0));
    const file = MappedFile.open(path, 1024 * 1024, { create: true, allocate: "ahead" });
    const blocks = () => Number(Bun.spawnSync(["stat", "-c", "%b", path]).stdout.toString()) * 512;
    const before = blocks();
    file.reserve(10, 64 * 1024);
    expect(blocks()).toBeGreaterThanOrEqual(before + 60 * 1024);
    expect(blocks()).toBeLessThan(512 * 1024);
    file.reserve(1024 * 1024, 64 * 1024);
    expect(blocks()).toBeGreaterThanOrEqual(1024 * 1024);
    file.close();
  });
});

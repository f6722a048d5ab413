import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RotatingFile } from "../../lib/base/rotating-file.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "mq-rotating-"));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function rotating(files: number, fileBytes = 100): { path: string; file: RotatingFile; errors: unknown[] } {
  const path = join(directory, "pauses.log");
  const errors: unknown[] = [];
  return { path, errors, file: new RotatingFile({ path, fileBytes, files, onError: (error) => errors.push(error) }) };
}

async function writeEach(file: RotatingFile, lines: number): Promise<void> {
  for (let i = 0; i < lines; i++) {
    file.write(`line ${String(i).padStart(34, "0")}`);
    // One write at a time: each line is on the disk before the next.
    await file.written();
  }
}

test("files take turns and none grows past its share", async () => {
  const { path, file } = rotating(3);
  await writeEach(file, 9);
  await file.close();
  expect(readdirSync(directory).sort()).toEqual(["pauses.log", "pauses.log.1", "pauses.log.2"]);
  for (const name of readdirSync(directory)) expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(100);
  expect(readFileSync(path, "utf8")).toContain("line 0000000000000000000000000000000008");
  expect(readFileSync(`${path}.1`, "utf8")).toContain("07\n");
});

test("with one file it begins anew", async () => {
  const { path, file } = rotating(1);
  await writeEach(file, 5);
  await file.close();
  expect(readdirSync(directory)).toEqual(["pauses.log"]);
  expect(readFileSync(path, "utf8")).toMatch(/^line 0+4\n$/);
});

test("an earlier run's file is continued", async () => {
  const { path, file } = rotating(2);
  writeFileSync(path, "before\n");
  await writeEach(file, 1);
  await file.close();
  expect(readFileSync(path, "utf8")).toMatch(/^before\nline 0+\n$/);
});

test("a file that cannot be written is said once, and lines are let go", async () => {
  const errors: unknown[] = [];
  const file = new RotatingFile({
    path: join(directory, "missing", "x.log"),
    fileBytes: 100,
    files: 2,
    onError: (error) => errors.push(error),
  });
  await writeEach(file, 3);
  await file.close();
  expect(errors).toHaveLength(1);
});

test("more than a slow disk takes is dropped and counted", async () => {
  const { path, file } = rotating(1, 10_000_000);
  const line = "x".repeat(1000);
  for (let i = 0; i < 1000; i++) file.write(line);
  await file.written();
  file.write("last");
  await file.close();
  const text = readFileSync(path, "utf8");
  expect(text.length).toBeLessThan(600_000);
  expect(text).toMatch(/\n\d+ lines were dropped: the file takes them too slowly\nlast\n$/);
});

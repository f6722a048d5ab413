import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoText } from "../../lib/os/libc.ts";
import { isResident, mapAnonymous, mapFile, populateWrite, unmap } from "../../lib/os/mmap.ts";
import { preallocate, zeroRange } from "../../lib/os/preallocate.ts";
import { TempDir } from "../store/store-fixture.ts";

const MIB = 1024 * 1024;

test("a mapping writes to its file, tells what is in memory and can be touched ahead", () => {
  using dir = new TempDir();
  const path = join(dir.path, "file");
  const fd = openSync(path, "w+");
  expect(preallocate(fd, 0, MIB)).toBe(0);
  const mapping = mapFile(fd, MIB, path);
  mapping.buffer.write("here", 5000);
  expect(isResident(mapping, 5000, 5004)).toBe(true);
  expect(populateWrite(mapping.address + 100_000, 300_000)).toBe(0);
  expect(isResident(mapping, 100_000, 400_000)).toBe(true);
  unmap(mapping);
  closeSync(fd);
  const bytes = readFileSync(path);
  expect([bytes.length, bytes.toString("latin1", 5000, 5004)]).toEqual([MIB, "here"]);
});

test("anonymous memory is zeroed and writable", () => {
  const mapping = mapAnonymous(MIB);
  expect(mapping.buffer.every((byte) => byte === 0)).toBe(true);
  mapping.buffer[MIB - 1] = 7;
  expect(mapping.buffer[MIB - 1]).toBe(7);
  unmap(mapping);
});

test("a zeroed range reads as zeros, its neighbours stay; a system without it says so", () => {
  using dir = new TempDir();
  const fd = openSync(join(dir.path, "file"), "w+");
  preallocate(fd, 0, MIB);
  const mapping = mapFile(fd, MIB, "file");
  mapping.buffer.fill(1);
  const code = zeroRange(fd, 8192, 4096);
  if (code === 0) {
    expect(mapping.buffer.subarray(8192, 12_288).every((byte) => byte === 0)).toBe(true);
    expect([mapping.buffer[8191], mapping.buffer[12_288]]).toEqual([1, 1]);
  } else expect(errnoText(code)).toContain("not supported");
  unmap(mapping);
  closeSync(fd);
});

test("what cannot be mapped or allocated is told with its cause", () => {
  using dir = new TempDir();
  const fd = openSync(join(dir.path, "file"), "w+");
  expect(() => mapFile(fd, 0, "the file")).toThrow("cannot map 0 bytes of the file: invalid argument (EINVAL)");
  const readOnly = openSync(join(dir.path, "file"), "r");
  expect(errnoText(preallocate(readOnly, 0, 100))).toContain("EBADF");
  closeSync(readOnly);
  closeSync(fd);
});

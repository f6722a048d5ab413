import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockPages, memlockLimit, unlockPages } from "../../lib/os/memlock.ts";
import { ProcessMemory } from "../../lib/os/memory.ts";
import { mapAnonymous, unmap } from "../../lib/os/mmap.ts";
import { TempDir } from "../store/store-fixture.ts";

const KIB = 1024;

test("pages are locked as far as the limit goes, and let go", () => {
  const memory = new ProcessMemory();
  const before = memory.lockedBytes();
  const mapping = mapAnonymous(64 * KIB);
  const code = lockPages(mapping.address, 32 * KIB);
  if (code === 0) {
    expect(memory.lockedBytes() - before).toBe(32 * KIB);
    expect(unlockPages(mapping.address, 32 * KIB)).toBe(0);
  }
  expect(memory.lockedBytes()).toBe(before);
  unmap(mapping);
  memory.close();
});

test("the limit is read as the kernel writes it", () => {
  using dir = new TempDir();
  const file = join(dir.path, "limits");
  const limits = (soft: string) =>
    `Limit    Soft Limit   Hard Limit   Units\nMax locked memory         ${soft}    ${soft}   bytes\n`;
  writeFileSync(file, limits("8388608"));
  expect(memlockLimit(file)).toBe(8_388_608);
  writeFileSync(file, limits("unlimited"));
  expect(memlockLimit(file)).toBe(Number.POSITIVE_INFINITY);
  writeFileSync(file, "something else");
  expect(memlockLimit(file)).toBeUndefined();
  expect(memlockLimit(join(dir.path, "none"))).toBeUndefined();
});

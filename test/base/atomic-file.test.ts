import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTemporaries, writeFileAtomic, writeFileAtomicSync } from "../../lib/base/atomic-file.ts";

test("what killed writers left is removed, and nothing else", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mq-atomic-"));
  try {
    const path = join(folder, "topics.json");
    removeTemporaries(join(folder, "missing", "topics.json"));
    writeFileAtomicSync(path, "1", { keepPrevious: true });
    await writeFileAtomic(path, "2", { keepPrevious: true });
    const kept = ["topics.json", "topics.json.bak", "topics.json.bad-1700000000000", "other.json.1.1.tmp"];
    for (const name of [...kept.slice(2), "topics.json.123.4.tmp", "topics.json.bak.123.5.tmp"])
      writeFileSync(join(folder, name), "x");
    removeTemporaries(path);
    expect(readdirSync(folder).sort()).toEqual(kept.sort());
    expect([path, `${path}.bak`].map((file) => readFileSync(file, "utf8"))).toEqual(["2", "1"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

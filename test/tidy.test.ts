import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/**
 * The structure of the tree, kept by a test: imports point one way, no cycles, no dead files, FFI and printing in their
 * rooms only, files stay small.
 */
const root = resolve(import.meta.dir, "..");

/** A room imports only rooms of its own rank or a lower one. */
const ROOM_RANK: Record<string, number> = {
  base: 0,
  config: 1,
  os: 2,
  message: 2,
  remoting: 3,
  protocol: 3,
  store: 4,
  index: 4,
  ha: 5,
  client: 6,
  namesrv: 6,
  broker: 6,
  tune: 7,
  bench: 7,
  cmd: 8,
};

const SOURCE_LINES_MAX = 600;

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

const files = [...sourceFiles("cmd"), ...sourceFiles("lib")];
const texts = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));

function nameOf(file: string): string {
  return relative(root, file);
}

function roomOf(file: string): string {
  const parts = nameOf(file).split("/");
  return parts[0] === "cmd" ? "cmd" : (parts[1] ?? "");
}

/** Static and dynamic imports of a file that stay inside the project; `typeOnly` ones do not exist at run time. */
function importsOf(file: string): { target: string; typeOnly: boolean }[] {
  const text = texts.get(file) ?? "";
  const found: { target: string; typeOnly: boolean }[] = [];
  for (const match of text.matchAll(/^\s*(?:import|export)(\s+type)?\s[^"';]*?from\s+"(\.[^"]+)"/gm))
    found.push({ target: resolve(dirname(file), match[2] ?? ""), typeOnly: match[1] !== undefined });
  for (const match of text.matchAll(/import\("(\.[^"]+)"\)/g))
    found.push({ target: resolve(dirname(file), match[1] ?? ""), typeOnly: false });
  return found;
}

describe("the tree", () => {
  test("every import names an existing file with its ending", () => {
    const missing = files.flatMap((file) =>
      importsOf(file)
        .filter(({ target }) => !texts.has(target) && !target.endsWith(".json"))
        .map(({ target }) => `${nameOf(file)} imports ${relative(root, target)}`),
    );
    expect(missing).toEqual([]);
  });

  test("imports point one way", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const rank = ROOM_RANK[roomOf(file)];
      if (rank === undefined) {
        wrong.push(`${nameOf(file)} lies in a room without a rank`);
        continue;
      }
      for (const { target } of importsOf(file)) {
        const targetRank = ROOM_RANK[roomOf(target)] ?? Number.POSITIVE_INFINITY;
        const sameRoom = roomOf(target) === roomOf(file);
        if (targetRank > rank || (targetRank === 6 && rank === 6 && !sameRoom && roomOf(target) !== "client"))
          wrong.push(`${nameOf(file)} imports ${nameOf(target)}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("no import cycles at run time", () => {
    const state = new Map<string, "open" | "done">();
    const cycles: string[] = [];
    const visit = (file: string, path: string[]): void => {
      if (state.get(file) === "done") return;
      if (state.get(file) === "open") {
        cycles.push([...path.slice(path.indexOf(file)), file].map(nameOf).join(" -> "));
        return;
      }
      state.set(file, "open");
      for (const { target, typeOnly } of importsOf(file))
        if (!typeOnly && texts.has(target)) visit(target, [...path, file]);
      state.set(file, "done");
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test("no file that nothing imports", () => {
    const used = new Set(files.flatMap((file) => importsOf(file).map(({ target }) => target)));
    const testTexts = sourceFiles("test")
      .map((file) => readFileSync(file, "utf8"))
      .join("\n");
    const unused = files.filter(
      (file) => !used.has(file) && nameOf(file) !== "cmd/mq.ts" && !testTexts.includes(nameOf(file)),
    );
    expect(unused.map(nameOf)).toEqual([]);
  });

  test("bun:ffi only in lib/os", () => {
    const wrong = files.filter((file) => roomOf(file) !== "os" && /["']bun:ffi["']/.test(texts.get(file) ?? ""));
    expect(wrong.map(nameOf)).toEqual([]);
  });

  test("printing only in cmd and lib/base/log.ts", () => {
    const wrong = files.filter(
      (file) =>
        roomOf(file) !== "cmd" &&
        nameOf(file) !== "lib/base/log.ts" &&
        /\bconsole\.\w+\(|from "consola"|process\.std(?:out|err)\b/.test(texts.get(file) ?? ""),
    );
    expect(wrong.map(nameOf)).toEqual([]);
  });

  test("no any, no suppressed types, no unfinished marks", () => {
    const marks = /: any\b|\bas any\b|<any>|@ts-(?:ignore|expect-error|nocheck)|\b(?:TODO|FIXME|XXX|HACK)\b/;
    const wrong = files.filter((file) => marks.test((texts.get(file) ?? "").replaceAll("TOPIC_XXXX", "")));
    expect(wrong.map(nameOf)).toEqual([]);
  });

  test("no top-level await in the executable", () => {
    const wrong = files.filter((file) => /^await\s/m.test(texts.get(file) ?? ""));
    expect(wrong.map(nameOf)).toEqual([]);
  });

  test(`no source file above ${SOURCE_LINES_MAX} lines`, () => {
    const long = files
      .map((file) => ({ file: nameOf(file), lines: (texts.get(file) ?? "").split("\n").length }))
      .filter(({ lines }) => lines > SOURCE_LINES_MAX);
    expect(long).toEqual([]);
  });
});

import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ApplyOptions, apply } from "../../lib/tune/apply.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import { DEBIAN, makeTree } from "./trees.ts";

const FILE = "/etc/mq/broker.properties";
const roots: string[] = [];

afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function tree(bytes: Buffer): string {
  const root = makeTree({ ...DEBIAN, [FILE]: "" });
  roots.push(root);
  writeFileSync(join(root, FILE), bytes);
  return root;
}

const bytesOf = (root: string) => readFileSync(join(root, FILE)).toString("latin1");

const OPTIONS: ApplyOptions = {
  profile: "classic",
  version: "test",
  config: FILE,
  only: ["broker.slaveReadEnable", "broker.transferMsgByHeap", "broker.warmMapedFileEnable"],
};

function reverted(root: string, force = false) {
  const machine = new Machine(root);
  return revert(machine, new Journal(machine), { force }).filter(({ done }) => !done);
}

describe("apply changes three keys of a file and no other byte, revert gives the same bytes", () => {
  test.each([
    ["latin1 comments", "# gr\xfc\xdfe\nslaveReadEnable=false\n"],
    ["UTF-8 with its mark", "\xef\xbb\xbfslaveReadEnable=false\nbrokerName=\xc3\xa4\n"],
    ["mixed ends of lines", "# a\r\nbrokerName=b\nslaveReadEnable : false\r\n\n\r\n"],
    ["repeated keys", "slaveReadEnable=true\nbrokerName=b\nslaveReadEnable=false"],
    ["a value over two lines", "slaveReadEnable=\\\n  false\nbrokerName=b\n"],
    ["no newline at the end", "brokerName=b\nslaveReadEnable=false"],
    ["nothing", ""],
  ])("%s", (_, text) => {
    const root = tree(Buffer.from(text, "latin1"));
    expect(apply(new Machine(root), OPTIONS).outcomes.filter(({ done }) => !done)).toEqual([]);
    const after = bytesOf(root);
    const kept = text.split("\n").filter((line) => line.trim() !== "" && !/slaveRead|^ {2}false/.test(line));
    for (const line of kept) expect(after).toContain(line);
    expect(after.match(/slaveReadEnable=true/g)?.length).toBeGreaterThanOrEqual(1);
    expect(apply(new Machine(root), OPTIONS).run).toBeUndefined();
    expect(reverted(root)).toEqual([]);
    expect(bytesOf(root)).toBe(text);
  });
});

describe("a file that was edited since", () => {
  const first = "# mine\nslaveReadEnable = false\nbrokerName=b\n";

  test("keeps the edits and gets its old lines back", () => {
    const root = tree(Buffer.from(first));
    apply(new Machine(root), OPTIONS);
    writeFileSync(join(root, FILE), `${bytesOf(root).replace("brokerName=b", "brokerName=c")}listenPort=1\n`, "latin1");
    expect(reverted(root)).toEqual([]);
    expect(bytesOf(root)).toBe("# mine\nslaveReadEnable = false\nbrokerName=c\nlistenPort=1\n");
  });

  test("a key that somebody set since is left and named, without --force", () => {
    const root = tree(Buffer.from(first));
    apply(new Machine(root), OPTIONS);
    const edited = bytesOf(root).replace("transferMsgByHeap=false", "transferMsgByHeap=TRUE");
    writeFileSync(join(root, FILE), edited, "latin1");
    expect(reverted(root)[0]?.why).toContain("transferMsgByHeap was set to TRUE");
    expect(bytesOf(root)).toBe(`${first}transferMsgByHeap=TRUE\n`);
    expect(reverted(root, true)).toEqual([]);
    expect(bytesOf(root)).toBe(first);
  });
});

import { expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { apply } from "../../lib/tune/apply.ts";
import { splitBlock, withBlock } from "../../lib/tune/block.ts";
import { check } from "../../lib/tune/check.ts";
import { Journal } from "../../lib/tune/journal.ts";
import { parseLimits } from "../../lib/tune/limits-files.ts";
import { Machine } from "../../lib/tune/machine.ts";
import { revert } from "../../lib/tune/revert.ts";
import { parseSysctl } from "../../lib/tune/sysctl-files.ts";
import { parseUnit } from "../../lib/tune/unit-files.ts";
import { DEBIAN, makeTree, snapshot } from "./trees.ts";

const SEED = Number(process.env.MQ_TEST_SEED ?? 20261123);
const ROUNDS = 40;

/** A small generator with a seed, so that a failure can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const PIECES = [
  "vm.swappiness = 10",
  "vm/swappiness=20",
  "-vm.dirty_ratio = 3",
  "vm.* = 1",
  "; x",
  "# y",
  "",
  " ",
  "\t",
  "nonsense",
  "* soft nofile 5",
  "baseuser - nofile unlimited",
  "@mq hard nofile 8",
  ":1000 soft nofile 1",
  "1000: - memlock -1",
  "root hard nofile 7",
  "baseuser soft nofile 99999999999999999999",
  "[Service]",
  "LimitNOFILE=1:2",
  "LimitNOFILE=infinity",
  "[",
  "=",
  "= 1",
  "a=",
  "-",
  "\u00e4\u00ff",
  "\0",
  "x".repeat(300),
  "vm.max_map_count = 9",
  "# END mq tun",
  "#BEGIN mq tune (managed)",
];

function randomText(random: (below: number) => number): string {
  let text = "";
  for (let i = random(12); i > 0; i--)
    text += PIECES[random(PIECES.length)] + (["\n", "\r\n", "\n\n", "\r"][random(4)] ?? "");
  return random(3) === 0 ? text.trimEnd() : text;
}

test(`whatever the files hold, apply and revert give the same bytes (seed ${SEED})`, () => {
  const random = randomOf(SEED);
  for (let round = 0; round < ROUNDS; round++) {
    const root = makeTree({
      ...DEBIAN,
      "/etc/sysctl.conf": randomText(random),
      "/etc/security/limits.conf": randomText(random),
      [`/etc/sysctl.d/${["10", "90", "95"][random(3)]}-x.conf`]: randomText(random),
      "/etc/security/limits.d/91-x.conf": randomText(random),
      "/etc/systemd/system/mq-broker.service.d/50-x.conf": randomText(random),
    });
    const before = snapshot(root);
    const files = random(2) === 0 ? "main" : "drop-in";
    const profile = (["classic", "modern", "dev"] as const)[random(3)]!;
    const options = { profile, files, store: "/", version: "test" } as const;
    expect(apply(new Machine(root), options).outcomes.filter(({ done, why }) => !done && why !== "refused")).toEqual(
      [],
    );
    expect(apply(new Machine(root), options).run).toBeUndefined();
    const machine = new Machine(root);
    expect(revert(machine, new Journal(machine), { force: false }).filter(({ done }) => !done)).toEqual([]);
    expect(snapshot(root)).toEqual(before);
    rmSync(root, { recursive: true, force: true });
  }
}, 60_000);

test(`parsers take any bytes (seed ${SEED})`, () => {
  const random = randomOf(SEED + 1);
  for (let round = 0; round < 3_000; round++) {
    const bytes = Buffer.alloc(random(200));
    for (let i = 0; i < bytes.length; i++)
      bytes[i] = random(8) === 0 ? random(256) : " \n\r=-*@:#;[]abN019.".charCodeAt(random(19));
    const text = bytes.toString("latin1");
    parseSysctl(text, "f", { lines: [], odd: [] });
    parseLimits(text, "f", { lines: [], odd: [] });
    parseUnit(text, "f", new Map());
    const { broken } = splitBlock(text);
    if (broken !== undefined) continue;
    const block = withBlock(text, ["a = 1"]);
    expect(splitBlock(block).block).toEqual(["a = 1"]);
    const back = withBlock(block, []);
    expect(back === text || back === `${text}\n`).toBe(true);
  }
});

test("a kernel that shows garbage gives unknown values, never an error", () => {
  const random = randomOf(SEED + 2);
  const garbage = Object.fromEntries(
    Object.entries(DEBIAN).map(([path, text]) => [
      path,
      text.startsWith("-> ") || !path.startsWith("/proc") ? text : randomText(random),
    ]),
  );
  const root = makeTree(garbage);
  expect(
    check(new Machine(root), { profile: "classic" }).checks.filter(({ reason }) => reason.startsWith("cannot read:")),
  ).toEqual([]);
  rmSync(root, { recursive: true, force: true });
});

// Compares the compiled mq with the Java broker 5.3.3: both with the same settings on the same disk, a name server each,
// the load in turns (A B A B) by `mq bench versus`. Keeps what it found in docs/benchmarks.json and writes
// docs/benchmarks.md from it; rows that were not run keep what is there.
//
//   node test/bench/versus.mjs [--rows NAME,NAME] [--rounds 3] [--seconds 5] [--minutes 10] [--quick] [--dir FOLDER]
//                              [--free-memory] [--list] [--render] [--results FILE]
//
// Free memory is filled with file pages before every row, as on a machine that has run for a while; --free-memory leaves it.
// --quick only shows that everything runs: one short round, kept nowhere unless --results names a file. Needs npm run
// build, a JDK and, the first time, Maven.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../conformance/support/cache.mjs";
import { mq } from "../conformance/support/cluster.mjs";
import { environment } from "./versus/environment.mjs";
import { fillPageCache } from "./versus/memory.mjs";
import { rowText, writeMarkdown } from "./versus/report.mjs";
import { ROWS } from "./versus/rows.mjs";

const { values: flags } = parseArgs({
  options: {
    rows: { type: "string" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "5" },
    minutes: { type: "string", default: "10" },
    quick: { type: "boolean", default: false },
    dir: { type: "string", default: tmpdir() },
    "free-memory": { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    render: { type: "boolean", default: false },
    results: { type: "string" },
  },
});

if (flags.list) {
  for (const { id, title } of ROWS) console.log(`${id.padEnd(14)} ${title}`);
  process.exit(0);
}
const names = flags.rows?.split(",") ?? ROWS.map(({ id }) => id);
const unknown = names.filter((name) => !ROWS.some(({ id }) => id === name));
if (unknown.length > 0) {
  console.error(
    `compare with Java: --rows has ${unknown.join(", ")}, want some of ${ROWS.map(({ id }) => id).join(", ")}`,
  );
  process.exit(64);
}
if (!existsSync(mq)) {
  console.error(`compare with Java: ${mq} is missing; build it with: npm run build`);
  process.exit(66);
}

const resultsFile = flags.results ?? (flags.quick ? undefined : join(root, "docs", "benchmarks.json"));
const results =
  resultsFile !== undefined && existsSync(resultsFile) ? JSON.parse(readFileSync(resultsFile, "utf8")) : { rows: {} };

function keep() {
  if (resultsFile === undefined) return;
  mkdirSync(dirname(resultsFile), { recursive: true });
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  writeMarkdown(resultsFile.replace(/(\.json)?$/, ".md"), results, ROWS);
}

if (flags.render) {
  keep();
  process.exit(0);
}

const base = mkdtempSync(join(flags.dir, "mq-versus-"));
const options = {
  base,
  quick: flags.quick,
  rounds: flags.quick ? 1 : Number(flags.rounds),
  seconds: flags.quick ? 2 : Number(flags.seconds),
  minutes: Number(flags.minutes),
  warmup: 1,
};
let failed = 0;
for (const row of ROWS.filter(({ id }) => names.includes(id))) {
  let command;
  try {
    if (!flags.quick && !flags["free-memory"]) fillPageCache(base);
    const turns = await row.run({
      ...options,
      onCommand: (text) => {
        command = text;
      },
    });
    results.rows[row.id] = {
      ...environment(base),
      ...(command === undefined ? {} : { command }),
      turns,
      ...(turns.doubts?.length > 0 ? { doubts: turns.doubts } : {}),
      ...(row.note === undefined ? {} : { note: row.note(turns) }),
    };
    console.log(rowText(row, results.rows[row.id]));
  } catch (error) {
    failed++;
    console.error(`${row.id}: ${error.stack ?? error}`);
  }
  keep();
}
rmSync(base, { recursive: true, force: true });
process.exit(failed > 0 ? 1 : 0);

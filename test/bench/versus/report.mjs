import { writeFileSync } from "node:fs";
import { JAVA_FLAGS, KINDS, NAMES } from "./servers.mjs";

const MIB = 1024 ** 2;
const MEMORY = new Set(["anonymous", "resident", "anonymousBefore"]);
const LATENCY = /^(mean|(lag-)?p\d+(\.\d+)?|max)$/;

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

/** Thin spaces would not survive every viewer: 61,000. */
const count = (value) =>
  Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

function valueText(at, value) {
  if (value === undefined || !Number.isFinite(value)) return "-";
  if (at === "tps") return `${count(value)}/s`;
  if (MEMORY.has(at)) return `${digits(value / MIB)} MB`;
  if (LATENCY.test(at)) return `${digits(value / 1000)} ms`;
  if (at === "ms") return `${digits(value)} ms`;
  if (at === "part" || at === "growth") return `${(100 * value).toFixed(0)} %`;
  return digits(value);
}

/** Medians, and the ratio of mq to Java turn by turn with its lowest and highest. */
function figure(turns, at) {
  const values = Object.fromEntries(
    KINDS.map((kind) => [kind, turns.map((turn) => turn[kind]?.[at]).filter((value) => value !== undefined)]),
  );
  const ratios = turns.map((turn) => turn.mq?.[at] / turn.java?.[at]).filter(Number.isFinite);
  return {
    java: values.java.length > 0 ? median(values.java) : undefined,
    mq: values.mq.length > 0 ? median(values.mq) : undefined,
    ratio: ratios.length > 0 ? median(ratios) : undefined,
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    rounds: ratios.length,
  };
}

function judge({ of, better, wanted, aim }, { ratio, mq }) {
  const found = of === "ratio" ? ratio : mq;
  if (found === undefined) return "not measured";
  const meets = (limit) => limit !== undefined && (better === "higher" ? found >= limit : found <= limit);
  if (aim !== undefined && meets(aim)) return "aim met";
  return meets(wanted) ? "met" : "**not met**";
}

function limitText({ of, at, better }, limit) {
  if (limit === undefined) return "";
  if (of === "ratio") return `${limit} x`;
  return `${better === "higher" ? "at least" : "at most"} ${valueText(at, limit)}`;
}

function ratioText({ ratio, low, high, rounds }) {
  if (ratio === undefined) return "-";
  const text = (value) => value.toPrecision(3);
  return rounds > 1 ? `${text(ratio)} x (${text(low)} to ${text(high)})` : `${text(ratio)} x`;
}

function lines(row, result) {
  return row.limits.map((limit) => {
    const found = figure(result.turns, limit.at);
    return [
      `${row.title}${row.limits.length > 1 || limit.about ? `: ${limit.about ?? (limit.at === "tps" ? "rate" : limit.at)}` : ""}`,
      valueText(limit.at, found.java),
      valueText(limit.at, found.mq),
      ratioText(found),
      limitText(limit, limit.wanted),
      limitText(limit, limit.aim),
      judge(limit, found),
    ];
  });
}

/** One row for the terminal. */
export function rowText(row, result) {
  const doubts = result.doubts ? ` (${result.doubts.join(", ")})` : "";
  return lines(row, result)
    .map((cells) => `${row.id.padEnd(13)} ${cells.slice(1).join("  |  ")}${doubts}`)
    .join("\n");
}

function table(header, rows) {
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length), 3));
  const line = (cells) => `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(" | ")} |`;
  return [line(header), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}

/** Said once above the table: it is so in every row. */
const NOT_TUNED = KINDS.map((kind) => `${kind} NOT-TUNED`);

const facts = ({ mq, java, machine, system, disk }) => JSON.stringify([mq, java, machine, system, disk]);

/** docs/benchmarks.md from the rows that were run, in the order of `rows`. */
export function writeMarkdown(file, { rows: results }, rows) {
  const done = rows.filter(({ id }) => results[id] !== undefined);
  if (done.length === 0) return;
  const newest = done.map(({ id }) => results[id]).reduce((a, b) => (a.date > b.date ? a : b));
  const same = (result) => facts(result) === facts(newest);
  const header = ["work", NAMES.java, NAMES.mq, "mq / Java (rounds)", "wanted", "aim", "verdict"];
  const body = done.flatMap((row) => {
    const result = results[row.id];
    const cells = lines(row, result);
    const doubts = result.doubts?.filter((doubt) => !NOT_TUNED.includes(doubt)) ?? [];
    if (doubts.length > 0) for (const line of cells) line[0] += ` [${doubts.join(", ")}]`;
    if (result.machine !== newest.machine || result.mq !== newest.mq)
      for (const line of cells) line[0] += ` {${result.machine.split(" of ")[0]}, ${result.date.slice(0, 10)}}`;
    if (result.note) cells[0][0] += ` (${result.note})`;
    return cells;
  });
  const detail = done.map((row) => {
    const result = results[row.id];
    const names = Object.keys(result.turns[0].mq).filter((name) => typeof result.turns[0].mq[name] === "number");
    const figures = names
      .filter((name) => LATENCY.test(name) || MEMORY.has(name) || ["tps", "ms", "cpu", "part", "growth"].includes(name))
      .map((name) => {
        const found = figure(result.turns, name);
        return [name, valueText(name, found.java), valueText(name, found.mq), ratioText(found)];
      });
    const where = same(result) ? result.date : `${result.date}, ${result.mq}, ${result.java}, ${result.machine}`;
    return [
      `### ${row.title}`,
      "",
      `${where}${result.command ? `: \`${result.command}\`` : ""}`,
      "",
      table(["figure", NAMES.java, NAMES.mq, "mq / Java"], figures),
    ].join("\n");
  });
  const text = `# Benchmarks

mq against Apache RocketMQ's Java broker, written by \`node test/bench/versus.mjs\` (\`--list\` names its rows). Everything runs on one
machine: both brokers with the same settings and files on the same disk, a name server each, the load generator beside
them (\`mq bench versus\`, which speaks RocketMQ's protocol to both alike).

Figures are medians of the rounds. Brokers take turns (A B A B, then B A), each turn after one that is not counted, the JVM after
three more turns for itself; a ratio is taken round by round, its lowest and highest stand in brackets. A closed loop's latencies
are service times; those of the steady rate count from the intended time of sending. CLIENT-BOUND marks a turn in which the generator's
thread was the limit: the broker can do more. Absolute figures are this machine's; the ratios are what is claimed.

Rows with curly braces were taken earlier, on the machine and the day that stand there. The machine's kernel is not tuned for either broker
(\`mq tune\` says what it would change). From 2026-11-30 on, free memory is filled with file pages before each row, as on a machine that has
run for a while; a fresh virtual machine gets each page from its host at the first use, which then is what is measured.

${table(
  ["what", "which"],
  [
    ["mq", newest.mq],
    ["Java", newest.java],
    ["machine", newest.machine],
    ["system", newest.system],
    ["disk", newest.disk],
    ["date", `${newest.date} UTC`],
  ],
)}

The JVM's flags: \`${JAVA_FLAGS.join(" ")}\`.

${table(header, body)}

## Every figure

CPU is in cores, of the broker alone.

${detail.join("\n\n")}
`;
  writeFileSync(file, text);
}

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportResult, hdrLog } from "../../lib/bench/report/export.ts";
import { htmlReport } from "../../lib/bench/report/html.ts";
import { markdownReport } from "../../lib/bench/report/markdown.ts";
import { secondsCsv } from "../../lib/bench/report/seconds-csv.ts";
import { setTable, summaryText } from "../../lib/bench/report/summary.ts";
import { roundTicks } from "../../lib/bench/report/svg-chart.ts";
import { syntheticResult, syntheticRun } from "./synthetic.ts";

const runs = [
  syntheticRun({ rate: 60_000, us: 3000, work: "async", target: "java" }),
  syntheticRun({ rate: 400_000, us: 400, work: "async", target: "mq", seed: 4 }),
];
const result = syntheticResult(runs);

describe("summary", () => {
  test("latencies in ms, percentiles withheld without ten values beyond them, rate, ledger, use", () => {
    const text = summaryText(
      syntheticResult([syntheticRun({ rate: 1000, us: 300 })]),
      syntheticRun({ rate: 1000, us: 300 }),
    );
    const lines = text.split("\n");
    expect(lines[0]).toBe(
      "produce  broker-a 127.0.0.1:10911  ASYNC_FLUSH ASYNC_MASTER  4 x 64 in flight  1024 B  closed loop  SAME-HOST",
    );
    expect(lines[1]!.trim().split(/\s+/)).toEqual([
      "mean",
      "p50",
      "p95",
      "p99",
      "p99.9",
      "p99.99",
      "max",
      "(ms)",
      "samples",
    ]);
    const cells = lines[2]!.split(/\s+/);
    expect([cells[0], cells[5], cells[6], cells.at(-1)]).toEqual(["service", "-", "-", "6000"]);
    expect(text).toContain("coordinated omission possible");
    expect(text).toMatch(/^rate {4}\d+\/s \(min \d+, sd \d+\)/m);
    expect(text).toMatch(/^ledger {2}acked \d+ {2}received \d+ {2}LOST 0 {2}DUP 0/m);
    expect(text).toMatch(/^client {2}cpu 41 % {2}loop delay p99 1.2 ms {4}broker-a {2}cpu 80 % {2}anonymous 38.1 MiB/m);
  });

  test("an open loop is named with its rate", () => {
    const run = { ...syntheticRun({ rate: 1000, us: 300 }), loop: "open" as const, options: { rate: 1000 } };
    run.latencies = { response: run.latencies.service!, lag: run.latencies.service! };
    const text = summaryText(result, run);
    expect(text).toContain("open loop 1000/s");
    expect(text).toContain("rate    1000 target, ");
    // In the order in which a message meets them.
    expect(text.indexOf("\nlag ")).toBeLessThan(text.indexOf("\nresponse "));
    expect(text).not.toContain("coordinated omission");
  });

  test("a set of works is one line each", () => {
    const { header, rows } = setTable(runs);
    expect(rows.map((row) => row.length)).toEqual([header.length, header.length]);
  });
});

describe("exports", () => {
  test("--out writes every form, each readable", async () => {
    const folder = mkdtempSync(join(tmpdir(), "mq-export-"));
    try {
      const written = await exportResult(result, { out: folder, html: join(folder, "extra.html") });
      expect(readdirSync(folder).sort()).toEqual([
        "extra.html",
        "java-async-service.hgrm",
        "mq-async-service.hgrm",
        "report.html",
        "report.md",
        "result.json",
        "run.hlog",
        "seconds.csv",
      ]);
      expect(written).toHaveLength(8);
      expect(readFileSync(join(folder, "mq-async-service.hgrm"), "utf8")).toStartWith("       Value     Percentile");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("interval log: one line a second, run and kind", () => {
    const lines = hdrLog(result).trim().split("\n").slice(4);
    expect(lines).toHaveLength(60);
    expect(lines[0]).toMatch(/^Tag=java-async-service,0\.000,1\.000,\d+\.\d{3},HISTFAAA/);
    expect(lines[31]).toMatch(/^Tag=mq-async-service,1\.000,1\.000,/);
  });

  test("seconds.csv: as many cells as columns, formulas made text", () => {
    const evil = { ...runs[0]!, work: '=cmd|"/c calc",x' };
    const lines = secondsCsv([evil]).trimEnd().split("\r\n");
    expect(lines).toHaveLength(31);
    expect(lines[1]).toStartWith(`"'=cmd|""/c calc"",x",java,0,1,`);
    expect(secondsCsv(runs).split("\r\n")[1]!.split(",")).toHaveLength(lines[0]!.split(",").length);
  });

  test("report.md names what a figure depends on", () => {
    const text = markdownReport(result);
    for (const part of ["`mq bench produce`", "4 cores of EPYC", "Linux 6.1", "ASYNC_FLUSH", "## async, java"])
      expect(text).toContain(part);
  });
});

describe("--html", () => {
  test("needs no network, follows light and dark, and draws every run in both charts", () => {
    const page = htmlReport(result);
    expect(page).not.toMatch(/https?:\/\/|src=|@import|url\(/);
    expect(page).toContain("prefers-color-scheme:dark");
    expect(page.match(/<svg /g)).toHaveLength(2);
    expect(page.match(/<polyline /g)).toHaveLength(4);
    expect(page).not.toContain("NaN");
    for (const [, coordinates] of page.matchAll(/points="([^"]*)"/g))
      for (const pair of coordinates!.split(" ")) {
        const [x, y] = pair.split(",").map(Number);
        expect(x! >= 0 && x! <= 860 && y! >= 0 && y! <= 300).toBe(true);
      }
  });

  test("text of the file is no markup", () => {
    const evil = { ...runs[0]!, work: "<script>alert(1)</script>", target: `"><img onerror='x'>` };
    const page = htmlReport(syntheticResult([evil], { command: "<b>mq</b>" }));
    expect(page).not.toMatch(/<script|<img|<b>/);
  });

  test("runs without samples or latencies are drawn as nothing", () => {
    const empty = { ...runs[0]!, samples: [], latencies: {} };
    expect(htmlReport(syntheticResult([empty]))).toContain("No latencies were recorded.");
    expect(htmlReport(syntheticResult([]))).not.toContain("NaN");
  });

  test("ticks are round and reach the highest value", () => {
    expect(roundTicks(9)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(roundTicks(412_345).at(-1)).toBe(500_000);
    expect(roundTicks(0)).toEqual([0, 1]);
  });
});

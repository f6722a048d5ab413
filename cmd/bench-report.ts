import { defineCommand } from "citty";
import * as v from "valibot";
import { exportResult } from "../lib/bench/report/export.ts";
import { setTable, summaryText } from "../lib/bench/report/summary.ts";
import { readResult } from "../lib/bench/result.ts";
import { versusText } from "../lib/bench/versus/versus-text.ts";
import { parseFlags } from "./client-flags.ts";
import { print, printTable, say } from "./out.ts";

/** Flags of every verb that leaves a result; the same names as `ExportPaths`. */
export const exportArgs = {
  json: { type: "string", description: "Keep everything that was found in this file", valueHint: "file" },
  hdr: { type: "string", description: "Write HdrHistogram's interval log", valueHint: "file" },
  html: { type: "string", description: "Write a page with charts that needs no network", valueHint: "file" },
  out: { type: "string", description: "Write all of these and more into a folder", valueHint: "folder" },
} as const;

const path = v.optional(v.pipe(v.string(), v.nonEmpty("the name of a file")));
export const exportEntries = { json: path, hdr: path, html: path, out: path };

const { json: _, ...reportArgs } = exportArgs;

export const benchReportCommand = defineCommand({
  meta: { name: "report", description: "Print a result again, or write it in another form" },
  args: { file: { type: "positional", required: true, description: "Result of --json" }, ...reportArgs },
  async run({ args }) {
    const flags = parseFlags(v.object({ hdr: path, html: path, out: path }), args);
    const result = await readResult(args.file);
    if (result.runs.length > 1) {
      const { header, rows } = setTable(result.runs);
      printTable(header, rows);
    }
    if (result.versus !== undefined) print(`\n${versusText(result.versus)}`);
    else for (const run of result.runs) print(`${result.runs.length > 1 ? "\n" : ""}${summaryText(result, run)}`);
    const written = await exportResult(result, flags);
    if (written.length > 0) say(`saved ${written.join(" ")}`);
  },
});

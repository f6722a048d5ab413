import { basename, dirname, resolve } from "node:path";
import { defineCommand } from "citty";
import * as v from "valibot";
import { UsageError } from "../lib/base/errors.ts";
import { compareResults, type NamedResults } from "../lib/bench/compare/compare.ts";
import { compareText } from "../lib/bench/compare/compare-text.ts";
import { missedThresholds, parseThresholds } from "../lib/bench/compare/threshold.ts";
import { readResult } from "../lib/bench/result.ts";
import { jsonArg, parseFlags } from "./client-flags.ts";
import { REPEATED } from "./flags.ts";
import { print, printJson, say } from "./out.ts";

/** A limit that was given is missed. */
export const EXIT_MISSED = 2;

const flagsSchema = v.object({
  threshold: v.optional(v.string()),
  json: v.optional(v.boolean(), false),
});

export const benchCompareCommand = defineCommand({
  meta: { name: "compare", description: "Ratios of two or more results to the first, and whether they mean anything" },
  args: {
    files: {
      type: "positional",
      required: true,
      valueHint: REPEATED,
      description: "Results of --json; A1.json,A2.json are repetitions of one side",
    },
    threshold: {
      type: "string",
      description: "Exit code 2 where a figure got worse than this: p99:+10%,tps:-5%",
      valueHint: "limits",
    },
    json: jsonArg,
  },
  async run({ args }) {
    const flags = parseFlags(flagsSchema, args);
    const thresholds = flags.threshold === undefined ? [] : parseThresholds(flags.threshold);
    const sides = args._.map(String);
    if (sides.length < 2)
      throw new UsageError(`mq bench compare got ${sides.length} result files, want two or more: BASE.json NEW.json`);
    const [baseline, ...candidates] = await Promise.all(sides.map(readSide));
    const comparisons = candidates.map((candidate) => compareResults(baseline!, candidate));
    const missed = comparisons.flatMap((comparison) => missedThresholds(comparison, thresholds));
    if (flags.json) printJson({ schema: "mq.bench-compare/1", comparisons, missed });
    else print(comparisons.map(compareText).join("\n\n"));
    for (const line of missed) say(`missed ${line}`);
    if (missed.length > 0) process.exitCode = EXIT_MISSED;
  },
});

async function readSide(text: string): Promise<NamedResults> {
  const files = text.split(",").filter((file) => file !== "");
  if (files.length === 0) throw new UsageError(`mq bench compare got "${text}", want the name of a result file`);
  return {
    name: files.map(sideName).join(","),
    results: await Promise.all(files.map(readResult)),
  };
}

/** `--out r1` leaves r1/result.json: there the folder is the name. */
function sideName(file: string): string {
  const name = basename(file, ".json");
  return name === "result" ? basename(dirname(resolve(file))) : name;
}

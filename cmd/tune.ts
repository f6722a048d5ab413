import { resolve } from "node:path";
import { defineCommand } from "citty";
import { check } from "../lib/tune/check.ts";
import { Machine } from "../lib/tune/machine.ts";
import { tableText } from "../lib/tune/table.ts";
import { color, print, printJson } from "./out.ts";

const COLORS: Readonly<Record<string, string>> = { OK: "32", WARN: "33", FAIL: "31" };

export const tuneCommand = defineCommand({
  meta: { name: "tune", description: "Check this machine for a broker, explain, apply and take back" },
  args: {
    config: {
      type: "string",
      alias: "c",
      description: "The broker's properties file: its settings too",
      valueHint: "file",
    },
    root: { type: "string", description: "Another file tree than /", valueHint: "dir" },
    profile: { type: "enum", options: ["classic", "modern", "dev"], default: "classic", description: "Which values" },
    json: { type: "boolean", description: "One JSON object, mq.tune/1" },
  },
  run({ args }) {
    const report = check(new Machine(args.root ?? "/"), {
      profile: args.profile as "classic",
      ...(args.config === undefined ? {} : { config: resolve(args.config) }),
    });
    if (args.json) return printJson(report);
    print(tableText(report, (status, text) => color(COLORS[status] ?? "0", text, process.stdout)));
    process.exitCode = report.summary.fail > 0 ? 2 : 0;
  },
});

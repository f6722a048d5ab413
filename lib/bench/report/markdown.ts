import type { BenchResult } from "../result.ts";
import { setTable, summaryText } from "./summary.ts";

/** A table in Markdown; bars inside cells are escaped. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(header), line(header.map(() => "---")), ...rows.map(line)].join("\n");
}

/** `report.md`: where and with what it was measured, one table over all runs, then each run's summary. */
export function markdownReport(result: BenchResult): string {
  const { machine, brokers, runs } = result;
  const { header, rows } = setTable(runs);
  const facts: [string, string][] = [
    ["command", `\`${result.command}\``],
    ["date", new Date(result.startedAt).toISOString()],
    ["mq", result.mq],
    ["machine", `${machine.hostname}, ${machine.cores} cores of ${machine.cpu}, ${gib(machine.memoryBytes)} GiB`],
    ["system", [machine.kernel, machine.distribution].filter((part) => part !== undefined).join(", ")],
    ...brokers.map((broker): [string, string] => [
      broker.brokerName,
      [broker.address, broker.version, broker.config.flushDiskType, broker.config.brokerRole, broker.fileSystem]
        .filter((part) => part !== undefined)
        .join(", "),
    ]),
  ];
  const parts = [
    "# mq bench",
    markdownTable(["", ""], facts),
    markdownTable(header, rows),
    ...runs.map((run) => `## ${title(run)}\n\n\`\`\`\n${summaryText(result, run)}\n\`\`\``),
  ];
  return `${parts.join("\n\n")}\n`;
}

function title({ work, target, round }: { work: string; target: string; round: number }): string {
  return [work, target, round > 0 ? `round ${round + 1}` : ""].filter((part) => part !== "").join(", ");
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(0);
}

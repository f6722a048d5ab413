import type { CheckResult, Report, Status } from "./types.ts";
import { bytesText, pair } from "./values.ts";

/** Widths of the columns: 80 with the blanks between them. */
const WIDTHS = [7, 28, 13, 9, 9, 9] as const;
const WIDTH = 80;
const INDENT = " ".repeat(8);
const SHORT: Partial<Record<Status, string>> = { TRIGGER: "ACTION" };

/** How one status is to be shown; colour is only a second cue. */
export type Paint = (status: Status, text: string) => string;

/** The report as people read it; `applicable`: checks that apply would change something for. */
export function tableText(report: Report, applicable: number, paint: Paint = (_, text) => text): string {
  const lines = [headText(report), row(["STATUS", "CHECK", "NOW", "CLASSIC", "ADVICE", "EFFECT"])];
  for (const result of report.checks) {
    const label = SHORT[result.status] ?? result.status;
    lines.push(paint(result.status, label.padEnd(WIDTHS[0])) + row(cells(result)).slice(WIDTHS[0]));
    if (result.status !== "OK" && result.status !== "INFO") lines.push(...said(result));
    else if (result.status === "INFO") lines.push(...wrap(result.reason));
  }
  for (const note of report.notes) lines.push(...wrap(`note: ${note}`, ""));
  lines.push(summaryText(report, applicable));
  return lines.join("\n");
}

function headText({ host, profile, user, unit, root }: Report): string {
  const memory = host.memoryBytes === undefined ? "" : `, ${host.cores ?? "?"} cores, ${bytesText(host.memoryBytes)}`;
  const place = host.container === undefined ? host.virt : `${host.container} container`;
  const where = root === "/" ? host.name : root;
  return [
    ...wrap(`mq tune: is ${where} ready for a broker?  (${host.distro}, kernel ${host.kernel}, ${place}${memory})`, ""),
    `profile ${profile}, user ${user}, unit ${unit}.service`,
    "NOW: what counts at present. CLASSIC: RocketMQ's documented page.",
    "ADVICE: today's. EFFECT: when a change would count.",
    "",
  ].join("\n");
}

function cells({ status, id, live, classic, advice, effect }: CheckResult): string[] {
  return [status, id, short(live) ?? "?", short(classic) ?? "-", short(advice) ?? "-", effect];
}

/** The reasons below a row, and what taking the classic value would cost. */
function said(result: CheckResult): string[] {
  const lines = wrap(result.reason);
  if (result.hazard !== undefined && result.changes.length > 0)
    lines.push(...wrap(`hazard of ${short(result.target)}: ${result.hazard.does}. Safer: ${result.hazard.modern}`));
  if (result.why !== undefined) lines.push(...wrap(`not from here: ${result.why}`));
  return lines;
}

/** `655360:655360` is one number; bytes get a unit. */
function short(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const bytes = /^(\d+)B$/.exec(text);
  if (bytes !== null) return bytesText(Number(bytes[1])).replace(" ", "").replace("iB", "");
  const [soft, hard] = pair(text);
  return soft === hard ? soft : text;
}

function row(texts: readonly string[]): string {
  return texts
    .map((text, i) => {
      const width = WIDTHS[i] ?? 0;
      const cut = text.length > width ? `${text.slice(0, width - 1)}~` : text;
      return cut.padEnd(width);
    })
    .join(" ")
    .trimEnd();
}

/** Lines of at most 80 characters, broken at blanks. */
export function wrap(text: string, indent = INDENT): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line.trimEnd());
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  lines.push(line.trimEnd());
  return lines;
}

function summaryText({ summary, checks }: Report, changes: number): string {
  const { ok, info, warn, fail, trigger, na, unknown } = summary;
  const parts = [
    `${ok} ok`,
    `${warn} warn`,
    `${fail} fail`,
    `${info} info`,
    `${trigger} action`,
    `${na} not here`,
    `${unknown} unknown`,
  ];
  const next =
    changes === 0 ? "Nothing to apply." : `${changes} can be applied: mq tune diff shows how, mq tune --apply does it.`;
  return [
    "",
    `${checks.length} ${checks.length === 1 ? "check" : "checks"}: ${parts.join(", ")}.`,
    next,
    "mq tune explain CHECK tells more.",
  ].join("\n");
}

/** `mq tune explain ID`. */
export function explainText(
  result: CheckResult,
  explain: { what: string; why: string; risk: string; verify: string },
): string {
  const part = (name: string, text: string) => [name, ...wrap(text, "  ")];
  return [
    `${result.id}: ${result.title}`,
    "",
    ...part("What it does", explain.what),
    ...part("Why this value", explain.why),
    ...part("Risk", explain.risk),
    "How to verify",
    `  ${explain.verify}`,
    "Here",
    `  ${result.status}: now ${result.live ?? "unreadable"}, kept ${result.persisted ?? "nowhere"}${result.source === undefined ? "" : ` (${result.source})`}`,
    ...wrap(result.reason, "  "),
    `  classic ${result.classic ?? "-"}, advice ${result.advice ?? "-"}, counts: ${result.effect}`,
  ].join("\n");
}

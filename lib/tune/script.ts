import { propertyLine } from "../config/properties.ts";
import type { Wish } from "./plan.ts";
import { SCRIPT_HEAD } from "./script-head.ts";
import { dirtyTwin, type FileKind, KIND_ORDER, linesFor, livePath } from "./targets.ts";
import type { Report, TuneOptions } from "./types.ts";

/** Kernel parameters of which more (or less) than wanted is fine, on whatever machine the script runs; true: even to the letter. */
const RAISED = new Map([
  ["fs.nr_open", true],
  ["fs.file-max", true],
  ["vm.max_map_count", false],
  ["vm.min_free_kbytes", false],
  ["vm.watermark_scale_factor", false],
  ["net.core.somaxconn", false],
  ["net.core.rmem_max", false],
  ["net.core.wmem_max", false],
  ["net.ipv4.tcp_max_syn_backlog", false],
]);
const LOWERED = new Set(["net.ipv4.tcp_keepalive_time"]);

/** A POSIX shell script that makes the same changes without mq, verifies them and takes them back with `revert`. */
export function scriptText(report: Report, wishes: readonly Wish[], options: TuneOptions, version: string): string {
  const values: string[] = [];
  const files = new Map<string, { kind: FileKind; lines: Map<string, string> }>();
  const keys = new Map<string, string[]>();
  let nofile = 0;
  for (const { change } of wishes) {
    const path = livePath(change);
    if (path !== undefined && "value" in change) values.push(valueLine(change, path, options));
    if (change.kind === "conf")
      keys.set(change.file, [...(keys.get(change.file) ?? []), propertyLine(change.key, change.value)]);
    if (change.kind === "limit" && change.item === "nofile") nofile = Math.max(nofile, Number(change.hard) || 0);
    for (const { kind, path: file, key, text } of linesFor(change, options)) {
      const entry = files.get(file) ?? { kind, lines: new Map<string, string>() };
      if (kind.header !== undefined) entry.lines.set(kind.header, kind.header);
      entry.lines.set(key, text);
      files.set(file, entry);
    }
  }
  const ordered = [...files].sort(([, a], [, b]) => KIND_ORDER.indexOf(a.kind.name) - KIND_ORDER.indexOf(b.kind.name));
  const blocks = ordered.map(([path, { kind, lines }], i) => blockText(i, path, kind, [...lines.values()], nofile));
  return [
    "#!/bin/sh",
    `# Made by mq tune ${version}, profile ${report.profile}, for ${report.host.name}. Needs root; "sh FILE revert" takes it back.`,
    SCRIPT_HEAD,
    // fs.nr_open first: a limit above it makes logins fail.
    ...values.sort((a, b) => Number(b.includes("nr_open")) - Number(a.includes("nr_open"))),
    ...[...keys].map(([path, lines], i) => heredoc(`put_keys ${ordered.length + i} ${quoted(path)}`, lines)),
    ...blocks,
    'if [ -z "$ROOT" ] && command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi',
    "sync",
    'if [ "$FAILED" -ne 0 ]; then say "not everything could be done"; exit 4; fi',
    'say "done; log in anew and restart the broker for the limits to count"',
    "",
  ].join("\n");
}

function valueLine(change: Wish["change"] & { value: string }, path: string, { literal, force }: TuneOptions): string {
  const value = quoted(change.value);
  if (change.kind === "trigger") return `sync; printf '%s\\n' ${value} >"$ROOT${path}"`;
  if (change.kind !== "sysctl") return `set_value ${path} ${value}`;
  const { key } = change;
  const raised = RAISED.get(key);
  if (raised !== undefined && (raised || literal !== true)) return `raise_value ${path} ${value}`;
  if (LOWERED.has(key) && literal !== true) return `lower_value ${path} ${value}`;
  if (key === "vm.overcommit_memory" && force !== true) return `set_overcommit ${path} ${value}`;
  const twin = dirtyTwin(key);
  return `set_value ${path} ${value}${twin === undefined ? "" : ` /proc/sys/${twin.replaceAll(".", "/")}`}`;
}

function blockText(number: number, path: string, kind: FileKind, lines: readonly string[], nofile: number): string {
  const put = heredoc(`put_block ${number} ${path} ${kind.name}`, lines);
  return kind.name === "limits" && nofile > 0 ? `if may_limit ${nofile}; then\n${put}\nfi` : put;
}

function heredoc(command: string, lines: readonly string[]): string {
  return [`${command} <<'MQ_TUNE_END'`, ...lines, "MQ_TUNE_END"].join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

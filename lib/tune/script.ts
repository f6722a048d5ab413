import { BEGIN, END } from "./block.ts";
import type { Wish } from "./plan.ts";
import { dirtyTwin, type FileKind, KIND_ORDER, linesFor, livePath } from "./targets.ts";
import type { Report, TuneOptions } from "./types.ts";

/** The part of the script that does not depend on the settings. `$ROOT` is another tree, for images and tests. */
const HEAD = String.raw`set -eu
umask 022

ROOT=${"$"}{MQ_TUNE_ROOT:-}
STATE="$ROOT/var/lib/mq/tune/script"
FAILED=0

say() { printf '%s\n' "$*"; }
failed() { printf 'FAILED  %s\n' "$*" >&2; FAILED=1; }

# The value of a file below /proc/sys or /sys: of "always [madvise] never" the word in brackets.
value_of() {
  sed -e 's/.*\[\([^]]*\)\].*/\1/' -e 's/[[:space:]][[:space:]]*/ /g' "$ROOT$1" 2>/dev/null | head -n 1
}

# Writes a value into the running kernel, once its old one is written down. set_value FILE VALUE [TWIN]
set_value() {
  if [ ! -e "$ROOT$1" ]; then say "absent  $1"; return 0; fi
  old=$(value_of "$1")
  if [ "$old" = "$2" ]; then say "as is   $1 = $2"; return 0; fi
  twin=
  if [ -n "${"$"}{3:-}" ]; then twin=$(value_of "$3"); fi
  printf '%s|%s|%s|%s|%s\n' "$1" "$old" "$2" "${"$"}{3:-}" "$twin" >>"$STATE/values"
  if printf '%s\n' "$2" 2>/dev/null >"$ROOT$1" && [ "$(value_of "$1")" = "$2" ]; then
    say "done    $1: $old -> $2"
  else
    failed "$1: found $(value_of "$1"), want $2"
    return 1
  fi
}

# Never lowers: raise_value FILE VALUE
raise_value() {
  old=$(value_of "$1")
  case $old in
    '' | *[!0-9]*) set_value "$1" "$2" ;;
    *) if [ "$old" -ge "$2" ]; then say "as is   $1 = $old"; else set_value "$1" "$2"; fi ;;
  esac
}

# Puts the lines on stdin between our marks in a file; everything else in it stays. put_block NUMBER FILE
put_block() {
  file="$ROOT$2"
  new="$STATE/$1.new"
  cat >"$STATE/$1.block"
  # Links are followed and never replaced.
  links=0
  while [ -L "$file" ]; do
    target=$(readlink "$file")
    case $target in /*) file="$ROOT$target" ;; *) file="$(dirname "$file")/$target" ;; esac
    links=$((links + 1))
    if [ "$links" -gt 40 ]; then failed "$2: links in circles"; return 0; fi
  done
  mkdir -p "$(dirname "$file")"
  if [ -e "$file" ]; then
    cp -p "$file" "$STATE/$1.old"
    awk -v b='${BEGIN}' -v e='${END}' '$0 == b { skip = 1 } !skip { print } $0 == e { skip = 0 }' "$file" >"$new"
    # awk ends every line: a file without a newline at its end and without our block keeps its bytes.
    if ! grep -qxF '${BEGIN}' "$file"; then
      cat "$file" >"$new"
      if [ -s "$new" ] && [ -n "$(tail -c 1 "$new")" ]; then printf '\n' >>"$new"; fi
    fi
  else
    : >"$new"
  fi
  { printf '%s\n' '${BEGIN}'; cat "$STATE/$1.block"; printf '%s\n' '${END}'; } >>"$new"
  if [ -e "$file" ] && cmp -s "$new" "$file"; then rm -f "$STATE/$1.old"; say "as is   $2"; return 0; fi
  # In the same directory, not ending in .conf; with mode and owner of the old one.
  temporary="$(dirname "$file")/.$(basename "$file").mq-tune-new"
  rm -f "$temporary"
  if [ -e "$file" ]; then cp -p "$file" "$temporary"; fi
  cat "$new" >"$temporary"
  cp "$new" "$STATE/$1.ours"
  printf '%s|%s\n' "$1" "$file" >>"$STATE/files"
  mv -f "$temporary" "$file"
  say "wrote   $2"
}

# A child tries the limit out before anybody's login has to.
may_limit() {
  if [ -n "$ROOT" ]; then return 0; fi
  if (ulimit -Hn "$1" && ulimit -Sn "$1") 2>/dev/null; then return 0; fi
  failed "open files $1: not allowed even in a trial process; limits are not written, logins could fail"
  return 1
}

restore() {
  if [ ! -d "$STATE" ]; then say "nothing to take back"; exit 0; fi
  if [ -f "$STATE/files" ]; then
    sed '1!G;h;$!d' "$STATE/files" >"$STATE/files.back"
    while IFS='|' read -r number file; do
      if [ ! -e "$file" ] || ! cmp -s "$file" "$STATE/$number.ours"; then failed "$file was changed since: left as it is"
      elif [ -e "$STATE/$number.old" ]; then
        temporary="$(dirname "$file")/.$(basename "$file").mq-tune-new"
        cp -p "$STATE/$number.old" "$temporary" && mv -f "$temporary" "$file" && say "restored $file"
      else rm -f "$file" && say "removed $file"; fi
    done <"$STATE/files.back"
  fi
  if [ -f "$STATE/values" ]; then
    sed '1!G;h;$!d' "$STATE/values" >"$STATE/values.back"
    while IFS='|' read -r file old ours twin twin_old; do
      now=$(value_of "$file")
      if [ "$now" = "$old" ]; then continue
      elif [ "$now" != "$ours" ]; then failed "$file was set to $now since: left so"
      elif [ -n "$twin" ] && [ "$twin_old" != 0 ] && [ -n "$twin_old" ]; then printf '%s\n' "$twin_old" >"$ROOT$twin"
      else printf '%s\n' "$old" >"$ROOT$file" && say "restored $file = $old"; fi
    done <"$STATE/values.back"
  fi
  if [ "$FAILED" -ne 0 ]; then exit 4; fi
  rm -rf "$STATE"
  say "everything is as it was before"
  exit 0
}

if [ -z "$ROOT" ] && [ "$(id -u)" -ne 0 ]; then say "this needs root; nothing was changed" >&2; exit 3; fi
case ${"$"}{1:-apply} in
  revert) restore ;;
  apply) ;;
  *) say "usage: sh $0 [apply|revert]" >&2; exit 64 ;;
esac
if [ -d "$STATE" ]; then say "$STATE is there: this ran before. First: sh $0 revert" >&2; exit 1; fi
mkdir -p "$STATE"
chmod 700 "$ROOT/var/lib/mq/tune" "$STATE"
`;

const FLOORS = new Set([
  "fs.nr_open",
  "fs.file-max",
  "vm.max_map_count",
  "vm.min_free_kbytes",
  "vm.watermark_scale_factor",
]);

/** A POSIX shell script that makes the same changes without mq, verifies them and takes them back with `revert`. */
export function scriptText(report: Report, wishes: readonly Wish[], options: TuneOptions, version: string): string {
  const values: string[] = [];
  const files = new Map<string, { kind: FileKind; lines: Map<string, string> }>();
  let nofile = 0;
  for (const { change } of wishes) {
    const path = livePath(change);
    if (path !== undefined && "value" in change) values.push(valueLine(change, path));
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
    HEAD,
    // fs.nr_open first: a limit above it makes logins fail.
    ...values.sort((a, b) => Number(b.includes("nr_open")) - Number(a.includes("nr_open"))),
    ...blocks,
    'if [ -z "$ROOT" ] && command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi',
    'if [ "$FAILED" -ne 0 ]; then say "not everything could be done"; exit 4; fi',
    'say "done; log in anew and restart the broker for the limits to count"',
    "",
  ].join("\n");
}

function valueLine(change: Wish["change"] & { value: string }, path: string): string {
  if (change.kind === "trigger") return `sync; printf '%s\\n' ${change.value} >"$ROOT${path}"`;
  if (change.kind === "sysctl" && FLOORS.has(change.key)) return `raise_value ${path} ${quoted(change.value)} || true`;
  const twin = change.kind === "sysctl" ? dirtyTwin(change.key) : undefined;
  const other = twin === undefined ? "" : ` /proc/sys/${twin.replaceAll(".", "/")}`;
  return `set_value ${path} ${quoted(change.value)}${other} || true`;
}

function blockText(number: number, path: string, kind: FileKind, lines: readonly string[], nofile: number): string {
  const put = [`put_block ${number} ${path} <<'MQ_TUNE_END'`, ...lines, "MQ_TUNE_END"].join("\n");
  return kind.name === "limits" && nofile > 0 ? `if may_limit ${nofile}; then\n${put}\nfi` : put;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

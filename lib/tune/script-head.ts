import { BEGIN, END } from "./block.ts";

/** The part of the script that does not depend on the settings. `$ROOT` is another tree, for images and tests. */
export const SCRIPT_HEAD: string = String.raw`set -eu
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
    refuse "$1" "found $(value_of "$1"), want $2"
  fi
}

# What the kernel does not take is put into no file either: refuse FILE WHY
refuse() {
  failed "$1: $2"
  printf '%s\n' "$1" >>"$STATE/refused"
}

# Never lowers, never raises: raise_value FILE VALUE, lower_value FILE VALUE
raise_value() { bound_value "$1" "$2" -ge; }
lower_value() { bound_value "$1" "$2" -le; }
bound_value() {
  old=$(value_of "$1")
  case $old in
    '' | *[!0-9]*) set_value "$1" "$2" ;;
    *)
      if [ "$old" "$3" "$2" ]; then
        say "as is   $1 = $old"
        printf '%s %s\n' "$1" "$old" >>"$STATE/better"
      else set_value "$1" "$2"; fi ;;
  esac
}

# 2 is somebody's choice.
set_overcommit() {
  if [ "$(value_of "$1")" = 2 ]; then refuse "$1" "is 2, which somebody chose: left so"; else set_value "$1" "$2"; fi
}

# Follows links inside the tree and never replaces one: sets $file. true_file PATH
true_file() {
  file="$ROOT$1"
  links=0
  while [ -L "$file" ]; do
    target=$(readlink "$file")
    case $target in /*) file="$ROOT$target" ;; *) file="$(dirname "$file")/$target" ;; esac
    links=$((links + 1))
    if [ "$links" -gt 40 ]; then failed "$1: links in circles"; return 1; fi
  done
  if [ -e "$file" ] && [ ! -f "$file" ]; then failed "$file is no plain file: not written"; return 1; fi
}

# Puts $STATE/N.new in the place of $file, once the old one is copied. replace NUMBER PATH
replace() {
  if [ -e "$file" ] && cmp -s "$STATE/$1.new" "$file"; then say "as is   $2"; return 0; fi
  folder=$(dirname "$file")
  while [ ! -d "$folder" ]; do printf '%s\n' "$folder" >>"$STATE/folders"; folder=$(dirname "$folder"); done
  if [ -e "$file" ]; then cp -p "$file" "$STATE/$1.old"; fi
  cp "$STATE/$1.new" "$STATE/$1.ours"
  printf '%s|%s\n' "$1" "$file" >>"$STATE/files"
  mkdir -p "$(dirname "$file")"
  # In the same directory, not ending in .conf; with mode and owner of the old one.
  temporary="$(dirname "$file")/.$(basename "$file").mq-tune-new"
  rm -f "$temporary"
  if [ -e "$file" ]; then cp -p "$file" "$temporary"; fi
  cat "$STATE/$1.new" >"$temporary"
  mv -f "$temporary" "$file"
  say "wrote   $2"
}

# Puts the lines on stdin between our marks in a file; everything else in it stays. put_block NUMBER FILE KIND
put_block() {
  cat >"$STATE/$1.block"
  : >>"$STATE/refused"
  : >>"$STATE/better"
  true_file "$2" || return 0
  marks=none
  if [ -e "$file" ]; then
    marks=$(awk -v b='${BEGIN}' -v e='${END}' '
      { sub(/\r$/, "") }
      $0 == b { begins++; begin = NR }
      $0 == e { ends++; end = NR }
      END {
        if (begins + ends == 0) print "none"
        else if (begins == 1 && ends == 1 && begin < end) print begin, end
        else print "broken"
      }' "$file")
  fi
  if [ "$marks" = broken ]; then failed "$2: a mark of mq tune without its other half: repair it by hand"; return 0; fi
  begin=${"$"}{marks% *}
  end=${"$"}{marks#* }
  : >"$STATE/$1.new"
  : >"$STATE/$1.kept"
  if [ "$marks" != none ]; then
    head -n "$((begin - 1))" "$file" >"$STATE/$1.new"
    awk -v b="$begin" -v e="$end" 'NR > b && NR < e { sub(/\r$/, ""); print }' "$file" >"$STATE/$1.kept"
  elif [ -e "$file" ]; then
    cat "$file" >"$STATE/$1.new"
    if [ -s "$file" ] && [ "$(tail -c 1 "$file" | wc -l)" -eq 0 ]; then printf '\n' >>"$STATE/$1.new"; fi
  fi
  printf '%s\n' '${BEGIN}' >>"$STATE/$1.new"
  # Lines of an earlier run stay, but for those of the same settings and the other one of a dirty pair.
  awk -v kind="$3" '
    function key(line, parts) {
      if (kind == "limits") { split(line, parts); return parts[1] " " parts[2] " " parts[3] }
      if (kind == "tmpfiles") { split(line, parts); return parts[2] }
      if (kind == "udev") { sub(/="[^"]*"$/, "", line); return line }
      sub(/[ \t]*=.*/, "", line)
      return line
    }
    function file(name) { if (kind != "sysctl") return name; gsub(/\./, "/", name); return "/proc/sys/" name }
    function twin(name) {
      if (name !~ /^vm\.dirty(_background)?_(ratio|bytes)$/) return ""
      if (name ~ /ratio$/) sub(/ratio$/, "bytes", name); else sub(/bytes$/, "ratio", name)
      return name
    }
    FILENAME == ARGV[1] { refused[$0] = 1; next }
    FILENAME == ARGV[2] { better[$1] = $2; next }
    FILENAME == ARGV[3] {
      name = key($0)
      if (file(name) in refused) next
      if (!(name in fresh)) order[++count] = name
      fresh[name] = kind == "sysctl" && file(name) in better ? name " = " better[file(name)] : $0
      gone[twin(name)] = 1
      next
    }
    {
      name = key($0)
      if (name in fresh) { print fresh[name]; delete fresh[name] }
      else if (!(name in gone)) print
    }
    END { for (i = 1; i <= count; i++) if (order[i] in fresh) print fresh[order[i]] }
  ' "$STATE/refused" "$STATE/better" "$STATE/$1.block" "$STATE/$1.kept" >>"$STATE/$1.new"
  printf '%s\n' '${END}' >>"$STATE/$1.new"
  if [ "$marks" != none ]; then tail -n "+$((end + 1))" "$file" >>"$STATE/$1.new"; fi
  replace "$1" "$2"
}

# Sets the keys on stdin in a properties file, where each stands last, else at the end. put_keys NUMBER FILE
put_keys() {
  cat >"$STATE/$1.keys"
  true_file "$2" || return 0
  if [ ! -e "$file" ]; then failed "$2 is not there"; return 0; fi
  awk '
    function key(line) { sub(/^[ \t\f]+/, "", line); sub(/[ \t\f]*[=: \t\f].*/, "", line); return line }
    FNR == 1 { pass++ }
    pass == 1 { name = key($0); order[++count] = name; fresh[name] = $0; next }
    pass == 2 {
      line = $0; sub(/\r$/, "", line); name = key(line)
      if (!continued && name in fresh) { last[name] = FNR; if (line ~ /\\$/) exit 3 }
      continued = line ~ /\\$/
      next
    }
    {
      name = key($0); if (name in fresh && last[name] == FNR) print fresh[name] ($0 ~ /\r$/ ? "\r" : "")
      else print
      ending = $0 ~ /\r$/ ? "\r" : ""
    }
    END { for (i = 1; i <= count; i++) if (!(order[i] in last)) print fresh[order[i]] ending }
  ' "$STATE/$1.keys" "$file" "$file" >"$STATE/$1.new" || { failed "$2: a value over several lines: left as it is"; return 0; }
  replace "$1" "$2"
}

# A child tries the limit out before anybody's login has to.
may_limit() {
  for low in "$ROOT"/etc/sysctl.d/*.conf "$ROOT"/run/sysctl.d/*.conf "$ROOT"/usr/lib/sysctl.d/*.conf "$ROOT"/etc/sysctl.conf; do
    if [ ! -f "$low" ]; then continue; fi
    open=$(sed -n 's/^[[:space:]]*-\{0,1\}fs[./]nr_open[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$low" | tail -n 1)
    if [ -n "$open" ] && [ "$open" -lt "$1" ]; then
      failed "open files $1: $low sets fs.nr_open to $open; limits are not written, logins could fail after the next boot"
      return 1
    fi
  done
  if [ -n "$ROOT" ]; then return 0; fi
  if (ulimit -Hn "$1" && ulimit -Sn "$1") 2>/dev/null; then return 0; fi
  failed "open files $1: not allowed even in a trial process; limits are not written, logins could fail"
  return 1
}

restore_file() {
  temporary="$(dirname "$2")/.$(basename "$2").mq-tune-new"
  rm -f "$temporary"
  if [ -e "$STATE/$1.old" ]; then
    if [ -e "$2" ] && cmp -s "$2" "$STATE/$1.old"; then return 0; fi
  elif [ ! -e "$2" ]; then return 0; fi
  if [ ! -e "$2" ] || ! cmp -s "$2" "$STATE/$1.ours"; then failed "$2 was changed since: left as it is"
  elif [ -e "$STATE/$1.old" ]; then cp -p "$STATE/$1.old" "$temporary" && mv -f "$temporary" "$2" && say "restored $2"
  else rm -f "$2" && say "removed $2"; fi
}

restore() {
  if [ ! -d "$STATE" ]; then say "nothing to take back"; exit 0; fi
  if [ -f "$STATE/files" ]; then
    sed '1!G;h;$!d' "$STATE/files" >"$STATE/files.back"
    while IFS='|' read -r number file; do restore_file "$number" "$file"; done <"$STATE/files.back"
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
  if [ -f "$STATE/folders" ]; then
    while read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$STATE/folders"
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

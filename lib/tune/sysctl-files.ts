import { posix } from "node:path";
import type { Tree } from "./tree.ts";

/** One assignment of a sysctl file. */
export interface SysctlLine {
  /** With dots. */
  key: string;
  value: string;
  file: string;
  line: number;
  /** `-key` alone: no pattern sets this key. */
  excludes?: true;
}

export interface SysctlFiles {
  /** In the order in which they are read at boot. */
  lines: SysctlLine[];
  /** `file:line: text` of what no loader understands. */
  odd: string[];
  /** Files in reading order. */
  files: string[];
}

/** Later directories are masked by earlier ones, file name by file name [sysctl.d(5)]. */
const FOLDERS = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
export const SYSCTL_MAIN = "/etc/sysctl.conf";
/** Lines of one file that are named. */
const ODD_MAX = 5;
const SHOWN_MAX = 60;

/** Texts of files as they are going to be, by path with links followed. */
export type Overlay = ReadonlyMap<string, string>;

/** All assignments that count at boot, in order: the last one of a key wins. `overlay` lays planned files over those that are there. */
export function readSysctlFiles(tree: Tree, overlay: Overlay = new Map()): SysctlFiles {
  const byName = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of tree.list(folder))
      if (name.endsWith(".conf") && !byName.has(name)) byName.set(name, `${folder}/${name}`);
    for (const name of plannedIn(tree, folder, overlay)) if (!byName.has(name)) byName.set(name, `${folder}/${name}`);
  }
  const files = [...byName].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, path]) => path);
  // `sysctl --system` and OpenRC read the old file last; systemd only through a link among the others.
  if (mainIsRead(tree) && !files.some((path) => tree.resolve(path) === SYSCTL_MAIN)) files.push(SYSCTL_MAIN);
  const found: SysctlFiles = { lines: [], odd: [], files };
  for (const file of files) {
    const path = tree.resolve(file) ?? file;
    const text = overlay.get(path) ?? tree.text(file);
    if (text !== undefined) parseSysctl(text, path, found);
    else nameUnusable(tree, file, found.odd);
  }
  return found;
}

/** Names of planned files in a directory, which may itself be a link. */
export function plannedIn(tree: Tree, folder: string, overlay: Overlay): string[] {
  const real = tree.resolve(folder) ?? folder;
  const paths = [...overlay.keys()].filter((path) => posix.dirname(path) === real);
  return paths.map((path) => posix.basename(path)).filter((name) => name.endsWith(".conf"));
}

/** Files that are there and cannot be read are named; a link to /dev/null only switches a file off. */
export function nameUnusable(tree: Tree, file: string, odd: string[]): void {
  const why = tree.unusable(file);
  if (why !== undefined && tree.resolve(file) !== "/dev/null") odd.push(`${file} ${why}`);
}

/** Whether anything reads /etc/sysctl.conf at boot. */
export function mainIsRead(tree: Tree): boolean {
  if (!tree.exists("/run/systemd/system") && !tree.exists("/etc/systemd") && !tree.exists("/lib/systemd/systemd"))
    return true;
  return FOLDERS.some((folder) =>
    tree.list(folder).some((name) => name.endsWith(".conf") && tree.resolve(`${folder}/${name}`) === SYSCTL_MAIN),
  );
}

/** Reads one file's text: `#` and `;` comments, `key = value`, a leading `-` that means "errors do not matter". */
export function parseSysctl(text: string, file: string, into: Pick<SysctlFiles, "lines" | "odd">): void {
  const lines = text.split("\n");
  const odd = new OddLines(file, "not a sysctl setting");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const parts = /^-?\s*([^\s=]+)\s*=\s*(.*)$/.exec(line);
    if (parts !== null) {
      into.lines.push({ key: dotted(parts[1]!), value: parts[2]!.trim(), file, line: i + 1 });
      continue;
    }
    const excluded = /^-\s*([^\s=]+)$/.exec(line)?.[1];
    if (excluded !== undefined) {
      into.lines.push({ key: dotted(excluded), value: "", file, line: i + 1, excludes: true });
    } else odd.add(i + 1, line);
  }
  into.odd.push(...odd.texts());
}

/** Lines of one file that nobody understands: the first few by number, then how many more. */
export class OddLines {
  private readonly found: string[] = [];
  private more = 0;

  constructor(
    private readonly file: string,
    private readonly what: string,
  ) {}

  add(line: number, text: string): void {
    // A terminal must not obey what a file says: only plain characters are shown.
    const shown = JSON.stringify(text.slice(0, SHOWN_MAX)).replace(/[^\x20-\x7e]/g, "?");
    if (this.found.length < ODD_MAX) this.found.push(`${this.file}:${line}: ${this.what}: ${shown}`);
    else this.more++;
  }

  texts(): string[] {
    return this.more === 0 ? this.found : [...this.found, `${this.file}: ${this.more} more lines like these`];
  }
}

/** The key with dots, however it is spelled: where a slash comes first, slashes separate and dots belong to names. */
export function dotted(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  if (separator !== "/") return key;
  return key.replaceAll("/", ".");
}

const PATTERN = /[*?[]/;

/** The assignment of a key that counts: an exact name, else a pattern, unless `-key` keeps patterns from it [sysctl.d(5)]. */
export function winner(lines: readonly SysctlLine[], key: string): SysctlLine | undefined {
  let exact: SysctlLine | undefined;
  let pattern: SysctlLine | undefined;
  let excluded = false;
  for (const line of lines) {
    if (line.excludes === true) excluded ||= globMatches(line.key, key);
    else if (line.key === key) exact = line;
    else if (PATTERN.test(line.key) && globMatches(line.key, key)) pattern = line;
  }
  return exact ?? (excluded ? undefined : pattern);
}

/** glob(3) within one part of a name: `*`, `?` and `[...]`. */
function globMatches(glob: string, key: string): boolean {
  const source = glob.replace(/\[!?[^\]]+\]|[\\^$+?.()|[\]{}*]/g, (found) => {
    if (found === "*") return "[^.]*";
    if (found === "?") return "[^.]";
    if (found.length > 1 && found.startsWith("[")) return classOf(found);
    return `\\${found}`;
  });
  return new RegExp(`^${source}$`).test(key);
}

/** `[a-c]` and `[!a-c]` as an expression; what is none of these matches itself. */
function classOf(found: string): string {
  const inner = found.slice(1, -1).replace(/^!/, "");
  const safe = inner.replace(/[\\\]^[]/g, "\\$&");
  return /^(?:\w-\w|[^-])*-?$/.test(inner)
    ? `[${found.startsWith("[!") ? "^" : ""}${safe}]`
    : found.replace(/\W/g, "\\$&");
}

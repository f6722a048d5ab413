import type { Tree } from "./tree.ts";

/** One assignment of a sysctl file. */
export interface SysctlLine {
  /** With dots. */
  key: string;
  value: string;
  file: string;
  line: number;
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
const ODD_MAX = 20;

/** All assignments that count at boot, in order: the last one of a key wins. */
export function readSysctlFiles(tree: Tree): SysctlFiles {
  const byName = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of tree.list(folder))
      if (name.endsWith(".conf") && !byName.has(name)) byName.set(name, `${folder}/${name}`);
  }
  const files = [...byName].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, path]) => path);
  // `sysctl --system` and OpenRC read the old file last; systemd only through a link among the others.
  if (mainIsRead(tree) && !files.some((path) => tree.resolve(path) === SYSCTL_MAIN)) files.push(SYSCTL_MAIN);
  const found: SysctlFiles = { lines: [], odd: [], files };
  for (const file of files) {
    const text = tree.text(file);
    if (text !== undefined) parseSysctl(text, tree.resolve(file) ?? file, found);
  }
  return found;
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
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const parts = /^-?\s*([^\s=]+)\s*=\s*(.*)$/.exec(line);
    if (parts !== null) {
      into.lines.push({ key: dotted(parts[1]!), value: parts[2]!.trim(), file, line: i + 1 });
    } else if (!/^-\s*[^\s=]+$/.test(line) && into.odd.length < ODD_MAX) {
      into.odd.push(`${file}:${i + 1}: not a sysctl setting: ${JSON.stringify(line.slice(0, 60))}`);
    }
  }
}

/** The key with dots, however it is spelled: where a slash comes first, slashes separate and dots belong to names. */
export function dotted(key: string): string {
  const separator = /[./]/.exec(key)?.[0];
  if (separator !== "/") return key;
  return key.replaceAll("/", ".");
}

/** The assignment of a key that counts: an exact name, else a pattern with `*`. */
export function winner(lines: readonly SysctlLine[], key: string): SysctlLine | undefined {
  let exact: SysctlLine | undefined;
  let pattern: SysctlLine | undefined;
  for (const line of lines) {
    if (line.key === key) exact = line;
    else if (line.key.includes("*") && globMatches(line.key, key)) pattern = line;
  }
  return exact ?? pattern;
}

function globMatches(glob: string, key: string): boolean {
  const escaped = glob.replace(/[\\^$+?.()|[\]{}]/g, "\\$&").replace(/\*+/g, "[^.]*");
  return new RegExp(`^${escaped}$`).test(key);
}

import type { Tree } from "./tree.ts";

/** The last assignment of a key in a unit's files. */
export interface UnitValue {
  value: string;
  source: string;
}

/** The first one that has a file counts [systemd.unit(5)]; `systemctl set-property` writes into the first two. */
const FOLDERS = [
  "/etc/systemd/system.control",
  "/run/systemd/system.control",
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const MANAGER_FOLDERS = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
const UNIT_DROP_IN = "90-mq-tune.conf";

export function unitDropIn(unit: string): string {
  return `/etc/systemd/system/${unit}.service.d/${UNIT_DROP_IN}`;
}

/** `mq@a` is an instance of the template `mq@`. */
function templateOf(unit: string): string | undefined {
  const at = unit.indexOf("@");
  return at < 0 || at === unit.length - 1 ? undefined : unit.slice(0, at + 1);
}

/** The unit's own file, or its template's; undefined when there is no such unit. */
export function unitFile(tree: Tree, unit: string): string | undefined {
  const template = templateOf(unit);
  return [unit, ...(template === undefined ? [] : [template])]
    .flatMap((name) => FOLDERS.map((folder) => `${folder}/${name}.service`))
    .find((path) => tree.exists(path));
}

/** Directories of drop-ins, the most exact name first: its own, its template's, those of its first parts (`mq-`), all services'. */
function dropInNames(unit: string): string[] {
  const template = templateOf(unit);
  const stem = (template ?? unit).replace(/@$/, "");
  const dashes = [...stem.matchAll(/-/g)].map(({ index }) => stem.slice(0, index + 1)).filter((part) => part !== stem);
  const names = [unit, ...(template === undefined ? [] : [template]), ...dashes.reverse()];
  return [...names.map((name) => `${name}.service.d`), "service.d"];
}

/** Settings of `[Service]` of a unit and its drop-ins, last one wins [systemd.unit(5)]. */
export function readUnit(tree: Tree, unit: string): Map<string, UnitValue> {
  const found = new Map<string, UnitValue>();
  const file = unitFile(tree, unit);
  if (file !== undefined) parseUnit(tree.text(file) ?? "", file, found);
  const folders = dropInNames(unit).flatMap((name) => FOLDERS.map((folder) => `${folder}/${name}`));
  for (const path of confsIn(tree, folders)) parseUnit(tree.text(path) ?? "", path, found);
  return found;
}

/** Settings of systemd itself, `DefaultLimitNOFILE` for instance [systemd-system.conf(5)]. */
export function readManager(tree: Tree): Map<string, UnitValue> {
  const found = new Map<string, UnitValue>();
  const main = MANAGER_FOLDERS.map((folder) => `${folder}/system.conf`).find((path) => tree.exists(path));
  const more = confsIn(
    tree,
    MANAGER_FOLDERS.map((folder) => `${folder}/system.conf.d`),
  );
  for (const path of [...(main === undefined ? [] : [main]), ...more])
    parseUnit(tree.text(path) ?? "", path, found, "Manager");
  return found;
}

/** `*.conf` of several directories in the order of their names; of two with one name the first directory's. */
function confsIn(tree: Tree, folders: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const folder of folders) {
    for (const name of tree.list(folder))
      if (name.endsWith(".conf") && !byName.has(name)) byName.set(name, `${folder}/${name}`);
  }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
}

/** Reads one section. An empty value takes back what was set before; `Environment` adds up. */
export function parseUnit(text: string, file: string, into: Map<string, UnitValue>, wanted = "Service"): void {
  let section = "";
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const at = i + 1;
    let line = lines[i]!.trim();
    while (line.endsWith("\\") && i + 1 < lines.length) line = `${line.slice(0, -1)} ${lines[++i]!.trim()}`;
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const header = /^\[(.*)\]$/.exec(line);
    if (header !== null) {
      section = header[1]!;
      continue;
    }
    const equals = line.indexOf("=");
    if (equals <= 0 || section !== wanted) continue;
    const key = line.slice(0, equals).trim();
    const value = line.slice(equals + 1).trim();
    const before = key === "Environment" ? into.get(key)?.value : undefined;
    if (value === "") into.delete(key);
    else into.set(key, { value: before === undefined ? value : `${before} ${value}`, source: `${file}:${at}` });
  }
}

import type { Tree } from "./tree.ts";

/** The last assignment of a key in a unit's files. */
export interface UnitValue {
  value: string;
  source: string;
}

const FOLDERS = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const UNIT_DROP_IN = "90-mq-tune.conf";

export function unitDropIn(unit: string): string {
  return `/etc/systemd/system/${unit}.service.d/${UNIT_DROP_IN}`;
}

/** The unit's own file; undefined when there is no such unit. */
export function unitFile(tree: Tree, unit: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${unit}.service`).find((path) => tree.exists(path));
}

/** Settings of `[Service]` of a unit and its drop-ins, last one wins [systemd.unit(5)]. */
export function readUnit(tree: Tree, unit: string): Map<string, UnitValue> {
  const found = new Map<string, UnitValue>();
  const file = unitFile(tree, unit);
  if (file !== undefined) parseUnit(tree.text(file) ?? "", file, found);
  const dropIns = new Map<string, string>();
  for (const folder of FOLDERS) {
    for (const name of tree.list(`${folder}/${unit}.service.d`))
      if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, `${folder}/${unit}.service.d/${name}`);
  }
  for (const [, path] of [...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)))
    parseUnit(tree.text(path) ?? "", path, found);
  return found;
}

export function parseUnit(text: string, file: string, into: Map<string, UnitValue>): void {
  let section = "";
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.trim();
    if (line === "" || line.startsWith("#") || line.startsWith(";")) continue;
    const header = /^\[(.*)\]$/.exec(line);
    if (header !== null) {
      section = header[1]!;
      continue;
    }
    const equals = line.indexOf("=");
    if (equals > 0 && section === "Service")
      into.set(line.slice(0, equals).trim(), { value: line.slice(equals + 1).trim(), source: `${file}:${i + 1}` });
  }
}

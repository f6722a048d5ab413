import type { Machine } from "./machine.ts";
import { nameUnusable, OddLines, type Overlay, plannedIn } from "./sysctl-files.ts";
import { amount } from "./values.ts";

/** One line of limits.conf: `domain type item value`. */
export interface LimitLine {
  domain: string;
  type: "soft" | "hard" | "-";
  item: string;
  value: string;
  file: string;
  line: number;
}

export const LIMITS_MAIN = "/etc/security/limits.conf";
export const LIMITS_FOLDER = "/etc/security/limits.d";
const ITEMS = new Set(
  "core data fsize memlock nofile rss stack cpu nproc as maxlogins maxsyslogins nonewprivs priority locks sigpending msgqueue nice rtprio chroot".split(
    " ",
  ),
);

/** All lines in the order in which pam_limits reads them: limits.conf, then limits.d in C order; `overlay`: files as planned. */
export function readLimits(machine: Machine, overlay: Overlay = new Map()): { lines: LimitLine[]; odd: string[] } {
  const into = { lines: [] as LimitLine[], odd: [] as string[] };
  const there = machine.list(LIMITS_FOLDER).filter((name) => name.endsWith(".conf"));
  const names = [...new Set([...there, ...plannedIn(machine, LIMITS_FOLDER, overlay)])].sort();
  for (const file of [LIMITS_MAIN, ...names.map((name) => `${LIMITS_FOLDER}/${name}`)]) {
    const path = machine.resolve(file) ?? file;
    const text = overlay.get(path) ?? machine.text(file);
    if (text !== undefined) parseLimits(text, path, into);
    else nameUnusable(machine, file, into.odd);
  }
  return into;
}

export function parseLimits(text: string, file: string, into: { lines: LimitLine[]; odd: string[] }): void {
  const lines = text.split("\n");
  const odd = new OddLines(file, "not a limit");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!.replace(/#.*/, "").trim();
    if (line === "") continue;
    const [domain = "", type = "", item = "", value = "", ...more] = line.split(/\s+/);
    const known = (type === "soft" || type === "hard" || type === "-") && ITEMS.has(item) && more.length === 0;
    if (known && (amount(value) !== undefined || item === "chroot")) {
      into.lines.push({ domain, type, item, value, file, line: i + 1 });
    } else if (!(type === "-" && item === "")) odd.add(i + 1, line);
  }
  into.odd.push(...odd.texts());
}

export interface UserLimit {
  soft: string | undefined;
  hard: string | undefined;
  softSource: string | undefined;
  hardSource: string | undefined;
}

/** The more exactly a line names the user, the more it counts; -1: not meant. Groups and `*` do not reach root. */
function rank(domain: string, name: string, uid: number | undefined, groups: readonly string[]): number {
  if (domain === name) return 3;
  const ids = /^(@?)(\d*):(\d*)$/.exec(domain);
  if (ids !== null && ids[1] === "" && uid !== undefined && uid !== 0) {
    const low = Number(ids[2] || "0");
    if (ids[2] === "") return uid === Number(ids[3]) ? 3 : -1;
    if (ids[3] === "") return uid >= low ? 3 : -1;
    return uid >= low && uid <= Number(ids[3]) ? 3 : -1;
  }
  if (uid === 0 || name === "root") return -1;
  if (domain.startsWith("@")) return groups.includes(domain.slice(1)) ? 2 : -1;
  return domain === "*" ? 1 : -1;
}

/** What pam_limits would set for a user: user before group before `*`, the last line within one of these. */
export function userLimit(machine: Machine, lines: readonly LimitLine[], name: string, item: string): UserLimit {
  const uid = machine.user(name)?.uid;
  const groups = name === "*" ? [] : machine.groups(name);
  const found: UserLimit = { soft: undefined, hard: undefined, softSource: undefined, hardSource: undefined };
  let softRank = 0;
  let hardRank = 0;
  for (const line of lines) {
    if (line.item !== item) continue;
    const at = name === "*" ? (line.domain === "*" ? 1 : -1) : rank(line.domain, name, uid, groups);
    if (at < 0) continue;
    const source = `${line.file}:${line.line}`;
    if (line.type !== "hard" && at >= softRank) {
      softRank = at;
      found.soft = line.value;
      found.softSource = source;
    }
    if (line.type !== "soft" && at >= hardRank) {
      hardRank = at;
      found.hard = line.value;
      found.hardSource = source;
    }
  }
  return found;
}

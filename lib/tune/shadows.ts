import { blockPlace } from "./block.ts";
import { LIMITS_MAIN, type LimitLine, readLimits } from "./limits-files.ts";
import type { Machine } from "./machine.ts";
import { mainIsRead, type Overlay, readSysctlFiles, SYSCTL_MAIN, type SysctlLine, winner } from "./sysctl-files.ts";
import { dirtyTwin, LIMITS_DROP_IN, SYSCTL_DROP_IN } from "./targets.ts";
import type { TuneOptions } from "./types.ts";
import { sameText } from "./values.ts";

/** Lines of other files that win over ours and say something else; with `overlay` as it is going to be. */
export function shadows(machine: Machine, { files }: Pick<TuneOptions, "files">, overlay?: Overlay): string[] {
  const main = files === "main";
  const sysctl = main ? SYSCTL_MAIN : SYSCTL_DROP_IN;
  const limits = main ? LIMITS_MAIN : LIMITS_DROP_IN;
  return [
    ...unread(machine, sysctl, overlay),
    ...sysctlShadows(readSysctlFiles(machine, overlay).lines, ourLines(machine, sysctl, overlay)),
    ...limitShadows(readLimits(machine, overlay).lines, ourLines(machine, limits, overlay)),
  ];
}

/** systemd reads the old sysctl.conf only through a link among the others. */
function unread(machine: Machine, file: string, overlay: Overlay | undefined): string[] {
  const path = machine.resolve(file) ?? file;
  const [begin] = blockPlace(overlay?.get(path) ?? machine.text(path) ?? "");
  if (begin === 0 || file !== SYSCTL_MAIN || mainIsRead(machine)) return [];
  return [`${SYSCTL_MAIN} is not read at boot here: use --files drop-in, or link it as /etc/sysctl.d/99-sysctl.conf`];
}

/** The numbers of the lines between our marks in one of our files. */
function ourLines(machine: Machine, file: string, overlay: Overlay | undefined): (line: Place) => boolean {
  const path = machine.resolve(file) ?? file;
  const [from, to] = blockPlace(overlay?.get(path) ?? machine.text(path) ?? "");
  return ({ file: other, line }) => other === path && line > from && line < to;
}

interface Place {
  file: string;
  line: number;
}

function sysctlShadows(lines: readonly SysctlLine[], isOurs: (line: Place) => boolean): string[] {
  const found: string[] = [];
  for (const line of lines.filter(isOurs)) {
    const { key, value } = line;
    const wins = winner(lines, key);
    if (wins !== undefined && !isOurs(wins) && !sameText(wins.value, value))
      found.push(`${wins.file}:${wins.line} (${key} = ${wins.value}) wins over ours (${value})`);
    // The kernel keeps the one of a dirty pair that was written last.
    const twin = dirtyTwin(key);
    const other = twin === undefined ? undefined : winner(lines, twin);
    if (other !== undefined && !isOurs(other) && other.value !== "0" && lines.indexOf(other) > lines.indexOf(line))
      found.push(`${other.file}:${other.line} (${twin} = ${other.value}) wins over ours (${key} = ${value})`);
  }
  return found;
}

/** The last line of a domain counts, and a `-` line sets both. */
function limitShadows(lines: readonly LimitLine[], isOurs: (line: Place) => boolean): string[] {
  const found: string[] = [];
  for (const [at, line] of lines.entries()) {
    if (!isOurs(line)) continue;
    const { domain, type, item, value } = line;
    const later = lines.findLast(
      (other) => other.domain === domain && other.item === item && (other.type === type || other.type === "-"),
    );
    if (later === undefined || isOurs(later) || lines.indexOf(later) <= at || later.value === value) continue;
    found.push(
      `${later.file}:${later.line} (${domain} ${later.type} ${item} ${later.value}) wins over ours (${type} ${value})`,
    );
  }
  return found;
}

import { readLimits } from "../limits-files.ts";
import { mainIsRead, readSysctlFiles, SYSCTL_MAIN, winner } from "../sysctl-files.ts";
import { LIMITS_DROP_IN, SYSCTL_DROP_IN } from "../targets.ts";
import type { Reading, TuneContext, TuneItem } from "../types.ts";
import { sameText } from "../values.ts";
import { REPORT_ONLY } from "./report-only.ts";

const SHOWN_MAX = 5;

/** Lines of other files that are read after ours and say something else. */
export function shadows({ machine, options }: TuneContext): string[] {
  const found: string[] = [];
  const ourSysctl = machine.resolve(options.files === "main" ? SYSCTL_MAIN : SYSCTL_DROP_IN) ?? SYSCTL_DROP_IN;
  const { lines } = readSysctlFiles(machine);
  for (const ours of lines.filter(({ file }) => file === ourSysctl)) {
    const { key } = ours;
    const wins = winner(lines, key);
    if (wins !== undefined && wins.file !== ours.file && !sameText(wins.value, ours.value))
      found.push(`${wins.file}:${wins.line} (${key} = ${wins.value}) wins over ours (${ours.value})`);
  }
  const limits = readLimits(machine).lines;
  const ourLimits = limits.filter(({ file }) => file === (machine.resolve(LIMITS_DROP_IN) ?? LIMITS_DROP_IN));
  for (const ours of ourLimits) {
    const at = limits.indexOf(ours);
    const later = limits
      .slice(at + 1)
      .find(
        (line) =>
          line.file !== ours.file &&
          line.domain === ours.domain &&
          line.item === ours.item &&
          (line.type === ours.type || line.type === "-"),
      );
    if (later !== undefined && later.value !== ours.value)
      found.push(
        `${later.file}:${later.line} (${ours.domain} ${later.type} ${ours.item} ${later.value}) wins over ours (${ours.value})`,
      );
  }
  return found;
}

export const CONFLICT_ITEMS: readonly TuneItem[] = [
  {
    ...REPORT_ONLY,
    id: "conflict.shadow",
    title: "other files that say something else later",
    cost: "what was applied is gone after the next boot",
    explain: {
      what: "Lines of other files, read after ours, that set the same keys to other values; and tuned, which sets values of its own while it runs.",
      why: "Files are read in the order of their names and the last line wins. mq tune does not edit what others wrote: it names the lines.",
      risk: "None: only reported.",
      verify: "sysctl --system   prints the files in their order",
    },
    read: (context): Reading => {
      const found = shadows(context);
      const { machine, options } = context;
      const tuned = machine.value("/etc/tuned/active_profile");
      if (tuned !== undefined && tuned !== "")
        found.push(`tuned's profile ${tuned} sets values of its own while it runs`);
      if (options.files === "main" && !mainIsRead(machine))
        found.push(
          `${SYSCTL_MAIN} is not read at boot here: use --files drop-in, or link it as /etc/sysctl.d/99-sysctl.conf`,
        );
      if (found.length === 0) return { live: "none", status: "OK", note: "none" };
      const more = found.length > SHOWN_MAX ? `; ${found.length - SHOWN_MAX} more` : "";
      return { live: String(found.length), status: "WARN", note: found.slice(0, SHOWN_MAX).join("; ") + more };
    },
    wanted: () => ({}),
  },
];

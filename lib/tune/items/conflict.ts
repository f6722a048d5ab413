import { shadows } from "../shadows.ts";
import type { Reading, TuneItem } from "../types.ts";
import { REPORT_ONLY } from "./report-only.ts";

const SHOWN_MAX = 5;

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
      const { machine, options } = context;
      const found = shadows(machine, options);
      const tuned = machine.value("/etc/tuned/active_profile");
      if (tuned !== undefined && tuned !== "")
        found.push(`tuned's profile ${tuned} sets values of its own while it runs`);
      if (found.length === 0) return { live: "none", status: "OK", note: "none" };
      const more = found.length > SHOWN_MAX ? `; ${found.length - SHOWN_MAX} more` : "";
      return { live: String(found.length), status: "WARN", note: found.slice(0, SHOWN_MAX).join("; ") + more };
    },
    wanted: () => ({}),
  },
];

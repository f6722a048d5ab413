import type { Machine } from "./machine.ts";
import { nrOpenAtBoot, nrOpenNow } from "./plan.ts";
import type { Overlay } from "./sysctl-files.ts";
import type { Change } from "./types.ts";
import { amount, UNLIMITED } from "./values.ts";

/** Why a number of open files would keep people from logging in after the next boot, as the planned files stand; undefined: it would not. */
export function bootRefusal(machine: Machine, change: LimitChange, overlay: Overlay): string | undefined {
  const boot = nrOpenAtBoot(machine, overlay);
  const hard = amount(change.hard) ?? 0;
  if (change.item !== "nofile" || boot === undefined || hard <= boot.value) return undefined;
  return `${change.domain} nofile ${change.hard}: ${boot.source} sets fs.nr_open to ${boot.value} at the next boot and every login would fail then; correct that line first`;
}

export type LimitChange = Extract<Change, { kind: "limit" }>;

/** `ulimit`'s letter and the factor from limits.conf's unit to the shell's. */
const LETTERS: Readonly<Record<string, string>> = { nofile: "n", memlock: "l", nproc: "u", as: "v" };

/**
 * Why these limits would keep people from logging in; undefined: they do not. A child process sets exactly these limits, as PAM
 * would: root without CAP_SYS_RESOURCE, or a number above fs.nr_open, fails there and not at somebody's next login. Without
 * `nrOpen` it is still to be raised: what is above it now is looked at again afterwards. `tried` false: for another machine, where
 * the script tries itself.
 */
export function limitRefusal(
  machine: Machine,
  change: LimitChange,
  nrOpen = Number.POSITIVE_INFINITY,
  tried = true,
): string | undefined {
  const { domain, item, soft, hard } = change;
  const softAmount = amount(soft);
  const hardAmount = amount(hard);
  if (softAmount === undefined || hardAmount === undefined)
    return `${domain} ${item}: ${soft} and ${hard} are no limits`;
  if (softAmount > hardAmount) return `${domain} ${item}: soft ${soft} is above hard ${hard}`;
  if (item === "nofile" && hardAmount === UNLIMITED) return `${domain} nofile: unlimited makes every login fail`;
  if (item === "nofile" && hardAmount > nrOpen)
    return `${domain} nofile ${hard} is above fs.nr_open ${nrOpen}: every login would fail`;
  const uid = machine.user(domain)?.uid;
  if (domain === "root" || uid === 0) return `${domain}: a limit for root can lock everybody out: not written`;
  // Only root could set them: for others there is nothing to try out.
  const open = nrOpenNow(machine);
  const later = item === "nofile" && hardAmount > open;
  return tried && machine.live && process.geteuid?.() === 0 && !later ? canary(machine, change) : undefined;
}

function canary(machine: Machine, { domain, item, soft, hard }: LimitChange): string | undefined {
  const letter = LETTERS[item];
  if (letter === undefined) return undefined;
  const script = `ulimit -S -${letter} 0 2>/dev/null; ulimit -H -${letter} ${hard} && ulimit -S -${letter} ${soft}`;
  const ran = machine.run("/bin/sh", ["-c", script]);
  // A shell that does not know the letter proves nothing.
  if (ran.status === 0 || /illegal option|invalid option|bad option/i.test(ran.error)) return undefined;
  return `${domain} ${item} ${hard}: a trial process was not allowed to set it (${ran.error.trim() || `exit ${ran.status}`}); root may lack CAP_SYS_RESOURCE, as in containers: not written, because logins could fail`;
}

/** What a login of a user gets, asked of PAM itself: `soft:hard`; undefined where it cannot be asked. */
export function loginNofile(machine: Machine, user: string): { limit: string | undefined; failed: string | undefined } {
  const ran = machine.run("su", ["-s", "/bin/sh", user, "-c", "ulimit -Sn; ulimit -Hn"]);
  if (ran.status === undefined) return { limit: undefined, failed: undefined };
  if (ran.status !== 0)
    return { limit: undefined, failed: `a login of ${user} failed: ${ran.error.trim() || `exit ${ran.status}`}` };
  const [soft, hard] = ran.out.trim().split("\n");
  return { limit: `${soft}:${hard}`, failed: undefined };
}

/** One more user whose login is tried: the first ordinary one with a shell. */
export function otherLoginUser(machine: Machine, not: string): string | undefined {
  for (const line of (machine.text("/etc/passwd") ?? "").split("\n")) {
    const [name = "", , uid = "", , , , shell = ""] = line.split(":");
    if (name !== not && Number(uid) >= 1000 && Number(uid) < 60_000 && !/(nologin|false|sync)$/.test(shell.trim()))
      return name;
  }
  return undefined;
}

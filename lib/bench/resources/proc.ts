/**
 * The texts of /proc as numbers. Everything takes the file's text, so that a field which a kernel lacks is undefined or
 * zero here and nowhere else.
 */

/** /proc counts CPU time in units of 1/100 s on every Linux [sysconf(_SC_CLK_TCK)]. */
const TICKS_PER_SECOND = 100;
const KIB = 1024;

/** User and system time of a process in seconds, threads and ended children's excluded, from /proc/PID/stat. */
export function processCpuSeconds(stat: string): number {
  // The name in parentheses may hold blanks and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND;
}

/** Resident memory of a process in bytes, from /proc/PID/status. */
export interface ProcessMemory {
  rssBytes: number;
  /** Heap, stacks and the like: what the machine cannot take back without swap. Mapped store files are not in it. */
  anonymousBytes: number;
}

export function processMemory(status: string): ProcessMemory {
  return { rssBytes: kibField(status, "VmRSS") ?? 0, anonymousBytes: kibField(status, "RssAnon") ?? 0 };
}

/** Bytes a process caused to be read from and written to the disk, from /proc/PID/io (its owner and root may read it). */
export function processIo(io: string): { readBytes: number; writtenBytes: number } {
  const cancelled = Number(/^cancelled_write_bytes: (\d+)$/m.exec(io)?.[1] ?? 0);
  return {
    readBytes: Number(/^read_bytes: (\d+)$/m.exec(io)?.[1] ?? 0),
    writtenBytes: Math.max(0, Number(/^write_bytes: (\d+)$/m.exec(io)?.[1] ?? 0) - cancelled),
  };
}

/** All processors together in seconds, from the first line of /proc/stat; `stolen` (part of busy) went to other guests of the host. */
export function machineCpuSeconds(stat: string): { busy: number; total: number; stolen: number } {
  const fields = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "").split(" ").map(Number);
  // user nice system idle iowait irq softirq steal; guest time is part of user.
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = fields;
  const busy = user + nice + system + irq + softirq + steal;
  return {
    busy: busy / TICKS_PER_SECOND,
    total: (busy + idle + iowait) / TICKS_PER_SECOND,
    stolen: steal / TICKS_PER_SECOND,
  };
}

/** First "model name" of /proc/cpuinfo; undefined on processors that do not give one (ARM). */
export function cpuModel(cpuinfo: string): string | undefined {
  return /^model name\s*: (.+)$/m.exec(cpuinfo)?.[1]?.trim();
}

/** Type and device of the file system that holds `path`, from /proc/mounts: the longest mount point that is its prefix. */
export function fileSystemOf(mounts: string, path: string): { type: string; device: string } | undefined {
  let best: { type: string; device: string; length: number } | undefined;
  for (const line of mounts.split("\n")) {
    const [device, point, type] = line.split(" ").map(unescapeMount);
    if (device === undefined || point === undefined || type === undefined) continue;
    const inside = path === point || path.startsWith(point.endsWith("/") ? point : `${point}/`);
    // A later mount on the same point hides the earlier one.
    if (inside && point.length >= (best?.length ?? 0)) best = { type, device, length: point.length };
  }
  return best && { type: best.type, device: best.device };
}

function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function kibField(status: string, name: string): number | undefined {
  const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  return found === undefined ? undefined : Number(found) * KIB;
}

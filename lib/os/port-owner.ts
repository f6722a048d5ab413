import { readdir, readFile, readlink } from "node:fs/promises";

const STATE_LISTEN = "0A";

/** Which process listens on TCP `port`, as `pid 123 (java)`; undefined where that cannot be seen (other user, other system). */
export async function portOwner(port: number): Promise<string | undefined> {
  const pid = await listeningPid(port);
  return pid === undefined ? undefined : `pid ${pid} (${await commandName(pid)})`;
}

/** The process that listens on TCP `port` of this machine; undefined as with `portOwner`. */
export async function listeningPid(port: number): Promise<number | undefined> {
  try {
    const inodes = await listeningInodes(port);
    if (inodes.size === 0) return undefined;
    for (const pid of await readdir("/proc")) {
      if (/^\d+$/.test(pid) && (await holdsSocket(pid, inodes))) return Number(pid);
    }
  } catch {
    // No /proc: nobody can be named.
  }
  return undefined;
}

async function listeningInodes(port: number): Promise<Set<string>> {
  const inodes = new Set<string>();
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    const text = await readFile(table, "latin1").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(wanted) === true && fields[3] === STATE_LISTEN && fields[9] !== undefined)
        inodes.add(fields[9]);
    }
  }
  return inodes;
}

async function holdsSocket(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  for (const fd of await readdir(directory).catch(() => [])) {
    const inode = /^socket:\[(\d+)\]$/.exec(await readlink(`${directory}/${fd}`).catch(() => ""))?.[1];
    if (inode !== undefined && inodes.has(inode)) return true;
  }
  return false;
}

/** What the system calls the process. */
export async function commandName(pid: number): Promise<string> {
  const name = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "unknown");
  return name.trim();
}

import { spawnSync } from "node:child_process";
import { arch, hostname } from "node:os";
import { posix } from "node:path";
import { Tree } from "./tree.ts";
import type { HostFacts } from "./types.ts";
import { amount, UNLIMITED } from "./values.ts";

/** What a command said; undefined status: it could not be started. */
export interface Ran {
  status: number | undefined;
  out: string;
  error: string;
}

/** Version 1 says the largest page-aligned number for no limit. */
const V1_UNLIMITED = 2 ** 62;
const PROCESSES_MAX = 4096;
const RUN_TIMEOUT_MS = 10_000;

/** Reads a machine: /proc, /sys and /etc below `root`. Nothing throws; what cannot be read is undefined. */
export class Machine extends Tree {
  constructor(root = "/") {
    super(root);
  }

  /** This machine, not a tree of files that looks like one. */
  get live(): boolean {
    return this.root === "/";
  }

  /** A kernel parameter by its dotted name. */
  sysctl(key: string): string | undefined {
    return this.value(sysctlPath(key))?.replace(/\s+/g, " ");
  }

  hasSysctl(key: string): boolean {
    return this.exists(sysctlPath(key));
  }

  /** A tree without a kernel: an image. Settings can only be kept, not set. */
  get isImage(): boolean {
    return !this.exists("/proc/sys");
  }

  get hasSystemd(): boolean {
    return this.exists("/run/systemd/system") || this.exists("/lib/systemd/systemd") || this.exists("/etc/systemd");
  }

  /** Something sets values of tmpfiles.d at boot. */
  get hasTmpfiles(): boolean {
    const folders = ["/usr/bin/systemd-tmpfiles", "/bin/systemd-tmpfiles", "/usr/lib/tmpfiles.d", "/usr/sbin/tmpfiles"];
    return this.hasSystemd || folders.some((path) => this.exists(path));
  }

  /** Runs a command of this machine; in another tree nothing is run. */
  run(command: string, args: readonly string[]): Ran {
    if (!this.live) return { status: undefined, out: "", error: "not run in another tree" };
    const child = spawnSync(command, args, {
      encoding: "utf8",
      timeout: RUN_TIMEOUT_MS,
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (child.error !== undefined) return { status: undefined, out: "", error: child.error.message };
    return { status: child.status ?? undefined, out: child.stdout, error: child.stderr };
  }

  /** A number of /proc/meminfo in bytes. */
  meminfo(name: string): number | undefined {
    const line = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(this.text("/proc/meminfo") ?? "");
    return line === null ? undefined : Number(line[1]) * 1024;
  }

  get cores(): number | undefined {
    const cores = (this.text("/proc/cpuinfo") ?? "").match(/^processor\s*:/gm)?.length;
    return cores === undefined || cores === 0 ? undefined : cores;
  }

  /** `soft:hard` of a process's limit, by its name in /proc/PID/limits. */
  limit(pid: number | "self", name: string): string | undefined {
    const line = (this.text(`/proc/${pid}/limits`) ?? "").split("\n").find((text) => text.startsWith(name));
    const parts = line?.slice(name.length).trim().split(/\s+/);
    return parts === undefined || parts.length < 2 ? undefined : `${parts[0]}:${parts[1]}`;
  }

  /** The first broker that runs here: mq's or the Java one. */
  get brokerPid(): number | undefined {
    const pids = this.list("/proc").filter((name) => /^\d+$/.test(name));
    for (const pid of pids.slice(0, PROCESSES_MAX)) {
      const words = (this.text(`/proc/${pid}/cmdline`) ?? "").split("\0");
      const verb = words[words.findIndex((word) => /(?:^|\/)mq$/.test(word)) + 1];
      const isMq = words.some((word) => /(?:^|\/)mq$/.test(word)) && (verb === "broker" || verb === "start");
      if (isMq || words.includes("org.apache.rocketmq.broker.BrokerStartup")) return Number(pid);
    }
    return undefined;
  }

  /** The container's kind, or undefined outside of one. */
  get container(): string | undefined {
    if (this.live && process.env.KUBERNETES_SERVICE_HOST !== undefined) return "kubernetes";
    if (this.exists("/run/.containerenv")) return "podman";
    const cgroups = `${this.text("/proc/1/cgroup") ?? ""}\n${this.text("/proc/self/cgroup") ?? ""}`;
    if (/kubepods/.test(cgroups)) return "kubernetes";
    // A machine whose image was once a container's keeps that file: only an overlay as root makes it one.
    if (
      this.exists("/.dockerenv") &&
      /^\S+ \S+ \S+ \S+ \/ .* - overlay /m.test(this.text("/proc/self/mountinfo") ?? "")
    )
      return "docker";
    const found = /(docker|containerd|lxc|libpod)[-/]/.exec(cgroups)?.[1];
    if (found !== undefined) return found;
    const said = /(?:^|\0)container=([^\0]+)/.exec(this.text("/proc/1/environ") ?? "")?.[1];
    return said ?? this.value("/run/systemd/container");
  }

  /** The hypervisor as its firmware names it, or that there is none. */
  get virt(): string {
    const vendor = this.value("/sys/class/dmi/id/sys_vendor");
    const product = this.value("/sys/class/dmi/id/product_name");
    const known = /kvm|qemu|vmware|virtualbox|xen|hyper-v|virtual machine|google|amazon ec2|firecracker|alibaba/i;
    const named = [product, vendor].find((text) => text !== undefined && known.test(text));
    if (named !== undefined) return `VM (${named})`;
    if (/^flags\s*:.*\bhypervisor\b/m.test(this.text("/proc/cpuinfo") ?? "")) return "VM";
    return this.exists("/proc/cpuinfo") ? "bare metal" : "unknown";
  }

  /** Directory of this process's (or pid 1's, in another tree) cgroup v2. */
  get cgroup(): string | undefined {
    const line = /^0::(\/.*)$/m.exec(this.text("/proc/self/cgroup") ?? "");
    if (line === null) return undefined;
    const folder = posix.join("/sys/fs/cgroup", line[1]!);
    return this.exists(folder) ? folder : "/sys/fs/cgroup";
  }

  /** A number that holds for a cgroup and all above it, for instance memory.max: the smallest. */
  cgroupAmount(name: string): number | undefined {
    let smallest: number | undefined;
    for (let folder = this.cgroup; folder?.startsWith("/sys/fs/cgroup"); ) {
      const text = this.value(`${folder}/${name}`);
      const found = text === undefined ? undefined : amount(text);
      if (found !== undefined) smallest = Math.min(smallest ?? found, found);
      folder = folder === "/sys/fs/cgroup" ? undefined : posix.dirname(folder);
    }
    return smallest;
  }

  /** Bytes that the control groups of version 1 or 2 leave: the least of the own one and all above it; undefined: no group says. */
  get memoryMax(): number | undefined {
    const own = this.cgroupAmount("memory.max");
    if (own !== undefined) return own;
    let smallest: number | undefined;
    for (const path of this.pathsOfV1("memory")) {
      const found = amount(this.value(`/sys/fs/cgroup/memory${path}/memory.limit_in_bytes`) ?? "");
      if (found === undefined) continue;
      const bytes = found >= V1_UNLIMITED ? UNLIMITED : found;
      smallest = Math.min(smallest ?? bytes, bytes);
    }
    return smallest;
  }

  /** Cores that the control groups leave, by cpu.max or cpu.cfs_quota_us: the least; undefined: all. */
  get coresMax(): number | undefined {
    let least: number | undefined;
    const take = (quota: number, period: number) => {
      if (quota > 0 && period > 0) least = Math.min(least ?? quota / period, quota / period);
    };
    for (let folder = this.cgroup; folder?.startsWith("/sys/fs/cgroup"); ) {
      const [quota = "", period = "100000"] = (this.value(`${folder}/cpu.max`) ?? "").split(/\s+/);
      take(Number(quota), Number(period));
      folder = folder === "/sys/fs/cgroup" ? undefined : posix.dirname(folder);
    }
    for (const path of this.pathsOfV1("cpu")) {
      const folder = `/sys/fs/cgroup/cpu${path}`;
      take(Number(this.value(`${folder}/cpu.cfs_quota_us`)), Number(this.value(`${folder}/cpu.cfs_period_us`)));
    }
    return least;
  }

  /** The own group of a controller of version 1 and all above it: `/docker/x`, `/docker`, ``; none without such a controller. */
  private pathsOfV1(controller: string): string[] {
    const lines = (this.text("/proc/self/cgroup") ?? "").split("\n").map((line) => line.split(":"));
    const own = lines.find(([, names = ""]) => names.split(",").includes(controller))?.[2];
    const paths: string[] = [];
    for (let path = own; path !== undefined && path !== "/"; path = posix.dirname(path)) paths.push(path);
    return own === undefined ? [] : [...paths, ""];
  }

  /** Kernel parameters cannot be written, as in most containers. */
  get readOnlySysctl(): boolean {
    for (const line of (this.text("/proc/self/mountinfo") ?? "").split("\n").reverse()) {
      const [, , , , point, flags = ""] = line.split(" ");
      if (point === "/proc/sys" || point === "/proc") return flags.split(",").includes("ro");
    }
    return false;
  }

  get bootId(): string {
    return this.value("/proc/sys/kernel/random/boot_id") ?? "";
  }

  facts(): HostFacts {
    const release = this.text("/etc/os-release") ?? this.text("/usr/lib/os-release") ?? "";
    return {
      name: this.live ? hostname() : (this.value("/etc/hostname") ?? "unknown"),
      kernel: this.value("/proc/sys/kernel/osrelease") ?? "unknown",
      distro: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(release)?.[1] ?? "unknown",
      virt: this.virt,
      container: this.container,
      cgroup: this.cgroup,
      memoryBytes: this.meminfo("MemTotal"),
      cores: this.cores,
    };
  }

  /** Users of /etc/passwd by name. */
  user(name: string): { uid: number; gid: number; shell: string } | undefined {
    for (const line of (this.text("/etc/passwd") ?? "").split("\n")) {
      const fields = line.trim().split(":");
      if (fields[0] === name && /^\d+$/.test(fields[2] ?? ""))
        return { uid: Number(fields[2]), gid: Number(fields[3]), shell: fields[6] ?? "" };
    }
    return undefined;
  }

  /** Names of all groups of a user. */
  groups(name: string): string[] {
    const gid = this.user(name)?.gid;
    const found: string[] = [];
    for (const line of (this.text("/etc/group") ?? "").split("\n")) {
      const [group = "", , id, members = ""] = line.trim().split(":");
      if (group !== "" && ((gid !== undefined && Number(id) === gid) || members.split(",").includes(name)))
        found.push(group);
    }
    return found;
  }

  /** arm64 has neither tsc nor the x86 drivers. */
  get arch(): string {
    return arch();
  }
}

/** `net.ipv4.tcp_fin_timeout` to its file; a name with slashes keeps its dots, as sysctl.d(5) has it. */
export function sysctlPath(key: string): string {
  return `/proc/sys/${key.includes("/") ? key : key.replaceAll(".", "/")}`;
}

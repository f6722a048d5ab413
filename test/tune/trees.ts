import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";

/** Files by path; `-> x` is a link. */
export type TreeFiles = Readonly<Record<string, string>>;

const KERNEL: TreeFiles = {
  "/proc/sys/vm/overcommit_memory": "0\n",
  "/proc/sys/vm/max_map_count": "65530\n",
  "/proc/sys/vm/drop_caches": "0\n",
  "/proc/sys/vm/zone_reclaim_mode": "0\n",
  "/proc/sys/vm/dirty_background_ratio": "10\n",
  "/proc/sys/vm/dirty_background_bytes": "0\n",
  "/proc/sys/vm/dirty_ratio": "20\n",
  "/proc/sys/vm/dirty_bytes": "0\n",
  "/proc/sys/vm/dirty_writeback_centisecs": "500\n",
  "/proc/sys/vm/page-cluster": "3\n",
  "/proc/sys/vm/swappiness": "60\n",
  "/proc/sys/vm/min_free_kbytes": "67584\n",
  "/proc/sys/vm/watermark_scale_factor": "10\n",
  "/proc/sys/fs/nr_open": "1048576\n",
  "/proc/sys/fs/file-max": "9223372036854775807\n",
  "/proc/sys/net/core/somaxconn": "4096\n",
  "/proc/sys/kernel/osrelease": "6.1.0\n",
  "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
  "/proc/meminfo": "MemTotal:       16384000 kB\nSwapTotal:       2048000 kB\nSwapFree:        2048000 kB\n",
  "/proc/swaps": "Filename Type Size Used Priority\n/dev/vda2 partition 2048000 0 -2\n",
  "/proc/cpuinfo": "processor\t: 0\nprocessor\t: 1\n",
  "/proc/1/limits":
    "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 524288               files\nMax locked memory         8388608              8388608              bytes\nMax processes             63000                63000                processes\nMax address space         unlimited            unlimited            bytes\n",
  "/proc/self/mountinfo": "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n",
  "/proc/self/cgroup": "0::/init.scope\n",
  "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
  "/sys/dev/block/254:1": "-> ../../devices/pci0/block/vda/vda1",
  "/sys/devices/pci0/block/vda/vda1/partition": "1\n",
  "/sys/devices/pci0/block/vda/queue/scheduler": "none [bfq] mq-deadline\n",
  "/sys/devices/pci0/block/vda/queue/read_ahead_kb": "8192\n",
  "/sys/devices/pci0/block/vda/queue/rotational": "0\n",
  "/sys/block/vda": "-> ../devices/pci0/block/vda",
};

const USERS = "root:x:0:0:root:/root:/bin/bash\nbaseuser:x:1001:1001::/home/baseuser:/bin/bash\n";

export const DEBIAN: TreeFiles = {
  ...KERNEL,
  "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
  "/etc/passwd": USERS,
  "/etc/group": "root:x:0:\nmq:x:1001:baseuser\n",
  "/etc/sysctl.conf": "# Uncomment the next line\n#net.ipv4.ip_forward=1\n",
  "/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf",
  "/etc/security/limits.conf": "# <domain> <type> <item> <value>\n#*  soft core 0\n",
  "/etc/security/limits.d/.keep": "",
  "/etc/systemd/system/mq-broker.service":
    "[Unit]\nDescription=broker\n\n[Service]\nExecStart=/usr/bin/mq broker\nMemoryDenyWriteExecute=yes\n",
  "/etc/udev/udev.conf": "",
};

export const RHEL: TreeFiles = {
  ...KERNEL,
  "/etc/os-release": 'PRETTY_NAME="Red Hat Enterprise Linux 9.4 (Plow)"\n',
  "/etc/passwd": USERS,
  "/etc/group": "root:x:0:\n",
  "/etc/sysctl.conf": "# sysctl settings are defined through files in /usr/lib/sysctl.d/\n",
  "/etc/sysctl.d/99-sysctl.conf": "-> /etc/sysctl.conf",
  "/usr/lib/sysctl.d/10-default.conf":
    "vm.max_map_count = 1048576\n-net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.*.rp_filter = 2\n",
  "/proc/sys/vm/max_map_count": "1048576\n",
  "/etc/security/limits.conf": "#*               hard    rss             10000\n",
  "/etc/security/limits.d/20-nproc.conf": "*          soft    nproc     4096\nroot       soft    nproc     unlimited\n",
  "/usr/lib/systemd/system/mq-broker.service": "[Service]\nExecStart=/usr/bin/mq broker\n",
  "/etc/systemd/system.conf": "",
  "/usr/lib/udev/rules.d/x.rules": "",
};

export const ALPINE: TreeFiles = {
  ...KERNEL,
  "/etc/os-release": 'PRETTY_NAME="Alpine Linux v3.20"\n',
  "/etc/passwd": "root:x:0:0:root:/root:/bin/ash\n",
  "/etc/sysctl.conf": "# content of this file will override /etc/sysctl.d/*\n",
  "/etc/sysctl.d/.keep": "",
};

/** Lines of every awkward kind in the main files. */
export const AWKWARD: TreeFiles = {
  ...DEBIAN,
  "/etc/sysctl.conf":
    "# windows\r\nvm.swappiness = 30\r\nvm.swappiness=40\r\n  ; odd\r\nthis is no setting\r\nvm/dirty_ratio = 33",
  "/etc/security/limits.conf":
    "baseuser soft nofile 1000\r\nbaseuser - nofile 2000\r\nnonsense\r\n@mq hard nofile 9999",
  "/etc/security/limits.d/99-site.conf": "baseuser hard nofile 4096\nbaseuser soft nofile 4096",
  "/etc/sysctl.d/99-zz-site.conf": "vm.swappiness = 10\n",
};

export const EMPTY: TreeFiles = {};

/** An image: files without a kernel. */
export const IMAGE: TreeFiles = Object.fromEntries(Object.entries(DEBIAN).filter(([path]) => path.startsWith("/etc")));

export function makeTree(files: TreeFiles): string {
  const root = mkdtempSync(join(tmpdir(), "mq-tune-"));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    if (text.startsWith("-> ")) symlinkSync(text.slice(3), join(root, path));
    else writeFileSync(join(root, path), text);
  }
  return root;
}

/** Everything below a root but the journal: type, mode, owner and bytes of each path. */
export function snapshot(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const name = relative(root, path);
      if (name === "var") continue;
      const { mode, uid, gid } = lstatSync(path);
      const owner = `${mode.toString(8)} ${uid}:${gid}`;
      if (entry.isSymbolicLink()) found[name] = `-> ${readlinkSync(path)}`;
      else if (entry.isDirectory()) {
        found[name] = `folder ${owner}`;
        visit(path);
      } else found[name] = `${owner} ${readFileSync(path, "latin1")}`;
    }
  };
  visit(root);
  return found;
}

/** Times of the last change of every file, to see that nothing was touched. */
export function times(root: string): Record<string, number> {
  const found: Record<string, number> = {};
  for (const entry of readdirSync(root, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) found[relative(root, path)] = lstatSync(path).mtimeMs;
  }
  return found;
}

export function setMode(root: string, path: string, mode: number): void {
  chmodSync(join(root, path), mode);
}

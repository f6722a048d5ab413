import type { LimitChange } from "./login-guard.ts";
import type { Change, Report } from "./types.ts";
import { pair } from "./values.ts";

/** Forms for whom a change on this machine is the wrong place: the honest answer inside a container. */
export const SNIPPETS = ["ansible", "systemd-unit", "k8s", "docker"] as const;
export type SnippetKind = (typeof SNIPPETS)[number];

/** The targets of a report, also of checks that are good here, as another tool takes them. */
export function snippetText(kind: SnippetKind, report: Report): string {
  const sysctls = wantedSysctls(report);
  const [soft, hard] = pair(report.checks.find(({ id }) => id === "limits.nofile")?.target ?? "655360:655360");
  switch (kind) {
    case "ansible":
      return [
        "# tasks made by mq tune; run with become: true",
        ...sysctls.flatMap(([key, value]) => [
          `- name: ${key}`,
          "  ansible.posix.sysctl:",
          `    name: ${key}`,
          `    value: "${value}"`,
          "    sysctl_file: /etc/sysctl.d/90-mq-tune.conf",
        ]),
        ...wantedLimits(report).flatMap((limit) =>
          (["soft", "hard"] as const).flatMap((type) => [
            `- name: ${limit.item} ${type} of ${limit.domain}`,
            "  community.general.pam_limits:",
            `    domain: "${limit.domain}"`,
            `    limit_type: ${type}`,
            `    limit_item: ${limit.item}`,
            `    value: "${limit[type]}"`,
            "    dest: /etc/security/limits.d/90-mq-tune.conf",
          ]),
        ),
      ].join("\n");
    case "systemd-unit":
      return [
        `# /etc/systemd/system/${report.unit}.service.d/90-mq-tune.conf`,
        "[Service]",
        `LimitNOFILE=${soft === hard ? hard : `${soft}:${hard}`}`,
        "LimitMEMLOCK=infinity",
        "LimitAS=infinity",
        "MemoryDenyWriteExecute=no",
        "MemoryMax=90%",
      ].join("\n");
    case "k8s":
      return [
        "# A pod cannot set vm.* and fs.*: they belong to the node. On each node, or in a privileged",
        "# init container, made by mq tune:",
        ...sysctls.filter(([key]) => !isOfPod(key)).map(([key, value]) => `#   sysctl -w ${key}=${value}`),
        "# Of the pod itself; the kubelet allows unsafe ones with --allowed-unsafe-sysctls.",
        "spec:",
        "  securityContext:",
        "    sysctls:",
        ...sysctls
          .filter(([key]) => isOfPod(key))
          .flatMap(([name, value]) => [`      - name: ${name}`, `        value: "${value}"`]),
        "# Open files come from the node's container runtime (its LimitNOFILE): a pod has no field for them.",
      ].join("\n");
    case "docker":
      return [
        "# vm.* and fs.* are one for the whole kernel: on the host, mq tune --apply --only vm",
        "docker run \\",
        `  --ulimit nofile=${soft}:${hard} --ulimit memlock=-1 \\`,
        ...sysctls.filter(([key]) => isOfPod(key)).map(([key, value]) => `  --sysctl ${key}='${value}' \\`),
        "  -v /data/mq:/data/mq IMAGE broker",
      ].join("\n");
  }
}

/** What a network namespace has for itself; the largest buffers are the machine's on most kernels, and a pod that asks for them does not start. */
function isOfPod(key: string): boolean {
  return key.startsWith("net.") && !/^net\.core\.[rw]mem_/.test(key);
}

/** Limits of logins; none for root, which one could lock everybody out. */
function wantedLimits({ checks }: Report): LimitChange[] {
  const changes = checks.flatMap(({ wantedChanges }): readonly Change[] => wantedChanges);
  return changes.flatMap((change) => (change.kind === "limit" && change.domain !== "root" ? [change] : []));
}

function wantedSysctls({ checks }: Report): [string, string][] {
  const changes = checks.flatMap(({ wantedChanges }): readonly Change[] => wantedChanges);
  return changes.flatMap((change): [string, string][] =>
    change.kind === "sysctl" ? [[change.key, change.value]] : [],
  );
}

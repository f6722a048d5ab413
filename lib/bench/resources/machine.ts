import { existsSync, readFileSync, realpathSync } from "node:fs";
import { cpus, hostname, release, type as systemType } from "node:os";
import { memoryBytes } from "../../os/memory.ts";
import { cpuModel, fileSystemOf } from "./proc.ts";

/** What a figure depends on and a reader cannot guess. */
export interface MachineFacts {
  hostname: string;
  kernel: string;
  distribution: string | undefined;
  cpu: string;
  cores: number;
  memoryBytes: number;
}

export function machineFacts(): MachineFacts {
  const all = cpus();
  return {
    hostname: hostname(),
    kernel: `${systemType()} ${release()}`,
    distribution: /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(readText("/etc/os-release"))?.[1],
    cpu: cpuModel(readText("/proc/cpuinfo")) ?? all[0]?.model ?? "unknown",
    cores: all.length,
    memoryBytes: memoryBytes(),
  };
}

/** File system of a folder (or of the nearest one above it that exists), as `ext4 on /dev/vda`. */
export function fileSystemName(folder: string): string | undefined {
  let existing = folder;
  while (!existsSync(existing) && existing.includes("/")) existing = existing.slice(0, existing.lastIndexOf("/"));
  if (existing === "") existing = "/";
  const found = fileSystemOf(readText("/proc/mounts"), realpathSync(existing));
  return found && `${found.type} on ${found.device}`;
}

/** The file's text, "" where it cannot be read. */
export function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { type LimitFile, limitFiles, readText } from "./control-group.ts";

const CPU_MAX: LimitFile = { v2: "cpu.max", v1: "cpu.cfs_quota_us", controller: "cpu" };

/**
 * Cores that this process may use: those it may run on, or the quota of its control groups (`cpu.max`, `cpu.cfs_quota_us`) where
 * that is less. `root` is another tree in place of `/`.
 */
export function usableCpus(root = "/", parallelism = availableParallelism()): number {
  let cpus = parallelism;
  for (const file of limitFiles(root, CPU_MAX)) {
    const [quota, period = readText(join(dirname(file), "cpu.cfs_period_us"))] = readText(file).trim().split(/\s+/);
    const share = Number(quota) / Number(period);
    if (share > 0 && share < cpus) cpus = share;
  }
  return cpus;
}

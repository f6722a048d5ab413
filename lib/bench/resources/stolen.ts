import type { FlagRecord, SecondRecord } from "../result.ts";

/** As much in one interval is seen in p99.9 and the maximum of its latencies. */
const STOLEN_SECONDS = 0.05;

/** What to say where the host of a virtual machine took CPU time from it while it measured: at most one flag. */
export function stolenFlag(samples: readonly SecondRecord[]): FlagRecord[] {
  const stolen = samples.map(({ stolenSeconds = 0 }) => stolenSeconds);
  const most = stolen.reduce((max, seconds) => Math.max(max, seconds), 0);
  if (most < STOLEN_SECONDS) return [];
  const all = stolen.reduce((sum, seconds) => sum + seconds, 0);
  return [
    {
      id: "STOLEN",
      text: `the host took ${all.toFixed(2)} s of this machine's CPU time, ${most.toFixed(2)} s of it in one second: the tails may be its doing; measure when its other guests are quiet`,
    },
  ];
}

import { parseDelayLevels } from "../../store/delay-levels.ts";

const DEFAULT_LEVELS = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

/** ms that a level stands for at a broker with these settings (code 26); a level above the highest counts as that one. */
export function delayOf(config: Readonly<Record<string, string>>, level: number): number {
  const levels = parseDelayLevels(config.messageDelayLevel ?? DEFAULT_LEVELS) ?? [0];
  return levels[Math.min(level, levels.length - 1)] ?? 0;
}

import { parseDelayLevels } from "../../store/delay-levels.ts";
import type { BrokerChecks } from "./plan.ts";

const DEFAULT_LEVELS = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
/** RocketMQ's defaults [BrokerConfig]. */
const CHECK_TIMEOUT_MS = 6000;
const CHECK_INTERVAL_MS = 30_000;
const CHECKS_MAX = 15;

/** ms that a level stands for at a broker with these settings (code 26); a level above the highest counts as that one. */
export function delayOf(config: Readonly<Record<string, string>>, level: number): number {
  const levels = parseDelayLevels(config.messageDelayLevel ?? DEFAULT_LEVELS) ?? [0];
  return levels[Math.min(level, levels.length - 1)] ?? 0;
}

/** How brokers with these settings ask for transactions that are unknown: of each time and number the greatest. */
export function checksOf(configs: readonly Readonly<Record<string, string>>[]): BrokerChecks {
  const most = (key: string, otherwise: number) =>
    Math.max(...configs.map((config) => Number(config[key]) || otherwise));
  return {
    firstMs: most("transactionTimeOut", CHECK_TIMEOUT_MS),
    everyMs: most("transactionCheckInterval", CHECK_INTERVAL_MS),
    most: most("transactionCheckMax", CHECKS_MAX),
  };
}

import { ConfigError } from "../../base/errors.ts";

const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Levels become queue ids of one topic. */
const LEVELS_MAX = 1000;

/** Delays in ms of levels 1, 2, ... of `messageDelayLevel`, for example `1s 5s 10s` [ScheduleMessageService#parseDelayLevel]. Throws ConfigError. */
export function parseDelayLevels(text: string): number[] {
  const words = text.trim().split(/\s+/);
  if (words.length > LEVELS_MAX)
    throw new ConfigError(`read messageDelayLevel: it has ${words.length} levels, wanted at most ${LEVELS_MAX}`);
  return words.map((word) => {
    const [, digits, unit] = /^(\d{1,9})([smhd])$/.exec(word) ?? [];
    if (digits === undefined || unit === undefined)
      throw new ConfigError(`read messageDelayLevel: found "${word}", wanted a number and one of s m h d, such as 10s`);
    return Number(digits) * UNIT_MS[unit]!;
  });
}

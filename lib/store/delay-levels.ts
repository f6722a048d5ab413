const UNIT_MS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Delay of an unknown level [ScheduleMessageService#computeDeliverTimestamp]. */
const UNKNOWN_LEVEL_MS = 1000;

/** The levels of `messageDelayLevel` in ms; level n stands at index n, index 0 is unused. Undefined when the text is malformed. */
export function parseDelayLevels(text: string): number[] | undefined {
  const levels = [0];
  for (const word of text.trim().split(/\s+/)) {
    const match = /^(\d+)([smhd])$/.exec(word);
    if (match === null) return undefined;
    levels.push(Number(match[1]) * UNIT_MS[match[2]!]!);
  }
  return levels;
}

/** When a message of `level` is due; levels above the highest count as the highest. */
export function deliverTimestamp(levels: readonly number[], level: number, storeTimestamp: number): number {
  const capped = Math.min(level, levels.length - 1);
  return storeTimestamp + (levels[capped] ?? UNKNOWN_LEVEL_MS);
}

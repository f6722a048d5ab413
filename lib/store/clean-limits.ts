import type { Logger } from "../base/log.ts";

export interface CleanSettings {
  /** ms */
  cleanResourceInterval: number;
  /** Hours of the day, `04` or `04;16`. */
  deleteWhen: string;
  /** Hours. */
  fileReservedTime: number;
  /** ms */
  deleteCommitLogFilesInterval: number;
  /** ms */
  deleteConsumeQueueFilesInterval: number;
  /** ms to wait for readers of a file that is to go. */
  destroyMapedFileIntervalForcibly: number;
  deleteFileBatchMax: number;
  cleanFileForciblyEnable: boolean;
  /** Percent. */
  diskMaxUsedSpaceRatio: number;
  diskSpaceWarningLevelRatio: number;
  diskSpaceCleanForciblyRatio: number;
}

/** What cleaning goes by, checked once; percents of the disk. */
export interface CleanLimits {
  /** Above: writes are refused, files go whatever their age. */
  refuseAbove: number;
  /** Above: files go whatever their age. */
  forceAbove: number;
  /** Above: expired files go at any hour. */
  cleanAbove: number;
  hours: ReadonlySet<number>;
  reservedMs: number;
}

/** Values outside are pulled in, as RocketMQ does, but not in silence [CleanCommitLogService, MessageStoreConfig#getDiskMaxUsedSpaceRatio]. */
const RANGES = {
  diskSpaceWarningLevelRatio: [35, 90],
  diskSpaceCleanForciblyRatio: [30, 85],
  diskMaxUsedSpaceRatio: [10, 95],
} as const;

/** Reads the keys; a value that is not used as given is announced. */
export function cleanLimits(settings: CleanSettings, logger: Logger): CleanLimits {
  const clamp = (key: keyof typeof RANGES): number => {
    const [min, max] = RANGES[key];
    const value = settings[key];
    const used = Math.min(max, Math.max(min, value));
    if (used !== value) logger.warn(`${key}=${value} is outside ${min} to ${max}: ${used} is used`);
    return used;
  };
  const limits: CleanLimits = {
    refuseAbove: clamp("diskSpaceWarningLevelRatio"),
    forceAbove: clamp("diskSpaceCleanForciblyRatio"),
    cleanAbove: clamp("diskMaxUsedSpaceRatio"),
    hours: parseHours(settings.deleteWhen, logger),
    reservedMs: settings.fileReservedTime * 3_600_000,
  };
  if (limits.forceAbove > limits.refuseAbove)
    logger.warn(
      `diskSpaceCleanForciblyRatio ${limits.forceAbove} is above diskSpaceWarningLevelRatio ${limits.refuseAbove}: writes are refused before files are deleted by force`,
    );
  return limits;
}

/** The keys that `cleanLimits` reads, to see whether one was changed. */
export function limitsText(settings: CleanSettings): string {
  const { deleteWhen, fileReservedTime, diskMaxUsedSpaceRatio } = settings;
  const { diskSpaceWarningLevelRatio, diskSpaceCleanForciblyRatio } = settings;
  return `${deleteWhen} ${fileReservedTime} ${diskMaxUsedSpaceRatio} ${diskSpaceWarningLevelRatio} ${diskSpaceCleanForciblyRatio}`;
}

function parseHours(deleteWhen: string, logger: Logger): Set<number> {
  const hours = new Set<number>();
  for (const word of deleteWhen.split(";")) {
    const text = word.trim();
    if (text === "") continue;
    const hour = Number(text);
    if (/^\d{1,2}$/.test(text) && hour < 24) hours.add(hour);
    else logger.warn(`deleteWhen has ${text}, wanted hours 00 to 23 separated by semicolons: it is never that hour`);
  }
  if (hours.size === 0)
    logger.warn(`deleteWhen=${deleteWhen} names no hour: files are deleted only when the disk is full`);
  return hours;
}

import { COMPRESS_LEVEL_DEFAULT, COMPRESSION_TYPES, type CompressionType } from "../../message/compression.ts";
import type { LoadCompression } from "./plan.ts";

export const COMPRESSION_TEXT = "LZ4, ZSTD or ZLIB, the last two with a level: ZSTD:1 to ZSTD:22, ZLIB:0 to ZLIB:9";

/** Type and level by RocketMQ's names in any case; of LZ4 a level says nothing. undefined for what there is none of. */
export function compressionOf(
  name: string,
  level: number = COMPRESS_LEVEL_DEFAULT,
): Omit<LoadCompression, "overBytes"> | undefined {
  const type = name.toUpperCase();
  if (!Object.hasOwn(COMPRESSION_TYPES, type)) return undefined;
  const { levels } = COMPRESSION_TYPES[type as CompressionType];
  const isLevel = levels === undefined || (level >= levels[0] && level <= levels[1]);
  return isLevel ? { type: type as CompressionType, level } : undefined;
}

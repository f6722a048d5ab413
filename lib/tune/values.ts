import type { Compare } from "./types.ts";

/** Larger than every limit: what `unlimited`, `infinity` and -1 mean. */
export const UNLIMITED = Number.POSITIVE_INFINITY;

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** A number as people and files write it: `655360`, `64G`, `unlimited`; undefined when it is none. */
export function amount(text: string): number | undefined {
  const word = text.trim().toLowerCase();
  if (word === "unlimited" || word === "infinity" || word === "max" || word === "-1") return UNLIMITED;
  const parts = /^(-?\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/.exec(word);
  if (parts === null) return undefined;
  return Number(parts[1]) * (UNITS[parts[2] ?? ""] ?? 1);
}

/** `soft:hard`, or one value for both. */
export function pair(text: string): [soft: string, hard: string] {
  const [soft = "", hard = soft] = text.split(":");
  return [soft.trim(), hard.trim()];
}

/** Whether `live` is as good as `wanted`. Pairs are compared part by part; texts that are no numbers must be equal. */
export function satisfies(live: string, wanted: string, compare: Compare): boolean {
  if (live.includes(":") || wanted.includes(":")) {
    const [softLive, hardLive] = pair(live);
    const [softWanted, hardWanted] = pair(wanted);
    return one(softLive, softWanted, compare) && one(hardLive, hardWanted, compare);
  }
  return one(live, wanted, compare);
}

function one(live: string, wanted: string, compare: Compare): boolean {
  const have = amount(live);
  const want = amount(wanted);
  if (have === undefined || want === undefined) return sameText(live, wanted);
  if (compare === "at least") return have >= want;
  if (compare === "at most") return have <= want;
  return have === want;
}

/** Runs of blanks count as one: `4096\t16384` is `4096 16384`. */
export function sameText(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

export function plain(text: string): string {
  return text.trim().replace(/\s+/g, " ");
}

/** Bytes for people. */
export function bytesText(bytes: number): string {
  if (!Number.isFinite(bytes)) return "unlimited";
  for (const [unit, size] of [
    ["TiB", 1024 ** 4],
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (bytes >= size) return `${Number((bytes / size).toFixed(1))} ${unit}`;
  }
  return `${bytes} B`;
}

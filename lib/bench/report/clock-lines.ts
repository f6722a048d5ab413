import type { ClockRecord, RunRecord } from "../result.ts";
import { countText } from "./figures.ts";

/** Clocks that a line names. */
const NAMED_MAX = 3;

type Reading = NonNullable<ClockRecord["own"]>;

/** What is to be said of clocks: that they differ, by how much, and what was done about it. Nothing where they may be the same on one host. */
export function clockLines({ clock, flags }: Pick<RunRecord, "clock" | "flags">): string[] {
  if (clock === undefined) return [];
  const { reference, own, producers } = clock;
  if (own === undefined)
    return [`clocks  not compared with ${reference}'s, nothing is corrected: ${clock.reason ?? "it was not asked"}`];
  if (producers.length === 0)
    return Math.abs(own.aheadUs) <= own.errorUs ? [] : [`clocks  this host ${readingText(own)} of ${reference}'s`];
  const lines: string[] = [];
  const corrected = producers.filter(({ correctionUs }) => correctionUs !== 0);
  const told = producers.flatMap(({ clock: reading }) => reading ?? []);
  if (corrected.length > 0) {
    const theirs = corrected.flatMap(({ clock: reading }) => reading ?? []);
    const corrections = corrected.map(({ correctionUs, clock: reading }) =>
      readingText({ aheadUs: correctionUs, errorUs: own.errorUs + (reading?.errorUs ?? 0) }),
    );
    lines.push(
      `clocks  ${theirs.length > 1 ? "producers" : "producer"} ${several(theirs.map(readingText))}, this host ${readingText(own)} of ${reference}'s; end-to-end latencies are corrected by ${several(corrections)}`,
    );
  } else if (told.length > 0 && !flags.some(({ id }) => id === "SAME-HOST")) {
    const errorUs = own.errorUs + Math.max(...told.map((reading) => reading.errorUs));
    lines.push(`clocks  producer and this host agree within ${msText(errorUs)} ms by ${reference}'s`);
  }
  const untold = producers.filter((producer) => producer.clock === undefined);
  if (untold.length > 0) {
    const messages = untold.reduce((sum, producer) => sum + producer.messages, 0);
    lines.push(
      `clocks  ${countText(messages)} messages do not tell how their producer's clock is to ${reference}'s: their end-to-end latencies are not corrected`,
    );
  }
  return lines;
}

function several(texts: readonly string[]): string {
  const rest = texts.length - NAMED_MAX;
  return `${texts.slice(0, NAMED_MAX).join(" and ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}

/** `+1.30 ms ±0.21`: ahead is plus. */
function readingText({ aheadUs, errorUs }: Reading): string {
  return `${aheadUs < 0 ? "-" : "+"}${msText(Math.abs(aheadUs))} ms ±${msText(errorUs)}`;
}

function msText(us: number): string {
  return (us / 1000).toFixed(2);
}

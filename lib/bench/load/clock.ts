import { crc32 } from "../../base/crc32.ts";

const US_PER_MS = 1000;

/** How far a clock is ahead of the reference clock, give or take. */
export interface ClockReading {
  aheadUs: number;
  errorUs: number;
}

/** What a process knows of its own clock. */
export interface OwnClock {
  /** Name of the broker whose clock is the reference. */
  reference: string;
  /** undefined when it could not be compared. */
  reading: ClockReading | undefined;
  /** Why it could not be. */
  reason?: string | undefined;
}

/** Where the difference of two clocks must lie, from messages that one side sends and the other one stores with its time. */
export class ClockBounds {
  #lowUs = Number.NEGATIVE_INFINITY;
  #highUs = Number.POSITIVE_INFINITY;

  /**
   * A message sent at `sentUs` and acknowledged at `ackedUs` of the own clock, which the broker stored in the millisecond `storedMs` of
   * its own: at some moment between them its clock showed a time within that millisecond.
   */
  add(sentUs: number, ackedUs: number, storedMs: number): void {
    this.#lowUs = Math.max(this.#lowUs, sentUs - (storedMs + 1) * US_PER_MS);
    this.#highUs = Math.min(this.#highUs, ackedUs - storedMs * US_PER_MS);
  }

  /** The middle of what all messages allow; undefined when they allow nothing: a clock was set meanwhile. */
  get reading(): ClockReading | undefined {
    const [low, high] = [this.#lowUs, this.#highUs];
    if (!Number.isFinite(low) || !Number.isFinite(high) || low > high) return undefined;
    return { aheadUs: (low + high) / 2, errorUs: (high - low) / 2 };
  }
}

/** By how much two readings of one clock differ for certain: it was set or runs at another speed. 0 when they may be the same. */
export function movedUs(before: ClockReading, after: ClockReading): number {
  const moved = after.aheadUs - before.aheadUs;
  return Math.abs(moved) > before.errorUs + after.errorUs ? moved : 0;
}

/**
 * A reading among the reserved bytes of a payload header, big-endian:
 *
 *     0 us ahead (5, signed)   5 error in 10 us, 0: nothing known (2)   7 reference (1): a byte of its name's CRC-32
 */
export interface ClockStamp {
  aheadUs: number;
  errorUs: number;
  reference: number;
}
export const CLOCK_STAMP_BYTES = 8;
const AHEAD_BYTES = 5;
const AHEAD_US_MAX = 2 ** (8 * AHEAD_BYTES - 1) - 1;
const ERROR_UNIT_US = 10;
const ERROR_MAX = 0xffff;

/** Writes nothing where there is nothing to tell, or where the difference is beyond six days or half a second unclear. */
export function writeClockStamp(target: Buffer, at: number, { reference, reading }: OwnClock): void {
  if (reading === undefined) return;
  const ahead = Math.round(reading.aheadUs);
  const error = Math.max(1, Math.ceil((reading.errorUs + 0.5) / ERROR_UNIT_US));
  if (Math.abs(ahead) > AHEAD_US_MAX || error > ERROR_MAX) return;
  target.writeIntBE(ahead, at, AHEAD_BYTES);
  target.writeUInt16BE(error, at + AHEAD_BYTES);
  target[at + AHEAD_BYTES + 2] = referenceByte(reference);
}

/** Reads into `stamp`: one reused object. */
export function readClockStamp(source: Buffer, at: number, stamp: ClockStamp): void {
  stamp.aheadUs = source.readIntBE(at, AHEAD_BYTES);
  stamp.errorUs = source.readUInt16BE(at + AHEAD_BYTES) * ERROR_UNIT_US;
  stamp.reference = source[at + AHEAD_BYTES + 2]!;
}

function referenceByte(brokerName: string): number {
  const name = Buffer.from(brokerName);
  return crc32(name, 0, name.length) & 0xff;
}

/** Messages of producers whose clock is the same. */
export interface SeenClock {
  /** undefined: they do not tell, or tell it of another reference. */
  reading: ClockReading | undefined;
  /** Added to their end-to-end latencies; 0 where the clocks may be the same. */
  correctionUs: number;
  messages: number;
}

/** Clocks that are told apart; messages of more are counted with those that do not tell, and not corrected. */
const SEEN_MAX = 100;

/** Corrects end-to-end latencies of messages that other processes sent, by what their headers say of their clocks. */
export class ClockCorrection {
  readonly #own: ClockReading | undefined;
  readonly #reference: number;
  readonly #seen = new Map<string, SeenClock>();
  #last: ClockStamp = { aheadUs: 0, errorUs: -1, reference: 0 };
  #current: SeenClock = { reading: undefined, correctionUs: 0, messages: 0 };

  constructor(own: OwnClock) {
    this.#own = own.reading;
    this.#reference = referenceByte(own.reference);
  }

  /** Microseconds to be added to the latency of a message with this stamp. */
  correctionUs(stamp: Readonly<ClockStamp>): number {
    const { aheadUs, errorUs, reference } = this.#last;
    if (stamp.aheadUs !== aheadUs || stamp.errorUs !== errorUs || stamp.reference !== reference) this.#turnTo(stamp);
    this.#current.messages++;
    return this.#current.correctionUs;
  }

  get seen(): SeenClock[] {
    return [...this.#seen.values()];
  }

  #turnTo(stamp: Readonly<ClockStamp>): void {
    this.#last = { ...stamp };
    const isTold = stamp.errorUs > 0 && stamp.reference === this.#reference;
    const reading = isTold ? { aheadUs: stamp.aheadUs, errorUs: stamp.errorUs } : undefined;
    const correctionUs = reading === undefined || this.#own === undefined ? 0 : movedUs(this.#own, reading);
    let found: SeenClock = { reading, correctionUs, messages: 0 };
    if (this.#seen.size >= SEEN_MAX && !this.#seen.has(keyOf(found)))
      found = { reading: undefined, correctionUs: 0, messages: 0 };
    const key = keyOf(found);
    this.#current = this.#seen.get(key) ?? found;
    this.#seen.set(key, this.#current);
  }
}

function keyOf({ reading }: SeenClock): string {
  return reading === undefined ? "" : `${reading.aheadUs}/${reading.errorUs}`;
}

/** What several threads have seen, as one. */
export function mergeSeenClocks(parts: readonly SeenClock[]): SeenClock[] {
  const merged = new Map<string, SeenClock>();
  for (const part of parts) {
    const known = merged.get(keyOf(part));
    if (known === undefined) merged.set(keyOf(part), { ...part });
    else known.messages += part.messages;
  }
  return [...merged.values()];
}

import { Bitmap, bitCount, firstBits, without } from "./bitmap.ts";
import { isAllReceived, open } from "./ledger.ts";
import type { LedgerPart, LoadPlan } from "./plan.ts";
import { decidedAt } from "./transaction-fate.ts";

/** What is left of the drain for who has asked for the end. */
const HURRIED_MS = 1_000;
/** How long the broker's checks are waited for at most: the 15 rounds of RocketMQ's defaults take 456 s. */
export const CHECKS_MS_MAX = 600_000;
const NOTHING = new Uint32Array();

export interface DrainUse {
  /** True: the end was asked for. */
  stopped: () => boolean;
  /** From now on no check is answered: what is undecided stays so. */
  settle: () => void;
  /** Told once where checks are waited for, and for how long at most. */
  onChecks: (ms: number) => void;
}

/**
 * The waiting when all is sent. It begins when it is made, and ends when everything acknowledged has come and every transaction is
 * decided that the broker's checks can decide: as many rounds of them as that takes, and `plan.drainMs`. Then no check is answered any
 * more, and what the last answers committed has `plan.drainMs` to come.
 */
export class Drain {
  readonly #plan: LoadPlan;
  readonly #use: DrainUse;
  readonly #began = performance.now();
  /** Transactions that no check will decide, by ledger number; undefined until the first look. */
  #hopeless: Map<number, Uint32Array> | undefined;
  #limitMs = 0;
  #settled = false;

  constructor(plan: LoadPlan, use: DrainUse) {
    this.#plan = plan;
    this.#use = use;
  }

  /** Whether the waiting is over, by what all threads know; with the seconds it took where nothing is missing. */
  look(part: LedgerPart): { seconds: number | undefined } | undefined {
    const waited = performance.now() - this.#began;
    const { drainMs, unknownRate } = this.#plan;
    this.#hopeless ??= this.#lookAhead(part);
    if (isAllReceived(part) && (this.#settled || this.#isDecided(part))) return { seconds: waited / 1000 };
    if (this.#use.stopped() && waited > Math.min(HURRIED_MS, drainMs)) return { seconds: undefined };
    if (waited <= this.#limitMs) return undefined;
    if (this.#settled || unknownRate === 0) return { seconds: undefined };
    this.#settled = true;
    this.#limitMs = waited + drainMs;
    this.#use.settle();
    return undefined;
  }

  /** What a transaction's checks will decide follows from its number; so do the rounds that it takes until all are decided. */
  #lookAhead({ producers }: LedgerPart): Map<number, Uint32Array> {
    const { drainMs, checks } = this.#plan;
    const most = checks?.most ?? 0;
    let rounds = 0;
    const hopeless = producers.map((bits): [number, Uint32Array] => {
      const never = new Bitmap();
      for (const sequence of firstBits(open(bits), Number.POSITIVE_INFINITY)) {
        const times = decidedAt(this.#plan, sequence, most);
        if (times === undefined) never.add(sequence);
        else rounds = Math.max(rounds, times);
      }
      return [bits.producer, never.words];
    });
    // An answer may get lost with its connection: the broker asks once more for what was decided.
    const checksMs =
      checks === undefined ? 0 : Math.min(CHECKS_MS_MAX, checks.firstMs + Math.max(1, rounds) * checks.everyMs);
    this.#limitMs = drainMs + checksMs;
    if (rounds > 0 && !this.#use.stopped()) this.#use.onChecks(this.#limitMs);
    return new Map(hopeless);
  }

  #isDecided({ producers }: LedgerPart): boolean {
    return producers.every(
      (bits) => bitCount(without(open(bits), this.#hopeless?.get(bits.producer) ?? NOTHING)) === 0,
    );
  }
}

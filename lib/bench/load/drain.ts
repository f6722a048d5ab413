import { Bitmap, bitCount, firstBits, without } from "./bitmap.ts";
import { isAllReceived, open } from "./ledger.ts";
import type { BrokerChecks, LedgerPart, LoadPlan } from "./plan.ts";
import { CHECKS_MAX, decidedAt } from "./transaction-fate.ts";

/** What is left of the drain for who has asked for the end. */
const HURRIED_MS = 1_000;
/** How long the broker's checks are waited for at most: the 15 rounds of RocketMQ's defaults take 456 s. */
export const CHECKS_MS_MAX = 600_000;
const NOTHING = new Uint32Array();
const UNKNOWN_END = { seconds: undefined };

export interface DrainUse {
  /** True: the end was asked for, or no broker is left that could send anything. */
  stopped: () => boolean;
  /** From now on no check is answered: what is undecided stays so. */
  settle: () => void;
  /** Told once where checks are waited for, and for how long at most; what their last answers commit is waited for behind it. */
  onChecks: (ms: number) => void;
}

/**
 * The waiting when all is sent. It begins when it is made, and ends when everything acknowledged has come and every transaction is
 * decided that the broker's checks can decide in `CHECKS_MS_MAX`: as many rounds of them as that takes, and `plan.drainMs`. Then no check
 * is answered any more, and where some were decided within the last `plan.drainMs`, what they committed has as long again to come.
 */
export class Drain {
  readonly #plan: LoadPlan;
  readonly #use: DrainUse;
  readonly #began = performance.now();
  /** Transactions that no check will decide, by ledger number; undefined until the first look. */
  #hopeless: Map<number, Uint32Array> | undefined;
  #limitMs = 0;
  #settled = false;
  #open = -1;
  /** ms at which a transaction was last seen to be decided. */
  #decidedMs = Number.NEGATIVE_INFINITY;

  constructor(plan: LoadPlan, use: DrainUse) {
    this.#plan = plan;
    this.#use = use;
  }

  /** Whether the waiting is over, by what all threads know; with the seconds it took where nothing is missing and all is decided. */
  look(part: LedgerPart): { seconds: number | undefined } | undefined {
    const end = this.#look(part);
    // The parts that the verdict is made of are taken later.
    if (end !== undefined) this.#settle();
    return end;
  }

  #look(part: LedgerPart): { seconds: number | undefined } | undefined {
    const waited = performance.now() - this.#began;
    const { drainMs, unknownRate } = this.#plan;
    this.#hopeless ??= this.#lookAhead(part);
    const { all, hopeful } = this.#openOf(part);
    if (this.#open >= 0 && all < this.#open) this.#decidedMs = waited;
    this.#open = all;
    if (isAllReceived(part) && (this.#settled || hopeful === 0))
      return all === 0 ? { seconds: waited / 1000 } : UNKNOWN_END;
    if (this.#use.stopped() && waited > Math.min(HURRIED_MS, drainMs)) return UNKNOWN_END;
    if (waited <= this.#limitMs) return undefined;
    if (this.#settled || unknownRate === 0 || waited - this.#decidedMs > drainMs) return UNKNOWN_END;
    this.#limitMs = waited + drainMs;
    this.#settle();
    return undefined;
  }

  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#use.settle();
  }

  /** What a transaction's checks will decide follows from its number; so do the rounds that it takes until all are decided. */
  #lookAhead({ producers }: LedgerPart): Map<number, Uint32Array> {
    const { drainMs, checks } = this.#plan;
    const most = checks === undefined ? 0 : Math.min(checks.most, CHECKS_MAX, roundsWithin(CHECKS_MS_MAX, checks));
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

  #openOf({ producers }: LedgerPart): { all: number; hopeful: number } {
    let all = 0;
    let hopeful = 0;
    for (const bits of producers) {
      const undecided = open(bits);
      all += bitCount(undecided);
      hopeful += bitCount(without(undecided, this.#hopeless?.get(bits.producer) ?? NOTHING));
    }
    return { all, hopeful };
  }
}

function roundsWithin(ms: number, { firstMs, everyMs }: BrokerChecks): number {
  return Math.max(1, Math.ceil((ms - firstMs) / Math.max(1, everyMs)));
}

import type { LedgerRecord } from "../result.ts";
import { Bitmap, bitCount, both, either, firstBits, without } from "./bitmap.ts";
import type { LedgerPart, ProducerBits } from "./plan.ts";

const EXAMPLES_MAX = 10;
/** Producers times queues whose order is followed; beyond it order is not looked at. */
const ORDERS_MAX = 1_000_000;
/** What examples are of, the worst first: many that are only reordered must not hide the one that is lost. */
const SEVERITY = ["lost", "rolled back", "undecided", "corrupt", "gap", "duplicate", "reordered"];

/** A few examples, the worst kinds first, and of every kind one at least. */
function worst(examples: readonly string[]): string[] {
  const rank = (text: string) => SEVERITY.findIndex((kind) => text.startsWith(kind));
  const kinds = new Set<number>();
  const isFirst = examples.map((text) => kinds.size < kinds.add(rank(text)).size);
  const byRank = examples.map((text, i) => ({ text, first: isFirst[i]! })).sort((a, b) => rank(a.text) - rank(b.text));
  let room = EXAMPLES_MAX - kinds.size;
  return byRank.filter(({ first }) => first || room-- > 0).map(({ text }) => text);
}

/** A consumer group's own copy of a producer: every group must get everything. */
const GROUP_STRIDE = 2 ** 24;

/** Number under which what a producer sent is followed for one of the consumer groups. */
export function ledgerNumber(producer: number, group: number): number {
  return group * GROUP_STRIDE + producer;
}

/** `3/77`, with the group where it is not the first. */
function named(number: number, sequence: number): string {
  const group = Math.floor(number / GROUP_STRIDE);
  return `${number % GROUP_STRIDE}/${sequence}${group === 0 ? "" : ` in group ${group + 1}`}`;
}

interface Producer {
  acked: Bitmap;
  received: Bitmap;
  rolledBack: Bitmap;
  undecided: Bitmap;
}

/** What was acknowledged against what arrived, of one thread. */
export class Ledger {
  readonly #producers = new Map<number, Producer>();
  /** Last sequence number by queue and producer. */
  readonly #last = new Map<string, Map<number, number>>();
  #orders = 0;
  #duplicates = 0;
  #corrupt = 0;
  #reordered = 0;
  #gaps = 0;
  #foreign = 0;
  /** By their first word. */
  readonly #examples = new Map<string, string[]>();

  #producer(number: number): Producer {
    let producer = this.#producers.get(number);
    if (producer === undefined) {
      producer = { acked: new Bitmap(), received: new Bitmap(), rolledBack: new Bitmap(), undecided: new Bitmap() };
      this.#producers.set(number, producer);
    }
    return producer;
  }

  acked(producer: number, sequence: number): void {
    this.#producer(producer).acked.add(sequence);
  }

  rolledBack(producer: number, sequence: number): void {
    this.#producer(producer).rolledBack.add(sequence);
  }

  /** It is unknown whether it will be `acked`, which is to say committed, or `rolledBack`. */
  undecided(producer: number, sequence: number): void {
    this.#producer(producer).undecided.add(sequence);
  }

  received(producer: number, sequence: number, queue: string, offset: number): void {
    if (!this.#producer(producer).received.add(sequence)) {
      this.#duplicates++;
      this.#example(`duplicate: message ${named(producer, sequence)} again at offset ${offset} of ${queue}`);
      return;
    }
    let last = this.#last.get(queue);
    if (last === undefined) {
      last = new Map();
      this.#last.set(queue, last);
    }
    const before = last.get(producer);
    if (before === undefined && ++this.#orders > ORDERS_MAX) return;
    if (before !== undefined && sequence < before) {
      this.#reordered++;
      this.#example(`reordered: message ${named(producer, sequence)} behind ${named(producer, before)} in ${queue}`);
    } else last.set(producer, sequence);
  }

  corrupt(where: string): void {
    this.#corrupt++;
    this.#example(`corrupt: ${where}`);
  }

  gap(queue: string, wanted: number, found: number): void {
    this.#gaps++;
    this.#example(`gap: ${queue} goes from offset ${wanted - 1} to ${found}`);
  }

  foreign(): void {
    this.#foreign++;
  }

  #example(text: string): void {
    const kind = text.slice(0, text.indexOf(":"));
    const known = this.#examples.get(kind);
    if (known === undefined) this.#examples.set(kind, [text]);
    else if (known.length < EXAMPLES_MAX) known.push(text);
  }

  part(): LedgerPart {
    return {
      producers: [...this.#producers].map(([producer, { acked, received, rolledBack, undecided }]) => ({
        producer,
        acked: acked.words,
        received: received.words,
        rolledBack: rolledBack.words,
        undecided: undecided.words,
      })),
      duplicates: this.#duplicates,
      corrupt: this.#corrupt,
      reordered: this.#reordered,
      gaps: this.#gaps,
      foreign: this.#foreign,
      examples: [...this.#examples.values()].flat(),
    };
  }
}

/** Transactions that nobody has decided. */
export function open({ acked, rolledBack, undecided }: ProducerBits): Uint32Array {
  return without(without(undecided, acked), rolledBack);
}

/** Whether everything acknowledged has come. */
export function isAllReceived({ producers }: LedgerPart): boolean {
  return producers.every(
    ({ acked, rolledBack, received }) => bitCount(without(without(acked, rolledBack), received)) === 0,
  );
}

/** The parts of all threads as one. A message that two threads received is a duplicate. */
export function mergeLedgers(parts: readonly LedgerPart[]): LedgerPart {
  const producers = new Map<number, ProducerBits>();
  const merged: LedgerPart = {
    producers: [],
    duplicates: 0,
    corrupt: 0,
    reordered: 0,
    gaps: 0,
    foreign: 0,
    examples: worst(parts.flatMap(({ examples }) => examples)),
  };
  for (const part of parts) {
    merged.duplicates += part.duplicates;
    merged.corrupt += part.corrupt;
    merged.reordered += part.reordered;
    merged.gaps += part.gaps;
    merged.foreign += part.foreign;
    for (const bits of part.producers) {
      const known = producers.get(bits.producer);
      if (known === undefined) {
        producers.set(bits.producer, { ...bits });
        continue;
      }
      merged.duplicates += bitCount(both(known.received, bits.received));
      known.acked = either(known.acked, bits.acked);
      known.received = either(known.received, bits.received);
      known.rolledBack = either(known.rolledBack, bits.rolledBack);
      known.undecided = either(known.undecided, bits.undecided);
    }
  }
  merged.producers = [...producers.values()].sort((a, b) => a.producer - b.producer);
  return merged;
}

/**
 * The verdict; `rolledBack` counts messages that were rolled back, or never committed, and arrived all the same, `undecided` transactions
 * of which nobody has said anything else.
 */
export function verdict(part: LedgerPart): { ledger: LedgerRecord; rolledBack: number; undecided: number } {
  const ledger: LedgerRecord = {
    acked: 0,
    received: 0,
    lost: 0,
    duplicates: part.duplicates,
    unknownOk: 0,
    corrupt: part.corrupt,
    reordered: part.reordered,
    gaps: part.gaps,
    examples: [...part.examples],
  };
  let rolledBack = 0;
  let undecided = 0;
  for (const bits of part.producers) {
    const { producer, acked, received, rolledBack: undone } = bits;
    const missing = without(without(acked, undone), received);
    const risen = both(received, undone);
    const early = both(received, open(bits));
    if (producer < GROUP_STRIDE) undecided += bitCount(open(bits));
    if (producer < GROUP_STRIDE) ledger.acked += bitCount(without(acked, undone));
    ledger.received += bitCount(received);
    ledger.lost += bitCount(missing);
    ledger.unknownOk += bitCount(without(without(without(received, acked), undone), early));
    rolledBack += bitCount(risen) + bitCount(early);
    for (const sequence of firstBits(missing, EXAMPLES_MAX))
      ledger.examples.push(`lost: message ${named(producer, sequence)}`);
    for (const sequence of firstBits(risen, EXAMPLES_MAX))
      ledger.examples.push(`rolled back and delivered: message ${named(producer, sequence)}`);
    for (const sequence of firstBits(early, EXAMPLES_MAX))
      ledger.examples.push(`undecided and delivered: message ${named(producer, sequence)}`);
  }
  ledger.examples = worst(ledger.examples);
  return { ledger, rolledBack, undecided };
}

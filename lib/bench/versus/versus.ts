import type { RunRecord } from "../result.ts";

/** One turn: a work against a cluster. The record's `work`, `target` and `round` are set by `interleave`. */
export type RunTurn = (target: string, work: string) => Promise<RunRecord>;

export interface InterleaveOptions {
  targets: readonly string[];
  works: readonly string[];
  rounds: number;
  /** Called before every turn; round -1 warms up and is not kept. */
  onTurn?: (turn: { target: string; work: string; round: number }) => void;
  /** Ends after the current turn when it says true. */
  stopped?: () => boolean;
  /** Told of a turn that could not be done; the turns end there, and what was found until then is kept. */
  onFailure: (turn: { target: string; work: string }, error: unknown) => void;
}

/**
 * Runs every work against every target in turns: A B A B, so that whatever changes on the machine meanwhile changes for
 * all. The order of the targets is turned round every other round (A B, B A), so that none always comes first. Before
 * the first round of each work every target gets one turn that is not counted: runtimes compile, files are made. A single
 * target goes without that.
 */
export async function interleave(options: InterleaveOptions, run: RunTurn): Promise<RunRecord[]> {
  const { targets, works, rounds, onTurn, stopped, onFailure } = options;
  const records: RunRecord[] = [];
  for (const work of works)
    for (let round = targets.length > 1 ? -1 : 0; round < rounds; round++)
      for (const target of round % 2 === 0 ? targets : [...targets].reverse()) {
        if (stopped?.() === true) return records;
        onTurn?.({ target, work, round });
        try {
          const record = await run(target, work);
          if (round >= 0) records.push({ ...record, work, target, round });
        } catch (error) {
          onFailure({ target, work }, error);
          return records;
        }
      }
  return records;
}

import { statfsSync } from "node:fs";
import { MqError } from "../../base/errors.ts";
import type { Credentials } from "../../client/credentials.ts";
import { type BrokerFacts, brokerRuntime } from "../cluster-facts.ts";
import { quantile } from "../compare/statistics.ts";
import { readText } from "../resources/machine.ts";
import { processMemory } from "../resources/proc.ts";
import type { RunRecord } from "../result.ts";
import { type TurnTimes, VersusCluster } from "../versus/versus-cluster.ts";
import { WORKS, type Work } from "../versus/works.ts";
import { E2E_ABOUT, runE2e } from "./e2e-work.ts";
import { OwnBroker } from "./own-broker.ts";

/** How long a broker is left alone before its idle memory is read. */
const SETTLE_MS = 1_500;
/** What a second of work may write at most, a guess to the safe side: batches of 32 at full speed. */
const BYTES_PER_SECOND_MAX = 1_000_000_000;
/** Part of the disk's free space that the set may need by that guess. */
const FREE_PART_MAX = 0.8;

/** Works that share a broker: the next part begins with an empty store, so that the disk holds no more than one part's messages. */
interface Part {
  works: readonly string[];
  /** Of a broker of the set's own; a cluster that is there already has its own. */
  settings: Readonly<Record<string, string>>;
  /** Behind the works' names. */
  suffix: string;
  ownOnly: boolean;
}

/** Done by the load whose every message is checked: sent at a rate, received, and accounted for. */
const E2E = "e2e";

const ASYNC = { flushDiskType: "ASYNC_FLUSH" };
const SYNC = { flushDiskType: "SYNC_FLUSH" };

const PARTS: readonly Part[] = [
  { works: ["send-1", "send", E2E], settings: ASYNC, suffix: "", ownOnly: false },
  { works: ["batch-32", "catch-up"], settings: ASYNC, suffix: "", ownOnly: false },
  { works: ["send-1", "send"], settings: SYNC, suffix: "-sync-flush", ownOnly: true },
];

/** Where the set runs: on brokers it starts itself, or on a cluster that is there. */
export type SetTarget = { command: readonly string[]; folder: string } | { namesrvAddr: string };

export interface SetOptions {
  target: SetTarget;
  times: TurnTimes;
  /** Names this run's topics and messages: 24 hex digits. */
  run: string;
  keep: boolean;
  credentials?: Credentials | undefined;
  stopped: () => boolean;
  onWork: (name: string, about: string) => void;
  onRun: (record: RunRecord) => void;
  /** Called with what kills the own broker when the process must end at once. */
  onBroker: (kill: (() => void) | undefined) => void;
}

export interface SetOutcome {
  brokers: readonly BrokerFacts[];
  runs: RunRecord[];
  /** Of own brokers: ms from process start to the first message taken, the median; anonymous memory in bytes. */
  figures: { startMs?: number; memoryIdleBytes?: number; memoryAfterBytes?: number };
  /** Topics that could not be deleted. */
  left: string[];
}

/** Works of the set on this kind of target. */
export function setWorks(own: boolean): string[] {
  return PARTS.filter((part) => own || !part.ownOnly).flatMap(({ works, suffix }) =>
    works.map((name) => name + suffix),
  );
}

/** Runs the standard set. Rejects with MqError when a broker does not start, the disk is too full, or no broker is found. */
export async function runStandardSet(options: SetOptions): Promise<SetOutcome> {
  const outcome: SetOutcome = { brokers: [], runs: [], figures: {}, left: [] };
  const { target } = options;
  if (!("command" in target)) {
    for (const part of PARTS.filter(({ ownOnly }) => !ownOnly))
      await runPart(part, target.namesrvAddr, options, outcome);
    return outcome;
  }
  checkDisk(target.folder, options.times);
  const starts: number[] = [];
  for (const part of PARTS) {
    if (options.stopped()) break;
    const broker = await OwnBroker.start({ ...target, settings: part.settings });
    options.onBroker(() => broker.kill());
    try {
      starts.push(broker.startMs);
      if (outcome.figures.memoryIdleBytes === undefined) {
        await Bun.sleep(SETTLE_MS);
        outcome.figures.memoryIdleBytes = anonymousBytes(broker.pid);
      }
      await runPart(part, broker.namesrvAddr, options, outcome);
      const after = anonymousBytes(broker.pid);
      outcome.figures.memoryAfterBytes = Math.max(outcome.figures.memoryAfterBytes ?? 0, after);
    } finally {
      options.onBroker(undefined);
      await broker.stop();
    }
  }
  outcome.figures.startMs = quantile(
    starts.sort((a, b) => a - b),
    0.5,
  );
  return outcome;
}

async function runPart(part: Part, namesrvAddr: string, options: SetOptions, outcome: SetOutcome): Promise<void> {
  const cluster = await VersusCluster.open("", namesrvAddr, options.run, options.credentials);
  if (outcome.brokers.length === 0) outcome.brokers = cluster.brokers;
  try {
    for (const name of part.works) {
      if (options.stopped()) return;
      const work = name === E2E ? undefined : workOf(name);
      options.onWork(name + part.suffix, work?.about ?? E2E_ABOUT);
      const record =
        work === undefined
          ? await runE2e(namesrvAddr, options)
          : await cluster.turn(work, options.times, options.stopped);
      record.work = name + part.suffix;
      record.verb = "set";
      record.options.flush = part.settings.flushDiskType ?? null;
      const first = cluster.brokers[0]!;
      record.runtime = { [first.brokerName]: await brokerRuntime(first.address, options.credentials) };
      outcome.runs.push(record);
      options.onRun(record);
    }
  } finally {
    if (!options.keep) outcome.left.push(...(await cluster.cleanUp()));
  }
}

function workOf(name: string): Work {
  const work = WORKS.find((one) => one.name === name);
  if (work === undefined) throw new MqError(`find work ${name}: there is none of that name`);
  return work;
}

function anonymousBytes(pid: number): number {
  return processMemory(readText(`/proc/${pid}/status`)).anonymousBytes;
}

/** A set that fills the disk would measure the cleaning of it, and be no friend to others on the machine. */
function checkDisk(folder: string, { warmupSeconds, seconds }: TurnTimes): void {
  const works = Math.max(...PARTS.map((part) => part.works.length));
  const wanted = works * (warmupSeconds + seconds) * BYTES_PER_SECOND_MAX;
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (wanted > free * FREE_PART_MAX)
    throw new MqError(
      `check the disk of ${folder}: ${gibText(free)} GiB free, want ${gibText(wanted / FREE_PART_MAX)}; use --store on a larger one or a shorter --duration`,
    );
}

function gibText(bytes: number): string {
  return (bytes / 1024 ** 3).toFixed(1);
}

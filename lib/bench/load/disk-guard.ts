import { statfsSync } from "node:fs";
import { MqError } from "../../base/errors.ts";
import type { BrokerFacts } from "../cluster-facts.ts";
import type { LoadPlan } from "./plan.ts";

/** What a stored message takes besides its body: record, queue and index entries. */
const OVERHEAD_BYTES = 300;
/** Part of the disk that must stay free: RocketMQ refuses messages from 90 % on [diskSpaceWarningLevelRatio]. */
const FREE_PART_MIN = 0.1;
const GIB = 1024 ** 3;

/** A disk of this machine with a broker's store on it. */
interface Disk {
  brokerName: string;
  folder: string;
}

/** Keeps a benchmark from filling the disks of brokers on this machine; of others nobody here knows. */
export class DiskGuard {
  readonly #disks: readonly Disk[];

  constructor(brokers: readonly BrokerFacts[]) {
    this.#disks = brokers.flatMap(({ brokerName, pid, config: { storePathRootDir } }) =>
      pid === undefined || storePathRootDir === undefined ? [] : [{ brokerName, folder: storePathRootDir }],
    );
  }

  /** Throws MqError when what the plan sends for certain does not fit: its count, or its rate for its time. */
  check(plan: LoadPlan): void {
    const messages = plan.count ?? (plan.rate ?? 0) * (plan.warmupSeconds + plan.seconds);
    const bytes =
      plan.producers === 0 ? 0 : (messages * (plan.bodyBytes + OVERHEAD_BYTES)) / Math.max(1, this.#disks.length);
    for (const { brokerName, folder } of this.#disks) {
      const room = roomOf(folder);
      if (room !== undefined && bytes > room)
        throw new MqError(
          `check the disk of ${brokerName} (${folder}): ${gib(room)} GiB until it is 90 % full, the load writes ${gib(bytes)}; want fewer or smaller messages`,
        );
    }
  }

  /** A line when a disk is so full that the load must end. */
  full(): string | undefined {
    for (const { brokerName, folder } of this.#disks) {
      const room = roomOf(folder);
      if (room !== undefined && room <= 0) return `the disk of ${brokerName} (${folder}) is 90 % full: ended`;
    }
    return undefined;
  }
}

/** Bytes until the part that stays free is reached; undefined where the folder cannot be asked. */
function roomOf(folder: string): number | undefined {
  try {
    const { bavail, blocks, bsize } = statfsSync(folder);
    return bavail * bsize - blocks * bsize * FREE_PART_MIN;
  } catch {
    return undefined;
  }
}

function gib(bytes: number): string {
  return (Math.max(0, bytes) / GIB).toFixed(1);
}

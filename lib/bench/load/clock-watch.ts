import { errorText } from "../../base/errors.ts";
import type { Credentials } from "../../client/credentials.ts";
import type { FlagRecord } from "../result.ts";
import { movedUs, type OwnClock } from "./clock.ts";
import { ClockProbe } from "./clock-probe.ts";
import type { LoadTopic } from "./load-topic.ts";

export interface ClockWatchOptions {
  namesrvAddr: string;
  run: string;
  credentials: Credentials | undefined;
}

/**
 * The own clock against that of the reference broker: the first by name of those that have the topic, so that all who send to it and
 * receive from it choose the same one.
 */
export class ClockWatch {
  readonly clock: OwnClock;
  readonly #probe: ClockProbe | undefined;

  private constructor(clock: OwnClock, probe: ClockProbe | undefined) {
    this.clock = clock;
    this.#probe = probe;
  }

  /** Where they cannot be compared, the clock says why. */
  static async begin(topic: Pick<LoadTopic, "queues" | "brokers">, options: ClockWatchOptions): Promise<ClockWatch> {
    const [reference = ""] = topic.queues.map(({ brokerName }) => brokerName).sort();
    const broker = topic.brokers.find(({ brokerName }) => brokerName === reference)!;
    let probe: ClockProbe | undefined;
    try {
      probe = await ClockProbe.open({ ...options, broker });
      return new ClockWatch({ reference, reading: await probe.measure() }, probe);
    } catch (error) {
      return new ClockWatch({ reference, reading: undefined, reason: errorText(error) }, probe);
    }
  }

  /** Compares once more: what is to be doubted when the clocks are not as they were. */
  async end(): Promise<FlagRecord | undefined> {
    const { reference, reading } = this.clock;
    if (this.#probe === undefined || reading === undefined) return undefined;
    const again = await this.#probe.measure().catch(() => undefined);
    const moved = again === undefined ? 0 : movedUs(reading, again);
    return moved === 0
      ? undefined
      : {
          id: "SKEW",
          text: `this host's clock moved by ${(moved / 1000).toFixed(2)} ms against ${reference}'s since the run began: latencies between hosts are wrong by up to as much`,
        };
  }

  /** Returns the name of the topic for it where that could not be deleted. */
  async close(): Promise<string | undefined> {
    return this.#probe?.close();
  }
}

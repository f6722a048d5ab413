import { MqError } from "../../base/errors.ts";
import { AdminClient } from "../../client/admin/admin-client.ts";
import { BrokerError } from "../../client/broker-error.ts";
import type { Credentials } from "../../client/credentials.ts";
import { parseOffsetMsgId } from "../../message/message-id.ts";
import { decodeRecord } from "../../message/record.ts";
import { RequestCode } from "../../remoting/codes.ts";
import type { BrokerFacts } from "../cluster-facts.ts";
import { ClockBounds, type ClockReading } from "./clock.ts";
import { epochMicros } from "./payload.ts";

/** Enough for some that are stored at the begin and some at the end of a millisecond. */
const PROBES = 32;
const PROBES_MIN = 4;
/** Where answers take long no more than those sent in this time. */
const PROBING_MS = 2000;
/** How long a message may take from the answer until the broker shows it: with transientStorePoolEnable until it is committed. */
const SHOWN_MS = 2000;
const SHOWN_LOOK_MS = 50;
const READ_WRITE = 6;
/** Each thread of a process takes the time when it begins, and they are that far apart. */
const THREADS_US = 100;
const BODY = Buffer.from("mq bench: whose clock is this?");

export interface ClockProbeOptions {
  namesrvAddr: string;
  /** Its clock is the one that others are compared with. */
  broker: Pick<BrokerFacts, "brokerName" | "cluster" | "address">;
  /** Makes the topic's name unique. */
  run: string;
  credentials?: Credentials | undefined;
  /** Microseconds since the epoch on the clock that is compared; of this process unless told otherwise. */
  clock?: () => number;
}

/** Compares the own clock with a broker's, by messages of its own in a topic of its own. */
export class ClockProbe {
  readonly #admin: AdminClient;
  readonly #options: ClockProbeOptions;
  readonly #topic: string;
  readonly #clock: () => number;

  private constructor(admin: AdminClient, options: ClockProbeOptions) {
    this.#admin = admin;
    this.#options = options;
    this.#topic = `mq-bench-clock-${options.run.slice(-8)}`;
    this.#clock = options.clock ?? (() => epochMicros(performance.now()));
  }

  /** Makes the topic on the broker. Throws BrokerError when that is not permitted, and what the client throws. */
  static async open(options: ClockProbeOptions): Promise<ClockProbe> {
    const admin = new AdminClient({ namesrvAddr: options.namesrvAddr, credentials: options.credentials });
    const probe = new ClockProbe(admin, options);
    try {
      await admin.createTopic(options.broker.address, {
        topicName: probe.#topic,
        readQueueNums: 1,
        writeQueueNums: 1,
        perm: READ_WRITE,
        topicFilterType: "SINGLE_TAG",
        topicSysFlag: 0,
        order: false,
      });
      return probe;
    } catch (error) {
      // The broker may have made it all the same.
      await probe.close();
      throw error;
    }
  }

  /** Throws MqError when nothing can be said, and what the client throws. */
  async measure(): Promise<ClockReading> {
    const sent: { sentUs: number; ackedUs: number; offset: number }[] = [];
    const end = performance.now() + PROBING_MS;
    while (sent.length < PROBES && (sent.length < PROBES_MIN || performance.now() < end)) sent.push(await this.#send());
    const bounds = new ClockBounds();
    await Promise.all(
      sent.map(async ({ sentUs, ackedUs, offset }) => bounds.add(sentUs, ackedUs, await this.#storedMs(offset))),
    );
    const { reading } = bounds;
    if (reading === undefined) throw new MqError("a clock was set while they were compared");
    return { ...reading, errorUs: reading.errorUs + THREADS_US };
  }

  /** Deletes the topic; returns its name where that cannot be done. */
  async close(): Promise<string | undefined> {
    const { address, cluster } = this.#options.broker;
    try {
      await this.#admin.deleteTopicInBroker(address, this.#topic);
      await this.#admin.deleteTopicInNameServers(this.#topic, cluster);
      return undefined;
    } catch {
      return this.#topic;
    } finally {
      await this.#admin.close();
    }
  }

  async #send(): Promise<{ sentUs: number; ackedUs: number; offset: number }> {
    const ext = {
      a: "mq-bench",
      b: this.#topic,
      c: "TBW102",
      d: "1",
      e: "0",
      f: "0",
      g: String(Date.now()),
      h: "0",
      // The answer is not to wait for disk or slave: what lies between it and the sending blurs the bounds.
      i: "WAIT\u0001false",
      j: "0",
      k: "false",
      l: "0",
      m: "false",
    };
    const sentUs = this.#clock();
    const request = { code: RequestCode.SEND_MESSAGE_V2, ext, body: BODY };
    const answer = await this.#admin.call(this.#options.broker.address, request, "send a message for its store time");
    const ackedUs = this.#clock();
    const place = parseOffsetMsgId(answer.ext.msgId ?? "");
    if (place === undefined) throw new MqError("the answer to a send does not say where the message is");
    return { sentUs, ackedUs, offset: place.physicalOffset };
  }

  async #storedMs(offset: number): Promise<number> {
    const request = { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset } };
    const end = performance.now() + SHOWN_MS;
    for (;;) {
      try {
        const { body } = await this.#admin.call(this.#options.broker.address, request, "read a message's store time");
        const record = body && decodeRecord(body);
        if (record === undefined) throw new MqError("the broker does not show the message that it has stored");
        return record.storeTimestamp;
      } catch (error) {
        if (!(error instanceof BrokerError) || performance.now() > end) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, SHOWN_LOOK_MS));
    }
  }
}

import { randomUUID } from "node:crypto";
import type { LocalTransactionState } from "../../client/producer/transaction-state.ts";
import type { PubTrace } from "../../client/trace/trace-data.ts";
import { parseOffsetMsgId } from "../../message/message-id.ts";
import { propertiesToMap } from "../../message/properties.ts";
import { RecordView } from "../../message/record.ts";
import { encodeHeartbeatData } from "../../protocol/body/heartbeat-data.ts";
import { RequestCode } from "../../remoting/codes.ts";
import { decodeCommand } from "../../remoting/command.ts";
import { OPAQUE_BASE, requestFrame } from "../raw/frames.ts";
import { type Ledger, ledgerNumber } from "./ledger.ts";
import { PayloadView } from "./payload.ts";
import type { LoadPlan } from "./plan.ts";
import type { Recorder } from "./recorder.ts";
import { endTransactionFrame } from "./send-frame.ts";
import { passesTags } from "./tag-filter.ts";
import type { LoadTracing } from "./tracing.ts";
import { CHECKS_MAX, fateOf } from "./transaction-fate.ts";

/** Opaque of heartbeats: below those of sends. */
export const HEARTBEAT_OPAQUE = OPAQUE_BASE - 1;
const OPAQUE_AT = 13;
/** Messages whose checks are remembered, the newest of them. */
const REMEMBERED_MAX = 200_000;

/** A half message that the broker has answered for. */
export interface Half {
  sequence: number;
  uniqKey: string;
  /** Whether the load's consumers are to get it when it is committed. */
  expected: boolean;
  /** Fields of the broker's answer. */
  ext: Readonly<Record<string, string>>;
  trace: PubTrace | undefined;
}

/**
 * Ends the half messages of one producer, and answers when the broker asks for those that were left unknown: it asks any connection of
 * the group that sends heartbeats, so the answer must follow from the message alone.
 */
export class Transactions {
  readonly #plan: LoadPlan;
  readonly #producer: number;
  readonly #ledger: Ledger;
  readonly #recorder: Recorder;
  readonly #tracing: LoadTracing | undefined;
  readonly #clientId = randomUUID();
  readonly #record = new RecordView();
  readonly #payload = new PayloadView();
  /** Number of the last check of each message that was asked for. */
  readonly #checked = new Map<string, number>();
  #settled = false;

  constructor(plan: LoadPlan, producer: number, recorder: Recorder, ledger: Ledger, tracing: LoadTracing | undefined) {
    this.#plan = plan;
    this.#producer = producer;
    this.#recorder = recorder;
    this.#ledger = ledger;
    this.#tracing = tracing;
  }

  /** HEART_BEAT that makes the broker ask on this connection; undefined when there will be nothing to ask. */
  heartbeat(): Buffer | undefined {
    const { group, unknownRate, credentials } = this.#plan;
    if (unknownRate === 0) return undefined;
    const data = encodeHeartbeatData({ clientID: this.#clientId, producerGroups: [group], consumers: [] });
    const bytes = requestFrame(RequestCode.HEART_BEAT, {}, credentials, Buffer.from(data));
    bytes.writeInt32BE(HEARTBEAT_OPAQUE, OPAQUE_AT);
    return bytes;
  }

  /** END_TRANSACTION of a half message, as the local transaction has ended; undefined when the answer does not say where it is. */
  end({ sequence, uniqKey, expected, ext, trace }: Half): Buffer | undefined {
    const place = parseOffsetMsgId(ext.msgId ?? "");
    if (place === undefined) {
      this.#recorder.count("answer without the place of the half message");
      return undefined;
    }
    const state = fateOf(this.#plan, sequence, 0);
    if (expected) this.#note(this.#producer, sequence, state);
    const transactionId = ext.transactionId ?? uniqKey;
    if (trace !== undefined) this.#tracing?.ended(trace, transactionId, state);
    return endTransactionFrame(this.#plan, {
      commitLogOffset: String(place.physicalOffset),
      queueOffset: ext.queueOffset ?? "0",
      msgId: uniqKey,
      transactionId,
      state,
      isChecked: false,
    });
  }

  /** From now on what is undecided stays so: what is committed now would not be waited for. */
  settle(): void {
    this.#settled = true;
  }

  /**
   * The answer to a CHECK_TRANSACTION_STATE that lies in [start, end), if `hasRoom` for one so long. Messages of other runs are left
   * alone: whoever sent them may be asked next. So is everything once it is settled.
   */
  check(buffer: Buffer, start: number, end: number, hasRoom: (bytes: number) => boolean): Buffer | undefined {
    if (this.#settled) return undefined;
    const { ext, body } = decodeCommand(buffer, start, end);
    const record = this.#record;
    const payload = this.#payload;
    if (body === undefined || record.read(body, 0, body.length, -1) !== "record") {
      this.#recorder.count("a check without the half message");
      return undefined;
    }
    if (payload.readRecord(body, record) !== "ours" || payload.run !== this.#plan.run) return undefined;
    const properties = propertiesToMap(body, record.propertiesStart, record.propertiesEnd);
    const times = Math.max(1, Math.min(CHECKS_MAX, Number(properties.TRANSACTION_CHECK_TIMES) || 1));
    const { producer, sequence } = payload;
    const state = fateOf(this.#plan, sequence, times);
    const frame = endTransactionFrame(this.#plan, {
      commitLogOffset: ext.commitLogOffset ?? "0",
      queueOffset: ext.tranStateTableOffset ?? "0",
      msgId: properties.UNIQ_KEY ?? ext.msgId ?? "",
      transactionId: ext.transactionId ?? "",
      state,
      isChecked: true,
    });
    // Nothing is noted that is not said.
    if (!hasRoom(frame.length)) return undefined;
    const { checks } = this.#recorder;
    checks.checked++;
    if (fateOf(this.#plan, sequence, times - 1) !== "UNKNOW") checks.unexpected++;
    if (this.#isDuplicate(`${producer}/${sequence}`, times)) checks.duplicated++;
    const { expression, expressionType } = this.#plan;
    const isExpected = expressionType !== "TAG" || passesTags(expression, properties.TAGS ?? "");
    if (isExpected) this.#note(producer, sequence, state);
    return frame;
  }

  /** Checks of one message come in the order of their numbers. */
  #isDuplicate(message: string, times: number): boolean {
    const before = this.#checked.get(message) ?? 0;
    if (times <= before) return true;
    this.#checked.delete(message);
    this.#checked.set(message, times);
    if (this.#checked.size > REMEMBERED_MAX) this.#checked.delete(this.#checked.keys().next().value!);
    return false;
  }

  /** Every group is to get it, or not. */
  #note(producer: number, sequence: number, state: LocalTransactionState): void {
    for (let group = 0; group < this.#plan.groups; group++) {
      const number = ledgerNumber(producer, group);
      if (state === "COMMIT_MESSAGE") this.#ledger.acked(number, sequence);
      else if (state === "ROLLBACK_MESSAGE") this.#ledger.rolledBack(number, sequence);
      else this.#ledger.undecided(number, sequence);
    }
  }
}

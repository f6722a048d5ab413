import { errorText } from "../../base/errors.ts";
import { PropertyName } from "../../message/properties.ts";
import type { Connection } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { TRANSACTION_GROUP } from "../client/subscription-group-manager.ts";
import type { EscapeBridge } from "../slave/escape-bridge.ts";
import { appendUnwaited, copyOf, decodeStoredMessage, durable, type StoredMessage } from "../stored-message.ts";
import { PERM_READ, PERM_WRITE, TRANS_CHECK_MAX_TIME_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_HALF_TOPIC } from "../types.ts";
import { checkRequest } from "./check-request.ts";
import { OFFSET_SEPARATOR, type OpBatch, REMOVE_TAG } from "./op-batch.ts";

/** Half messages without an answer that are kept in mind; the scan waits at it. About 300 bytes each. */
const WAITING_MAX = 50_000;
/** Answers read ahead of their half messages. */
const DONE_AHEAD_MAX = 500_000;
/** A half message that waits longer is written again at the queue's end, so that a restart need not scan back to it. */
const MOVE_AFTER_MS = 3_600_000;
/** A producer that has not taken as many bytes is asked in a later round. */
const PRODUCER_PENDING_MAX = 8 * 1024 * 1024;
/** Checks under way before the next are prepared. */
const ASKING_MAX = 64;
/** Records handled before sockets get their turn. */
const SLICE_RECORDS = 64;
/** Earlier places of one half message that late answers may still name. */
const EARLIER_MAX = 20;

/** A half message whose producer has not answered. */
interface Waiting {
  physicalOffset: number;
  bornTimestamp: number;
  storeTimestamp: number;
  /** Checks sent so far. */
  checkTimes: number;
  /** ms after birth before the first check; undefined = transactionTimeOut. */
  immunityMs: number | undefined;
  group: string;
  /** TRAN_PREPARED_QUEUE_OFFSET. */
  origin: number | undefined;
  earlier: number[];
}

/** The store refuses writes: the round ends, nothing is lost. */
class HeldUp extends Error {}

export interface CheckEnvironment {
  readonly context: Pick<
    BrokerContext,
    "brokerAddress" | "config" | "logger" | "offsets" | "producers" | "stats" | "storeHost" | "store" | "topics"
  >;
  readonly batch: Pick<OpBatch, "add" | "flush">;
  /** Where an acting master puts what is not answered; undefined: it is checked here. */
  readonly escapeBridge?: Pick<EscapeBridge, "put"> | undefined;
  /** Whether the half message at this place was answered a short while ago: its op record may not be written yet. */
  readonly settled: (queueId: number, halfOffset: number) => boolean;
}

/**
 * Check-back of one queue of the half topic [TransactionalMessageServiceImpl#check]. Everything can be derived again from the
 * two topics and the offsets of CID_RMQ_SYS_TRANS, which mean what they mean to RocketMQ: all half messages below the half
 * offset are done, all op records below the op offset are of no more use. What lies above is scanned once and kept in mind, so
 * that one message that waits long holds up no other.
 */
export class HalfQueueCheck {
  readonly #context: CheckEnvironment["context"];
  readonly #batch: Pick<OpBatch, "add" | "flush">;
  readonly #escapeBridge: Pick<EscapeBridge, "put"> | undefined;
  readonly #settled: CheckEnvironment["settled"];
  readonly #waiting = new Map<number, Waiting>();
  /** Earlier place of a half message → where its newest copy waits. */
  readonly #places = new Map<number, number>();
  /** Offsets that op records name and the scan has not reached. */
  readonly #doneAhead = new Set<number>();
  /** Earlier place that a Java broker's copy names → that copy. */
  readonly #origins = new Map<number, number>();
  /** Answers to messages below the first scan's begin, for such copies above it; undefined after the first scan. */
  #doneBefore: Set<number> | undefined = new Set();
  /** Op records still needed: own offset and the highest half offset named. */
  #opRecords: { offset: number; halfMax: number }[] = [];
  /** Checks that leave when their copy is on the disk. */
  #asking: Promise<void>[] = [];
  #scanOffset = -1;
  #opOffset = -1;
  #records = 0;
  /** Offsets of the last round, and how far the log must be flushed before they are committed. */
  #due: { half: number; op: number; logEnd: number } | undefined;
  /** The last round ended early because nobody takes messages: said once. */
  #heldUp = false;
  readonly #silentGroups = new Set<string>();

  constructor(
    readonly queueId: number,
    environment: CheckEnvironment,
  ) {
    this.#context = environment.context;
    this.#batch = environment.batch;
    this.#escapeBridge = environment.escapeBridge;
    this.#settled = environment.settled;
  }

  /** Half messages of this queue that wait for an answer, as far as scanned. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** The producer has answered for the half message at `halfOffset`, or for an earlier place of it. */
  settle(halfOffset: number): void {
    const place = this.#waiting.has(halfOffset) ? halfOffset : this.#places.get(halfOffset);
    if (place === undefined) return;
    this.#forget(place);
    if (place !== halfOffset) this.#batch.add(this.queueId, place);
  }

  /** One round: what is answered is crossed out, what is overdue is asked for. Offsets advance whatever happens. */
  async round(stopping: () => boolean): Promise<void> {
    const startedAt = Date.now();
    try {
      this.#batch.flush();
      this.#begin();
      await this.#scan(stopping);
      for (const [offset, waiting] of [...this.#waiting]) {
        if (stopping()) return;
        if (waiting.storeTimestamp >= startedAt || !this.#waiting.has(offset)) continue;
        await this.#pause();
        await this.#attend(offset, waiting);
        if (this.#asking.length >= ASKING_MAX) await this.#asked();
      }
      await this.#asked();
      if (this.#heldUp) this.#context.logger.info("transactions are checked again", { queueId: this.queueId });
      this.#heldUp = false;
    } catch (error) {
      if (!this.#heldUp)
        this.#context.logger.error("a transaction check round ended early", {
          queueId: this.queueId,
          reason: errorText(error),
        });
      this.#heldUp = error instanceof HeldUp;
    } finally {
      this.#batch.flush();
      this.#commitOffsets();
    }
  }

  /** Takes up the stored offsets, moved into what the queues still hold. */
  #begin(): void {
    if (this.#scanOffset < 0) this.#scanOffset = this.#storedOffset(TRANS_HALF_TOPIC);
    if (this.#opOffset < 0) this.#opOffset = this.#storedOffset(TRANS_OP_HALF_TOPIC);
  }

  #storedOffset(topic: string): number {
    const { store, offsets, logger } = this.#context;
    const stored = offsets.queryOffset(TRANSACTION_GROUP, topic, this.queueId);
    const min = Math.max(0, store.getMinOffsetInQueue(topic, this.queueId));
    const max = store.getMaxOffsetInQueue(topic, this.queueId);
    const offset = Math.min(Math.max(stored, min), max);
    if (stored >= 0 && stored !== offset)
      logger.warn("transaction offset lies outside its queue and is moved", { topic, stored, min, max, now: offset });
    return offset;
  }

  async #scan(stopping: () => boolean): Promise<void> {
    const { store } = this.#context;
    const halfMax = store.getMaxOffsetInQueue(TRANS_HALF_TOPIC, this.queueId);
    // Read after the half queue's end was taken: every answer to a message below it that is written is seen.
    const opMax = store.getMaxOffsetInQueue(TRANS_OP_HALF_TOPIC, this.queueId);
    for (;;) {
      while (this.#opOffset < opMax && this.#doneAhead.size < DONE_AHEAD_MAX && !stopping()) await this.#readOp();
      const before = this.#scanOffset;
      while (this.#scanOffset < halfMax && this.#waiting.size < WAITING_MAX && !stopping()) await this.#readHalf();
      if (stopping()) return;
      if (this.#opOffset >= opMax || this.#scanOffset === before) break;
    }
    this.#doneBefore = undefined;
  }

  async #readOp(): Promise<void> {
    const offset = this.#opOffset;
    const message = await this.#read(TRANS_OP_HALF_TOPIC, offset, (next) => {
      this.#opOffset = next;
    });
    if (message === undefined) return;
    if (message.properties[PropertyName.TAGS] !== REMOVE_TAG) {
      this.#context.logger.error("an op record has an unknown tag and is skipped", {
        offset,
        tag: message.properties[PropertyName.TAGS],
      });
      return;
    }
    let halfMax = -1;
    for (const text of message.body.toString("latin1").split(OFFSET_SEPARATOR)) {
      if (!/^\d{1,15}$/.test(text)) continue;
      const half = Number(text);
      halfMax = Math.max(halfMax, half);
      if (half >= this.#scanOffset) this.#doneAhead.add(half);
      else this.#answered(half);
    }
    this.#opRecords.push({ offset, halfMax });
  }

  /** An op record names a half message that was scanned already, or one that a Java broker has copied. */
  #answered(half: number): void {
    const copy = this.#origins.get(half);
    if (this.#waiting.has(half)) this.#forget(half);
    else if (copy !== undefined) this.#done(copy);
    else if (this.#doneBefore !== undefined && this.#doneBefore.size < DONE_AHEAD_MAX) this.#doneBefore.add(half);
  }

  async #readHalf(): Promise<void> {
    const offset = this.#scanOffset;
    if (this.#doneAhead.delete(offset) || this.#waiting.has(offset) || this.#settled(this.queueId, offset)) {
      this.#scanOffset = offset + 1;
      return;
    }
    const message = await this.#read(TRANS_HALF_TOPIC, offset, (next) => {
      this.#scanOffset = next;
    });
    if (message === undefined || this.#settled(this.queueId, offset)) return;
    const { properties } = message;
    const origin = wholeNumber(properties[PropertyName.TRAN_PREPARED_QUEUE_OFFSET]);
    // A Java broker copies a message in its immunity time and lets the answer to the original stand for the copy.
    if (origin !== undefined && this.#doneBefore?.delete(origin) === true) {
      this.#batch.add(this.queueId, offset);
      return;
    }
    const immunity = wholeNumber(properties[PropertyName.CHECK_IMMUNITY_TIME]);
    this.#waiting.set(offset, {
      physicalOffset: message.physicalOffset,
      bornTimestamp: message.bornTimestamp,
      storeTimestamp: message.storeTimestamp,
      checkTimes: wholeNumber(properties[PropertyName.TRANSACTION_CHECK_TIMES]) ?? 0,
      immunityMs: immunity === undefined ? undefined : immunity * 1000,
      group: properties[PropertyName.PGROUP] ?? "",
      origin,
      earlier: origin === undefined ? [] : [origin],
    });
    if (origin === undefined) return;
    this.#origins.set(origin, offset);
    this.#places.set(origin, offset);
  }

  /** The message at a queue offset; undefined when there is none to be had. `advance` gets the offset after it. */
  async #read(topic: string, offset: number, advance: (next: number) => void): Promise<StoredMessage | undefined> {
    const { store, logger } = this.#context;
    const min = store.getMinOffsetInQueue(topic, this.queueId);
    if (offset < min) {
      logger.warn("transaction records were cleaned away before they were read", { topic, offset, min });
      advance(min);
      return undefined;
    }
    advance(offset + 1);
    await this.#pause();
    const entry = store.getQueueEntry(topic, this.queueId, offset);
    const message = entry === undefined ? undefined : await this.#readRecord(entry.physicalOffset);
    if (message?.topic !== topic) {
      logger.error("a transaction record cannot be read and is skipped", {
        topic,
        offset,
        physicalOffset: entry?.physicalOffset,
      });
      return undefined;
    }
    return message;
  }

  async #readRecord(physicalOffset: number): Promise<StoredMessage | undefined> {
    try {
      const record = await this.#context.store.readRecord(physicalOffset);
      return record === undefined ? undefined : decodeStoredMessage(record);
    } catch (error) {
      this.#context.logger.error("read of the commit log failed", { physicalOffset, reason: errorText(error) });
      return undefined;
    }
  }

  /** Decides about one message without an answer. */
  async #attend(offset: number, waiting: Waiting): Promise<void> {
    if (this.#escapeBridge !== undefined) return await this.#escapeTo(this.#escapeBridge, offset, waiting);
    const { config, producers } = this.#context;
    const age = Date.now() - waiting.bornTimestamp;
    if (waiting.checkTimes >= config.transactionCheckMax)
      return await this.#discard(offset, waiting, `checked ${waiting.checkTimes} times without an answer`);
    if (age > config.fileReservedTime * 3_600_000)
      return await this.#discard(offset, waiting, `older than fileReservedTime (${config.fileReservedTime} h)`);
    const due = age < 0 || age > (waiting.immunityMs ?? config.transactionTimeOut);
    const online = due ? producers.availableChannel(waiting.group) : undefined;
    const producer = online !== undefined && online.pendingBytes < PRODUCER_PENDING_MAX ? online : undefined;
    if (due) this.#noteProducer(waiting.group, online);
    if (producer !== undefined) await this.#check(offset, waiting, producer);
    else if (Date.now() - waiting.storeTimestamp > MOVE_AFTER_MS) await this.#replace(offset, waiting, 0);
  }

  /** Says once that nobody can be asked, and once that somebody is there again. */
  #noteProducer(group: string, producer: Connection | undefined): void {
    if (producer === undefined && !this.#silentGroups.has(group)) {
      if (this.#silentGroups.size < 1000) this.#silentGroups.add(group);
      this.#context.logger.warn("half messages wait: no producer of their group is online", { group });
    } else if (producer !== undefined && this.#silentGroups.delete(group)) {
      this.#context.logger.info("a producer is online again for waiting half messages", { group });
    }
  }

  async #check(offset: number, waiting: Waiting, producer: Connection): Promise<void> {
    const copy = await this.#replace(offset, waiting, 1);
    if (copy === undefined) return;
    const { config, storeHost, logger, store } = this.#context;
    logger.debug("check a transaction", { group: waiting.group, offset, copy: copy.queueOffset });
    const request = checkRequest(copy, storeHost, config.brokerName);
    // With SYNC_FLUSH the copy can be read, and so be ended, only when it is flushed.
    this.#asking.push(durable(store, store.maxPhyOffset).then(() => producer.invokeOneway(request)));
  }

  /** The message becomes a half message of another broker, which asks its producer [TransactionalMessageBridge#escapeMessage]. */
  async #escapeTo(escapeBridge: Pick<EscapeBridge, "put">, offset: number, waiting: Waiting): Promise<void> {
    const message = await this.#readRecord(waiting.physicalOffset);
    const topic = message?.properties[PropertyName.REAL_TOPIC];
    if (message === undefined || topic === undefined) return this.#forget(offset);
    const failure = await escapeBridge.put(message, { ...message.properties, [PropertyName.TRAN_MSG]: "true" }, topic);
    if (failure !== undefined) throw new HeldUp(`no other broker takes the transaction: ${failure}`);
    this.#forget(offset);
  }

  async #asked(): Promise<void> {
    await Promise.all(this.#asking);
    this.#asking = [];
  }

  /** Writes the message again at the end of the queue, with `checks` more to its count, and waits there for the answer. */
  async #replace(offset: number, waiting: Waiting, checks: number): Promise<StoredMessage | undefined> {
    const message = await this.#readRecord(waiting.physicalOffset);
    if (!this.#waiting.has(offset) || (message === undefined && this.#isFresh(waiting))) return undefined;
    if (message === undefined) {
      this.#context.logger.error("a half message is gone from the commit log: it can no more be checked", {
        offset,
        physicalOffset: waiting.physicalOffset,
        group: waiting.group,
      });
      this.#done(offset);
      return undefined;
    }
    const checkTimes = waiting.checkTimes + checks;
    const properties = { ...message.properties, [PropertyName.TRANSACTION_CHECK_TIMES]: String(checkTimes) };
    const place = this.#put(message, properties, TRANS_HALF_TOPIC, this.queueId);
    if (place === undefined) {
      // Too large with one property more: it is asked for where it stands, and counted in memory only.
      waiting.checkTimes = checkTimes;
      return message;
    }
    this.#done(offset);
    const earlier = [...waiting.earlier, offset].slice(-EARLIER_MAX);
    for (const one of earlier) this.#places.set(one, place.queueOffset);
    if (waiting.origin !== undefined) this.#origins.set(waiting.origin, place.queueOffset);
    const { physicalOffset, storeTimestamp, queueOffset } = place;
    this.#waiting.set(queueOffset, { ...waiting, physicalOffset, storeTimestamp, checkTimes, earlier });
    return { ...message, properties, physicalOffset, storeTimestamp, queueOffset };
  }

  /** A copy made a moment ago may not be readable yet: it is looked at in the next round. */
  #isFresh(waiting: Waiting): boolean {
    return waiting.physicalOffset >= this.#context.store.flushedWhere;
  }

  async #discard(offset: number, waiting: Waiting, reason: string): Promise<void> {
    const { topics, logger } = this.#context;
    const message = await this.#readRecord(waiting.physicalOffset);
    if (!this.#waiting.has(offset) || (message === undefined && this.#isFresh(waiting))) return;
    const place = { queueOffset: -1 };
    if (message !== undefined) {
      topics.createTopicOfTranCheckMaxTime(1, PERM_READ | PERM_WRITE);
      place.queueOffset = this.#put(message, message.properties, TRANS_CHECK_MAX_TIME_TOPIC, 0)?.queueOffset ?? -1;
    }
    this.#done(offset);
    logger.warn("a half message is discarded", {
      reason,
      group: waiting.group,
      topic: message?.properties[PropertyName.REAL_TOPIC],
      uniqKey: message?.properties[PropertyName.UNIQ_KEY],
      bornTimestamp: waiting.bornTimestamp,
      halfOffset: offset,
      keptIn: place.queueOffset < 0 ? "nowhere: its record is gone or too large" : TRANS_CHECK_MAX_TIME_TOPIC,
      keptAt: place.queueOffset,
    });
  }

  /** Undefined when no store could take such a message. Throws HeldUp when this one takes nothing now. */
  #put(
    message: StoredMessage,
    properties: Record<string, string>,
    topic: string,
    queueId: number,
  ): { queueOffset: number; physicalOffset: number; storeTimestamp: number } | undefined {
    const { store, stats } = this.#context;
    const result = appendUnwaited(store, copyOf(message, properties, { topic, queueId }));
    if (result.status === "MESSAGE_ILLEGAL" || result.status === "PROPERTIES_SIZE_EXCEEDED") return undefined;
    if (result.status !== "PUT_OK") throw new HeldUp(`store refuses ${topic}: ${result.status} ${result.reason}`);
    stats.incTopicPutNums(topic, 1, result.physicalEnd - result.physicalOffset);
    stats.incBrokerPutNums(topic, 1);
    const { queueOffset, physicalOffset, storeTimestamp } = result;
    return { queueOffset, physicalOffset, storeTimestamp };
  }

  /** The message at `offset` needs no answer any more; an op record says so to whoever reads the store next. */
  #done(offset: number): void {
    this.#forget(offset);
    this.#batch.add(this.queueId, offset);
  }

  #forget(offset: number): void {
    const waiting = this.#waiting.get(offset);
    if (waiting === undefined) return;
    this.#waiting.delete(offset);
    for (const one of waiting.earlier) this.#places.delete(one);
    if (waiting.origin !== undefined) this.#origins.delete(waiting.origin);
  }

  #commitOffsets(): void {
    if (this.#scanOffset < 0 || this.#opOffset < 0) return;
    let half = this.#scanOffset;
    for (const offset of this.#waiting.keys()) half = Math.min(half, offset);
    const needed = this.#opRecords.findIndex((record) => record.halfMax >= half);
    this.#opRecords = needed < 0 ? [] : this.#opRecords.slice(needed);
    this.#commitFlushed(half, this.#opRecords[0]?.offset ?? this.#opOffset);
  }

  /** Copies and op records up to here must be on the disk first: offsets that outlive them in a power cut would lose half messages. */
  #commitFlushed(half: number, op: number): void {
    const { store } = this.#context;
    for (const next of [this.#due, { half, op, logEnd: store.maxPhyOffset }]) {
      if (next === undefined) continue;
      this.#due = next;
      if (store.flushedWhere < next.logEnd) continue;
      this.#commit(TRANS_HALF_TOPIC, next.half);
      this.#commit(TRANS_OP_HALF_TOPIC, next.op);
    }
  }

  #commit(topic: string, offset: number): void {
    const { offsets, brokerAddress } = this.#context;
    if (offsets.queryOffset(TRANSACTION_GROUP, topic, this.queueId) === offset) return;
    offsets.commitOffset(brokerAddress, TRANSACTION_GROUP, topic, this.queueId, offset);
  }

  async #pause(): Promise<void> {
    this.#records++;
    if (this.#records % SLICE_RECORDS === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

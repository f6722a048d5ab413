import { AssertionError } from "../../base/assert.ts";
import { now } from "../../base/clock.ts";
import { errorText } from "../../base/errors.ts";
import { FLAG_ONEWAY, RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { HeaderSlots } from "../../remoting/header-slots.ts";
import type { Connection, ProcessorEntry, RawRequest, RemotingResponse, SerializeType } from "../../remoting/types.ts";
import type { GetMessageResult, GetMessageStatus } from "../../store/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { tagFilter } from "../client/subscription.ts";
import { LineBudget } from "../client/warn-once.ts";
import type { HeldPull, HeldPulls } from "../longpolling/pull-request-hold-service.ts";
import { MASTER_ID, type SubscriptionGroupConfig, type TopicConfig } from "../types.ts";
import { checkPull, isRefusal, type PullTarget } from "./pull-check.ts";
import { createPullSlots, PULL_SLOT, PULL_SYS_FLAG, requirePullFields } from "./pull-header.ts";
import { slaveTurn } from "./pull-on-slave.ts";
import { type PullResponse, writePullHeader } from "./pull-response.ts";

/** A pull on its way: everything that outlives the request's frame. */
export interface PullRequest extends HeldPull {
  readonly code: number;
  readonly opaque: number;
  readonly serializeType: SerializeType;
  readonly oneway: boolean;
  readonly group: string;
  readonly maxMsgNums: number;
  readonly mayWait: boolean;
  readonly groupConfig: SubscriptionGroupConfig;
  readonly topicConfig: TopicConfig;
}

/** A peer that has this much unsent gets no more until it took some: its answers would pile up in memory. */
const UNSENT_BYTES_MAX = 64 * 1024 * 1024;

/** Entries that one pull may look at are counted in these: a larger wish would hold the event loop. */
const MSG_NUMS_MAX = 16_384;

const STATUS_CODE: Record<GetMessageStatus, number> = {
  FOUND: ResponseCode.SUCCESS,
  NO_MATCHED_MESSAGE: ResponseCode.PULL_RETRY_IMMEDIATELY,
  MESSAGE_WAS_REMOVING: ResponseCode.PULL_RETRY_IMMEDIATELY,
  OFFSET_FOUND_NULL: ResponseCode.PULL_NOT_FOUND,
  OFFSET_OVERFLOW_ONE: ResponseCode.PULL_NOT_FOUND,
  OFFSET_OVERFLOW_BADLY: ResponseCode.PULL_OFFSET_MOVED,
  OFFSET_TOO_SMALL: ResponseCode.PULL_OFFSET_MOVED,
  NO_MATCHED_LOGIC_QUEUE: ResponseCode.PULL_NOT_FOUND,
  NO_MESSAGE_IN_QUEUE: ResponseCode.PULL_NOT_FOUND,
};

function noop(): void {}

/** PULL_MESSAGE and LITE_PULL_MESSAGE [PullMessageProcessor, DefaultPullMessageResultHandler]. */
export class PullMessageProcessor {
  private readonly slots: HeaderSlots = createPullSlots();
  private readonly movedLines = new LineBudget(100, 10_000);
  private readonly response: PullResponse = {
    code: 0,
    remark: "",
    suggestWhichBrokerId: 0,
    nextBeginOffset: 0,
    minOffset: 0,
    maxOffset: 0,
    topicSysFlag: 0,
    groupSysFlag: 0,
  };

  constructor(
    private readonly context: BrokerContext,
    private readonly held: HeldPulls<PullRequest>,
  ) {}

  readonly process = (request: RawRequest, connection: Connection): void => {
    const { slots } = this;
    if (!slots.decode(request)) {
      connection.close("protocol: pull header cannot be decoded");
      return;
    }
    requirePullFields(slots);
    const target = checkPull(this.context, request.code, slots, connection);
    if (isRefusal(target)) {
      const { opaque, serializeType, flag } = request;
      connection.reply({ opaque, serializeType, oneway: (flag & FLAG_ONEWAY) !== 0 }, target);
      return;
    }
    this.commitConsumerOffset(connection);
    this.run(this.pullOf(request, connection, target), true);
  };

  /** The pull's second and last run: whatever is there now is the answer. */
  readonly wake = (pull: PullRequest): void => {
    try {
      this.run(pull, false);
    } catch (error) {
      this.failed(pull, error);
      if (error instanceof AssertionError) this.context.fatal(error);
    }
  };

  private pullOf(request: RawRequest, connection: Connection, target: PullTarget): PullRequest {
    const { slots } = this;
    const { config } = this.context;
    const wait = config.longPollingEnable
      ? slots.long(PULL_SLOT.suspendTimeoutMillis, 0)
      : config.shortPollingTimeMills;
    return {
      code: request.code,
      opaque: request.opaque,
      serializeType: request.serializeType,
      oneway: (request.flag & FLAG_ONEWAY) !== 0,
      connection,
      group: slots.interned(PULL_SLOT.consumerGroup) ?? "",
      topic: target.topicConfig.topicName,
      queueId: slots.int(PULL_SLOT.queueId, 0),
      queueOffset: slots.long(PULL_SLOT.queueOffset, 0),
      maxMsgNums: Math.min(slots.int(PULL_SLOT.maxMsgNums, 32), MSG_NUMS_MAX),
      mayWait: (slots.int(PULL_SLOT.sysFlag, 0) & PULL_SYS_FLAG.suspend) !== 0,
      deadline: now() + wait,
      groupConfig: target.groupConfig,
      topicConfig: target.topicConfig,
      filter: tagFilter(target.subscription),
    };
  }

  /** A consumer sends its progress along with the pull, to a slave only while that acts as the master. */
  private commitConsumerOffset(connection: Connection): void {
    const { slots, context } = this;
    if ((slots.int(PULL_SLOT.sysFlag, 0) & PULL_SYS_FLAG.commitOffset) === 0) return;
    const offset = slots.long(PULL_SLOT.commitOffset, -1);
    if (offset < 0 || !Number.isSafeInteger(offset)) return;
    const group = slots.interned(PULL_SLOT.consumerGroup) ?? "";
    const topic = slots.interned(PULL_SLOT.topic) ?? "";
    const queueId = slots.int(PULL_SLOT.queueId, 0);
    if (context.config.useServerSideResetOffset && context.offsets.hasOffsetReset(topic, group, queueId)) return;
    context.offsets.commitOffset(connection.remoteAddress, group, topic, queueId, offset);
  }

  private run(pull: PullRequest, maySuspend: boolean): void {
    const { context } = this;
    if (context.config.useServerSideResetOffset) {
      const resetOffset = context.offsets.queryThenEraseResetOffset(pull.topic, pull.group, pull.queueId);
      if (resetOffset !== undefined) {
        this.answerReset(pull, resetOffset);
        return;
      }
    }
    if (pull.connection.pendingBytes > UNSENT_BYTES_MAX) {
      this.refuse(pull, {
        code: ResponseCode.SYSTEM_BUSY,
        remark: `[REJECTREQUEST]system busy, start flow control for a while: ${pull.connection.pendingBytes} bytes to this client are not taken yet, limit ${UNSENT_BYTES_MAX}`,
      });
      return;
    }
    const { topic, queueId, queueOffset, maxMsgNums, filter } = pull;
    const result = context.store.getMessage(topic, queueId, queueOffset, maxMsgNums, filter);
    if (result instanceof Promise) {
      result.then(
        // Messages may have come while the disk was read: who waits now could miss them.
        (read) => this.finish(pull, read, false),
        (error: unknown) => this.failed(pull, error),
      );
    } else this.finish(pull, result, maySuspend);
  }

  private failed(pull: PullRequest, error: unknown): void {
    this.context.logger.error("pull failed", {
      topic: pull.topic,
      queueId: pull.queueId,
      offset: pull.queueOffset,
      group: pull.group,
      error: errorText(error),
    });
    this.refuse(pull, { code: ResponseCode.SYSTEM_ERROR, remark: `store getMessage failed: ${errorText(error)}` });
  }

  private refuse(pull: PullRequest, response: RemotingResponse): void {
    pull.connection.reply(pull, response);
  }

  private finish(pull: PullRequest, result: GetMessageResult, maySuspend: boolean): void {
    const { context, response } = this;
    const { status } = result;
    let code = STATUS_CODE[status];
    if ((status === "NO_MATCHED_LOGIC_QUEUE" || status === "NO_MESSAGE_IN_QUEUE") && pull.queueOffset !== 0) {
      code = ResponseCode.PULL_OFFSET_MOVED;
    }
    let suggested = this.suggestBroker(pull, result.suggestPullingFromSlave);
    let mayBeHeld = code === ResponseCode.PULL_NOT_FOUND;
    if (context.config.brokerId !== MASTER_ID) {
      const turn = slaveTurn(context, code, result.suggestPullingFromSlave);
      if (turn !== "serve") {
        const toMaster = turn === "master";
        suggested = toMaster ? MASTER_ID : pull.groupConfig.brokerId;
        if (code !== ResponseCode.SUCCESS) code = ResponseCode.PULL_RETRY_IMMEDIATELY;
        mayBeHeld = !toMaster;
      }
    }
    if (mayBeHeld && maySuspend && pull.mayWait && !context.stopping && this.held.suspend(pull)) {
      result.release();
      return;
    }
    context.stats.incGetMessage(status === "FOUND");
    if (code === ResponseCode.PULL_OFFSET_MOVED) this.logMoved(pull, result);
    context.offsets.commitPullOffset(
      pull.connection.remoteAddress,
      pull.group,
      pull.topic,
      pull.queueId,
      result.nextBeginOffset,
    );
    response.code = code;
    response.remark = status;
    response.nextBeginOffset = result.nextBeginOffset;
    response.minOffset = result.minOffset;
    response.maxOffset = result.maxOffset;
    response.topicSysFlag = pull.topicConfig.topicSysFlag;
    response.groupSysFlag = pull.groupConfig.groupSysFlag;
    response.suggestWhichBrokerId = suggested;
    if (pull.oneway || pull.connection.closed) {
      result.release();
      return;
    }
    if (code === ResponseCode.SUCCESS) this.sendFound(pull, result);
    else {
      writePullHeader(pull.connection, pull.serializeType, pull.opaque, response, 0);
      result.release();
    }
  }

  private sendFound(pull: PullRequest, result: GetMessageResult): void {
    const { context } = this;
    const { connection } = pull;
    const { bytes, ranges } = result;
    context.stats.incGroupGetNums(pull.group, pull.topic, result.messageCount, bytes, pull.queueId);
    context.stats.incBrokerGetNums(pull.topic, result.messageCount);
    writePullHeader(connection, pull.serializeType, pull.opaque, this.response, bytes);
    if (context.config.transferMsgByHeap) {
      const start = connection.reserve(bytes);
      let at = start;
      for (const range of ranges) at += range.buffer.copy(connection.out, at, range.start, range.end);
      connection.commit(at - start);
      result.release();
      return;
    }
    for (let i = 0; i < ranges.length; i++) {
      const range = ranges[i]!;
      connection.writeRegion(range.buffer, range.start, range.end, i === ranges.length - 1 ? result.release : noop);
    }
    if (ranges.length === 0) result.release();
  }

  /** An administrator moved the group's offset: the consumer jumps there, and only once [GetMessageStatus#OFFSET_RESET]. */
  private answerReset(pull: PullRequest, offset: number): void {
    const { response } = this;
    const { store } = this.context;
    response.code = ResponseCode.PULL_OFFSET_MOVED;
    response.remark = "OFFSET_RESET";
    response.nextBeginOffset = offset;
    response.minOffset = store.getMinOffsetInQueue(pull.topic, pull.queueId);
    response.maxOffset = store.getMaxOffsetInQueue(pull.topic, pull.queueId);
    response.topicSysFlag = pull.topicConfig.topicSysFlag;
    response.groupSysFlag = pull.groupConfig.groupSysFlag;
    response.suggestWhichBrokerId = this.suggestBroker(pull, false);
    if (!pull.oneway) writePullHeader(pull.connection, pull.serializeType, pull.opaque, response, 0);
  }

  private suggestBroker(pull: PullRequest, fromSlave: boolean): number {
    const { config } = this.context;
    if (!config.slaveReadEnable) return MASTER_ID;
    return fromSlave ? pull.groupConfig.whichBrokerWhenConsumeSlowly : pull.groupConfig.brokerId;
  }

  private logMoved(pull: PullRequest, result: GetMessageResult): void {
    if (!this.movedLines.take()) return;
    this.context.logger.warn("consumer asked for an offset that is not there: it is sent elsewhere", {
      group: pull.group,
      topic: pull.topic,
      queueId: pull.queueId,
      status: result.status,
      asked: pull.queueOffset,
      next: result.nextBeginOffset,
      min: result.minOffset,
      max: result.maxOffset,
      client: pull.connection.remoteAddress,
    });
  }
}

export function pullMessageProcessors(processor: PullMessageProcessor): [number, ProcessorEntry][] {
  const entry: ProcessorEntry = { raw: processor.process };
  return [
    [RequestCode.PULL_MESSAGE, entry],
    [RequestCode.LITE_PULL_MESSAGE, entry],
  ];
}

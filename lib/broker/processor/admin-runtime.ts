import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { JavaDouble } from "../../base/fastjson.ts";
import { parseOffsetMsgId } from "../../message/message-id.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { requireString } from "../../remoting/headers.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import type { StatsSnapshot } from "../stats/stats-item.ts";
import { javaDouble } from "../stats/tps-window.ts";
import { decodeStoredMessage } from "../stored-message.ts";
import { refusal, success } from "./admin-request.ts";

/** What PROTOCOL_VERSION is called [MQVersion#getVersionDesc]. */
const BROKER_VERSION_DESC = "V5_3_3";

/** Figures and housekeeping of the broker [AdminBrokerProcessor]. */
export function adminRuntimeProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { logger, stats, store, transactions } = context;

  async function getBrokerRuntimeInfo(): Promise<RemotingResponse> {
    return success({ table: await runtimeInfo(context) });
  }

  function viewBrokerStatsData({ ext }: RemotingCommand): RemotingResponse {
    const name = requireString(ext, "statsName");
    const key = requireString(ext, "statsKey");
    const item = stats.item(name, key);
    if (item === undefined) throw refusal(ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`);
    return success({
      statsDay: snapshotJson(item.inDay()),
      statsHour: snapshotJson(item.inHour()),
      statsMinute: snapshotJson(item.inMinute()),
    });
  }

  function cleanExpiredConsumeQueue(): RemotingResponse {
    logger.warn("consume queues are cleaned on request");
    store.cleanExpiredConsumeQueue();
    return success();
  }

  function deleteExpiredCommitLog(): RemotingResponse {
    logger.warn("commit-log files are cleaned on request");
    store.executeDeleteFilesManually();
    return success();
  }

  /** A half message that was given up is checked again, from the start [AdminBrokerProcessor#resumeCheckHalfMessage]. */
  async function resumeCheckHalfMessage({ ext }: RemotingCommand): Promise<RemotingResponse> {
    const msgId = requireString(ext, "msgId");
    const place = parseOffsetMsgId(msgId);
    if (place === undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `msgId is "${msgId}", wanted 32 or 56 hex digits of an offsetMsgId`);
    const record = await store.readRecord(place.physicalOffset);
    const message = record === undefined ? undefined : decodeStoredMessage(record);
    if (message === undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${place.physicalOffset}`);
    const fault = transactions.resume(message);
    if (fault !== undefined)
      throw refusal(ResponseCode.SYSTEM_ERROR, `Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed: ${fault}`);
    return success();
  }

  return [
    [RequestCode.GET_BROKER_RUNTIME_INFO, { processor: getBrokerRuntimeInfo }],
    [RequestCode.VIEW_BROKER_STATS_DATA, { processor: viewBrokerStatsData }],
    [RequestCode.CLEAN_EXPIRED_CONSUMEQUEUE, { processor: cleanExpiredConsumeQueue }],
    [RequestCode.DELETE_EXPIRED_COMMITLOG, { processor: deleteExpiredCommitLog }],
    [
      RequestCode.GET_TIMER_CHECK_POINT,
      { processor: () => ({ code: ResponseCode.SUCCESS, body: context.kept.timerCheckpoint }) },
    ],
    [
      RequestCode.GET_TIMER_METRICS,
      { processor: () => ({ code: ResponseCode.SUCCESS, body: context.kept.timerMetrics }) },
    ],
    [RequestCode.RESUME_CHECK_HALF_MESSAGE, { processor: resumeCheckHalfMessage }],
  ];
}

function snapshotJson({ sum, tps, avgpt }: StatsSnapshot): object {
  return { avgpt: new JavaDouble(avgpt), sum, tps: new JavaDouble(tps) };
}

/** The table of code 28; what only the store knows comes from the store. */
async function runtimeInfo(context: BrokerContext): Promise<Map<string, string>> {
  const { config, holdService, load, schedule, stats, store } = context;
  const info: Record<string, string> = {
    bootTimestamp: String(context.startedAt),
    runtime: runtimeText(Date.now() - context.startedAt),
    brokerActive: "true",
    brokerVersionDesc: BROKER_VERSION_DESC,
    dispatchBehindBytes: String(store.dispatchBehindBytes),
    pageCacheLockTimeMills: "0",
    startAcceptSendRequestTimeStamp: String(config.startAcceptSendRequestTimeStamp),
    timerReadBehind: "0",
    timerOffsetBehind: "0",
    timerCongestNum: "0",
    timerEnqueueTps: "0.0",
    timerDequeueTps: "0.0",
    remainTransientStoreBufferNumbs: "2147483647",
    commitLogMinOffset: String(store.minPhyOffset),
    commitLogMaxOffset: String(store.maxPhyOffset),
    ...queueInfo(context, load.waitingSends, holdService.waiting),
    ...stats.runtimeInfo(),
    ...schedule.runtimeInfo(),
    ...store.runtimeInfo(),
  };
  for (const name of ["remainHowManyDataToFlush", "remainHowManyDataToCommit"]) {
    const bytes = Number(info[name]);
    if (Number.isFinite(bytes)) info[name] = byteText(bytes);
  }
  info.earliestMessageTimeStamp ??= String(await earliestMessageTime(context));
  Object.assign(info, await diskInfo(config.storePathRootDir, config.storePathCommitLog));
  return new Map(Object.entries(info).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Requests do not wait in queues of their own here: a send waits for flush or slave at most, a pull for a message. */
function queueInfo({ config }: BrokerContext, waitingSends: number, waitingPulls: number): Record<string, string> {
  return {
    sendThreadPoolQueueSize: String(waitingSends),
    sendThreadPoolQueueCapacity: String(config.sendThreadPoolQueueCapacity),
    sendThreadPoolQueueHeadWaitTimeMills: "0",
    pullThreadPoolQueueSize: "0",
    pullThreadPoolQueueCapacity: String(config.pullThreadPoolQueueCapacity),
    pullThreadPoolQueueHeadWaitTimeMills: "0",
    litePullThreadPoolQueueSize: "0",
    litePullThreadPoolQueueCapacity: String(config.litePullThreadPoolQueueCapacity),
    litePullThreadPoolQueueHeadWaitTimeMills: "0",
    queryThreadPoolQueueSize: "0",
    queryThreadPoolQueueCapacity: String(config.queryThreadPoolQueueCapacity),
    queryThreadPoolQueueHeadWaitTimeMills: "0",
    ackThreadPoolQueueSize: "0",
    ackThreadPoolQueueCapacity: String(config.ackThreadPoolQueueCapacity),
    ackThreadPoolQueueHeadWaitTimeMills: "0",
    EndTransactionQueueSize: "0",
    EndTransactionThreadPoolQueueCapacity: String(config.endTransactionPoolQueueCapacity),
    heldPullRequests: String(waitingPulls),
  };
}

/** Store time of the oldest message, -1 when there is none. */
async function earliestMessageTime({ store }: BrokerContext): Promise<number> {
  if (store.maxPhyOffset <= store.minPhyOffset) return -1;
  const record = await store.readRecord(store.minPhyOffset);
  return (record === undefined ? undefined : decodeStoredMessage(record))?.storeTimestamp ?? -1;
}

/** Use and size of the disks that hold commit log and consume queues; -1 for a disk that cannot be asked. */
async function diskInfo(root: string, commitLogPath: string): Promise<Record<string, string>> {
  const path = commitLogPath === "" ? join(root, "commitlog") : commitLogPath;
  const [log, queues, whole] = await Promise.all([diskUse(path), diskUse(root), statfs(root).catch(() => undefined)]);
  const info: Record<string, string> = {
    commitLogDiskRatio: log,
    [`commitLogDiskRatio_${path}`]: log,
    consumeQueueDiskRatio: queues,
  };
  if (whole !== undefined)
    info.commitLogDirCapacity = `Total : ${byteText(whole.blocks * whole.bsize)}, Free : ${byteText(whole.bfree * whole.bsize)}.`;
  return info;
}

/** Used part of a disk in hundredths, rounded up [UtilAll#getDiskPartitionSpaceUsedPercent]. */
async function diskUse(path: string): Promise<string> {
  try {
    const { blocks, bfree, bavail } = await statfs(path);
    const used = blocks - bfree;
    return blocks > 0 ? javaDouble(Math.ceil((used * 100) / (used + bavail)) / 100) : "-1.0";
  } catch {
    return "-1.0";
  }
}

/** [MixAll#humanReadableByteCount], binary units. */
function byteText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const exponent = Math.min(6, Math.floor(Math.log(bytes) / Math.log(1024)));
  return `${(bytes / 1024 ** exponent).toFixed(1)} ${"KMGTPE"[exponent - 1]}iB`;
}

/** `[ d days, h hours, m minutes, s seconds ]` [StoreStatsService#getFormatRuntime]. */
function runtimeText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor(seconds / 3600) % 24;
  return `[ ${days} days, ${hours} hours, ${Math.floor(seconds / 60) % 60} minutes, ${seconds % 60} seconds ]`;
}

import { errorText } from "../../base/errors.ts";
import { parseAddress } from "../../remoting/address.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import { optionalLong, optionalString } from "../../remoting/headers.ts";
import type { ProcessorEntry, RemotingCommand, RemotingResponse } from "../../remoting/types.ts";
import type { BrokerContext } from "../broker-context.ts";
import { MASTER_ID } from "../types.ts";
import { refusal, success } from "./admin-request.ts";

/** What members of a group and name servers tell each other about roles [AdminBrokerProcessor]. */
export function groupRoleProcessors(context: BrokerContext): [number, ProcessorEntry][] {
  const { config, logger } = context;

  function notifyMinBrokerIdChange({ ext }: RemotingCommand): RemotingResponse {
    const minBrokerId = optionalLong(ext, "minBrokerId");
    const own = optionalString(ext, "brokerName") ?? config.brokerName;
    if (minBrokerId !== undefined && own === config.brokerName)
      context.actingMaster?.updateMinBroker(
        minBrokerId,
        optionalString(ext, "minBrokerAddr"),
        optionalString(ext, "offlineBrokerAddr"),
        optionalString(ext, "haBrokerAddr"),
      );
    return success();
  }

  /** A master that comes back says where it is, or is asked for it. */
  function exchangeBrokerHaInfo({ ext }: RemotingCommand): RemotingResponse {
    const masterHaAddress = optionalString(ext, "masterHaAddress");
    if (masterHaAddress !== undefined && masterHaAddress !== "") {
      if (config.brokerId === MASTER_ID) {
        logger.warn("another broker says that it is this group's master: ignored", { address: masterHaAddress });
        return success();
      }
      try {
        parseAddress(masterHaAddress);
      } catch (error) {
        throw refusal(ResponseCode.INVALID_PARAMETER, errorText(error));
      }
      // The log only: the master is about to take over this slave's tables, which its own older ones must not replace before.
      context.followLog(masterHaAddress, optionalString(ext, "masterAddress"));
      return success();
    }
    if (config.brokerId !== MASTER_ID) return success();
    return {
      code: ResponseCode.SUCCESS,
      ext: {
        masterHaAddress: context.haServerAddress,
        masterFlushOffset: context.initMaxOffset,
        masterAddress: context.brokerAddress,
      },
    };
  }

  /** [HARuntimeInfo]; a slave that has slaves of its own names them as well. */
  function getBrokerHaStatus(): RemotingResponse {
    const { client, inSyncSlaveNums, maxOffset, slaves } = context.ha.status();
    return success({
      haClientRuntimeInfo: {
        lastReadTimestamp: client?.lastReadTimestamp ?? 0,
        lastWriteTimestamp: client?.lastWriteTimestamp ?? 0,
        masterAddr: client?.masterAddr,
        masterFlushOffset: 0,
        maxOffset: client?.maxOffset ?? 0,
        transferredByteInSecond: client?.transferredByteInSecond ?? 0,
      },
      haConnectionInfo: slaves.map(({ refusal: _, ...slave }) => slave),
      inSyncSlaveNums,
      master: config.brokerRole !== "SLAVE",
      masterCommitLogMaxOffset: config.brokerRole === "SLAVE" ? 0 : maxOffset,
    });
  }

  return [
    [RequestCode.GET_BROKER_HA_STATUS, { processor: getBrokerHaStatus }],
    [RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, { processor: notifyMinBrokerIdChange }],
    [RequestCode.EXCHANGE_BROKER_HA_INFO, { processor: exchangeBrokerHaInfo }],
    // What a slave knows of its master's flush comes with the log itself here.
    [RequestCode.RESET_MASTER_FLUSH_OFFSET, { processor: () => success() }],
  ];
}

import { parseFastjson } from "../../base/fastjson.ts";
import type { Logger } from "../../base/log.ts";
import { createRemotingClient } from "../../remoting/client.ts";
import { RequestCode, ResponseCode } from "../../remoting/codes.ts";
import type { ConsumerOffsetManager } from "../offset/consumer-offset-manager.ts";
import type { DelayOffsetManager } from "../schedule/delay-offset-manager.ts";
import type { KeptState } from "./kept-state.ts";

const TIMEOUT_MS = 3_000;

/**
 * What a slave collected while it acted as master goes back to the master: consumer and delay offsets, the timer's place
 * [BrokerPreOnlineService#syncMetadataReverse]. RocketMQ takes the slave's tables when their DataVersion is not older; that counter
 * moves every 500 commits only, so that here the larger offset of each queue is kept. Throws when the slave cannot be asked.
 */
export async function syncMetadataReverse(
  address: string,
  tables: { offsets: ConsumerOffsetManager; delayOffsets: DelayOffsetManager; kept: KeptState },
  logger: Logger,
): Promise<void> {
  const client = createRemotingClient();
  const ask = async (code: number): Promise<Buffer | undefined> => {
    const { code: answer, remark, body } = await client.invoke(address, { code }, TIMEOUT_MS);
    if (answer === ResponseCode.REQUEST_CODE_NOT_SUPPORTED) return undefined;
    if (answer !== ResponseCode.SUCCESS) throw new Error(`${address} answers ${answer}: ${remark ?? ""}`);
    return body;
  };
  try {
    const consumerOffsets = await ask(RequestCode.GET_ALL_CONSUMER_OFFSET);
    const delayOffsets = await ask(RequestCode.GET_ALL_DELAY_OFFSET);
    const checkpoint = await ask(RequestCode.GET_TIMER_CHECK_POINT);
    let moved = 0;
    if (consumerOffsets !== undefined) moved += tables.offsets.advance(parseFastjson(consumerOffsets));
    if (delayOffsets !== undefined) moved += tables.delayOffsets.advance(parseFastjson(delayOffsets));
    if (checkpoint !== undefined && checkpoint.readBigInt64BE(0) > tables.kept.timerCheckpoint.readBigInt64BE(0))
      tables.kept.takeTimerCheckpoint(checkpoint);
    if (moved > 0) logger.info("offsets taken over from the slave that acted as master", { slave: address, moved });
  } finally {
    await client.close();
  }
}

import type { Logger } from "../base/log.ts";
import { createRemotingClient } from "../remoting/client.ts";
import { RequestCode } from "../remoting/codes.ts";
import type { RemotingClient } from "../remoting/types.ts";
import type { MinBrokerIdChange } from "./route-info-manager.ts";

const SEND_TIMEOUT_MS = 300;

/**
 * Tells the brokers of a name that their lowest id changed, so that a slave begins or ends to act as master at once
 * [RouteInfoManager#notifyMinBrokerIdChanged]. A notice that is lost is made good by the brokers' own heartbeats.
 */
export class MinBrokerIdNotifier {
  private client: RemotingClient | undefined;

  constructor(
    private readonly isEnabled: () => boolean,
    private readonly logger: Logger,
  ) {}

  notify(change: MinBrokerIdChange): void {
    if (!this.isEnabled()) return;
    const { addresses, ...header } = change;
    const { brokerName, minBrokerId } = change;
    this.logger.info("lowest broker id changed", { broker: brokerName, minBrokerId, told: addresses.join(" ") });
    this.client ??= createRemotingClient();
    const request = { code: RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, ext: header };
    for (const address of addresses) {
      this.client.invokeOneway(address, request, SEND_TIMEOUT_MS).catch((error) => {
        this.logger.warn("cannot tell a broker that the lowest id changed", { address, error: String(error) });
      });
    }
  }

  async shutdown(): Promise<void> {
    await this.client?.close();
  }
}

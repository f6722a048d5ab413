import type { Logger } from "../../base/log.ts";
import { RequestCode } from "../../remoting/codes.ts";
import type { Connection } from "../../remoting/types.ts";

const BATCH_PERIOD_MS = 15_000;

/**
 * Tells the members of consumer groups to rebalance [Broker2Client#notifyConsumerIdsChanged]. Many changes of one turn
 * become one notice per member: ten members that start together would otherwise cost a hundred.
 */
export class ConsumerIdsChangedNotifier {
  private readonly pending = new Map<string, Set<Connection>>();
  private scheduled = false;

  /** With `realTime` false notices wait for the next round of 15 s [realTimeNotifyConsumerChange]. */
  constructor(
    private readonly logger: Logger,
    private readonly realTime: boolean,
  ) {}

  notify(group: string, connections: Iterable<Connection>): void {
    this.pending.set(group, new Set(connections));
    if (this.scheduled) return;
    this.scheduled = true;
    if (this.realTime) setImmediate(() => this.send());
    else setTimeout(() => this.send(), BATCH_PERIOD_MS).unref();
  }

  private send(): void {
    this.scheduled = false;
    for (const [group, connections] of this.pending) {
      for (const connection of connections) {
        if (connection.closed) continue;
        try {
          connection.invokeOneway({ code: RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, ext: { consumerGroup: group } });
        } catch (error) {
          this.logger.warn("consumer not told to rebalance", {
            group,
            address: connection.remoteAddress,
            error: String(error),
          });
        }
      }
    }
    this.pending.clear();
  }
}

import type { Logger } from "../../base/log.ts";
import type { Connection } from "../../remoting/types.ts";
import type { ClientChannelInfo, ProducerManager } from "../broker-context.ts";
import { type ChannelBook, GROUPS_ONLINE_MAX } from "./channel-book.ts";

const AVAILABLE_CHANNEL_TRIES = 3;
/** A peer that takes no bytes is no good target for a check-back. */
const WRITABLE_PENDING_BYTES_MAX = 1024 * 1024;

/** Producer groups and their clients [ProducerManager]. */
export class OnlineProducers implements ProducerManager {
  readonly groups = new Map<string, Map<Connection, ClientChannelInfo>>();
  private readonly clientChannels = new Map<string, Connection>();
  private nextAvailable = 0;

  constructor(
    private readonly book: ChannelBook,
    private readonly logger: Logger,
  ) {}

  /** Returns why the client cannot be taken, or undefined. */
  register(group: string, info: ClientChannelInfo): string | undefined {
    let channels = this.groups.get(group);
    if (channels === undefined) {
      if (this.groups.size >= GROUPS_ONLINE_MAX) {
        return `producer group [${group}] refused: ${this.groups.size} producer groups are online, at most ${GROUPS_ONLINE_MAX} are taken`;
      }
      channels = new Map();
      this.groups.set(group, channels);
    }
    const found = channels.get(info.connection);
    if (found === undefined) {
      channels.set(info.connection, { ...info });
      this.clientChannels.set(info.clientId, info.connection);
      this.book.join(info.connection, "producer", group);
      this.logger.info("producer connected", {
        group,
        clientId: info.clientId,
        address: info.connection.remoteAddress,
      });
    } else {
      found.lastUpdateTimestamp = info.lastUpdateTimestamp;
      this.clientChannels.set(found.clientId, info.connection);
    }
    return undefined;
  }

  unregister(group: string, connection: Connection): void {
    const channels = this.groups.get(group);
    const info = channels?.get(connection);
    if (channels === undefined || info === undefined) return;
    channels.delete(connection);
    this.book.leave(connection, "producer", group);
    if (channels.size === 0) this.groups.delete(group);
    if (this.clientChannels.get(info.clientId) === connection && !this.book.has(connection, "producer")) {
      this.clientChannels.delete(info.clientId);
    }
    this.logger.info("producer gone", { group, clientId: info.clientId, address: connection.remoteAddress });
  }

  availableChannel(group: string): Connection | undefined {
    const channels = this.groups.get(group);
    if (channels === undefined || channels.size === 0) return undefined;
    const connections = [...channels.keys()];
    this.nextAvailable = (this.nextAvailable + 1) % Number.MAX_SAFE_INTEGER;
    let lastOpen: Connection | undefined;
    for (let i = 0; i < AVAILABLE_CHANNEL_TRIES; i++) {
      const connection = connections[(this.nextAvailable + i) % connections.length];
      if (connection === undefined || connection.closed) continue;
      if (connection.pendingBytes < WRITABLE_PENDING_BYTES_MAX) return connection;
      lastOpen = connection;
    }
    return lastOpen;
  }

  findChannel(clientId: string): Connection | undefined {
    const connection = this.clientChannels.get(clientId);
    return connection?.closed ? undefined : connection;
  }

  /** Clients whose last heartbeat is older than `before`: dropped, and handed back so that their connections are closed. */
  expire(before: number): Connection[] {
    const expired: Connection[] = [];
    for (const [group, channels] of this.groups) {
      for (const info of channels.values()) {
        if (info.lastUpdateTimestamp >= before) continue;
        this.logger.warn("producer expired: no heartbeat", {
          group,
          clientId: info.clientId,
          address: info.connection.remoteAddress,
        });
        this.unregister(group, info.connection);
        expired.push(info.connection);
      }
    }
    return expired;
  }
}

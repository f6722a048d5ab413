import { isIP } from "node:net";
import type { Socket, TCPSocketListener } from "bun";
import { beginTurn, endTurn } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import { linger } from "../base/linger.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { LogLimit } from "../base/log-limit.ts";
import { listenError } from "../remoting/listen-error.ts";
import type { PutMessageStatus, ReplicationLog } from "../store/types.ts";
import { GroupTransfer } from "./group-transfer.ts";
import { HaClient } from "./ha-client.ts";
import { aheadText, type ConnectionHost, HaConnection } from "./ha-connection.ts";
import { ALL_IN_SYNC, needAckNums, policyText, shortage } from "./replica-policy.ts";
import type { CompareLog, HaConfig, HaService, HaStatus } from "./types.ts";

/** Warnings that peers can cause, in ten seconds. */
const PEER_WARNINGS = 10;
/** Slaves of one broker; more are refused. */
const SLAVES_MAX = 64;
/** Slaves remembered that were ahead of this log. */
const AHEAD_MAX = 64;
const TICK_MIN_MS = 20;
const TICK_MAX_MS = 1_000;
/** A stop waits this long for slaves that are nearly there. */
const DRAIN_MS = 1_000;
const DRAIN_POLL_MS = 5;

export interface HaServiceOptions {
  config: HaConfig;
  /** Port to listen on; 0 for any. */
  port: number;
  log: ReplicationLog;
  logger?: Logger | undefined;
  /** Asked before a slave connects. */
  compare?: CompareLog | undefined;
}

/** The replication of one broker: master of its slaves, and slave of its master when brokerRole says so. */
export function createHaService(options: HaServiceOptions): HaService {
  return new DefaultHaService(options);
}

class DefaultHaService implements HaService, ConnectionHost {
  readonly config: HaConfig;
  readonly log: ReplicationLog;
  readonly logger: Logger;
  aliveReplicaNumInGroup = 1;
  port = 0;
  private readonly wantedPort: number;
  private readonly connections = new Set<HaConnection>();
  private readonly transfer: GroupTransfer;
  private readonly client: HaClient | undefined;
  private readonly refused: LogLimit;
  private readonly peerWarnings: LogLimit;
  /** Where slaves ended that were ahead of this log, by host: their bytes beyond are not this log's. */
  private readonly aheadAt = new Map<string, number>();
  private listener: TCPSocketListener<HaConnection | undefined> | undefined;
  private ticker: ReturnType<typeof setInterval> | undefined;
  private pushScheduled = false;
  /** Confirmed offsets, the furthest first; undefined when a report or a connection changed them. */
  private sorted: number[] | undefined;
  /** Senders time out because no slave is there; said once. */
  private alone = false;
  /** Sends are refused because too few slaves are in sync; said once. */
  private short = false;
  /** Where slaves ended, by host, whose connection broke soon and brought nothing: said once, not at every attempt. */
  private readonly stuckAt = new Map<string, number>();

  constructor({ config, port, log, logger, compare }: HaServiceOptions) {
    this.config = config;
    this.wantedPort = port;
    this.log = log;
    this.logger = logger ?? createLogger("ha");
    const warn: Logger["warn"] = (message, fields) => this.logger.warn(message, fields);
    this.refused = new LogLimit(1, warn);
    this.peerWarnings = new LogLimit(PEER_WARNINGS, warn);
    this.client = config.brokerRole === "SLAVE" ? new HaClient(config, log, this.logger, compare) : undefined;
    this.transfer = new GroupTransfer(
      (need) => this.replicatedWhere(need),
      () => config.slaveTimeout,
      this.logger,
    );
  }

  get policy(): string {
    return policyText(this.config);
  }

  async start(): Promise<void> {
    const hostname = this.config.bindAddress;
    try {
      this.listener = Bun.listen<HaConnection | undefined>({
        hostname,
        port: this.wantedPort,
        allowHalfOpen: false,
        data: undefined,
        socket: this.handlers(),
      });
    } catch (error) {
      throw await listenError(hostname, this.wantedPort, error, "for slaves (haListenPort)");
    }
    this.port = this.listener.port;
    const { haHousekeepingInterval, haSendHeartbeatInterval } = this.config;
    const shortest = Math.min(haHousekeepingInterval, haSendHeartbeatInterval) / 4;
    this.ticker = setInterval(() => this.tick(), Math.min(TICK_MAX_MS, Math.max(TICK_MIN_MS, shortest)));
    this.client?.start();
  }

  async stop(): Promise<void> {
    this.listener?.stop(false);
    this.listener = undefined;
    this.client?.stop();
    await this.drain();
    clearInterval(this.ticker);
    for (const connection of this.connections) connection.terminate();
    this.transfer.stop();
  }

  /** Lets slaves that are in reach get the end of the log: a planned stop leaves nothing behind. */
  private async drain(): Promise<void> {
    const end = this.log.maxOffset;
    const deadline = Date.now() + DRAIN_MS;
    const isBehind = (slave: HaConnection) => slave.inSync(end) && slave.confirmed < end;
    while (Date.now() < deadline && [...this.connections].some(isBehind)) await Bun.sleep(DRAIN_POLL_MS);
  }

  private handlers() {
    return {
      open: (socket: Socket<HaConnection | undefined>) => this.opened(socket),
      data: (socket: Socket<HaConnection | undefined>, chunk: Buffer) => {
        // One report answers many senders: the clock is read once for all.
        beginTurn();
        try {
          socket.data?.received(chunk);
        } finally {
          endTurn();
        }
        linger.turnDone(1);
      },
      drain: (socket: Socket<HaConnection | undefined>) => socket.data?.pump(),
      close: (socket: Socket<HaConnection | undefined>) => this.gone(socket.data),
      error: (socket: Socket<HaConnection | undefined>, error: Error) =>
        socket.data?.close(`error: ${errorText(error)}`),
    };
  }

  private opened(socket: Socket<HaConnection | undefined>): void {
    if (this.connections.size >= SLAVES_MAX) this.dropSilent();
    if (this.connections.size >= SLAVES_MAX) {
      this.refused.write(`refuse a slave: ${SLAVES_MAX} are connected, want fewer`, { peer: socket.remoteAddress });
      socket.terminate();
      return;
    }
    const connection = new HaConnection(socket, this);
    socket.data = connection;
    this.connections.add(connection);
  }

  /** Who connected and never reported is no slave yet: the oldest of them gives its place to who comes. */
  private dropSilent(): void {
    for (const connection of this.connections) {
      if (connection.transferFromWhere >= 0) continue;
      this.refused.write(`close a silent connection: ${SLAVES_MAX} are connected, want fewer`, {
        peer: connection.addr,
      });
      this.connections.delete(connection);
      connection.terminate();
      return;
    }
  }

  warnOfPeer(message: string, fields: Record<string, string>): void {
    this.peerWarnings.write(message, fields);
  }

  private gone(connection: HaConnection | undefined): void {
    if (connection === undefined) return;
    connection.closed = true;
    this.connections.delete(connection);
    this.sorted = undefined;
    if (connection.transferFromWhere >= 0) this.sayGone(connection);
    this.transfer.progress();
  }

  private sayGone(connection: HaConnection): void {
    const { addr: slave, peer, slaveAckOffset: confirmed } = connection;
    const said = this.stuck(peer, confirmed);
    if (this.stuckAt.size >= SLAVES_MAX || connection.useful) this.stuckAt.clear();
    if (!connection.useful) this.stuckAt.set(peer, confirmed);
    if (!said) this.logger.warn("a slave is gone", { slave, confirmed, left: this.connections.size });
  }

  stuck(host: string, offset: number): boolean {
    return this.stuckAt.get(host) === offset;
  }

  private tick(): void {
    const time = Date.now();
    for (const connection of this.connections) connection.tick(time);
    this.client?.tick(time);
  }

  appended(): void {
    if (this.pushScheduled || this.connections.size === 0) return;
    this.pushScheduled = true;
    // At the end of this data callback: what one peer sent leaves together and at once.
    queueMicrotask(this.push);
  }

  private readonly push = (): void => {
    this.pushScheduled = false;
    for (const connection of this.connections) connection.pump();
    if (this.transfer.waiting > 0) this.collect();
  };

  /**
   * The loop serves all producers that have sent something before it looks at its sockets again: who was served first would get the
   * answer last, and all would go in step, with the master idle while they send.
   */
  private collect(): void {
    beginTurn();
    try {
      for (const connection of this.connections) connection.collect();
    } finally {
      endTurn();
    }
  }

  flushed(): void {
    this.client?.flushed();
  }

  updateHaMasterAddress(address: string | undefined): void {
    this.client?.updateHaMasterAddress(address);
  }

  acknowledged(): void {
    this.sorted = undefined;
    this.transfer.progress();
  }

  isConnected(host: string): boolean {
    if (this.client !== undefined) return this.client.copies;
    const end = this.log.maxOffset;
    return [...this.connections].some((slave) => (isIP(host) === 0 || slave.peer === host) && slave.inSync(end));
  }

  refuses(host: string, offset: number): string | undefined {
    return this.aheadAt.get(host) === offset ? aheadText(offset, this.log.maxOffset) : undefined;
  }

  metAhead(host: string, offset: number): void {
    if (this.aheadAt.size >= AHEAD_MAX) this.aheadAt.clear();
    this.aheadAt.set(host, offset);
  }

  awaitReplication(physicalEnd: number, done: (status: PutMessageStatus) => void): void {
    const need = needAckNums(this.config, this);
    if (need !== ALL_IN_SYNC && need <= 1) {
      done("PUT_OK");
      return;
    }
    this.sayWhenAlone(Math.max(need, 2));
    this.transfer.wait(physicalEnd, need, done);
  }

  private sayWhenAlone(need: number): void {
    // Who never reported is no slave yet.
    const alone = this.replicatedWhere(need) < 0;
    if (alone === this.alone) return;
    this.alone = alone;
    const slaves = need === 2 ? "a slave is" : `${need - 1} slaves are`;
    if (!alone) this.logger.info(`${slaves} connected: sends are confirmed again`);
    else
      this.logger.warn(
        `${need === 2 ? "no slave is" : `fewer than ${slaves}`} connected: sends wait for slaveTimeout and get FLUSH_SLAVE_TIMEOUT`,
      );
  }

  shortage(): string | undefined {
    const reason = shortage(this.config, this);
    if ((reason !== undefined) !== this.short) {
      this.short = reason !== undefined;
      if (reason !== undefined) this.logger.warn(`sends are refused: ${reason}`);
      else this.logger.info("sends are taken again: enough replicas are in sync");
    }
    return reason;
  }

  inSyncReplicasNums(offset = this.log.maxOffset): number {
    let count = 1;
    for (const connection of this.connections) if (connection.inSync(offset)) count++;
    return count;
  }

  /** Offset that `need` replicas hold, the master among them; with ALL_IN_SYNC every slave in sync, one at least. */
  private replicatedWhere(need: number): number {
    this.sorted ??= [...this.connections].map(({ confirmed }) => confirmed).sort((a, b) => b - a);
    if (need !== ALL_IN_SYNC) return this.sorted[need - 2] ?? -1;
    const end = this.log.maxOffset;
    const inSync = this.sorted.filter((offset) => offset >= 0 && end - offset < this.config.haMaxGapNotInSync);
    return inSync[inSync.length - 1] ?? -1;
  }

  status(): HaStatus {
    const { maxOffset } = this.log;
    return {
      role: this.config.brokerRole,
      maxOffset,
      inSyncSlaveNums: this.inSyncReplicasNums(maxOffset) - 1,
      waitsFor: Math.abs(needAckNums(this.config, this)),
      slaves: [...this.connections]
        .filter(({ transferFromWhere }) => transferFromWhere >= 0)
        .map((connection) => connection.status(maxOffset)),
      client: this.client?.status(),
    };
  }
}

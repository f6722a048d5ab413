import type { Socket } from "bun";
import { errorText } from "../base/errors.ts";
import { giveBack } from "../base/give-back.ts";
import { BUSY_TURN_FRAMES, linger } from "../base/linger.ts";
import type { Logger } from "../base/log.ts";
import { readLong } from "../message/long.ts";
import { parseAddress } from "../remoting/address.ts";
import type { ReplicationLog } from "../store/types.ts";
import { FlowMonitor } from "./flow-monitor.ts";
import { REPORT_BYTES, TRANSFER_HEADER_BYTES, TRANSFER_OFFSET_AT, TRANSFER_SIZE_AT } from "./layout.ts";
import type { CompareLog, HaClientStatus, HaConfig } from "./types.ts";

/** A chunk of fewer bytes is one message or two: its sender may wait for it alone. */
const SMALL_CHUNK_BYTES = 8192;
/** A master that is away is tried again after this, then after twice as long each time. */
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 5_000;
const CONNECT_MS = 3_000;
/** A header that announces more is none: the largest log file. */
const BLOCK_BYTES_MAX = 0x7fff_ffff;

interface Link {
  socket: Socket<Link>;
  closed: boolean;
}

/**
 * The slave's end [DefaultHAClient]: says where its log ends, appends what comes exactly there, says how far it is. A block is
 * appended as it arrives, so that a cut anywhere loses nothing that came.
 */
export class HaClient {
  private readonly flow = new FlowMonitor();
  private address: string | undefined;
  private running = false;
  private link: Link | undefined;
  private connecting = 0;
  private attempts = 0;
  private retryMs = RETRY_FIRST_MS;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Why it does not copy; said once. */
  private trouble: string | undefined = "no master is known yet";
  private said: string | undefined;

  private readonly header = Buffer.alloc(TRANSFER_HEADER_BYTES);
  private headerBytes = 0;
  private blockOffset = 0;
  private blockLeft = 0;
  private readonly report = Buffer.alloc(REPORT_BYTES);
  /** Bytes of the report that the socket has not taken. */
  private reportLeft = 0;
  private reportedOffset = -1;
  private lastRead = 0;
  private lastWrite = 0;

  constructor(
    private readonly config: HaConfig,
    private readonly log: ReplicationLog,
    private readonly logger: Logger,
    private readonly compare: CompareLog | undefined,
  ) {}

  start(): void {
    this.running = true;
    void this.connect();
  }

  stop(): void {
    this.running = false;
    clearTimeout(this.retryTimer);
    const { link } = this;
    this.link = undefined;
    if (link !== undefined) link.socket.end();
  }

  /** undefined: nobody knows the master; the last address is tried on. */
  updateHaMasterAddress(address: string | undefined): void {
    if (address === undefined || address === "" || address === this.address) return;
    const { link } = this;
    if (this.address !== undefined) this.logger.info("the master has another address", { old: this.address, address });
    this.address = address;
    this.retryMs = RETRY_FIRST_MS;
    if (link !== undefined) {
      this.link = undefined;
      link.socket.terminate();
    }
    clearTimeout(this.retryTimer);
    void this.connect();
  }

  /** The connection stands and bytes or heartbeats of the master came over it. */
  get copies(): boolean {
    return this.link !== undefined && this.trouble === undefined;
  }

  status(): HaClientStatus {
    return {
      masterAddr: this.address ?? "",
      connected: this.link !== undefined,
      maxOffset: this.log.maxOffset,
      lastReadTimestamp: this.lastRead,
      lastWriteTimestamp: this.lastWrite,
      transferredByteInSecond: this.flow.transferredByteInSecond,
      trouble: this.trouble,
    };
  }

  /** End of what this slave vouches for: with SYNC_FLUSH what its disk has. */
  private get heldOffset(): number {
    return this.config.flushDiskType === "SYNC_FLUSH" ? this.log.flushedWhere : this.log.maxOffset;
  }

  private async connect(): Promise<void> {
    const { address } = this;
    if (!this.running || this.link !== undefined || address === undefined) return;
    const attempt = ++this.attempts;
    this.connecting = attempt;
    let limit: ReturnType<typeof setTimeout> | undefined;
    try {
      // The first report says where the master goes on: it must not be behind what is written.
      if (this.config.flushDiskType === "SYNC_FLUSH") await this.log.flush();
      const fault = await this.fault();
      if (this.connecting !== attempt || !this.running) return;
      if (fault !== undefined) return this.failed(attempt, fault, true);
      limit = setTimeout(() => this.failed(attempt, `no connection within ${CONNECT_MS} ms`), CONNECT_MS);
      const { hostname, port } = parseAddress(address);
      const link: Link = { socket: undefined as unknown as Socket<Link>, closed: false };
      link.socket = await Bun.connect<Link>({ hostname, port, data: link, socket: this.handlers() });
      if (this.connecting !== attempt || !this.running || link.closed) link.socket.terminate();
      else this.opened(link);
    } catch (error) {
      this.failed(attempt, errorText(error));
    } finally {
      clearTimeout(limit);
    }
  }

  /** Why this log must not be gone on with. */
  private async fault(): Promise<string | undefined> {
    const record = this.compare === undefined ? undefined : await this.log.newestRecord();
    return record === undefined ? undefined : this.compare?.(record);
  }

  private handlers() {
    return {
      open: (socket: Socket<Link>) => {
        socket.setNoDelay(true);
      },
      data: (socket: Socket<Link>, chunk: Buffer) => {
        if (socket.data !== this.link) return;
        const frames = chunk.length < SMALL_CHUNK_BYTES ? 1 : BUSY_TURN_FRAMES;
        this.received(chunk);
        linger.turnDone(frames);
      },
      drain: (socket: Socket<Link>) => {
        if (socket.data === this.link) this.drained();
      },
      close: (socket: Socket<Link>) => {
        socket.data.closed = true;
        if (socket.data === this.link) this.broken("the master closed the connection");
      },
      error: (_socket: Socket<Link>, error: Error) =>
        this.logger.debug("replication socket", { error: errorText(error) }),
    };
  }

  private opened(link: Link): void {
    this.link = link;
    this.connecting = 0;
    this.headerBytes = this.blockLeft = this.reportLeft = 0;
    this.reportedOffset = -1;
    this.lastRead = Date.now();
    this.tell();
  }

  private failed(attempt: number, reason: string, fault = false): void {
    if (this.connecting !== attempt) return;
    this.connecting = 0;
    this.broken(reason, fault);
  }

  /** The connection is gone or of no use: another one later. Said once until bytes come again, and each fault that is found meanwhile. */
  private broken(reason: string, fault = false): void {
    const { link } = this;
    this.link = undefined;
    link?.socket.terminate();
    this.trouble = reason;
    if (!this.running) return;
    if (this.said === undefined || (fault && this.said !== reason)) {
      this.said = reason;
      const fields = { master: this.address, offset: this.log.maxOffset };
      this.logger[fault ? "error" : "warn"](`replication from the master stands: ${reason}; it is tried again`, fields);
    }
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => void this.connect(), fault ? RETRY_MAX_MS : this.retryMs);
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS);
  }

  private received(chunk: Buffer): void {
    this.lastRead = Date.now();
    this.flow.add(chunk.length);
    const before = this.log.maxOffset;
    const fault = this.take(chunk);
    giveBack(chunk);
    const grew = this.log.maxOffset !== before;
    if (grew) {
      // The master's senders wait for this: before anything else.
      this.tell();
      this.log.appended();
    }
    if (fault !== undefined) this.broken(fault, true);
  }

  /** Appends the blocks of a chunk, whole or in parts; returns what is wrong with them. */
  private take(chunk: Buffer): string | undefined {
    for (let at = 0; at < chunk.length; ) {
      if (this.blockLeft === 0) {
        const bytes = chunk.copy(this.header, this.headerBytes, at, at + TRANSFER_HEADER_BYTES - this.headerBytes);
        at += bytes;
        this.headerBytes += bytes;
        if (this.headerBytes < TRANSFER_HEADER_BYTES) return undefined;
        this.headerBytes = 0;
        const fault = this.begin();
        if (fault !== undefined) return fault;
        continue;
      }
      const bytes = Math.min(this.blockLeft, chunk.length - at);
      const refusal = this.log.appendData(this.blockOffset, chunk, at, at + bytes);
      if (refusal !== undefined) return `cannot append: ${refusal}`;
      at += bytes;
      this.blockOffset += bytes;
      this.blockLeft -= bytes;
      if (this.trouble !== undefined) this.runs(this.blockOffset - bytes);
    }
    return undefined;
  }

  /** A whole header: it must go on where this log ends; an empty log begins where the master says. */
  private begin(): string | undefined {
    const offset = readLong(this.header, TRANSFER_OFFSET_AT);
    const size = this.header.readInt32BE(TRANSFER_SIZE_AT);
    const { maxOffset } = this.log;
    if (size < 0 || size > BLOCK_BYTES_MAX || offset < 0 || !Number.isSafeInteger(offset + size))
      return `a block of ${size} bytes at offset ${offset} is none: is this the HA port of a master?`;
    if (maxOffset !== 0 && offset !== maxOffset)
      return `the master sends from offset ${offset}, this log ends at ${maxOffset}`;
    this.blockOffset = offset;
    this.blockLeft = size;
    this.retryMs = RETRY_FIRST_MS;
    // A heartbeat; of a block it is not yet known whether it can be kept.
    if (size === 0 && this.trouble !== undefined) this.runs(offset);
    return undefined;
  }

  private runs(from: number): void {
    this.trouble = undefined;
    this.said = undefined;
    this.logger.info("copying the log of the master", { master: this.address, from });
  }

  /** Reports how far this slave is, when that is news. */
  private tell(): void {
    if (this.link === undefined || this.heldOffset <= this.reportedOffset) return;
    this.write();
  }

  /** More is on the disk. */
  flushed(): void {
    this.tell();
  }

  private write(): void {
    if (this.link === undefined || this.reportLeft > 0) return;
    this.reportedOffset = this.heldOffset;
    this.report.writeBigInt64BE(BigInt(this.reportedOffset));
    this.reportLeft = REPORT_BYTES;
    this.drained();
  }

  private drained(): void {
    const { link } = this;
    if (link === undefined || this.reportLeft === 0) return;
    const bytes = link.socket.write(this.report, REPORT_BYTES - this.reportLeft, this.reportLeft);
    if (bytes <= 0) return;
    this.reportLeft -= bytes;
    this.lastWrite = Date.now();
    if (this.reportLeft === 0) this.tell();
  }

  /** Heartbeat and house-keeping. */
  tick(time: number): void {
    this.flow.tick(time);
    if (this.link === undefined) return;
    const { haHousekeepingInterval, haSendHeartbeatInterval } = this.config;
    if (time - this.lastRead > haHousekeepingInterval) {
      this.broken(
        `the master was silent for ${time - this.lastRead} ms (haHousekeepingInterval=${haHousekeepingInterval})`,
      );
      return;
    }
    if (time - this.lastWrite > haSendHeartbeatInterval) this.write();
  }
}

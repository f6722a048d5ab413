import type { Socket } from "bun";
import { errorText } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { readLong, writeLong } from "../message/long.ts";
import { receiveNow } from "../os/receive.ts";
import { formatAddress, plainIp } from "../remoting/address.ts";
import type { ReplicationLog } from "../store/types.ts";
import { FlowMonitor } from "./flow-monitor.ts";
import { REPORT_BYTES, TRANSFER_HEADER_BYTES, TRANSFER_OFFSET_AT, TRANSFER_SIZE_AT } from "./layout.ts";
import type { HaConfig, HaSlaveStatus } from "./types.ts";

/** Blocks of one write are gathered here: eight of haTransferBatchSize's default. */
const OUT_BYTES = 260 * 1024;
/** A connection that lives so long is one, whatever it brings. */
const SETTLED_MS = 10_000;
/** Writes before others of the loop get their turn. */
const WRITES_PER_TURN = 4;

/** Reports that are taken before the loop comes to their socket. */
const reports = Buffer.allocUnsafeSlow(64 * REPORT_BYTES);

/** What a connection needs of the service. */
export interface ConnectionHost {
  readonly config: HaConfig;
  readonly log: ReplicationLog;
  readonly logger: Logger;
  /** Warnings that a peer can cause as often as it likes: they have a budget. */
  warnOfPeer(message: string, fields: Record<string, string>): void;
  /** The slave has said that it holds more. */
  acknowledged(): void;
  /** Why this slave is not to be served from `offset` although the log has it; undefined when it is. */
  refuses(host: string, offset: number): string | undefined;
  /** The last connection of this host was gone soon after it had asked for this offset, and was spoken of. */
  stuck(host: string, offset: number): boolean;
  /** A slave asked for what the master's log does not have. */
  metAhead(host: string, offset: number): void;
}

/** The master's end of one slave's connection [DefaultHAConnection]. */
export class HaConnection {
  /** IP address of the slave. */
  readonly peer: string;
  readonly addr: string;
  /** Last report; -1 before the first. */
  slaveAckOffset = -1;
  /** What is sent next; -1 before the first report. */
  transferFromWhere = -1;
  /** Why nothing is sent to this slave: heartbeats only, and what it reports counts for nothing. */
  refusal: string | undefined;
  readonly flow = new FlowMonitor();
  closed = false;

  private readonly report = Buffer.alloc(REPORT_BYTES);
  private reportBytes = 0;
  private readonly out = Buffer.allocUnsafeSlow(OUT_BYTES);
  private readonly view = new DataView(this.out.buffer, this.out.byteOffset, OUT_BYTES);
  private outStart = 0;
  private outEnd = 0;
  private readingCold = false;
  /** Neither side has a log yet: what comes first says where it begins. */
  private undecided = false;
  private continuing = false;
  private firstReport = 0;
  private quiet = false;
  private readonly openedAt = Date.now();
  private lastRead = Date.now();
  private lastWrite = Date.now();

  constructor(
    private readonly socket: Socket<HaConnection | undefined>,
    private readonly host: ConnectionHost,
  ) {
    this.peer = plainIp(socket.remoteAddress);
    this.addr = formatAddress(this.peer, socket.remotePort);
  }

  /** Offset up to which this slave counts; -1 for none. */
  get confirmed(): number {
    return this.refusal === undefined ? this.slaveAckOffset : -1;
  }

  /** It brought the slave something, or has lived for a while. */
  get useful(): boolean {
    return this.slaveAckOffset > this.firstReport || Date.now() - this.openedAt > SETTLED_MS;
  }

  status(maxOffset: number): HaSlaveStatus {
    return {
      addr: this.addr,
      slaveAckOffset: this.slaveAckOffset,
      diff: maxOffset - this.slaveAckOffset,
      inSync: this.inSync(maxOffset),
      transferFromWhere: this.transferFromWhere,
      transferredByteInSecond: this.flow.transferredByteInSecond,
      refusal: this.refusal,
    };
  }

  /** [DefaultHAService#isInSyncSlave] */
  inSync(offset: number): boolean {
    return this.confirmed >= 0 && offset - this.confirmed < this.host.config.haMaxGapNotInSync;
  }

  /** Bytes of the slave: reports, of which the last whole one counts. */
  received(chunk: Buffer): void {
    this.lastRead = Date.now();
    let at = 0;
    let latest = Number.NaN;
    if (this.reportBytes > 0) {
      at = chunk.copy(this.report, this.reportBytes, 0, REPORT_BYTES - this.reportBytes);
      this.reportBytes += at;
      if (this.reportBytes < REPORT_BYTES) return;
      this.reportBytes = 0;
      latest = readLong(this.report, 0);
    }
    const rest = (chunk.length - at) % REPORT_BYTES;
    if (chunk.length - rest > at) latest = readLong(chunk, chunk.length - rest - REPORT_BYTES);
    this.reportBytes = chunk.copy(this.report, 0, chunk.length - rest);
    if (!Number.isNaN(latest)) this.reported(latest);
  }

  /** Takes reports that are there already; a closed socket has no descriptor, what is not a report is left to the loop. */
  collect(): void {
    if (this.closed || this.slaveAckOffset >= this.transferFromWhere) return;
    const { fd } = this.socket as unknown as { readonly fd: number };
    const bytes = receiveNow(fd, reports);
    if (bytes > 0) this.received(reports.subarray(0, bytes));
  }

  private reported(offset: number): void {
    const first = this.transferFromWhere < 0;
    if (offset < 0 || !Number.isSafeInteger(offset) || (!first && offset > this.transferFromWhere)) {
      const sent = first ? "an offset" : `${this.transferFromWhere} at most`;
      this.close(`it reports to hold the log up to ${offset}, wanted ${sent}`);
      return;
    }
    this.slaveAckOffset = offset;
    if (first) this.begin(offset);
    if (this.quiet && this.useful) this.sayCopies();
    if (this.refusal === undefined) this.host.acknowledged();
  }

  private sayCopies(): void {
    this.quiet = false;
    const behind = this.host.log.maxOffset - this.slaveAckOffset;
    this.host.logger.info("a slave copies the log", { slave: this.addr, from: this.slaveAckOffset, behind });
  }

  /** Where a slave begins: where its log ends; one without a log at the begin of the master's last file. */
  private begin(offset: number): void {
    const { log, logger } = this.host;
    const { maxOffset, minOffset } = log;
    this.firstReport = offset;
    this.transferFromWhere = offset === 0 ? maxOffset - (maxOffset % log.fileSize) : offset;
    this.undecided = offset === 0 && maxOffset === 0;
    const from = this.transferFromWhere;
    this.refusal = from > maxOffset ? this.ahead(from, maxOffset) : this.host.refuses(this.peer, from);
    if (from < minOffset) this.refusal = deletedText(from, minOffset);
    this.quiet = this.host.stuck(this.peer, offset);
    if (this.refusal === undefined) {
      if (!this.quiet) logger.info("a slave copies the log", { slave: this.addr, from, behind: maxOffset - from });
    } else logger.error(`a slave is connected and gets nothing: ${this.refusal}`, { slave: this.addr });
    this.pump();
    if (this.outEnd === 0 && !this.readingCold) this.heartbeat();
  }

  private ahead(from: number, maxOffset: number): string {
    this.host.metAhead(this.peer, from);
    return aheadText(from, maxOffset);
  }

  /** Sends what is new, as far as the socket takes it. */
  pump(): void {
    if (this.transferFromWhere < 0 || this.readingCold) return;
    if (this.undecided && this.host.log.maxOffset > 0) {
      this.undecided = false;
      this.transferFromWhere = this.host.log.minOffset;
    }
    for (let writes = 0; !this.closed && this.writeOut() && this.refusal === undefined; writes++) {
      if (writes >= WRITES_PER_TURN) {
        this.continueLater();
        return;
      }
      if (!this.fill()) return;
    }
  }

  private continueLater(): void {
    if (this.continuing) return;
    this.continuing = true;
    setImmediate(() => {
      this.continuing = false;
      this.pump();
    });
  }

  /** Largest part of a block. */
  private get blockBytes(): number {
    return Math.min(Math.max(1, this.host.config.haTransferBatchSize), OUT_BYTES - TRANSFER_HEADER_BYTES);
  }

  private get allowance(): number {
    const { haFlowControlEnable, maxHaTransferByteInSecond } = this.host.config;
    return haFlowControlEnable ? this.flow.allowance(maxHaTransferByteInSecond) : Number.POSITIVE_INFINITY;
  }

  /** Gathers blocks from the mapping; false when there is nothing to write now. */
  private fill(): boolean {
    const { log } = this.host;
    const block = this.blockBytes;
    let allowance = this.allowance;
    while (this.outEnd + TRANSFER_HEADER_BYTES + block <= OUT_BYTES && allowance > 0) {
      const range = log.select(this.transferFromWhere, Math.min(block, allowance));
      if (range === undefined) break;
      const bytes = range.end - range.start;
      if (!log.isInMemory(this.transferFromWhere, bytes)) {
        if (this.outEnd === 0) this.readCold(Math.min(allowance, OUT_BYTES));
        break;
      }
      this.put(range.buffer, range.start, bytes);
      allowance -= bytes;
    }
    return this.outEnd > 0;
  }

  private put(source: Buffer, start: number, bytes: number): void {
    this.putHeader(bytes);
    source.copy(this.out, this.outEnd, start, start + bytes);
    this.outEnd += bytes;
    this.transferFromWhere += bytes;
  }

  private putHeader(bytes: number): void {
    writeLong(this.view, this.outEnd + TRANSFER_OFFSET_AT, this.transferFromWhere);
    this.view.setInt32(this.outEnd + TRANSFER_SIZE_AT, bytes);
    this.outEnd += TRANSFER_HEADER_BYTES;
  }

  /** What is not in memory comes from the disk without blocking the loop. */
  private readCold(bytesMax: number): void {
    const { log } = this.host;
    const blocks = Math.floor(OUT_BYTES / (this.blockBytes + TRANSFER_HEADER_BYTES));
    const range = log.select(this.transferFromWhere, Math.min(bytesMax, blocks * this.blockBytes));
    if (range === undefined) return;
    this.readingCold = true;
    log
      .readCold(this.transferFromWhere, range.end - range.start)
      .then((buffer) => this.gotCold(buffer))
      .catch((error) => this.close(`reading the log at ${this.transferFromWhere} failed: ${errorText(error)}`));
  }

  private gotCold(buffer: Buffer | undefined): void {
    this.readingCold = false;
    if (this.closed) return;
    if (buffer === undefined) {
      this.close(`the log at ${this.transferFromWhere} was deleted while it was read`);
      return;
    }
    for (let at = 0; at < buffer.length; ) {
      const bytes = Math.min(this.blockBytes, buffer.length - at);
      this.put(buffer, at, bytes);
      at += bytes;
    }
    this.pump();
  }

  /** False while the socket takes no more. */
  private writeOut(): boolean {
    if (this.outStart === this.outEnd) return true;
    const bytes = this.socket.write(this.out, this.outStart, this.outEnd - this.outStart);
    if (bytes < 0) return false;
    if (bytes > 0) {
      this.outStart += bytes;
      this.flow.add(bytes);
      this.lastWrite = Date.now();
    }
    if (this.outStart < this.outEnd) return false;
    this.outStart = this.outEnd = 0;
    return true;
  }

  private heartbeat(): void {
    this.putHeader(0);
    this.writeOut();
  }

  /** Heartbeat, house-keeping and the next second of flow control. */
  tick(time: number): void {
    const { haHousekeepingInterval, haSendHeartbeatInterval } = this.host.config;
    if (time - this.lastRead > haHousekeepingInterval) {
      this.close(`it was silent for ${time - this.lastRead} ms (haHousekeepingInterval=${haHousekeepingInterval})`);
      return;
    }
    this.lookForDeleted();
    if (this.flow.tick(time)) this.pump();
    const idle = this.outEnd === 0 && !this.readingCold && this.transferFromWhere >= 0;
    if (idle && time - this.lastWrite > haSendHeartbeatInterval) this.heartbeat();
  }

  /** Retention may overtake a slave that is too slow. */
  private lookForDeleted(): void {
    const { log, logger } = this.host;
    if (this.refusal !== undefined || this.undecided || this.transferFromWhere < 0) return;
    if (this.transferFromWhere >= log.minOffset) return;
    this.refusal = deletedText(this.transferFromWhere, log.minOffset);
    logger.error(`a slave gets nothing more: ${this.refusal}`, { slave: this.addr });
  }

  /** Closes with a reason for the log. */
  close(reason: string): void {
    if (this.closed) return;
    this.host.warnOfPeer(`closing the connection of a slave: ${reason}`, { slave: this.addr });
    this.terminate();
  }

  terminate(): void {
    this.socket.terminate();
  }
}

/** Why a slave whose log is longer than the master's is not served. */
export function aheadText(from: number, maxOffset: number): string {
  return `its log ends at ${from}, this master's at ${maxOffset}: the slave holds what its master lost; keep one of the two logs and empty the other store`;
}

function deletedText(from: number, minOffset: number): string {
  return `it asks for offset ${from}, which is deleted here: the log begins at ${minOffset}; empty the slave's store to have it begin anew`;
}

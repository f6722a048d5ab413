import { networkInterfaces } from "node:os";
import { hostText } from "./record.ts";

const COMMA = 0x2c;
const HEX = Buffer.from("0123456789ABCDEF", "latin1");

/** Writes `source` as upper-case hex digits at `at`; returns the offset behind them. */
function writeHex(target: Buffer, at: number, source: Uint8Array): number {
  let next = at;
  for (let i = 0; i < source.length; i++) {
    const byte = source[i]!;
    target[next++] = HEX[byte >> 4]!;
    target[next++] = HEX[byte & 15]!;
  }
  return next;
}

function writeHexInt32(target: Buffer, at: number, value: number): number {
  for (let i = 0; i < 8; i++) target[at + i] = HEX[(value >>> (28 - 4 * i)) & 15]!;
  return at + 8;
}

/**
 * Writes the server's message id at `at`: hex of the store host (address, port as i32) and of the physical offset (i64)
 * [MessageDecoder#createMessageId]. 32 characters for IPv4, 56 for IPv6; returns the offset behind them.
 */
export function writeOffsetMsgId(target: Buffer, at: number, storeHost: Buffer, physicalOffset: number): number {
  const high = Math.floor(physicalOffset / 4294967296);
  const next = writeHex(target, at, storeHost);
  return writeHexInt32(target, writeHexInt32(target, next, high), physicalOffset - high * 4294967296);
}

const scratch = Buffer.alloc(64);

/** The server's message id as text. */
export function offsetMsgId(storeHost: Buffer, physicalOffset: number): string {
  return scratch.latin1Slice(0, writeOffsetMsgId(scratch, 0, storeHost, physicalOffset));
}

let idsScratch = Buffer.alloc(0);

/** The server's message ids of a batch as text, with commas between them. */
export function offsetMsgIds(storeHost: Buffer, physicalOffsets: readonly number[]): string {
  const idBytes = 2 * (storeHost.length + 8);
  const bytes = physicalOffsets.length * (idBytes + 1);
  if (idsScratch.length < bytes) idsScratch = Buffer.allocUnsafeSlow(bytes * 2);
  const target = idsScratch;
  let hostEnd = 0;
  let next = 0;
  for (const physicalOffset of physicalOffsets) {
    if (next === 0) next = hostEnd = writeHex(target, 0, storeHost);
    else next += target.copy(target, next, 0, hostEnd);
    const high = Math.floor(physicalOffset / 4294967296);
    next = writeHexInt32(target, writeHexInt32(target, next, high), physicalOffset - high * 4294967296);
    target[next++] = COMMA;
  }
  return target.latin1Slice(0, Math.max(0, next - 1));
}

/** Where an offsetMsgId points: `host` is `ip:port`. Undefined when it is not 32 or 56 hex digits or its offset is no offset. */
export function parseOffsetMsgId(text: string): { host: string; physicalOffset: number } | undefined {
  if (!/^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{56})$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "hex");
  const hostEnd = bytes.length - 8;
  const physicalOffset = bytes.readInt32BE(hostEnd) * 4294967296 + bytes.readUInt32BE(hostEnd + 4);
  if (!(physicalOffset >= 0 && physicalOffset <= Number.MAX_SAFE_INTEGER)) return undefined;
  return { host: hostText(bytes, 0, hostEnd), physicalOffset };
}

/** Address bytes that a unique id begins with: the first one of this machine that is not loopback, else loopback. */
function ownAddress(): Buffer {
  for (const entries of Object.values(networkInterfaces())) {
    for (const entry of entries ?? []) {
      if (entry.family === "IPv4" && !entry.internal) return Buffer.from(entry.address.split(".").map(Number));
    }
  }
  return Buffer.from([127, 0, 0, 1]);
}

/**
 * Ids in RocketMQ's layout [MessageClientIDSetter]: address (4), pid u16, i32 that tells several generators of one process
 * apart (Java: the class loader's hash), i32 ms since the month began in local time, u16 counter; 32 upper-case hex digits.
 */
export class UniqIdGenerator {
  private readonly text = Buffer.alloc(32);
  private counter = 0;
  private monthStart = 0;
  private nextMonth = 0;

  constructor() {
    const prefix = Buffer.alloc(10);
    ownAddress().copy(prefix, 0);
    prefix.writeUInt16BE(process.pid & 0xffff, 4);
    prefix.writeUInt32BE(crypto.getRandomValues(new Uint32Array(1))[0]!, 6);
    writeHex(this.text, 0, prefix);
  }

  /** A new id; `time` is ms since the epoch. */
  next(time: number = Date.now()): string {
    if (time >= this.nextMonth || time < this.monthStart) this.enterMonth(time);
    writeHexInt32(this.text, 20, time - this.monthStart);
    const count = this.counter;
    this.counter = (count + 1) & 0xffff;
    for (let i = 0; i < 4; i++) this.text[28 + i] = HEX[(count >>> (12 - 4 * i)) & 15]!;
    return this.text.latin1Slice(0, 32);
  }

  private enterMonth(time: number): void {
    const date = new Date(time);
    this.monthStart = new Date(date.getFullYear(), date.getMonth(), 1).getTime();
    this.nextMonth = new Date(date.getFullYear(), date.getMonth() + 1, 1).getTime();
  }
}

let generator: UniqIdGenerator | undefined;

/** A new unique id of this process. */
export function createUniqId(): string {
  generator ??= new UniqIdGenerator();
  return generator.next();
}

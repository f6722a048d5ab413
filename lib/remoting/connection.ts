import type { Socket } from "bun";
import { beginTurn, endTurn, now } from "../base/clock.ts";
import { errorText } from "../base/errors.ts";
import { giveBack } from "../base/give-back.ts";
import { linger } from "../base/linger.ts";
import type { Logger } from "../base/log.ts";
import type { LogLimit } from "../base/log-limit.ts";
import { formatAddress, hostBytes, plainIp } from "./address.ts";
import { Calls, nextOpaque } from "./calls.ts";
import { FLAG_ONEWAY, FLAG_RESPONSE, ResponseCode } from "./codes.ts";
import { encodeHead, type FrameHead, headBytesMax } from "./command.ts";
import { FrameError, RemotingSendError } from "./errors.ts";
import { FRAME_BYTES_MAX, FrameCutter, type FrameSink } from "./frame.ts";
import { beginOutputTurn, endOutputTurn, Output } from "./output.ts";
import type {
  Connection,
  RemotingCommand,
  RemotingRequest,
  RemotingResponse,
  ReplyTo,
  SerializeType,
} from "./types.ts";

/** Unsent bytes at which mq stops reading a peer that does not read: its next requests wait in the kernel. */
export const PENDING_BYTES_PAUSE = 16 * 1024 * 1024;
/** Unsent bytes at which it reads again. */
export const PENDING_BYTES_RESUME = 1024 * 1024;
/** Unsent bytes at which a peer is given up: replies to earlier requests and pushes pile up though it is not read. */
export const PENDING_BYTES_MAX = 128 * 1024 * 1024;
/** Lines about peers' faults in ten seconds, for all connections of one server or client. */
export const PEER_FAULT_LINES_MAX = 20;
/** Requests of ours that one peer may owe a response to. */
export const CALLS_MAX = 65_535;

/** Bodies from this size on are handed to the socket in place. */
const BODY_IN_PLACE_BYTES = 32 * 1024;

/** A chunk of so many bytes has filled the runtime's receive buffer: more waits in the kernel. */
export const FULL_CHUNK_BYTES = 512 * 1024;

const NOTHING = () => {};

/** What a server or client does with its connections. */
export interface ConnectionOwner {
  readonly logger: Logger;
  /** Warnings that any peer can cause: a scanner or a broken client must not fill the log. */
  readonly peerFaults: LogLimit;
  /** Header encoding of requests that start on this side. */
  readonly serializeType: SerializeType;
  /** One whole frame. Returns whether its bytes are kept beyond the turn. Throws FrameError to have the connection closed. */
  frame(connection: SocketConnection, buffer: Buffer, start: number, end: number): boolean;
  /** Runs once, when the socket is gone. */
  gone(connection: SocketConnection, reason: string): void;
  /** An error that is not the peer's fault. */
  fatal(error: unknown): void;
}

let lastId = 0;

/** One TCP connection: frames in, ordered bounded output, requests of ours that wait for a response. */
export class SocketConnection implements Connection {
  readonly id = ++lastId;
  readonly remoteAddress: string;
  readonly remoteHost: Buffer;
  readonly calls: Calls;
  lastReadTime = now();
  /** ms since the epoch at which the kernel last took bytes. */
  lastWriteTime = this.lastReadTime;
  #closed = false;
  #gone = false;
  /** Too much is unsent: no frame is served. */
  #paused = false;
  /** The socket is not read, and frames may wait in the cutter. */
  #stopped = false;
  #pauseTold = false;
  /** The owner wants nothing read. */
  #held = false;
  /** Somebody keeps bytes of the chunk whose frames are being served. */
  #chunkKept = false;
  /** Not read until the others had their turn. */
  #yielding = false;
  /** Frames served in this turn. */
  #frames = 0;
  #closeReason: string | undefined;
  readonly #socket: Socket<SocketConnection | undefined>;
  readonly #owner: ConnectionOwner;
  readonly #output: Output;
  readonly #cutter = new FrameCutter();
  readonly #sink: FrameSink;

  constructor(socket: Socket<SocketConnection | undefined>, owner: ConnectionOwner) {
    // A peer that is gone already has no address.
    const ip = plainIp(socket.remoteAddress || "0.0.0.0");
    const port = socket.remotePort || 0;
    this.#socket = socket;
    this.#owner = owner;
    this.remoteAddress = formatAddress(ip, port);
    this.remoteHost = hostBytes(ip, port);
    this.calls = new Calls(this.remoteAddress);
    this.#output = new Output(socket, this);
    this.#sink = (buffer, start, end) => {
      this.#frames++;
      if (owner.frame(this, buffer, start, end)) this.#chunkKept = true;
      return !this.#closed && !this.#paused;
    };
  }

  get closed(): boolean {
    return this.#closed;
  }

  get pendingBytes(): number {
    return this.#output.pendingBytes;
  }

  get out(): Buffer {
    return this.#output.buffer;
  }

  reserve(bytesMax: number): number {
    return this.#output.reserve(bytesMax);
  }

  commit(bytes: number): void {
    this.#output.commit(bytes);
  }

  writeRegion(buffer: Uint8Array, start: number, end: number, release: () => void): void {
    this.#output.writeRegion(buffer, start, end, release);
  }

  flush(): void {
    this.#output.flush();
  }

  reply(to: ReplyTo, response: RemotingResponse): void {
    if (to.oneway || this.#closed) return;
    const { opaque, serializeType } = to;
    const { code, remark, ext } = response;
    const body = bodyBytes(response.body);
    if (body !== undefined && body.length > FRAME_BYTES_MAX / 2 && tooLarge(response.ext, body)) {
      const refusal = `encode response: body of ${body.length} bytes, want a frame of at most ${FRAME_BYTES_MAX}`;
      this.#owner.logger.error(refusal, { peer: this.remoteAddress, code });
      this.#send(
        { code: ResponseCode.SYSTEM_ERROR, opaque, flag: FLAG_RESPONSE, serializeType, remark: refusal },
        undefined,
      );
      return;
    }
    this.#send({ code, opaque, flag: FLAG_RESPONSE, serializeType, remark, ext }, body);
  }

  invoke(request: RemotingRequest, timeoutMs: number): Promise<RemotingCommand> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const opaque = nextOpaque();
    try {
      this.#sendRequest(request, opaque, 0);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.calls.wait(opaque, request.code, timeoutMs);
  }

  invokeOneway(request: RemotingRequest): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
    this.#sendRequest(request, nextOpaque(), FLAG_ONEWAY);
  }

  /** Sends what is committed, then closes; requests that wait fail at once. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeReason = reason;
    this.#output.flush();
    this.#failCalls(reason);
    if (this.#output.pendingBytes === 0) this.#socket.end();
  }

  /** Closes at once and drops what is unsent. */
  terminate(reason: string): void {
    this.#closed = true;
    this.#closeReason ??= reason;
    this.#output.close();
    this.#failCalls(this.#closeReason);
    this.#socket.terminate();
  }

  /** A chunk from the socket: all its frames, then one write per connection that has something to say. */
  received(chunk: Buffer): void {
    if (this.#closed) return;
    this.lastReadTime = beginTurn();
    beginOutputTurn();
    const bytes = chunk.length;
    this.#chunkKept = !this.#cutter.done;
    this.#frames = 0;
    try {
      this.#cutter.push(chunk, this.#sink);
    } catch (error) {
      this.#chunkKept = true;
      this.#broken(error);
    } finally {
      endOutputTurn();
      endTurn();
    }
    if (!this.#chunkKept && this.#cutter.done) giveBack(chunk);
    linger.turnDone(this.#frames);
    if (bytes >= FULL_CHUNK_BYTES) this.#yieldReading();
  }

  drained(): void {
    this.#output.drain();
    if (this.#closed) {
      if (this.#output.pendingBytes === 0) this.#socket.end();
    } else if (this.#stopped && !this.#paused) {
      this.#goOn();
    }
  }

  /** Stops reading the socket, or reads on; what the peer sends meanwhile waits in the kernel. */
  holdReading(hold: boolean): void {
    if (this.#held === hold || this.#closed) return;
    this.#held = hold;
    if (hold) this.#socket.pause();
    else this.#resume();
  }

  /** The runtime reads one socket on and on while its peer keeps the receive buffer full: the others come first now. */
  #yieldReading(): void {
    if (this.#yielding || this.#held || this.#stopped || this.#closed) return;
    this.#yielding = true;
    this.#socket.pause();
    setImmediate(this.#readOn);
  }

  readonly #readOn = (): void => {
    this.#yielding = false;
    if (!this.#closed) this.#resume();
  };

  #resume(): void {
    if (!this.#held && !this.#stopped && !this.#yielding) this.#socket.resume();
  }

  /** The peer reads again: serves the requests that had already arrived, then reads on. */
  #goOn(): void {
    beginTurn();
    beginOutputTurn();
    try {
      if (this.#cutter.continue(this.#sink)) {
        this.#stopped = false;
        this.#resume();
      }
    } catch (error) {
      this.#broken(error);
    } finally {
      endOutputTurn();
      endTurn();
    }
  }

  /** The socket is closed. */
  socketClosed(error: Error | undefined): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#closed = true;
    const reason = this.#closeReason ?? (error === undefined ? "peer" : `error: ${errorText(error)}`);
    this.#output.close();
    this.#failCalls(reason);
    this.#owner.gone(this, reason);
  }

  wrote(): void {
    this.lastWriteTime = now();
  }

  pendingChanged(pendingBytes: number): void {
    if (pendingBytes > PENDING_BYTES_MAX) {
      this.#owner.peerFaults.write(
        `close connection: peer does not read, ${pendingBytes} bytes unsent, want at most ${PENDING_BYTES_MAX}`,
        {
          peer: this.remoteAddress,
        },
      );
      // Not from inside the write that found it out: its caller still uses the output.
      queueMicrotask(() => this.terminate("error: peer does not read"));
    } else if (pendingBytes > PENDING_BYTES_PAUSE && !this.#paused) {
      this.#paused = true;
      this.#stopped = true;
      this.#socket.pause();
      if (this.#pauseTold) return;
      this.#pauseTold = true;
      this.#owner.peerFaults.write("stop reading from a peer that does not read its responses", {
        peer: this.remoteAddress,
        pendingBytes,
      });
    } else if (pendingBytes <= PENDING_BYTES_RESUME && this.#paused) {
      this.#paused = false;
    }
  }

  failed(): void {
    // Not from inside the write that found it out: its caller still uses the output.
    queueMicrotask(() => {
      if (!this.#gone) this.terminate("error: what it was to be told was not stored");
    });
  }

  #broken(error: unknown): void {
    if (error instanceof FrameError) {
      this.#owner.peerFaults.write(`close connection: ${errorText(error)}`, { peer: this.remoteAddress });
      this.close(`protocol: ${errorText(error)}`);
      return;
    }
    this.#owner.logger.error(`close connection: ${errorText(error)}`, { peer: this.remoteAddress });
    this.close(`error: ${errorText(error)}`);
    this.#owner.fatal(error);
  }

  #failCalls(reason: string): void {
    if (this.calls.size === 0) return;
    const text = `wait for responses of ${this.remoteAddress}: connection closed (${reason})`;
    this.calls.failAll(new RemotingSendError(text, this.remoteAddress));
  }

  #refusal(): RemotingSendError | undefined {
    const address = this.remoteAddress;
    if (this.#closed)
      return new RemotingSendError(
        `send request to ${address}: connection closed (${this.#closeReason ?? "peer"})`,
        address,
      );
    if (this.calls.size >= CALLS_MAX) {
      return new RemotingSendError(
        `send request to ${address}: ${CALLS_MAX} requests wait for a response, want fewer`,
        address,
      );
    }
    if (this.#paused) {
      return new RemotingSendError(
        `send request to ${address}: peer does not read, ${this.pendingBytes} bytes unsent`,
        address,
      );
    }
    return undefined;
  }

  #sendRequest(request: RemotingRequest, opaque: number, flag: number): void {
    const body = bodyBytes(request.body);
    if (body !== undefined && body.length > FRAME_BYTES_MAX / 2 && tooLarge(request.ext, body)) {
      throw new RangeError(`encode request: body of ${body.length} bytes, want a frame of at most ${FRAME_BYTES_MAX}`);
    }
    const serializeType = request.code > 0x7fff ? 0 : this.#owner.serializeType;
    this.#send({ code: request.code, opaque, flag, serializeType, remark: request.remark, ext: request.ext }, body);
  }

  #send(head: FrameHead, body: Buffer | undefined): void {
    const output = this.#output;
    const length = body?.length ?? 0;
    const copied = length < BODY_IN_PLACE_BYTES;
    const at = output.reserve(headBytesMax(head) + (copied ? length : 0));
    let end = encodeHead(output.buffer, at, head, length);
    if (copied && body !== undefined) end += body.copy(output.buffer, end);
    output.commit(end - at);
    if (!copied && body !== undefined) output.writeRegion(body, 0, length, NOTHING);
  }
}

function bodyBytes(body: Uint8Array | string | undefined): Buffer | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "string") return Buffer.from(body);
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

function tooLarge(ext: FrameHead["ext"], body: Buffer): boolean {
  return headBytesMax({ code: 0, opaque: 0, flag: 0, serializeType: 0, ext }) + body.length > FRAME_BYTES_MAX;
}

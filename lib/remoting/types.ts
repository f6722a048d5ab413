/**
 * The contract between the wire and everything above it. `server.ts` and `client.ts` implement it; processors and the
 * client library see only these types.
 */

/** 0 = JSON header, 1 = ROCKETMQ binary header. A response repeats the type of its request. */
export type SerializeType = 0 | 1;

/** One decoded frame. `ext` has a null prototype; `body` is a view of the received chunk and may be kept. */
export interface RemotingCommand {
  code: number;
  /** Index into LANGUAGES; -1 when the peer named an unknown one. */
  language: number;
  version: number;
  opaque: number;
  flag: number;
  remark: string | undefined;
  ext: Record<string, string>;
  body: Buffer | undefined;
  serializeType: SerializeType;
}

/** What a processor answers; the server adds opaque, flag, language, version and serialize type. */
export interface RemotingResponse {
  code: number;
  remark?: string | undefined;
  /** Values that are undefined are left out; numbers and booleans are written as decimal and true/false. */
  ext?: Record<string, string | number | boolean | undefined> | undefined;
  body?: Uint8Array | string | undefined;
}

/** A request before its header is decoded: one object per server, reused, valid only during the synchronous call. */
export interface RawRequest {
  code: number;
  opaque: number;
  flag: number;
  /** 0 and -1 when the header did not say. */
  version: number;
  language: number;
  serializeType: SerializeType;
  /** The received chunk. Its memory is given back when the turn ends: what is wanted later is copied. */
  buffer: Buffer;
  headerStart: number;
  headerEnd: number;
  bodyStart: number;
  bodyEnd: number;
}

/** What must be remembered of a request to answer it later. */
export interface ReplyTo {
  opaque: number;
  serializeType: SerializeType;
  oneway: boolean;
}

export interface Connection {
  readonly id: number;
  /** `ip:port` of the peer. */
  readonly remoteAddress: string;
  /** Peer as it stands in a record: 4 or 16 address bytes and the port as int32. 8 or 20 bytes. */
  readonly remoteHost: Buffer;
  /** ms since the epoch of the last frame read from the peer. */
  readonly lastReadTime: number;
  readonly closed: boolean;
  /** Bytes accepted for this peer and not yet taken by the kernel. */
  readonly pendingBytes: number;
  /** Answers a request (dropped silently when oneway or closed). All answers of one turn leave in one write. */
  reply(to: ReplyTo, response: RemotingResponse): void;
  /** Output of this turn. `reserve(n)` makes room and returns the offset to write at; `commit(n)` says how much was used. */
  readonly out: Buffer;
  reserve(bytesMax: number): number;
  commit(bytes: number): void;
  /** Queues `buffer[start,end)` behind what was committed, without a copy; `release` runs once when it left or the peer is gone. */
  writeRegion(buffer: Uint8Array, start: number, end: number, release: () => void): void;
  /** Ends this turn's output now; needed only outside a data callback (timers, promises). Scheduled by itself at the next microtask otherwise. */
  flush(): void;
  /** Sends a request to the peer and waits for its response. Rejects with RemotingTimeoutError or RemotingSendError. */
  invoke(request: RemotingRequest, timeoutMs: number): Promise<RemotingCommand>;
  invokeOneway(request: RemotingRequest): void;
  close(reason: string): void;
}

/** A request to be sent: the sender fills opaque, language, version and serialize type. */
export interface RemotingRequest {
  code: number;
  ext?: Record<string, string | number | boolean | undefined> | undefined;
  body?: Uint8Array | string | undefined;
  remark?: string | undefined;
}

/** Ordinary processor: returns the response, a promise of it, or undefined when it replies later itself through `connection.reply`. */
export type Processor = (
  request: RemotingCommand,
  connection: Connection,
) => RemotingResponse | undefined | Promise<RemotingResponse | undefined>;

/** Hot-path processor: sees the frame undecoded and writes its own response. Runs without an await up to the answer or the wait. */
export type RawProcessor = (request: RawRequest, connection: Connection) => void;

/** One row of a server's table. */
export type ProcessorEntry = { processor: Processor } | { raw: RawProcessor };
export type ProcessorTable = ReadonlyMap<number, ProcessorEntry>;

export interface RemotingServerOptions {
  hostname: string;
  port: number;
  processors: ProcessorTable;
  /** Runs before any processor; a response returned refuses the request (SYSTEM_BUSY, GO_AWAY). */
  gate?: (code: number, connection: Connection) => RemotingResponse | undefined;
  onOpen?: (connection: Connection) => void;
  /** `reason` says who closed and why: idle, peer, error, protocol. */
  onClose?: (connection: Connection, reason: string) => void;
  /** An exception no processor meant: logged, answered with code 1; `fatal` errors (assertions) are passed on here. */
  onFatal?: (error: unknown, code: number) => void;
  idleSeconds?: number;
  backlog?: number;
}

export interface RemotingServer {
  readonly port: number;
  readonly connections: ReadonlySet<Connection>;
  /** Reads no connection, not even new ones, until it is called with false. */
  holdReading(hold: boolean): void;
  /** Stops accepting. */
  stopListening(): void;
  /** Flushes and closes every connection; resolves when all are gone or after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export interface RemotingClient {
  /** Sends on the one shared connection to `address` (`host:port`), opened on first use. Rejects with a RemotingError. */
  invoke(address: string, request: RemotingRequest, timeoutMs: number): Promise<RemotingCommand>;
  invokeOneway(address: string, request: RemotingRequest, timeoutMs: number): Promise<void>;
  closeAddress(address: string, reason: string): void;
  close(): Promise<void>;
}

import type { Socket } from "bun";
import { errorText } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { LogLimit } from "../base/log-limit.ts";
import { parseAddress } from "./address.ts";
import { FLAG_RESPONSE } from "./codes.ts";
import { decodeCommand } from "./command.ts";
import { type ConnectionOwner, PEER_FAULT_LINES_MAX, SocketConnection } from "./connection.ts";
import { Dispatcher } from "./dispatch.ts";
import { RemotingConnectError, RemotingSendError } from "./errors.ts";
import { closeIdle, IDLE_SECONDS } from "./idle.ts";
import type {
  Connection,
  ProcessorTable,
  RemotingClient,
  RemotingCommand,
  RemotingRequest,
  SerializeType,
} from "./types.ts";

/** [NettyClientConfig#connectTimeoutMillis] */
const CONNECT_TIMEOUT_MS = 3_000;

/** How long a closing client waits for its peers to take the last bytes. */
const CLOSE_TIMEOUT_MS = 1_000;

export interface RemotingClientOptions {
  connectTimeoutMs?: number;
  idleSeconds?: number;
  /** Header encoding of requests: 0 JSON (default), 1 ROCKETMQ. */
  serializeType?: SerializeType;
  /** Ordinary processors for requests that peers send to this client. */
  processors?: ProcessorTable;
  /** Every request as it is to leave: with a signature. */
  sign?: (request: RemotingRequest) => RemotingRequest;
  /** A connection was opened or is gone; `address` as given to invoke. */
  onOpen?: (connection: Connection, address: string) => void;
  onClose?: (connection: Connection, address: string, reason: string) => void;
}

/** A client with one shared connection per address, opened on first use. */
export function createRemotingClient(options: RemotingClientOptions = {}): RemotingClient {
  return new Client(options);
}

interface Peer {
  address: string;
  opening: Promise<SocketConnection>;
  connection: SocketConnection | undefined;
}

class Client implements RemotingClient, ConnectionOwner {
  readonly logger: Logger = createLogger("remoting");
  readonly peerFaults = new LogLimit(PEER_FAULT_LINES_MAX, this.logger.warn);
  readonly serializeType: SerializeType;
  readonly #options: RemotingClientOptions;
  readonly #dispatcher: Dispatcher;
  readonly #peers = new Map<string, Peer>();
  readonly #connections = new Map<SocketConnection, Peer>();
  readonly #stopIdle: () => void;
  readonly #sign: ((request: RemotingRequest) => RemotingRequest) | undefined;
  #closed = false;

  constructor(options: RemotingClientOptions) {
    this.#options = options;
    this.#sign = options.sign;
    this.serializeType = options.serializeType ?? 0;
    this.#dispatcher = new Dispatcher(options.processors ?? new Map(), this.logger, (error) => this.fatal(error));
    this.#stopIdle = closeIdle(
      { [Symbol.iterator]: () => this.#connections.keys() },
      options.idleSeconds ?? IDLE_SECONDS,
    );
  }

  invoke(address: string, request: RemotingRequest, timeoutMs: number): Promise<RemotingCommand> {
    const signed = this.#sign === undefined ? request : this.#sign(request);
    const open = this.#peers.get(address)?.connection;
    if (open !== undefined && !open.closed) return open.invoke(signed, timeoutMs);
    return this.#invokeOnNew(address, signed, timeoutMs);
  }

  async invokeOneway(address: string, request: RemotingRequest, timeoutMs: number): Promise<void> {
    const connection = this.#peers.get(address)?.connection ?? (await this.#open(address, timeoutMs));
    connection.invokeOneway(this.#sign === undefined ? request : this.#sign(request));
  }

  closeAddress(address: string, reason: string): void {
    this.#peers.get(address)?.connection?.close(reason);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopIdle();
    const peers = Array.from(this.#peers.values());
    for (const { connection } of peers) connection?.close("client closed");
    await Promise.allSettled(peers.map(({ opening }) => opening));
    const deadline = performance.now() + CLOSE_TIMEOUT_MS;
    while (this.#connections.size > 0 && performance.now() < deadline) await Bun.sleep(1);
    for (const connection of this.#connections.keys()) connection.terminate("client closed");
  }

  frame(connection: SocketConnection, buffer: Buffer, start: number, end: number): boolean {
    const command = decodeCommand(buffer, start, end);
    if ((command.flag & FLAG_RESPONSE) !== 0) {
      if (!connection.calls.complete(command))
        this.logger.debug("drop response: nobody waits for it", {
          peer: connection.remoteAddress,
          opaque: command.opaque,
        });
    } else {
      const entry = this.#dispatcher.entry(command.code);
      if (entry !== undefined && "processor" in entry) this.#dispatcher.run(entry.processor, command, connection);
      else this.#dispatcher.unknown(command, connection);
    }
    return command.body !== undefined;
  }

  gone(connection: SocketConnection, reason: string): void {
    const peer = this.#connections.get(connection);
    this.#connections.delete(connection);
    if (peer === undefined) return;
    if (this.#peers.get(peer.address) === peer) this.#peers.delete(peer.address);
    this.#options.onClose?.(connection, peer.address, reason);
  }

  fatal(error: unknown): void {
    queueMicrotask(() => {
      throw error;
    });
  }

  async #invokeOnNew(address: string, request: RemotingRequest, timeoutMs: number): Promise<RemotingCommand> {
    const begin = performance.now();
    const connection = await this.#open(address, timeoutMs);
    return connection.invoke(request, Math.max(1, timeoutMs - (performance.now() - begin)));
  }

  #open(address: string, timeoutMs: number): Promise<SocketConnection> {
    if (this.#closed) return Promise.reject(new RemotingSendError(`connect to ${address}: client is closed`, address));
    let peer = this.#peers.get(address);
    if (peer === undefined || peer.connection?.closed === true) {
      const limitMs = Math.min(timeoutMs, this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
      const fresh: Peer = { address, opening: this.#connect(address, limitMs), connection: undefined };
      fresh.opening.then(
        (connection) => this.#opened(fresh, connection),
        () => {
          if (this.#peers.get(address) === fresh) this.#peers.delete(address);
        },
      );
      this.#peers.set(address, fresh);
      peer = fresh;
    }
    return peer.opening;
  }

  #opened(peer: Peer, connection: SocketConnection): void {
    peer.connection = connection;
    this.#connections.set(connection, peer);
    if (this.#closed) connection.close("client closed");
    else this.#options.onOpen?.(connection, peer.address);
  }

  #connect(address: string, timeoutMs: number): Promise<SocketConnection> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown) => {
        clearTimeout(timer);
        reject(new RemotingConnectError(`connect to ${address}`, address, { cause: error }));
      };
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        fail(new Error(`no answer in ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
      const opened = (socket: Socket<SocketConnection | undefined>) => {
        clearTimeout(timer);
        if (late) {
          socket.terminate();
          return;
        }
        socket.setNoDelay(true);
        const connection = new SocketConnection(socket, this);
        socket.data = connection;
        resolve(connection);
      };
      try {
        const { hostname, port } = parseAddress(address);
        Bun.connect<SocketConnection | undefined>({
          hostname,
          port,
          allowHalfOpen: false,
          data: undefined,
          socket: {
            open: opened,
            data: (socket, chunk) => socket.data?.received(chunk),
            drain: (socket) => socket.data?.drained(),
            close: (socket, error) => socket.data?.socketClosed(error),
            error: (socket, error) => socket.data?.terminate(`error: ${errorText(error)}`),
            connectError: (_socket, error) => fail(error),
          },
        }).catch(fail);
      } catch (error) {
        fail(error);
      }
    });
  }
}

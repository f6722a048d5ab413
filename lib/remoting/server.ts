import type { SocketHandler, TCPSocketListener } from "bun";
import { errorText } from "../base/errors.ts";
import { createLogger, type Logger } from "../base/log.ts";
import { LogLimit } from "../base/log-limit.ts";
import { turnObserver } from "../base/turn-watch.ts";
import { FLAG_RESPONSE } from "./codes.ts";
import { decodeCommand } from "./command.ts";
import { type ConnectionOwner, PEER_FAULT_LINES_MAX, SocketConnection } from "./connection.ts";
import { Dispatcher, replyTo } from "./dispatch.ts";
import { closeIdle, IDLE_SECONDS } from "./idle.ts";
import { listenError } from "./listen-error.ts";
import { fillRawRequest, newRawRequest } from "./raw-request.ts";
import type { RawRequest, RemotingServer, RemotingServerOptions, SerializeType } from "./types.ts";

/** How often a stopping server looks whether everything has left. */
const CLOSE_POLL_MS = 5;

/** Connections of one server; more are refused. */
const CONNECTIONS_MAX = 65_536;

/** Shorter turns explain no pause. */
const OBSERVED_MS_MIN = 1;

type ServerSocketHandler = SocketHandler<SocketConnection | undefined>;

/** Starts listening. Rejects with an MqError that names host, port and, where it is known, who holds the port. */
export async function createRemotingServer(options: RemotingServerOptions): Promise<RemotingServer> {
  const server = new Server(options);
  await server.listen();
  return server;
}

class Server implements RemotingServer, ConnectionOwner {
  readonly logger: Logger = createLogger("remoting");
  readonly peerFaults = new LogLimit(PEER_FAULT_LINES_MAX, this.logger.warn);
  readonly serializeType: SerializeType = 0;
  readonly connections = new Set<SocketConnection>();
  readonly #options: RemotingServerOptions;
  readonly #refused = new LogLimit(1, this.logger.warn);
  readonly #dispatcher: Dispatcher;
  readonly #stopIdle: () => void;
  /** Reused for every request. */
  readonly #raw: RawRequest = newRawRequest();
  #listener: TCPSocketListener<SocketConnection | undefined> | undefined;
  #port = 0;
  #held = false;

  constructor(options: RemotingServerOptions) {
    this.#options = options;
    this.#dispatcher = new Dispatcher(options.processors, this.logger, (error, code) => options.onFatal?.(error, code));
    this.#stopIdle = closeIdle(this.connections, options.idleSeconds ?? IDLE_SECONDS);
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    const { hostname, port } = this.#options;
    try {
      this.#listener = Bun.listen<SocketConnection | undefined>({
        hostname,
        port,
        allowHalfOpen: false,
        data: undefined,
        socket: this.#handler(),
      });
      this.#port = this.#listener.port;
    } catch (error) {
      this.#stopIdle();
      throw await listenError(hostname, port, error);
    }
  }

  frame(connection: SocketConnection, buffer: Buffer, start: number, end: number): boolean {
    const raw = this.#raw;
    fillRawRequest(raw, buffer, start, end);
    if ((raw.flag & FLAG_RESPONSE) !== 0) {
      const response = decodeCommand(buffer, start, end);
      if (!connection.calls.complete(response))
        this.logger.debug("drop response: nobody waits for it", {
          peer: connection.remoteAddress,
          opaque: response.opaque,
        });
      return response.body !== undefined;
    }
    const gate = this.#options.gate;
    const refusal = gate === undefined ? undefined : gate(raw.code, connection);
    if (refusal !== undefined) {
      connection.reply(replyTo(raw), refusal);
      return false;
    }
    const entry = this.#dispatcher.entry(raw.code);
    if (entry === undefined) {
      this.#dispatcher.unknown(raw, connection);
      return false;
    }
    if ("raw" in entry) {
      this.#runRaw(entry.raw, connection);
      return false;
    }
    const request = decodeCommand(buffer, start, end);
    this.#dispatcher.run(entry.processor, request, connection);
    return request.body !== undefined;
  }

  gone(connection: SocketConnection, reason: string): void {
    this.connections.delete(connection);
    this.#options.onClose?.(connection, reason);
  }

  fatal(error: unknown): void {
    this.#options.onFatal?.(error, -1);
  }

  holdReading(hold: boolean): void {
    this.#held = hold;
    for (const connection of this.connections) connection.holdReading(hold);
  }

  stopListening(): void {
    this.#listener?.stop(false);
    this.#listener = undefined;
  }

  async close(graceMs: number): Promise<void> {
    this.stopListening();
    for (const connection of this.connections) connection.close("server stops");
    const deadline = Date.now() + graceMs;
    while (this.connections.size > 0 && Date.now() < deadline) await Bun.sleep(CLOSE_POLL_MS);
    this.#stopIdle();
    for (const connection of this.connections) connection.terminate("server stops");
  }

  #runRaw(processor: (request: RawRequest, connection: SocketConnection) => void, connection: SocketConnection): void {
    try {
      processor(this.#raw, connection);
    } catch (error) {
      this.#dispatcher.fail(error, this.#raw, connection);
    }
  }

  #observed(
    connection: SocketConnection | undefined,
    chunk: Buffer,
    observer: (ms: number, what: string) => void,
  ): void {
    const begun = performance.now();
    const bytes = chunk.length;
    connection?.received(chunk);
    const ms = performance.now() - begun;
    if (ms >= OBSERVED_MS_MIN)
      observer(ms, `${bytes} bytes of ${connection?.remoteAddress}, last request code ${this.#raw.code}`);
  }

  #handler(): ServerSocketHandler {
    return {
      open: (socket) => {
        if (this.connections.size >= CONNECTIONS_MAX) {
          this.#refused.write(`refuse connection: ${CONNECTIONS_MAX} are open, want fewer`, {
            peer: socket.remoteAddress,
          });
          socket.terminate();
          return;
        }
        const connection = new SocketConnection(socket, this);
        socket.data = connection;
        this.connections.add(connection);
        if (this.#held) connection.holdReading(true);
        this.#options.onOpen?.(connection);
      },
      data: (socket, chunk) => {
        const observer = turnObserver();
        if (observer === undefined) socket.data?.received(chunk);
        else this.#observed(socket.data, chunk, observer);
      },
      drain: (socket) => socket.data?.drained(),
      close: (socket, error) => socket.data?.socketClosed(error),
      error: (socket, error) => {
        this.logger.error(`serve connection: ${errorText(error)}`, { peer: socket.data?.remoteAddress });
        socket.data?.terminate(`error: ${errorText(error)}`);
      },
    };
  }
}

import type { Socket } from "bun";
import { errorText, MqError } from "../../base/errors.ts";
import type { Recorder } from "./recorder.ts";

const RETRY_MS = 500;

export interface LinkUse {
  host: string;
  port: number;
  /** In errors: `producer` or `consumer`. */
  who: string;
  /** The connection is there, for the first time or again. */
  onOpen: () => void;
  onData: (chunk: Buffer) => void;
  onDrain: () => void;
  /** What was under way on it is lost. */
  onLost: () => void;
}

/** One connection of a load to one broker: opened once, and again and again when it is lost, until it is closed. */
export class Link {
  readonly #use: LinkUse;
  readonly #recorder: Recorder;
  readonly #address: string;
  #socket: Socket | undefined;
  #retry: Timer | undefined;
  #closed = false;
  /** When it was lost, ms of performance.now(); undefined while it is there. */
  downSince: number | undefined;

  constructor(use: LinkUse, recorder: Recorder) {
    this.#use = use;
    this.#recorder = recorder;
    this.#address = `${use.host}:${use.port}`;
  }

  get up(): boolean {
    return this.#socket !== undefined;
  }

  /** Opens it for the first time. Throws when that is not possible. */
  async open(): Promise<void> {
    const { host, port, onData, onDrain } = this.#use;
    const socket = await Bun.connect({
      hostname: host,
      port,
      socket: {
        binaryType: "buffer",
        data: (_, chunk) => onData(chunk),
        drain: () => onDrain(),
        error: (own, error) => this.#lost(own, errorText(error)),
        close: (own) => this.#lost(own, "connection closed"),
      },
    }).catch((cause: unknown) => {
      throw new MqError(`connect to ${this.#address}: ${errorText(cause)}`);
    });
    if (this.#closed) {
      socket.terminate();
      return;
    }
    socket.setNoDelay(true);
    this.#socket = socket;
    if (this.downSince !== undefined) this.#recorder.linkUp(this.#address);
    this.downSince = undefined;
    this.#use.onOpen();
  }

  write(bytes: Buffer, at: number, length: number): number {
    return this.#socket?.write(bytes, at, length) ?? 0;
  }

  /** Gives it up and opens another one. */
  drop(why: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#lost(socket, why);
    socket.terminate();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.terminate();
  }

  #lost(socket: Socket, why: string): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.downSince = performance.now();
    this.#recorder.count(`${this.#use.who}: ${why}`);
    this.#recorder.linkDown(this.#address, why);
    this.#use.onLost();
    this.#again();
  }

  #again(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.open().catch(() => this.#again()), RETRY_MS);
  }
}

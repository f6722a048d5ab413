import type { Socket } from "bun";
import { decodeCommand } from "../../lib/remoting/command.ts";
import { FrameCutter } from "../../lib/remoting/frame.ts";
import type { RemotingCommand } from "../../lib/remoting/types.ts";

/** Waits until `condition` holds; the test's own time-out is the limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await Bun.sleep(1);
}

/** A peer made of a bare socket: sends what it is told, byte for byte, and collects the frames that come back. */
export class RawPeer implements AsyncDisposable {
  readonly frames: RemotingCommand[] = [];
  /** Data callbacks that brought bytes. */
  chunks = 0;
  bytes = 0;
  closed = false;
  readonly #cutter = new FrameCutter();
  #socket: Socket<undefined> | undefined;
  #unsent: Buffer[] = [];

  static async connect(port: number): Promise<RawPeer> {
    const peer = new RawPeer();
    peer.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_socket, chunk) => peer.#received(chunk),
        drain: () => peer.#drain(),
        close: () => {
          peer.closed = true;
        },
        error: () => {
          peer.closed = true;
        },
      },
    });
    return peer;
  }

  send(...parts: Buffer[]): void {
    this.#unsent.push(...parts);
    this.#drain();
  }

  /** Waits for `count` frames in all. */
  async received(count: number): Promise<RemotingCommand[]> {
    await until(() => this.frames.length >= count || this.closed);
    return this.frames;
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** Ends the sending side only. */
  shutdown(): void {
    this.#socket?.shutdown(true);
  }

  end(): void {
    this.#socket?.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket?.terminate();
    await until(() => this.closed);
  }

  #received(chunk: Buffer): void {
    this.chunks++;
    this.bytes += chunk.length;
    this.#cutter.push(chunk, (buffer, start, end) => {
      this.frames.push(decodeCommand(buffer, start, end));
      return true;
    });
  }

  #drain(): void {
    while (this.#unsent.length > 0) {
      const part = this.#unsent[0]!;
      const written = this.#socket?.write(part) ?? -1;
      if (written < part.length) {
        if (written > 0) this.#unsent[0] = part.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
  }
}

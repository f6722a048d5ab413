import type { Socket } from "bun";

interface Pair {
  client: Socket<Pair>;
  server: Socket<Pair> | undefined;
  /** Bytes for each side that its socket has not taken, and those that came before the server's side stood. */
  toServer: Buffer[];
  toClient: Buffer[];
  closed: boolean;
}

/** How the proxy treats the bytes from master to slave. */
export interface Trouble {
  /** Pieces of so many bytes. */
  splitBytes?: number;
  /** ms before each piece. */
  delayMs?: number;
  /** Cuts the connection when so many bytes of the master went through it. */
  cutAfter?: number;
}

/** Between slave and master: forwards, delays, splits and cuts. */
export class FaultProxy implements Disposable {
  trouble: Trouble = {};
  cuts = 0;
  /** Everything that the master, and the slave, said over the connection that came last. */
  fromMaster: Buffer[] = [];
  fromSlave: Buffer[] = [];
  private readonly pairs = new Set<Pair>();
  private readonly listener;

  constructor(public target: number) {
    this.listener = Bun.listen<Pair>({
      hostname: "127.0.0.1",
      port: 0,
      data: undefined as never,
      socket: this.front(),
    });
  }

  get port(): number {
    return this.listener.port;
  }

  /** Ends every connection now. */
  cut(): void {
    for (const pair of this.pairs) this.end(pair);
  }

  [Symbol.dispose](): void {
    this.cut();
    this.listener.stop(true);
  }

  private front() {
    return {
      open: (client: Socket<Pair>) => void this.opened(client),
      data: (socket: Socket<Pair>, chunk: Buffer) => {
        this.fromSlave.push(chunk);
        const { server, toServer } = socket.data;
        if (server === undefined) toServer.push(chunk);
        else server.write(chunk);
      },
      close: (socket: Socket<Pair>) => this.end(socket.data),
      error: () => {},
    };
  }

  private async opened(client: Socket<Pair>): Promise<void> {
    const pair: Pair = { client, server: undefined, toServer: [], toClient: [], closed: false };
    client.data = pair;
    this.pairs.add(pair);
    this.fromMaster = [];
    this.fromSlave = [];
    try {
      pair.server = await Bun.connect<Pair>({
        hostname: "127.0.0.1",
        port: this.target,
        data: pair,
        socket: this.back(),
      });
      for (const chunk of pair.toServer.splice(0)) pair.server.write(chunk);
    } catch {
      this.end(pair);
    }
  }

  private back() {
    let passed = 0;
    let queue = Promise.resolve();
    const pass = async (pair: Pair, chunk: Buffer): Promise<void> => {
      const { splitBytes = chunk.length, delayMs, cutAfter = Number.POSITIVE_INFINITY } = this.trouble;
      for (let at = 0; at < chunk.length && !pair.closed; ) {
        const bytes = Math.min(splitBytes, chunk.length - at, cutAfter - passed);
        if (delayMs !== undefined) await Bun.sleep(delayMs);
        if (bytes > 0) await this.write(pair, chunk.subarray(at, at + bytes));
        if (splitBytes < chunk.length) await new Promise((resolve) => setImmediate(resolve));
        at += bytes;
        passed += bytes;
        if (passed < cutAfter) continue;
        this.cuts++;
        this.end(pair);
      }
    };
    return {
      data: (socket: Socket<Pair>, chunk: Buffer) => {
        this.fromMaster.push(chunk);
        queue = queue.then(() => pass(socket.data, chunk));
      },
      close: (socket: Socket<Pair>) => {
        queue = queue.then(() => this.end(socket.data));
      },
      error: () => {},
    };
  }

  private async write(pair: Pair, chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length && !pair.closed; ) {
      const bytes = pair.client.write(chunk, at, chunk.length - at);
      if (bytes > 0) at += bytes;
      else await Bun.sleep(1);
    }
  }

  private end(pair: Pair | undefined): void {
    if (pair === undefined || pair.closed) return;
    pair.closed = true;
    this.pairs.delete(pair);
    // In order: what was written arrives before the end.
    pair.client.end();
    pair.server?.terminate();
  }
}

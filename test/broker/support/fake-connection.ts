import type {
  Connection,
  RemotingCommand,
  RemotingRequest,
  RemotingResponse,
  ReplyTo,
} from "../../../lib/remoting/types.ts";

let lastId = 0;

/** A peer that remembers what it was told; nothing goes over a wire. */
export class FakeConnection implements Connection {
  readonly id = ++lastId;
  readonly remoteAddress = `10.0.0.1:${40_000 + this.id}`;
  readonly remoteHost = Buffer.from([10, 0, 0, 1, 0, 0, 0, 1]);
  lastReadTime = 0;
  closed = false;
  closedFor: string | undefined;
  pendingBytes = 0;
  out = Buffer.alloc(64 * 1024);
  used = 0;
  readonly replies: { to: ReplyTo; response: RemotingResponse }[] = [];
  readonly oneways: RemotingRequest[] = [];
  readonly regions: string[] = [];

  reply(to: ReplyTo, response: RemotingResponse): void {
    if (!to.oneway) this.replies.push({ to, response });
  }

  reserve(): number {
    return this.used;
  }

  commit(bytes: number): void {
    this.used += bytes;
  }

  /** What was committed since the last call. */
  take(): Buffer {
    const bytes = Buffer.from(this.out.subarray(0, this.used));
    this.used = 0;
    return bytes;
  }

  writeRegion(buffer: Uint8Array, start: number, end: number, release: () => void): void {
    this.regions.push(Buffer.from(buffer.subarray(start, end)).toString("latin1"));
    release();
  }

  flush(): void {}

  invoke(): Promise<RemotingCommand> {
    return Promise.reject(new Error("no wire"));
  }

  invokeOneway(request: RemotingRequest): void {
    this.oneways.push(request);
  }

  close(reason: string): void {
    this.closed = true;
    this.closedFor = reason;
  }
}

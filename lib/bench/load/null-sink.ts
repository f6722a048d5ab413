import { parentPort, Worker } from "node:worker_threads";
import { FrameReader } from "./frame-reader.ts";

/** Offsets in a frame with a ROCKETMQ header. */
const CODE_AT = 8;
const OPAQUE_AT = 13;
/** Prefix, then code, language, version, opaque, flag, no remark, no ext fields. */
const RESPONSE_BYTES = 8 + 21;
const RESPONSE_FLAG = 1;
const FLAG_AT = 17;
const SERIALIZE_BINARY = 1;
const OUT_BYTES = 1 << 20;

/**
 * A thread that reads requests with ROCKETMQ headers and answers every one with success, storing nothing: what the generator does
 * against it is the generator's own ceiling. The entry file calls it when `workerData.role` is `bench-sink`.
 */
export function runNullSink(): void {
  const port = parentPort;
  if (port === null) throw new Error("the null sink was started outside a Worker");
  const server = Bun.listen<{ reader: FrameReader; out: Buffer; end: number; start: number }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      binaryType: "buffer",
      open(socket) {
        const data = { out: Buffer.alloc(OUT_BYTES), start: 0, end: 0, reader: undefined as unknown as FrameReader };
        data.reader = new FrameReader((buffer, headerStart) => {
          data.end = answer(data.out, data.end, buffer, headerStart - 8);
        });
        socket.data = data;
        socket.setNoDelay(true);
      },
      data(socket, chunk) {
        socket.data.reader.push(chunk);
        write(socket);
      },
      drain: write,
    },
  });
  port.on("message", () => {
    server.stop(true);
    port.close();
  });
  port.postMessage(server.port);
}

function write(socket: {
  data: { out: Buffer; start: number; end: number };
  write(bytes: Buffer, at: number, length: number): number;
}): void {
  const { data } = socket;
  if (data.end === data.start) return;
  const taken = socket.write(data.out, data.start, data.end - data.start);
  if (taken > 0) data.start += taken;
  if (data.start < data.end) return;
  data.start = data.end = 0;
}

function answer(out: Buffer, at: number, request: Buffer, requestAt: number): number {
  if (at + RESPONSE_BYTES > out.length) throw new Error("the generator sends without reading its answers");
  out.fill(0, at, at + RESPONSE_BYTES);
  out.writeInt32BE(RESPONSE_BYTES - 4, at);
  out.writeInt32BE(RESPONSE_BYTES - 8, at + 4);
  out[at + 4] = SERIALIZE_BINARY;
  out.writeInt16BE(0, at + CODE_AT);
  request.copy(out, at + OPAQUE_AT, requestAt + OPAQUE_AT, requestAt + OPAQUE_AT + 4);
  out.writeInt32BE(RESPONSE_FLAG, at + FLAG_AT);
  return at + RESPONSE_BYTES;
}

export interface NullSink {
  port: number;
  stop(): void;
}

/** Starts the sink in a thread of `entry`. Rejects when the thread fails. */
export function startNullSink(entry: string): Promise<NullSink> {
  const worker = new Worker(entry, { workerData: { role: "bench-sink" } });
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (port: number) => resolve({ port, stop: () => worker.postMessage("stop") }));
  });
}

import type { Socket } from "bun";
import { crc32 } from "../../lib/base/crc32.ts";
import { FrameReader } from "../../lib/bench/load/frame-reader.ts";
import { frameTemplate } from "../../lib/bench/raw/frames.ts";
import { TRANSACTION_COMMIT_TYPE } from "../../lib/message/sys-flag.ts";
import { RequestCode, ResponseCode } from "../../lib/remoting/codes.ts";
import { decodeCommand } from "../../lib/remoting/command.ts";

/** One queue in memory, and what happens to its messages on the way. */
export interface Mischief {
  /** Number of the message that is acknowledged and never stored. */
  drop?: number;
  /** Stored twice. */
  duplicate?: number;
  /** A bit of its body is turned over. */
  corrupt?: number;
  /** It becomes another producer's, whose body decompresses for nobody. */
  foreign?: number;
  /** Changes places with the next one. */
  swap?: number;
  /** The offset before it is left out. */
  skip?: number;
  /** Refused with SYSTEM_BUSY. */
  busy?: number;
  /** Stored, and answered with SYSTEM_ERROR. */
  lie?: number;
  /** Stands still for so long once so many messages have come. */
  stall?: { after: number; ms: number };
  /** All connections are cut when that message comes, stored and not answered; new ones are taken. */
  hangUp?: number;
  /** The same, and nobody is there any more. */
  leave?: number;
  /** Every HEART_BEAT is refused with NO_PERMISSION and this remark. */
  refuseHeartbeat?: string;
  /** Half messages are asked for so long after they came, once; what is committed is shown that much later. */
  transactions?: { askMs: (number: number) => number; showMs: number };
}

/** Address and port of a store host, in front of the physical offset in a message's id. */
const HOST_HEX = "7F00000100002A9F";
const NOBODYS = Buffer.from("UNIQ_KEY\u00010A0000010001");
const MAGIC_V1 = -626843481;

interface Stored {
  body: Buffer;
  sysFlag: number;
  properties: Buffer;
}

/** Stored record, version 1, IPv4 hosts [store.md 1.1]. */
function record({ body, sysFlag, properties }: Stored, queueOffset: number): Buffer {
  const topic = Buffer.from("T");
  const size = 84 + 4 + body.length + 1 + topic.length + 2 + properties.length;
  const bytes = Buffer.alloc(size);
  bytes.writeInt32BE(size, 0);
  bytes.writeInt32BE(MAGIC_V1, 4);
  bytes.writeInt32BE(crc32(body, 0, body.length), 8);
  bytes.writeBigInt64BE(BigInt(queueOffset), 20);
  bytes.writeInt32BE(sysFlag, 36);
  bytes.writeBigInt64BE(BigInt(Date.now()), 40);
  bytes.writeBigInt64BE(BigInt(Date.now()), 56);
  bytes.writeInt32BE(body.length, 84);
  body.copy(bytes, 88);
  bytes[88 + body.length] = topic.length;
  topic.copy(bytes, 89 + body.length);
  bytes.writeInt16BE(properties.length, 89 + body.length + topic.length);
  properties.copy(bytes, 91 + body.length + topic.length);
  return bytes;
}

/** A response with a JSON header, as a Java broker may send to any client. */
function response(
  opaque: number,
  code: number,
  extFields: Record<string, string>,
  body: Buffer,
  remark?: string,
): Buffer {
  const header = Buffer.from(
    JSON.stringify({
      code,
      extFields,
      flag: 1,
      language: "JAVA",
      opaque,
      remark,
      serializeTypeCurrentRPC: "JSON",
      version: 477,
    }),
  );
  const frame = Buffer.alloc(8 + header.length + body.length);
  frame.writeInt32BE(frame.length - 4, 0);
  frame.writeInt32BE(header.length, 4);
  header.copy(frame, 8);
  body.copy(frame, 8 + header.length);
  return frame;
}

/** CHECK_TRANSACTION_STATE. */
function checkFrame(ext: Record<string, string>, body: Buffer): Buffer {
  return Buffer.from(frameTemplate(RequestCode.CHECK_TRANSACTION_STATE, ext, body, "json").bytes);
}

/** A broker with one queue that does to messages what a test wants. */
export function fakeBroker(mischief: Mischief = {}) {
  /** By offset; undefined is one that was left out. */
  const bodies: (Stored | undefined)[] = [];
  let came = 0;
  let stalledUntil = 0;
  const sockets = new Set<Socket<{ reader: FrameReader; waiting: Buffer[] }>>();
  const store = (body: Buffer, sysFlag: number, properties: Buffer): number => {
    const number = came++;
    if (mischief.stall?.after === number) stalledUntil = performance.now() + mischief.stall.ms;
    if (number === mischief.hangUp) for (const socket of sockets) socket.terminate();
    if (number === mischief.leave) server.stop(true);
    if (number === mischief.drop) return ResponseCode.SUCCESS;
    if (number === mischief.busy) return ResponseCode.SYSTEM_BUSY;
    if (number === mischief.skip) bodies.push(undefined);
    const kept = { body: Buffer.from(body), sysFlag, properties: mischief.foreign === number ? NOBODYS : properties };
    if (number === mischief.foreign) kept.body.fill(7);
    if (number === mischief.corrupt) kept.body[kept.body.length - 1]! ^= 1;
    bodies.push(kept);
    if (number === mischief.duplicate) bodies.push(kept);
    if (mischief.swap !== undefined && number === mischief.swap + 1) bodies.push(...bodies.splice(-2).reverse());
    return number === mischief.lie ? ResponseCode.SYSTEM_ERROR : ResponseCode.SUCCESS;
  };
  /** By commit log offset. */
  const halves: Stored[] = [];
  const end = ({ commitLogOffset, commitOrRollback }: Readonly<Record<string, string>>) => {
    const half = halves[Number(commitLogOffset)];
    if (half !== undefined && Number(commitOrRollback) === TRANSACTION_COMMIT_TYPE)
      setTimeout(() => bodies.push(half), mischief.transactions?.showMs ?? 0);
  };
  const prepare = (socket: Pick<Socket, "write">, half: Stored, askMs: number): string => {
    const offset = halves.push(half) - 1;
    const ext = { commitLogOffset: String(offset), tranStateTableOffset: "0", transactionId: "t" };
    const ask = () => socket.write(checkFrame(ext, record(half, offset)));
    setTimeout(ask, askMs);
    return HOST_HEX + offset.toString(16).toUpperCase().padStart(16, "0");
  };
  const answer = (socket: Pick<Socket, "write">, frame: Buffer): Buffer => {
    const { code, opaque, ext, body } = decodeCommand(frame, 0, frame.length);
    if (code === RequestCode.END_TRANSACTION) {
      end(ext);
      return Buffer.alloc(0);
    }
    if (code === RequestCode.HEART_BEAT) {
      const { refuseHeartbeat: remark } = mischief;
      const said = remark === undefined ? ResponseCode.SUCCESS : ResponseCode.NO_PERMISSION;
      return response(opaque, said, {}, Buffer.alloc(0), remark);
    }
    if (code === RequestCode.SEND_MESSAGE_V2 && mischief.transactions !== undefined) {
      const half = { body: Buffer.from(body ?? ""), sysFlag: 0, properties: Buffer.from(ext.i ?? "") };
      const msgId = prepare(socket, half, mischief.transactions.askMs(came++));
      return response(opaque, ResponseCode.SUCCESS, { queueOffset: "0", queueId: "0", msgId }, Buffer.alloc(0));
    }
    if (code === RequestCode.SEND_MESSAGE_V2) {
      const said = store(body ?? Buffer.alloc(0), Number(ext.f), Buffer.from(ext.i ?? ""));
      return response(opaque, said, { queueOffset: "0", queueId: "0", msgId: "x" }, Buffer.alloc(0));
    }
    const from = Number(ext.queueOffset);
    const found = bodies.slice(from, from + 32);
    const next = { nextBeginOffset: String(from + found.length) };
    const content = Buffer.concat(found.flatMap((one, i) => (one === undefined ? [] : [record(one, from + i)])));
    return response(opaque, found.length > 0 ? ResponseCode.SUCCESS : ResponseCode.PULL_NOT_FOUND, next, content);
  };
  const server = Bun.listen<{ reader: FrameReader; waiting: Buffer[] }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      binaryType: "buffer",
      open(socket) {
        const waiting: Buffer[] = [];
        const reader = new FrameReader((buffer, headerStart, _, end) => {
          waiting.push(Buffer.from(buffer.subarray(headerStart - 8, end)));
        });
        socket.data = { reader, waiting };
        sockets.add(socket);
      },
      close: (socket) => void sockets.delete(socket),
      data(socket, chunk) {
        const { reader, waiting } = socket.data;
        reader.push(chunk);
        const turn = () => {
          const left = stalledUntil - performance.now();
          if (left > 0) return void setTimeout(turn, left);
          while (waiting.length > 0 && stalledUntil <= performance.now())
            socket.write(answer(socket, waiting.shift()!));
          if (waiting.length > 0) turn();
        };
        turn();
      },
    },
  });
  return {
    port: server.port,
    /** Messages that were sent to it. */
    get came() {
      return came;
    },
    [Symbol.dispose]: () => server.stop(true),
  };
}

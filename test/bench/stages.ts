// Where the time of one message goes: the send path run in one process, without a network, each stage by itself. Prints ns per
// message and the machine's own limits beside them; asserts nothing.
//
//   bun test/bench/stages.ts [--size 1024] [--messages 300000] [--dir FOLDER]

import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, workerData } from "node:worker_threads";
import type { Socket } from "bun";
import { crc32 } from "../../lib/base/crc32.ts";
import { LogLimit } from "../../lib/base/log-limit.ts";
import { createBroker } from "../../lib/broker/broker.ts";
import { createSendSlots } from "../../lib/broker/processor/send-header.ts";
import { sendMessageProcessors } from "../../lib/broker/processor/send-message.ts";
import { SendResponseWriter } from "../../lib/broker/processor/send-response.ts";
import { defaultBrokerConfig } from "../../lib/config/broker-config.ts";
import { encodeRecord } from "../../lib/message/encode-record.ts";
import { setProperties } from "../../lib/message/fill-from-properties.ts";
import { MessageInner } from "../../lib/message/message-inner.ts";
import { SocketConnection } from "../../lib/remoting/connection.ts";
import { fillRawRequest, newRawRequest } from "../../lib/remoting/raw-request.ts";
import type { RawProcessor } from "../../lib/remoting/types.ts";
import { runAllocateWorker } from "../../lib/store/mappedfile/allocate-worker.ts";
import { quietLogger } from "../support/quiet-logger.ts";

const FRAMES = 64;
const TOPIC = "stages";
const ROUNDS = 7;

function entry(name: string, value: string): Buffer {
  const head = Buffer.alloc(2 + name.length + 4);
  head.writeUInt16BE(name.length, 0);
  head.write(name, 2, "latin1");
  head.writeInt32BE(Buffer.byteLength(value), 2 + name.length);
  return Buffer.concat([head, Buffer.from(value)]);
}

/** One SEND_MESSAGE_V2 in the binary encoding, its unique key's last ten digits at `uniqAt`. */
function frame(queueId: number, size: number): { bytes: Buffer; uniqAt: number } {
  const properties = "UNIQ_KEY\u0001C0A800010C0F18B4AAC20000000000\u0002WAIT\u0001true\u0002";
  const fields: [string, string][] = [
    ["a", "stages-group"],
    ["b", TOPIC],
    ["c", "TBW102"],
    ["d", "8"],
    ["e", String(queueId)],
    ["f", "0"],
    ["g", String(Date.now())],
    ["h", "0"],
    ["i", properties],
    ["j", "0"],
    ["k", "false"],
    ["m", "false"],
  ];
  const ext = Buffer.concat(fields.map(([name, value]) => entry(name, value)));
  const head = Buffer.alloc(8 + 21);
  head.writeInt32BE(4 + 21 + ext.length + size, 0);
  head.writeInt32BE((1 << 24) | (21 + ext.length), 4);
  head.writeInt16BE(310, 8);
  head.writeInt16BE(453, 11);
  head.writeInt32BE(ext.length, 8 + 17);
  const bytes = Buffer.concat([head, ext, Buffer.alloc(size, "x")]);
  return { bytes, uniqAt: bytes.indexOf("0000000000\u0002WAIT") };
}

class Chunk {
  readonly bytes: Buffer;
  readonly #uniqAt: number[] = [];
  #number = 0;

  constructor(size: number) {
    const frames = Array.from({ length: FRAMES }, (_, i) => frame(i % 8, size));
    let at = 0;
    for (const one of frames) {
      this.#uniqAt.push(at + one.uniqAt);
      at += one.bytes.length;
    }
    this.bytes = Buffer.concat(frames.map((one) => one.bytes));
  }

  /** Gives every frame a key that was not there before: the index sees what it sees from real clients. */
  renew(): Buffer {
    for (const at of this.#uniqAt) {
      let rest = ++this.#number;
      for (let i = at + 9; rest > 0; i--) {
        this.bytes[i] = 48 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
    return this.bytes;
  }
}

/** A peer that takes everything at once. */
function openSocket(): Socket<SocketConnection | undefined> {
  const socket = {
    remoteAddress: "127.0.0.1",
    remotePort: 40_000,
    write: (_: Uint8Array, __: number, bytes: number) => bytes,
    end() {},
    terminate() {},
    pause() {},
    resume() {},
  };
  return socket as unknown as Socket<SocketConnection | undefined>;
}

let only = "";

async function measure(name: string, messages: number, turn: () => void): Promise<void> {
  if (!name.includes(only)) return;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begun = Bun.nanoseconds();
    for (let done = 0; done < messages; done += FRAMES) {
      turn();
      // Pages ahead are touched by a helper: real messages do not come faster than the network lets them either.
      if (done % (FRAMES * 64) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    times.push((Bun.nanoseconds() - begun) / messages);
  }
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1]!;
  console.log(`${name.padEnd(46)} ${median.toFixed(0).padStart(7)} ns`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      size: { type: "string", default: "1024" },
      messages: { type: "string", default: "100000" },
      dir: { type: "string", default: tmpdir() },
      only: { type: "string", default: "" },
    },
  });
  only = values.only;
  const size = Number(values.size);
  const messages = Number(values.messages);
  const root = mkdtempSync(join(values.dir, "mq-stages-"));
  const broker = createBroker(
    defaultBrokerConfig({ listenPort: 0, brokerIP1: "127.0.0.1", bindAddress: "127.0.0.1", storePathRootDir: root }),
    { logger: quietLogger(), workerEntry: Bun.main },
  );
  await broker.start();
  try {
    await stages(broker.context, size, messages);
    limits(root, size);
  } finally {
    await broker.stop();
    rmSync(root, { recursive: true, force: true });
  }
}

async function stages(
  context: ReturnType<typeof createBroker>["context"],
  size: number,
  messages: number,
): Promise<void> {
  const chunk = new Chunk(size);
  const raw = newRawRequest();
  const slots = createSendSlots();
  const table = new Map(sendMessageProcessors(context));
  const process = (table.get(310) as { raw: RawProcessor }).raw;
  const connect = (frame: (connection: SocketConnection, buffer: Buffer, start: number, end: number) => void) =>
    new SocketConnection(openSocket(), {
      logger: quietLogger(),
      peerFaults: new LogLimit(1, () => {}),
      serializeType: 0,
      frame(connection, buffer, start, end) {
        frame(connection, buffer, start, end);
        return true;
      },
      gone() {},
      fatal(error) {
        throw error;
      },
    });
  const cut = connect(() => {});
  const fixed = connect((_, buffer, start, end) => fillRawRequest(raw, buffer, start, end));
  const decode = connect((_, buffer, start, end) => {
    fillRawRequest(raw, buffer, start, end);
    slots.decode(raw);
  });
  const whole = connect((connection, buffer, start, end) => {
    fillRawRequest(raw, buffer, start, end);
    process(raw, connection);
  });
  console.log(`one SEND_MESSAGE_V2 of ${size} bytes, ${FRAMES} a callback; each line holds those above it`);
  whole.received(chunk.renew());
  await Bun.sleep(1500);
  await measure("new keys (the bench's own)", messages, () => void chunk.renew());
  await measure("+ cut frames", messages, () => cut.received(chunk.renew()));
  await measure("+ fixed header fields", messages, () => fixed.received(chunk.renew()));
  await measure("+ decode ext fields to slots", messages, () => decode.received(chunk.renew()));
  await measure("+ check, append, dispatch, encode the answer", messages, () => whole.received(chunk.renew()));

  console.log("parts by themselves");
  const message = new MessageInner();
  message.topic = TOPIC;
  message.body = Buffer.alloc(size, "x");
  message.bodyStart = 0;
  message.bodyEnd = size;
  message.bornHost = message.storeHost = Buffer.from([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]);
  const properties = Buffer.from("UNIQ_KEY\u0001C0A800010C0F18B4AAC20000000000\u0002WAIT\u0001true\u0002");
  await measure("properties", messages, () => {
    for (let i = 0; i < FRAMES; i++) setProperties(message, properties);
  });
  await measure("crc32 of the body", messages, () => {
    for (let i = 0; i < FRAMES; i++) crc32(message.body, i & 1, size);
  });
  const target = Buffer.alloc(4 * 1024 * 1024);
  const view = new DataView(target.buffer, target.byteOffset, target.length);
  const topic = Buffer.from(TOPIC);
  const place = {
    size: 91 + size + topic.length + properties.length,
    v2: false,
    queueOffset: 1,
    physicalOffset: 5_000_000_000,
    storeTimestamp: Date.now(),
    propertiesBytes: properties.length,
    propertyCrc: false,
  };
  let at = 0;
  await measure("encode the record (memory that is in the cache)", messages, () => {
    for (let i = 0; i < FRAMES; i++) {
      encodeRecord(target, view, at, message, topic, place);
      at = at + 2 * place.size > target.length ? 0 : at + place.size;
    }
  });
  const writer = new SendResponseWriter("DefaultRegion", true, message.storeHost);
  const answer = {
    code: 0,
    physicalOffset: 5e9,
    queueId: 3,
    queueOffset: 1234567,
    uniqKey: properties,
    uniqKeyLength: 32,
  };
  const out = connect(() => {});
  await measure("encode the answer, binary", messages, () => {
    for (let i = 0; i < FRAMES; i++) writer.write(out, 1, i, answer);
    out.flush();
  });
  await measure("encode the answer, JSON", messages, () => {
    for (let i = 0; i < FRAMES; i++) writer.write(out, 0, i, answer);
    out.flush();
  });
  await measure("append with dispatch (queue, index)", messages, () => {
    for (let i = 0; i < FRAMES; i++) {
      at = (at + 1) | 0;
      properties.writeInt32BE(at, 24);
      setProperties(message, properties);
      message.queueId = i & 7;
      context.store.append(message);
    }
  });
}

/** What the machine does at best. */
function limits(root: string, size: number): void {
  console.log("the machine's limits");
  const from = Buffer.alloc(256 * 1024 * 1024, 1);
  const to = Buffer.alloc(from.length, 2);
  let begun = Bun.nanoseconds();
  from.copy(to);
  const copyNs = Bun.nanoseconds() - begun;
  console.log(`copy of ${size} bytes, memory to memory ${((copyNs / from.length) * size).toFixed(0).padStart(17)} ns`);
  const fd = openSync(join(root, "fdatasync"), "w");
  const page = Buffer.alloc(4096, 3);
  for (let i = 0; i < 4096; i++) writeSync(fd, page);
  fdatasyncSync(fd);
  begun = Bun.nanoseconds();
  for (let i = 0; i < 500; i++) {
    writeSync(fd, page, 0, 4096, i * 4096);
    fdatasyncSync(fd);
  }
  console.log(`fdatasync of one page ${((Bun.nanoseconds() - begun) / 500).toFixed(0).padStart(32)} ns`);
  closeSync(fd);
}

if (!isMainThread && workerData?.role === "allocate") runAllocateWorker();
else if (isMainThread) void main();

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AssertionError } from "../../lib/base/assert.ts";
import { addBeforeOutput, removeBeforeOutput } from "../../lib/base/before-output.ts";
import { LogLimit } from "../../lib/base/log-limit.ts";
import { encodeRequest, encodeResponse } from "../../lib/remoting/command.ts";
import { FULL_CHUNK_BYTES, PEER_FAULT_LINES_MAX } from "../../lib/remoting/connection.ts";
import { unsentBytes } from "../../lib/remoting/output.ts";
import { ResponseError } from "../../lib/remoting/response-error.ts";
import { createRemotingServer } from "../../lib/remoting/server.ts";
import type { Connection, Processor, ProcessorEntry, RawProcessor, RemotingServer } from "../../lib/remoting/types.ts";
import { jsonFrame } from "./golden-frames.ts";
import { RawPeer, until } from "./raw-peer.ts";

const ECHO = 1;
const LATER = 2;
const REFUSE = 3;
const THROW = 4;
const REJECT = 5;
const RAW_ECHO = 6;
const RAW_THROW = 7;
const ASSERT = 8;
const REGION = 9;
const GATED = 10;
const ASK_BACK = 11;
const SILENT = 12;
const HUGE = 13;
const CLOSE = 14;
const RAW_KEEP = 15;
const COUNT = 16;

const REGION_BYTES = 256 * 1024;
const region = Buffer.alloc(REGION_BYTES, 7);
let released = 0;
let oneways = 0;
const fatal: [unknown, number][] = [];
const closings: [Connection, string][] = [];

const rawEcho: RawProcessor = (request, connection) => {
  const { opaque, serializeType, buffer, bodyStart, bodyEnd } = request;
  const body = buffer.subarray(bodyStart, bodyEnd);
  const frame = encodeResponse({ code: 0, body }, { opaque, serializeType, oneway: false });
  const at = connection.reserve(frame.length);
  frame.copy(connection.out, at);
  connection.commit(frame.length);
};

/** A response head and then a large range of somebody else's memory. */
const writeRegion: RawProcessor = (request, connection) => {
  const { opaque, serializeType } = request;
  const head = encodeResponse({ code: 0 }, { opaque, serializeType, oneway: false });
  head.writeInt32BE(head.length - 4 + REGION_BYTES);
  const at = connection.reserve(head.length);
  head.copy(connection.out, at);
  connection.commit(head.length);
  connection.writeRegion(region, 0, REGION_BYTES, () => released++);
};

/** What no raw processor may do: keeps the received chunk, to look at it later. */
let keptChunk: Buffer | undefined;

const processors = new Map<number, ProcessorEntry>([
  [
    ECHO,
    { processor: ({ ext, body, remark, flag }) => (flag === 2 ? void oneways++ : { code: 0, ext, body, remark }) },
  ],
  [LATER, { processor: ({ body }) => Bun.sleep(1).then(() => ({ code: 0, body })) }],
  [REFUSE, { processor: () => raise(new ResponseError(17, "no such topic", { cause: new Error("disk") })) }],
  [THROW, { processor: () => raise(new TypeError("broken")) }],
  [REJECT, { processor: () => Promise.reject(new ResponseError(16, "not you")) }],
  [RAW_ECHO, { raw: rawEcho }],
  [
    RAW_KEEP,
    {
      raw: (request, connection) => {
        keptChunk = request.buffer;
        rawEcho(request, connection);
      },
    },
  ],
  [RAW_THROW, { raw: () => raise(new ResponseError(13, "bad message")) }],
  [ASSERT, { processor: () => raise(new AssertionError("two and two are four")) }],
  [REGION, { raw: writeRegion }],
  [
    ASK_BACK,
    {
      processor: async (_request, connection) => ({
        code: 0,
        body: (await connection.invoke({ code: 40, body: "?" }, 5000)).body,
      }),
    },
  ],
  [SILENT, { processor: () => undefined }],
  [HUGE, { processor: () => ({ code: 0, body: Buffer.alloc(17 * 1024 * 1024) }) }],
  [
    CLOSE,
    { processor: (_request, connection) => void queueMicrotask(() => connection.close("told to")) } satisfies {
      processor: Processor;
    },
  ],
]);

function raise(error: Error): never {
  throw error;
}

let server: RemotingServer;

beforeAll(async () => {
  server = await createRemotingServer({
    hostname: "127.0.0.1",
    port: 0,
    processors,
    gate: (code) => (code === GATED ? { code: 2, remark: "busy" } : undefined),
    onClose: (connection, reason) => closings.push([connection, reason]),
    onFatal: (error, code) => fatal.push([error, code]),
  });
});

afterAll(() => server.close(1000));

const request = (code: number, opaque: number, body = "", type: 0 | 1 = 0) =>
  encodeRequest({ code, body }, opaque, type);

describe("answers", () => {
  for (const type of [0, 1] as const) {
    const answer = async (code: number, body = "") => {
      await using peer = await RawPeer.connect(server.port);
      peer.send(request(code, 77, body, type));
      const [response] = await peer.received(1);
      expect(response).toMatchObject({ opaque: 77, flag: 1, serializeType: type, language: 0, version: 479 });
      return { code: response!.code, remark: response!.remark, body: response!.body?.toString() };
    };

    test(`ordinary, promised and raw, type ${type}`, async () => {
      expect(await answer(ECHO, "hi")).toEqual({ code: 0, remark: undefined, body: "hi" });
      expect(await answer(LATER, "hi")).toEqual({ code: 0, remark: undefined, body: "hi" });
      expect(await answer(RAW_ECHO, "hi")).toEqual({ code: 0, remark: undefined, body: "hi" });
    });

    test(`errors become codes, type ${type}`, async () => {
      expect(await answer(REFUSE)).toMatchObject({ code: 17, remark: "no such topic" });
      expect(await answer(REJECT)).toMatchObject({ code: 16, remark: "not you" });
      expect(await answer(RAW_THROW)).toMatchObject({ code: 13, remark: "bad message" });
      expect(await answer(THROW)).toMatchObject({ code: 1, remark: "TypeError: broken" });
      expect(await answer(999)).toMatchObject({ code: 3, remark: " request type 999 not supported" });
      expect(await answer(GATED)).toMatchObject({ code: 2, remark: "busy" });
      expect(await answer(HUGE)).toMatchObject({ code: 1, remark: expect.stringContaining("want a frame of at most") });
    });
  }

  test("a received chunk is given back at the end of its turn, unless a decoded body lies in it", async () => {
    await using peer = await RawPeer.connect(server.port);
    const text = "x".repeat(6000);
    for (const codes of [[RAW_KEEP], [RAW_KEEP, RAW_KEEP], [LATER, RAW_KEEP], [RAW_KEEP, LATER, RAW_KEEP]]) {
      const before = peer.frames.length;
      peer.send(Buffer.concat(codes.map((code, i) => request(code, i, text, 1))));
      for (const answer of (await peer.received(before + codes.length)).slice(before))
        expect(answer.body?.toString() === text).toBe(true);
      if (!codes.includes(LATER)) expect(keptChunk!.length).toBe(0);
    }
  });

  test("a code beyond 16 bits in the JSON header", async () => {
    await using peer = await RawPeer.connect(server.port);
    peer.send(request(200050, 1));
    expect((await peer.received(1))[0]).toMatchObject({ code: 3, remark: " request type 200050 not supported" });
  });

  test("a failed assertion is answered and passed on", async () => {
    await using peer = await RawPeer.connect(server.port);
    peer.send(request(ASSERT, 1));
    expect((await peer.received(1))[0]).toMatchObject({ code: 1 });
    expect(fatal.at(-1)).toEqual([expect.any(AssertionError), ASSERT]);
  });

  test("oneway requests are never answered, whatever happens", async () => {
    await using peer = await RawPeer.connect(server.port);
    const before = oneways;
    for (const code of [ECHO, REFUSE, THROW, REJECT, RAW_THROW, 999, GATED]) {
      for (const type of [0, 1] as const) peer.send(encodeRequest({ code }, 1, type, 2));
    }
    peer.send(request(ECHO, 5, "last"));
    const frames = await peer.received(1);
    expect(frames.map(({ opaque }) => opaque)).toEqual([5]);
    expect(oneways - before).toBe(2);
  });

  test("requests to the peer, and its answer", async () => {
    await using peer = await RawPeer.connect(server.port);
    peer.send(request(ASK_BACK, 1));
    const question = (await peer.received(1))[0]!;
    expect(question).toMatchObject({ code: 40, flag: 0 });
    peer.send(
      encodeResponse(
        { code: 0, body: "stranger" },
        { opaque: question.opaque + 1000, serializeType: 0, oneway: false },
      ),
    );
    peer.send(encodeResponse({ code: 0, body: "!" }, { opaque: question.opaque, serializeType: 1, oneway: false }));
    expect((await peer.received(2))[1]!.body?.toString()).toBe("!");
  });
});

describe("the stream", () => {
  test("a request split at every byte", async () => {
    await using peer = await RawPeer.connect(server.port);
    const frame = encodeRequest({ code: ECHO, ext: { topic: "T" }, body: "hello" }, 9, 0);
    for (let at = 1; at < frame.length; at++) {
      peer.send(frame.subarray(0, at));
      await Bun.sleep(0);
      peer.send(frame.subarray(at));
      const frames = await peer.received(at);
      expect(frames[at - 1]).toMatchObject({ opaque: 9, body: Buffer.from("hello") });
    }
  });

  test("pipelined requests are answered in order, many to a write", async () => {
    await using peer = await RawPeer.connect(server.port);
    const count = 5000;
    peer.send(
      Buffer.concat(
        Array.from({ length: count }, (_, i) =>
          request(i % 2 === 0 ? ECHO : RAW_ECHO, i, `body ${i}`, (i % 3) & 1 ? 1 : 0),
        ),
      ),
    );
    const frames = await peer.received(count);
    expect(frames.map(({ opaque }) => opaque)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(frames[4321]!.body?.toString()).toBe("body 4321");
    expect(peer.chunks).toBeLessThan(100);
  });

  test("promised answers of one turn share a write", async () => {
    await using peer = await RawPeer.connect(server.port);
    peer.send(Buffer.concat(Array.from({ length: 200 }, (_, i) => request(LATER, i))));
    await peer.received(200);
    expect(peer.chunks).toBeLessThan(50);
  });

  test("a body of many megabytes comes back whole", async () => {
    await using peer = await RawPeer.connect(server.port);
    const body = Buffer.alloc(12 * 1024 * 1024, "0123456789");
    peer.send(encodeRequest({ code: ECHO, body }, 1, 0));
    expect((await peer.received(1))[0]!.body?.equals(body)).toBe(true);
  });

  for (const [what, bytes] of [
    ["a length that is too large", Buffer.from([0x7f, 0xff, 0xff, 0xff])],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    ["a TLS hello", Buffer.from([0x16, 3, 1, 2, 0, 1])],
    ["a header that is no JSON", jsonFrame("hello")],
    ["a serialize type that nobody knows", Buffer.from([0, 0, 0, 4, 9, 0, 0, 0])],
  ] as const) {
    test(`${what} closes the connection`, async () => {
      await using peer = await RawPeer.connect(server.port);
      const before = closings.length;
      peer.send(bytes);
      await until(() => peer.closed);
      await until(() => closings.length > before);
      expect(closings.at(-1)![1]).toStartWith("protocol: ");
    });
  }

  test("a flood of broken connections fills no log", async () => {
    const lines: string[] = [];
    const limit = Reflect.get(server, "peerFaults") as LogLimit;
    const quiet = new LogLimit(PEER_FAULT_LINES_MAX, (line) => lines.push(line));
    Reflect.set(server, "peerFaults", quiet);
    try {
      for (let i = 0; i < PEER_FAULT_LINES_MAX + 30; i++) {
        await using peer = await RawPeer.connect(server.port);
        peer.send(Buffer.from("GET / HTTP/1.1"));
        await until(() => peer.closed);
      }
      expect(lines.length).toBe(PEER_FAULT_LINES_MAX);
    } finally {
      Reflect.set(server, "peerFaults", limit);
    }
  });

  test("what was answered before a broken frame arrives", async () => {
    await using peer = await RawPeer.connect(server.port);
    peer.send(Buffer.concat([request(ECHO, 1, "first"), Buffer.from("GET /")]));
    await until(() => peer.closed);
    expect(peer.frames.map(({ body }) => body?.toString())).toEqual(["first"]);
  });
});

describe("back-pressure", () => {
  test("a reader that stops is not read either, and gets everything in order once it reads", async () => {
    await using peer = await RawPeer.connect(server.port);
    const count = 2000;
    const before = released;
    peer.pause();
    peer.send(Buffer.concat(Array.from({ length: count }, (_, i) => request(REGION, i))));
    await until(() => Array.from(server.connections).some(({ pendingBytes }) => pendingBytes > 16 * 1024 * 1024));
    expect(unsentBytes()).toBeGreaterThan(16 * 1024 * 1024);
    const pending = Math.max(...Array.from(server.connections, (connection) => connection.pendingBytes));
    expect(pending).toBeLessThan(17 * 1024 * 1024);
    peer.resume();
    const frames = await peer.received(count);
    expect(frames.map(({ opaque }) => opaque)).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(
      frames.every(({ body }) => body?.length === REGION_BYTES && body[0] === 7 && body[REGION_BYTES - 1] === 7),
    ).toBe(true);
    await until(() => released - before === count);
    await until(() => unsentBytes() === 0);
  });

  test("regions of a reader that goes away are released once", async () => {
    const before = released;
    const peer = await RawPeer.connect(server.port);
    peer.pause();
    for (let i = 0; i < 50; i++) peer.send(request(REGION, i));
    await until(() => Array.from(server.connections).some(({ pendingBytes }) => pendingBytes > 1024 * 1024));
    await peer[Symbol.asyncDispose]();
    await until(() => released - before === 50);
    expect(unsentBytes()).toBe(0);
    await Bun.sleep(5);
    expect(released - before).toBe(50);
  });
});

test("connections that are held are not read, new ones neither, until they are let go", async () => {
  await using peer = await RawPeer.connect(server.port);
  peer.send(request(ECHO, 1, "before"));
  await peer.received(1);
  server.holdReading(true);
  peer.send(request(ECHO, 2, "held"));
  await using other = await RawPeer.connect(server.port);
  other.send(request(ECHO, 3, "held too"));
  await until(() => server.connections.size >= 2);
  await Bun.sleep(20);
  expect(peer.frames).toHaveLength(1);
  expect(other.frames).toHaveLength(0);
  server.holdReading(false);
  expect((await peer.received(2))[1]?.body?.toString()).toBe("held");
  expect((await other.received(1))[0]?.body?.toString()).toBe("held too");
});

describe("fairness", () => {
  /** A peer that never stops sending would be read on and on, and the others starve. */
  test("of one peer the loop serves two full receive buffers at most before it looks at the others", async () => {
    const frames = 3000;
    const frame = request(COUNT, 1, "x".repeat(64 * 1024), 1);
    let served = 0;
    let inOneRound = 0;
    let most = 0;
    let ended = false;
    const count: RawProcessor = () => {
      served++;
      inOneRound++;
      for (const end = performance.now() + 0.1; performance.now() < end; );
    };
    const own = await createRemotingServer({
      hostname: "127.0.0.1",
      port: 0,
      processors: new Map([[COUNT, { raw: count }]]),
    });
    const round = () => {
      most = Math.max(most, inOneRound);
      inOneRound = 0;
      if (!ended) setImmediate(round);
    };
    round();
    const flood = `
      const frame = Buffer.from(process.argv[1], "base64");
      const bytes = Buffer.alloc(frame.length * 16, frame);
      const socket = require("node:net").connect(${own.port}, "127.0.0.1");
      let left = ${frames} / 16 | 0;
      const more = () => { while (left-- > 0) if (!socket.write(bytes)) return socket.once("drain", more); socket.end(); };
      socket.on("connect", more);`;
    const file = join(mkdtempSync(join(tmpdir(), "mq-flood-")), "flood.cjs");
    writeFileSync(file, flood.replace("process.argv[1]", JSON.stringify(frame.toString("base64"))));
    const child = Bun.spawn([process.execPath, file], { stdout: "inherit", stderr: "inherit" });
    expect(await child.exited).toBe(0);
    await until(() => served >= frames - 16);
    ended = true;
    rmSync(dirname(file), { recursive: true });
    await own.close(0);
    expect(most).toBeLessThanOrEqual(2 * (FULL_CHUNK_BYTES / frame.length + 1));
  });
});

test("what must be done before an answer is done before; where it fails no answer leaves", async () => {
  await using peer = await RawPeer.connect(server.port);
  let done = 0;
  let failing = false;
  const task = (): void => {
    if (failing) throw new Error("not on the disk");
    done++;
  };
  addBeforeOutput(task);
  try {
    peer.send(request(ECHO, 1, "first"));
    await peer.received(1);
    expect(done).toBeGreaterThan(0);
    failing = true;
    await using other = await RawPeer.connect(server.port);
    other.send(request(ECHO, 2, "second"));
    await until(() => other.closed);
    expect(other.frames).toEqual([]);
  } finally {
    removeBeforeOutput(task);
  }
  await using later = await RawPeer.connect(server.port);
  later.send(request(ECHO, 3, "third"));
  expect((await later.received(1))[0]?.body?.toString()).toBe("third");
});

describe("life of a connection", () => {
  test("the peer's end closes it and fails what waits for its answer", async () => {
    const peer = await RawPeer.connect(server.port);
    const before = closings.length;
    peer.send(request(ASK_BACK, 1));
    await peer.received(1);
    peer.end();
    await until(() => closings.length > before);
    expect(closings.at(-1)![1]).toBe("peer");
    const [connection] = closings.at(-1)!;
    expect(connection.closed).toBe(true);
    expect(connection.invoke({ code: 1 }, 100)).rejects.toThrow("connection closed (peer)");
    expect(() => connection.invokeOneway({ code: 1 })).toThrow("connection closed (peer)");
    connection.reply({ opaque: 1, serializeType: 0, oneway: false }, { code: 0 });
    let late = 0;
    connection.writeRegion(region, 0, REGION_BYTES, () => late++);
    connection.writeRegion(region, 0, 10, () => late++);
    expect(late).toBe(2);
  });

  test("a half-closed peer is closed", async () => {
    await using peer = await RawPeer.connect(server.port);
    const before = closings.length;
    peer.send(request(SILENT, 1));
    peer.shutdown();
    await until(() => closings.length > before);
  });

  test("closing it from here says why", async () => {
    await using peer = await RawPeer.connect(server.port);
    const before = closings.length;
    peer.send(request(CLOSE, 1));
    await until(() => peer.closed && closings.length > before);
    expect(closings.at(-1)![1]).toBe("told to");
  });

  test("an idle one is closed", async () => {
    const reasons: string[] = [];
    const quick = await createRemotingServer({
      hostname: "127.0.0.1",
      port: 0,
      processors,
      idleSeconds: 0.2,
      onClose: (_connection, reason) => reasons.push(reason),
    });
    await using peer = await RawPeer.connect(quick.port);
    await until(() => peer.closed);
    await until(() => reasons.length > 0);
    expect(reasons).toEqual(["idle: no traffic for 0.2 s"]);
    await quick.close(100);
  });

  test("a thousand of them", async () => {
    const own = await createRemotingServer({ hostname: "127.0.0.1", port: 0, processors });
    const peers: RawPeer[] = [];
    for (let i = 0; i < 1000; i++) peers.push(await RawPeer.connect(own.port));
    peers.forEach((peer, i) => {
      peer.send(request(ECHO, i, "x"));
    });
    for (const [i, peer] of peers.entries()) expect((await peer.received(1))[0]!.opaque).toBe(i);
    expect(own.connections.size).toBe(1000);
    expect(new Set(Array.from(own.connections, ({ remoteAddress }) => remoteAddress)).size).toBe(1000);
    await own.close(2000);
    expect(own.connections.size).toBe(0);
    await until(() => peers.every(({ closed }) => closed));
  });
});

describe("listening", () => {
  test("a busy port is named with its owner", async () => {
    const attempt = createRemotingServer({ hostname: "127.0.0.1", port: server.port, processors });
    expect(attempt).rejects.toThrow(`listen on 127.0.0.1:${server.port}: port is in use by pid ${process.pid} (`);
  });

  test("a host that is not this machine's is an error", async () => {
    expect(createRemotingServer({ hostname: "192.0.2.1", port: 0, processors })).rejects.toThrow(
      "listen on 192.0.2.1:0",
    );
  });

  test("nobody comes in after stopListening; who is in stays", async () => {
    const own = await createRemotingServer({ hostname: "127.0.0.1", port: 0, processors });
    await using peer = await RawPeer.connect(own.port);
    peer.send(request(ECHO, 1));
    await peer.received(1);
    own.stopListening();
    expect(RawPeer.connect(own.port)).rejects.toThrow();
    peer.send(request(ECHO, 2));
    await peer.received(2);
    await own.close(1000);
    await until(() => peer.closed);
  });
});

import { describe, expect, test } from "bun:test";
import { FLAG_RESPONSE, LANGUAGES, PROTOCOL_VERSION } from "../../lib/remoting/codes.ts";
import { decodeCommand, encodeHead, encodeRequest, encodeResponse, headBytesMax } from "../../lib/remoting/command.ts";
import { FrameError } from "../../lib/remoting/errors.ts";
import type { RemotingCommand } from "../../lib/remoting/types.ts";
import conversation from "../golden/frames.json";
import { GOLDEN_FRAMES, jsonFrame, randomFrom } from "./golden-frames.ts";

describe("frames of the Java reference", () => {
  for (const { name, bytes, command } of GOLDEN_FRAMES) {
    test(`decode: ${name}`, () => expect(decodeCommand(bytes)).toEqual(command));

    test(`decode inside a larger buffer: ${name}`, () => {
      const chunk = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("behind")]);
      expect(decodeCommand(chunk, 6, 6 + bytes.length)).toEqual(command);
    });

    test(`a frame cut at any byte is refused: ${name}`, () => {
      for (let end = 0; end < bytes.length - (command.body?.length ?? 0); end++) {
        expect(() => decodeCommand(bytes, 0, end)).toThrow(FrameError);
      }
    });

    // HashMap order is Java's own: bytes are compared where there is nothing to order.
    if (Object.keys(command.ext).length > 1 || command.version !== PROTOCOL_VERSION || command.language !== 0) continue;
    test(`encode to the same bytes: ${name}`, () => expect(again(command).toString("hex")).toBe(bytes.toString("hex")));
  }

  test("a frame with many fields has the same length and meaning when encoded again", () => {
    for (const { bytes, command } of GOLDEN_FRAMES) {
      const encoded = again({ ...command, language: 0, version: PROTOCOL_VERSION });
      expect(decodeCommand(encoded)).toEqual({ ...command, language: 0, version: PROTOCOL_VERSION });
      if (command.language === 0 && command.version === PROTOCOL_VERSION) expect(encoded.length).toBe(bytes.length);
    }
  });
});

function again(command: RemotingCommand): Buffer {
  const { code, opaque, serializeType, flag, remark, ext, body } = command;
  if ((flag & FLAG_RESPONSE) !== 0)
    return encodeResponse({ code, remark, ext, body }, { opaque, serializeType, oneway: false });
  return encodeRequest({ code, ext, body, remark }, opaque, serializeType, flag);
}

test("everything that the Java clients, name server and broker said decodes and encodes to the same bytes", () => {
  let same = 0;
  for (const { bytes, request, kind } of conversation.frames) {
    const frame = Buffer.from(bytes, "base64");
    const command = decodeCommand(frame);
    expect((command.flag & FLAG_RESPONSE) !== 0).toBe(kind === "response");
    if (kind === "request") expect(command.code).toBe(request);
    // Java writes an empty map where a header has no value; mq leaves it out.
    if (command.version !== PROTOCOL_VERSION || command.language !== 0 || frame.includes('"extFields":{}')) continue;
    expect(again(command).toString("latin1")).toBe(frame.toString("latin1"));
    same++;
  }
  expect(same).toBeGreaterThan(conversation.frames.length / 2);
});

describe("tolerant JSON headers", () => {
  const decode = (header: string) => decodeCommand(jsonFrame(header));

  test("ext values that are no strings become strings, null ones are dropped", () => {
    const { ext } = decode(
      '{"code":1,"extFields":{"n":5,"d":1.5,"b":true,"z":null,"big":9223372036854775807,"o":{"x":1},"s":""}}',
    );
    expect({ ...ext }).toEqual({ n: "5", d: "1.5", b: "true", big: "9223372036854775807", o: '{"x":1}', s: "" });
  });

  test("missing, unknown and oddly typed fields", () => {
    expect(decode("{}")).toEqual({
      code: 0,
      language: -1,
      version: 0,
      opaque: 0,
      flag: 0,
      remark: undefined,
      ext: Object.create(null),
      body: undefined,
      serializeType: 0,
    });
    expect(decode('{"language":"KLINGON","surprise":[1,{"a":2}]}').language).toBe(-1);
    expect(decode('{"language":9}').language).toBe(9);
    expect(decode('{"language":99}').language).toBe(-1);
    expect(decode('{"code":"105","opaque":-5,"extFields":null,"remark":null}')).toMatchObject({
      code: 105,
      opaque: -5,
      remark: undefined,
    });
    expect(decode('{"remark":""}').remark).toBe("");
  });

  test("fastjson's wider forms", () => {
    expect(decode("{code:105,'extFields':{topic:'T',/*c*/},}")).toMatchObject({ code: 105, ext: { topic: "T" } });
  });

  test("names of Object.prototype are plain ext fields", () => {
    const { ext } = decode('{"extFields":{"__proto__":"x","constructor":"y"}}');
    expect(Object.entries(ext)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
    expect(decode("{}").ext.constructor).toBeUndefined();
  });

  for (const header of [
    "",
    "[]",
    "5",
    '"x"',
    "{",
    '{"code":1.5}',
    '{"code":4294967296}',
    '{"opaque":"x"}',
    '{"code":{}}',
  ]) {
    test(`refused: ${header}`, () => expect(() => decode(header)).toThrow(FrameError));
  }
});

describe("encoding", () => {
  test("undefined ext values are left out, numbers and booleans become text", () => {
    for (const serializeType of [0, 1] as const) {
      const frame = encodeRequest({ code: 10, ext: { a: undefined, n: -5, b: false, s: "x" } }, 1, serializeType);
      expect({ ...decodeCommand(frame).ext }).toEqual({ n: "-5", b: "false", s: "x" });
    }
  });

  test("an empty value is null in the binary header, and left out", () => {
    expect({ ...decodeCommand(encodeRequest({ code: 10, ext: { a: "", b: "x" } }, 1, 1)).ext }).toEqual({ b: "x" });
    expect({ ...decodeCommand(encodeRequest({ code: 10, ext: { a: "", b: "x" } }, 1, 0)).ext }).toEqual({
      a: "",
      b: "x",
    });
  });

  test("a code beyond 16 bits cannot be carried by the binary header", () => {
    expect(() => encodeRequest({ code: 200050 }, 1, 1)).toThrow("want a 16-bit one");
    expect(decodeCommand(encodeRequest({ code: 200050 }, 1, 0)).code).toBe(200050);
  });

  test("a header never takes more than headBytesMax", () => {
    const texts = ["", "x", "\u0000\u0001\u0002", "主题".repeat(20), "🚀\ud800", '"\\/', "\u2028"];
    for (const serializeType of [0, 1] as const) {
      for (const text of texts) {
        const ext = { [`k${text}`]: text, n: Number.MIN_SAFE_INTEGER, b: false };
        const head = { code: -32768, opaque: -2147483648, flag: 3, serializeType, remark: text, ext };
        expect(encodeHead(Buffer.alloc(4096), 0, head, 0)).toBeLessThanOrEqual(headBytesMax(head));
      }
    }
  });

  test("every language byte is one of the enum", () => expect(LANGUAGES.length).toBe(14));
});

test("garbage is refused with a FrameError or decodes, never anything else", () => {
  const seed = (Math.random() * 2 ** 31) | 0;
  console.log(`seed ${seed}`);
  const random = randomFrom(seed);
  for (let i = 0; i < 5000; i++) {
    const { bytes } = GOLDEN_FRAMES[random(GOLDEN_FRAMES.length)]!;
    const broken = Buffer.from(bytes);
    for (let n = 1 + random(4); n > 0; n--) broken[4 + random(broken.length - 4)] = random(256);
    try {
      decodeCommand(broken);
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError);
    }
  }
});

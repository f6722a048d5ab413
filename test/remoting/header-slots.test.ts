import { describe, expect, test } from "bun:test";
import { decodeCommand, encodeRequest } from "../../lib/remoting/command.ts";
import { FrameError } from "../../lib/remoting/errors.ts";
import { HeaderSlots } from "../../lib/remoting/header-slots.ts";
import { fillRawRequest, newRawRequest } from "../../lib/remoting/raw-request.ts";
import { ResponseError } from "../../lib/remoting/response-error.ts";
import { GOLDEN_FRAMES, jsonFrame, randomFrom } from "./golden-frames.ts";

function raw(frame: Buffer, start = 0, end = frame.length) {
  const request = newRawRequest();
  fillRawRequest(request, frame, start, end);
  return request;
}

function decoded(slots: HeaderSlots, frame: Buffer): HeaderSlots {
  expect(slots.decode(raw(frame))).toBe(true);
  return slots;
}

describe("frames of the Java reference", () => {
  const names = Array.from(new Set(GOLDEN_FRAMES.flatMap(({ command }) => Object.keys(command.ext))));
  const slots = new HeaderSlots(names.map((name) => [name]));

  for (const { name, bytes, command } of GOLDEN_FRAMES) {
    test(`fixed fields: ${name}`, () => {
      const chunk = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("behind")]);
      const request = raw(chunk, 6, 6 + bytes.length);
      const { code, opaque, flag, version, language, serializeType } = command;
      expect(request).toMatchObject({ code, opaque, flag, version, language, serializeType });
      expect(request.buffer.toString("hex", request.bodyStart, request.bodyEnd)).toBe(
        command.body?.toString("hex") ?? "",
      );
    });

    test(`slots hold what the ext map holds: ${name}`, () => {
      expect(slots.decode(raw(bytes))).toBe(true);
      names.forEach((key, slot) => {
        expect(slots.string(slot)).toBe(command.ext[key]);
        expect(slots.interned(slot)).toBe(command.ext[key]);
        expect(slots.has(slot)).toBe(key in command.ext);
      });
    });
  }
});

describe("values", () => {
  const slots = new HeaderSlots([["a", "first"], ["number"], ["flag"], ["text"]]);

  for (const type of [0, 1] as const) {
    const of = (ext: Record<string, string>) => decoded(slots, encodeRequest({ code: 1, ext }, 1, type));

    test(`numbers and booleans, type ${type}`, () => {
      expect(of({ number: "-2147483648" }).int(1, 7)).toBe(-2147483648);
      expect(of({ number: "9223372036854775807" }).long(1, 7)).toBe(2 ** 63);
      expect(of({ number: "-1" }).long(1, 7)).toBe(-1);
      expect(of({}).int(1, 7)).toBe(7);
      expect(of({}).long(1, 7)).toBe(7);
      expect(of({ flag: "TRUE" }).bool(2, false)).toBe(true);
      expect(of({ flag: "yes" }).bool(2, true)).toBe(false);
      expect(of({}).bool(2, true)).toBe(true);
      for (const bad of ["x", "1.5", "2147483648", "1 "])
        expect(() => of({ number: bad }).int(1, 7)).toThrow(ResponseError);
      expect(() => of({ number: "one" }).long(1, 7)).toThrow('field "number" is "one", want an integer');
      expect(() => of({}).require(1)).toThrow("the custom field <number> is null");
    });

    test(`either name of a slot, unknown ones skipped, type ${type}`, () => {
      expect(of({ a: "x", b: "y", unknown: "z" }).string(0)).toBe("x");
      expect(of({ first: "x" }).string(0)).toBe("x");
      expect(of({ firsT: "x", "": "q" }).string(0)).toBeUndefined();
    });

    test(`text of every kind, type ${type}`, () => {
      for (const text of ["K\u0001v\u0002", 'q"\\/\b\f\n\r\t', "主题🚀", "x".repeat(20_000), "\u0000\u007f\u2028"]) {
        expect(of({ text, number: "5" }).string(3)).toBe(text);
        expect(slots.int(1, 0)).toBe(5);
      }
    });
  }

  test("escaped values share a scratch buffer and keep apart", () => {
    const many = new HeaderSlots(["p", "q", "r"].map((name) => [name]));
    decoded(many, jsonFrame('{"code":1,"extFields":{"p":"\\u0041\\u4e3b","q":"plain","r":"\\ud83d\\ude80\\\\"}}'));
    expect([many.string(0), many.string(1), many.string(2)]).toEqual(["A主", "plain", "🚀\\"]);
    expect(many.source[1]).toBe(0);
    expect(many.source[2]).toBe(1);
  });

  test("a lone surrogate becomes a question mark, as in Java", () => {
    expect(decoded(slots, jsonFrame('{"code":1,"extFields":{"text":"\\ud800x\\udc00\\ud800\\u0041"}}')).string(3)).toBe(
      "?x??A",
    );
  });

  test("JSON values that are no strings", () => {
    decoded(
      slots,
      jsonFrame('{"extFields":{"number":5,"flag":true,"text":null,"a":1.5e3},"code":1,"x":{"y":["z",{}]}}'),
    );
    expect(slots.int(1, 0)).toBe(5);
    expect(slots.bool(2, false)).toBe(true);
    expect(slots.has(3)).toBe(false);
    expect(slots.string(0)).toBe("1.5e3");
  });

  test("fastjson's wider forms come through the tolerant decoder", () => {
    const request = raw(
      jsonFrame("{code:310,extFields:{'number':6,text:'T',},opaque:9,language:'GO',version:317}", "body"),
    );
    expect(request).toMatchObject({ code: 310, opaque: 9, version: 317, language: 9 });
    expect(request.buffer.toString("utf8", request.bodyStart, request.bodyEnd)).toBe("body");
    expect(slots.decode(request)).toBe(true);
    expect([slots.int(1, 0), slots.string(3)]).toEqual([6, "T"]);
  });

  test("a bad escape is malformed", () => {
    expect(slots.decode(raw(jsonFrame('{"code":1,"extFields":{"text":"\\u00zz"}}')))).toBe(false);
  });

  test("a request that is not the last one scanned is scanned again", () => {
    const first = raw(jsonFrame('{"code":1,"extFields":{"text":"one"}}'));
    raw(jsonFrame('{"code":1,"extFields":{"text":"two"}}'));
    expect(slots.decode(first)).toBe(true);
    expect(slots.string(3)).toBe("one");
  });

  test("binary lengths that lead out of the header are malformed", () => {
    const good = encodeRequest({ code: 1, ext: { text: "value", a: "b" } }, 1, 1);
    for (let at = 8 + 13; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = 0xff;
      slots.decode(raw(bad));
    }
    const bad = Buffer.from(good);
    bad.writeInt32BE(0x7fffffff, 8 + 21 + 2 + 4);
    expect(slots.decode(raw(bad))).toBe(false);
  });
});

test("slots and decodeCommand agree on garbage", () => {
  const seed = (Math.random() * 2 ** 31) | 0;
  console.log(`seed ${seed}`);
  const random = randomFrom(seed);
  const keys = ["a", "b", "i", "topic", "properties", "msgId", "queueOffset"];
  const slots = new HeaderSlots(keys.map((key) => [key]));
  for (let i = 0; i < 20_000; i++) {
    const { bytes } = GOLDEN_FRAMES[random(GOLDEN_FRAMES.length)]!;
    const broken = Buffer.from(bytes);
    for (let n = 1 + random(3); n > 0; n--) broken[8 + random(broken.length - 8)] = random(256);
    let command: ReturnType<typeof decodeCommand> | undefined;
    try {
      command = decodeCommand(broken);
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError);
    }
    let filled = false;
    try {
      const request = raw(broken);
      filled = slots.decode(request);
      if (command !== undefined)
        expect(request).toMatchObject({ code: command.code, opaque: command.opaque, flag: command.flag });
    } catch (error) {
      expect(error).toBeInstanceOf(FrameError);
    }
    if (command === undefined || !filled) continue;
    for (let slot = 0; slot < keys.length; slot++) expect(slots.string(slot)).toBe(command.ext[keys[slot]!]);
  }
});

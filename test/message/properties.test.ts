import { describe, expect, test } from "bun:test";
import { javaHashCode } from "../../lib/base/java.ts";
import { setProperties } from "../../lib/message/fill-from-properties.ts";
import { MessageInner } from "../../lib/message/message-inner.ts";
import {
  encodeProperties,
  PropertyName,
  PropertySlot,
  PropertySlots,
  propertiesToBytes,
  propertiesToMap,
} from "../../lib/message/properties.ts";

/** Texts and what RocketMQ 5.3.3's MessageDecoder.string2messageProperties made of them, recorded 2026-11-23. */
const JAVA: [string, Record<string, string>][] = [
  ["a\u0001b\u0002", { a: "b" }],
  ["a\u0001b", { a: "b" }],
  ["a\u0001\u0002b\u0001c\u0002", { b: "c" }],
  ["\u0001x\u0002b\u0001c", { b: "c" }],
  ["ab\u0002c\u0001d\u0002", { c: "d" }],
  ["a\u0001b\u0001c\u0002", { a: "b\u0001c" }],
  ["a\u0001b\u0002a\u0001c\u0002", { a: "c" }],
  ["é\u0001ü\u0002", { é: "ü" }],
];

describe("properties", () => {
  test("are read as Java reads them", () => {
    for (const [text, map] of JAVA) {
      expect({ ...propertiesToMap(text) }).toEqual(map);
      expect({ ...propertiesToMap(Buffer.from(text)) }).toEqual(map);
    }
  });

  test("a name like a member of Object is a name", () => {
    const text = encodeProperties({ constructor: "c", toString: "t" } as unknown as Record<string, string>);
    const map = propertiesToMap(text);
    expect(Object.keys(map)).toEqual(["constructor", "toString"]);
    expect(propertiesToMap("").constructor).toBeUndefined();
    expect(Object.entries(propertiesToMap("__proto__\u0001x\u0002"))).toEqual([["__proto__", "x"]]);
  });

  test("every well-known name has its slot", () => {
    const slots = new PropertySlots();
    for (const [key, name] of Object.entries(PropertyName)) {
      const bytes = propertiesToBytes({ [name]: `value of ${key}` });
      slots.scan(bytes, 0, bytes.length);
      for (const [other, slot] of Object.entries(PropertySlot)) {
        expect(slots.text(slot)).toBe(other === key ? `value of ${key}` : undefined);
      }
    }
  });

  test("the scanner and the map agree on random bytes", () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
    console.log(`property scan seed ${seed}`);
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return (state >> 8) % below;
    };
    const names = Object.values(PropertyName);
    const slots = new PropertySlots();
    for (let round = 0; round < 20_000; round++) {
      let text = "";
      for (let i = random(8); i > 0; i--) {
        const kind = random(10);
        const name = kind < 6 ? names[random(names.length)]! : ["x", "", "TAG", "TAGSS", "tags"][random(5)]!;
        const value = ["v", "", "true", "12", "\u0001", "é"][random(6)]!;
        text += `${name}${random(10) > 0 ? "\u0001" : ""}${value}${random(10) > 0 ? "\u0002" : ""}`;
      }
      const pad = random(5);
      const bytes = Buffer.from(`${"#".repeat(pad)}${text}###`);
      const end = bytes.length - 3;
      slots.scan(bytes, pad, end);
      const map = propertiesToMap(text);
      for (const [key, name] of Object.entries(PropertyName)) {
        const slot = PropertySlot[key as keyof typeof PropertySlot];
        if (slots.text(slot) !== map[name])
          throw new Error(`seed ${seed} round ${round}: ${JSON.stringify(text)} ${name}`);
      }
    }
  });

  test("numbers and booleans are read as Java's parsers read them", () => {
    const slots = new PropertySlots();
    const read = (value: string): [number, boolean] => {
      const bytes = propertiesToBytes({ DELAY: value, WAIT: value });
      slots.scan(bytes, 0, bytes.length);
      return [slots.int(PropertySlot.DELAY, -7), slots.bool(PropertySlot.WAIT, true)];
    };
    expect(read("3")).toEqual([3, false]);
    expect(read("-3")[0]).toBe(-3);
    expect(read("+3")[0]).toBe(3);
    expect(read("2147483647")[0]).toBe(2147483647);
    expect(read("2147483648")[0]).toBe(-7);
    expect(read("3x")[0]).toBe(-7);
    expect(read("-")[0]).toBe(-7);
    for (const yes of ["true", "TRUE", "True"]) expect(read(yes)[1]).toBe(true);
    for (const no of ["false", "yes", "1", "truee"]) expect(read(no)[1]).toBe(false);
    expect(slots.bool(PropertySlot.KEYS, true)).toBe(true);
  });
});

describe("what the store needs of a message", () => {
  test("tags, keys, wait and delay", () => {
    const inner = new MessageInner();
    setProperties(inner, propertiesToBytes({ TAGS: "TagA", KEYS: "k1 k2", UNIQ_KEY: "u", WAIT: "false", DELAY: "3" }));
    expect(inner.tagsCode).toBe(2598919);
    expect(inner.properties.toString("utf8", inner.keysStart, inner.keysEnd)).toBe("k1 k2");
    expect(inner.properties.toString("utf8", inner.uniqKeyStart, inner.uniqKeyEnd)).toBe("u");
    expect([inner.waitStoreMsgOk, inner.delayLevel]).toEqual([false, 3]);
    setProperties(inner, propertiesToBytes({ TAGS: "标签 😀" }));
    expect(inner.tagsCode).toBe(javaHashCode("标签 😀"));
    expect([inner.keysStart, inner.uniqKeyStart, inner.waitStoreMsgOk, inner.delayLevel]).toEqual([-1, -1, true, 0]);
    setProperties(inner, Buffer.alloc(0));
    expect(inner.tagsCode).toBe(0);
  });
});

import { describe, expect, test } from "bun:test";
import { FastjsonError, JavaDouble, JsonKey, parseFastjson, stringifyFastjson } from "../../lib/base/fastjson.ts";
import golden from "../golden/fastjson.json";

const MQ = (queueId: number) => ({ topic: "T", brokerName: "broker-a", queueId });

const MAX_LONG = 9223372036854775807n;

/** The Java objects of the recorder, field by field. */
const written: Record<string, unknown> = {
  "bean with empty containers": {
    z: 1,
    a: "x",
    m: new Map(),
    l: [],
    s: new Set(),
    d: new JavaDouble(0),
    n: null,
    big: MAX_LONG,
    sm: new Map(),
    beans: [],
    inner: undefined,
  },
  "bean with everything": {
    z: 1,
    a: "x",
    m: new Map([
      [0, "a"],
      [1, "b"],
    ]),
    l: ["x", "y"],
    s: new Set(["s1", "s2"]),
    d: new JavaDouble(0),
    big: MAX_LONG,
    sm: new Map<string, unknown>([
      ["k2", 1],
      ["k1", null],
      [
        "k0",
        new Map([
          [0, "a"],
          [1, "b"],
        ]),
      ],
    ]),
    inner: { t: true, q: 2 },
    ints: new Set([1, 2]),
    strs: new Set(["p", "q"]),
    beans: [
      { q: 2, t: true },
      { q: 2, t: true },
    ],
  },
  "object keys": new Map([
    [MQ(0), 5],
    [MQ(1), 6],
  ]),
  offsets: new Map([
    [
      "offsetTable",
      new Map([
        [
          "T@cg",
          new Map([
            [0, 5],
            [1, 7],
          ]),
        ],
      ]),
    ],
  ]),
  doubles: [
    0,
    -0,
    1,
    1.5,
    100,
    1e6,
    1e7,
    12345678.9,
    1e20,
    1e-3,
    1e-4,
    123.456,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ].map((value) => new JavaDouble(value)),
  strings: ["", "a/b", 'q"q', "b\\b", "\b\t\n\f\r", "\u0000\u0001\u001f\u007f", "\u00e9\u4e2d\u2028\u{1f680}", "'"],
  "list with null": [1, null, "x"],
  "nested lists": [[1, 2], [], [{ k: "v" }]],
};

const OPTIONS: Record<string, object> = { compact: {}, pretty: { pretty: true }, browser: { unicodeEscape: true } };

describe("stringifyFastjson writes what fastjson 1.2.83 wrote", () => {
  for (const { kind, name, text } of golden.vectors) {
    const options = OPTIONS[kind];
    if (options !== undefined)
      test(`${kind}: ${name}`, () => expect(stringifyFastjson(written[name], options)).toBe(text!));
  }

  test("a key that is JSON text already", () => {
    expect(stringifyFastjson(new Map([[new JsonKey('{"topic":"T"}'), 5]]))).toBe('{{"topic":"T"}:5}');
  });
});

/** Where mq reads more than fastjson, or keeps less of it. */
const DIFFERENT = new Set(['{"a":.5}', "{a-b:1}", "{a.b:1}", '{"a":new Date(1)}']);

describe("parseFastjson reads what fastjson 1.2.83 reads", () => {
  for (const { kind, name, text } of golden.vectors) {
    if (kind !== "parse" || DIFFERENT.has(name)) continue;
    test(name === "" ? "(empty)" : name, () => {
      if (text === null) expect(() => parseFastjson(name)).toThrow(FastjsonError);
      else expect(parseFastjson(name)).toEqual(parseFastjson(text));
    });
  }

  test("object keys stay JSON text", () => {
    const parsed = parseFastjson('{"t":{{"queueId":0,"topic":"T"}:5,"plain":6,[1]:7}}') as { t: Map<string, unknown> };
    expect(Array.from(parsed.t)).toEqual([
      ['{"queueId":0,"topic":"T"}', 5],
      ["plain", 6],
      ["[1]", 7],
    ]);
  });

  test("whole numbers beyond 2^53 are exact", () => {
    expect(parseFastjson("[9223372036854775807,-9007199254740993,9007199254740991,1e30]")).toEqual([
      MAX_LONG,
      -9007199254740993n,
      9007199254740991,
      1e30,
    ]);
  });

  test("$ref becomes the object it names, or null", () => {
    const text = '{"a":[{"x":1}],"b":{"$ref":"$.a[0]"},"c":{"$ref":"$.none.x"}}';
    expect(JSON.stringify(parseFastjson(text))).toBe('{"a":[{"x":1}],"b":{"x":1},"c":null}');
  });

  test("names of Object.prototype are plain keys", () => {
    const parsed = parseFastjson('{"__proto__":{"polluted":1},"constructor":2}') as Record<string, unknown>;
    expect(Object.keys(parsed)).toEqual(["__proto__", "constructor"]);
    expect("polluted" in {}).toBe(false);
    expect(Object.getPrototypeOf(parsed)).toBeNull();
  });

  test("deep nesting is refused", () => {
    expect(() => parseFastjson("[".repeat(100_000))).toThrow("nesting deeper than");
  });

  test("every cut of a document is refused", () => {
    const text = '{"a":{{"b":"c\\n"}:[1,-2.5e3,true,null]},/*x*/d:\'e\'}';
    parseFastjson(text);
    for (let length = 1; length < text.length; length++)
      expect(() => parseFastjson(text.slice(0, length))).toThrow(FastjsonError);
  });

  test("an error names the place", () => {
    expect(() => parseFastjson('{"a" 1}')).toThrow('parse JSON at character 5: found "1", want ":"');
  });
});

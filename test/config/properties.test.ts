import { describe, expect, test } from "bun:test";
import {
  decodeProperties,
  parseProperties,
  propertyLine,
  updateProperties,
  updatePropertiesBytes,
} from "../../lib/config/properties.ts";
import golden from "../golden/config.json";

type Read = [text: string, read: Record<string, string> | null];

/** As Java's table: the last one of a repeated key counts. */
function table(text: string): Record<string, string> {
  return Object.fromEntries(parseProperties(text).map(({ key, value }) => [key, value]));
}

describe("properties text", () => {
  for (const [text, read] of golden.properties as unknown as Read[]) {
    test(`${JSON.stringify(text)} is read as java.util.Properties does`, () => {
      if (read === null) expect(() => table(text)).toThrow("malformed \\u escape");
      else expect(table(text)).toEqual(read);
    });
  }

  test("entries know their line, continued ones the first", () => {
    const lines = parseProperties("# head\n\na=1\nb=x\\\n  y\nc=2\n").map(({ key, line }) => [key, line]);
    expect(lines).toEqual([
      ["a", 3],
      ["b", 4],
      ["c", 6],
    ]);
  });

  test("bytes are UTF-8, or ISO-8859-1 where they are none", () => {
    expect(decodeProperties(Buffer.from("a=é中"))).toBe("a=é中");
    expect(decodeProperties(Buffer.from([0x61, 0x3d, 0xe9]))).toBe("a=é");
  });

  test("a written line is read back, by Java's rules, as it was", () => {
    for (const value of [
      "",
      " leading",
      "trailing ",
      "a=b:c#d!e",
      "C:\\data",
      "tab\tnew\nline",
      "é中\u{1f680}",
      "\\u0041",
    ]) {
      for (const key of ["key", "a b", "a=b", "#a", "!a", "é"]) {
        const line = propertyLine(key, value);
        expect(line).toMatch(/^[\x20-\x7e]*$/);
        expect(parseProperties(line)).toEqual([{ key, value, line: 1 }]);
      }
    }
  });
});

describe("editing in place", () => {
  const text = "# the broker\nbrokerName = a\n\n! two\nlisten: 1\nlong=1 \\\n  2 \\\n  3\nbrokerName=b\n";

  test("comments, order and other keys stay; the last of repeated keys is changed", () => {
    const changes = new Map([
      ["brokerName", "c"],
      ["long", "9"],
      ["new", "x y"],
    ]);
    expect(updateProperties(text, changes)).toBe(
      "# the broker\nbrokerName = a\n\n! two\nlisten: 1\nlong=9\nbrokerName=c\nnew=x y\n",
    );
  });

  test("an empty file, a missing last line end and Windows lines", () => {
    expect(updateProperties("", new Map([["a", "1"]]))).toBe("a=1\n");
    expect(updateProperties("b=2", new Map([["a", "1"]]))).toBe("b=2\na=1\n");
    expect(updateProperties("a=1\r\nb=2\r\n", new Map([["b", "3"]]))).toBe("a=1\r\nb=3\r\n");
  });
});

test("lines keep their own ends, a missing last one stays missing, bytes of another encoding stay", () => {
  const change = new Map([["b", "3"]]);
  expect(updateProperties("a=1\r\nb=2\nc=1\r\n", change)).toBe("a=1\r\nb=3\nc=1\r\n");
  expect(updateProperties("a=1\nb=2", change)).toBe("a=1\nb=3");
  expect(updateProperties("b=2 \\\n  x", change)).toBe("b=3");
  expect(updateProperties("\uFEFFb=2\n", change)).toBe("\uFEFFb=3\n");
  const latin1 = Buffer.from("# gr\xfc\xdfe\nb=2\n", "latin1");
  expect(updatePropertiesBytes(latin1, change).toString("latin1")).toBe("# gr\xfc\xdfe\nb=3\n");
  const marked = Buffer.from("\uFEFFb=2\n# \u00e4\n");
  expect(updatePropertiesBytes(marked, change).toString()).toBe("\uFEFFb=3\n# \u00e4\n");
});

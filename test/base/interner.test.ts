import { expect, test } from "bun:test";
import { Interner } from "../../lib/base/interner.ts";

function textOf(interner: Interner, text: string): string {
  const buffer = Buffer.from(`<${text}>`);
  return interner.text(buffer, 1, buffer.length - 1);
}

test("texts come back as they are, also where more of them share the table than it holds", () => {
  const interner = new Interner(8, 32);
  const texts = Array.from({ length: 300 }, (_, i) => `topic-${i * 7919}`);
  for (let round = 0; round < 3; round++) for (const text of texts) expect(textOf(interner, text)).toBe(text);
});

test("text that is not ASCII, cut, empty or long is decoded each time", () => {
  const interner = new Interner(8);
  const cut = Buffer.from([0xc3, 0x61]);
  for (let round = 0; round < 2; round++) {
    for (const text of ["Grüße", "主题", "", "x".repeat(256), "\u00ff"]) expect(textOf(interner, text)).toBe(text);
    expect(interner.text(cut, 0, 2)).toBe("\ufffda");
    expect(interner.text(Buffer.from([0xff]), 0, 1)).toBe("\ufffd");
  }
});

import { describe, expect, test } from "bun:test";
import { buildSubscription, tagFilter } from "../../../lib/broker/client/subscription.ts";

describe("subscription", () => {
  test("tags become Java's hash codes", () => {
    const data = buildSubscription("T", "TagA || TagB", "", 3);
    expect(data).toMatchObject({ subString: "TagA || TagB", expressionType: "TAG", subVersion: 3 });
    expect(data.tagsSet).toEqual(["TagA", "TagB"]);
    expect([...data.codeSet]).toEqual([2598919, 2598920]);
    const filter = tagFilter(data);
    expect(filter?.isMatchedByConsumeQueue(2598919)).toBe(true);
    expect(filter?.isMatchedByConsumeQueue(0)).toBe(false);
    expect(tagFilter(data)).toBe(filter);
  });

  test("only the low 32 bits of a stored tags code count", () => {
    const filter = tagFilter(buildSubscription("T", "TagA", "TAG", 0));
    expect(filter?.isMatchedByConsumeQueue(2598919 + 5 * 2 ** 32)).toBe(true);
  });

  test("star and nothing match all", () => {
    expect(tagFilter(buildSubscription("T", "*", "TAG", 0))).toBeUndefined();
    expect(tagFilter(buildSubscription("T", "", "TAG", 0))).toBeUndefined();
  });

  test("an expression of separators only cannot be parsed", () => {
    expect(() => buildSubscription("T", "||", "TAG", 0)).toThrow("subString split error");
  });
});
